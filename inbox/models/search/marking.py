"""The best piece of a text that was found, with what was asked for marked in it. Pure functions."""

from __future__ import annotations

from inbox.models.search.terms import Phrase
from inbox.models.search.words import Word, numbers, split

LENGTH = 150  # characters of a piece
Parts = list[tuple[str, bool]]


def spans(text: str, shown: list[Phrase]) -> list[tuple[int, int]]:
    """Where in a text the phrases stand, in order, overlapping ones joined."""
    words = split(text)
    found: list[tuple[int, int]] = []
    for phrase in shown:
        size = len(phrase.words)
        for i in range(len(words) - size + 1):
            if _matches(words[i : i + size], phrase):
                found.append((words[i].start, words[i + size - 1].end))
        if size == 1 and phrase.words[0].isdigit() and len(phrase.words[0]) >= 7:
            found += [(start, end) for digits, start, end in numbers(text) if digits.endswith(phrase.words[0]) or phrase.words[0] in (digits, digits[-10:])]
    joined: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _matches(words: list[Word], phrase: Phrase) -> bool:
    *firsts, last = phrase.words
    if any(word.text != asked for word, asked in zip(words, firsts, strict=False)):
        return False
    return words[-1].text.startswith(last) if phrase.prefix else words[-1].text == last


def piece(text: str, shown: list[Phrase], length: int = LENGTH) -> Parts:
    """About `length` characters around where most of what was asked for stands, as (text, is it marked)."""
    text = " ".join(text.split())
    marked = spans(text, shown)
    start = 0
    if marked and len(text) > length:
        best = max(marked, key=lambda m: (sum(1 for s, e in marked if s >= m[0] and e <= m[0] + length), -m[0]))
        start = max(0, min(best[0] - length // 4, len(text) - length))
        if start:
            blank = text.find(" ", start, best[0])
            start = blank + 1 if 0 <= blank < start + 25 else start
    end = min(len(text), start + length)
    parts: Parts = [("…", False)] if start else []
    place = start
    for a, b in marked:
        a, b = max(a, start), min(b, end)
        if a >= b:
            continue
        if a > place:
            parts.append((text[place:a], False))
        parts.append((text[a:b], True))
        place = b
    if place < end:
        parts.append((text[place:end], False))
    return [*parts, ("…", False)] if end < len(text) else parts
