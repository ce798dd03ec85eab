"""Words as both databases index them: folded here once, so that the two find the same things. Pure functions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from inbox import phone as phones

LONGEST = 64  # characters of one word
MOST = 8000  # words of one text
SHORTEST_NUMBER = 7  # digits that make a number in a text worth finding in one piece

# Marks that only say how to pronounce a letter: Latin, Greek and Cyrillic accents, Hebrew points, Arabic vowels. Indic and Thai vowels are letters.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0890-\u089f\u08d3-\u08ff"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]"
)
_LIKE = str.maketrans({
    "ı": "i", "ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d",
    "ٱ": "ا", "ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ۀ": "ه", "ہ": "ه", "ـ": None,
})
_DIGITS = re.compile(r"(?<![\w+])\+?\(?\d(?:[\s().\-\u2010-\u2013/]{0,3}\d){6,16}(?!\w)")
_PLAIN = re.compile(r"[A-Za-z0-9]+(?:'+[A-Za-z0-9]+)*")
_SIGNS = re.compile(r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]")  # what a character that stands for several, like ℀, may bring along
_APART = (  # scripts written without blanks between words, and Korean with its endings: overlapping pairs
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
    (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0x20000, 0x323AF),
)


@dataclass(frozen=True, slots=True)
class Word:
    """A folded word and where it stands in the text; `tail` is the last letter of a run, which stands alone so that it is found alone."""

    text: str
    start: int
    end: int
    tail: bool = False


@lru_cache(maxsize=65536)
def _folded(cluster: str) -> str:
    text = unicodedata.normalize("NFKC", cluster).casefold()
    text = _MARKS.sub("", unicodedata.normalize("NFD", text))
    return _SIGNS.sub("", unicodedata.normalize("NFC", text).translate(_LIKE))


def fold(text: str) -> str:
    """The text without case and accents, for comparing names."""
    return " ".join(word.text for word in split(text) if not word.tail)


def _apart(char: str) -> bool:
    code = ord(char)
    return code >= 0x0E00 and any(low <= code <= high for low, high in _APART)


@lru_cache(maxsize=65536)
def _kind(cluster: str) -> str:
    """What a cluster of characters is: w(ord), a(part: paired with its neighbours), s(ign: a word by itself), j(oins its neighbours), or nothing."""
    char = cluster[0]
    if char in "'’ʼ\u200b\u200c\u200d\u2060\ufeff\u00adـ״׳" or unicodedata.category(char) == "Cf":
        return "j"
    folded = _folded(cluster)
    if not folded:
        return "j" if unicodedata.category(char).startswith("M") else ""
    if _apart(folded[0]):
        return "a" if unicodedata.category(folded[0])[0] in "LMN" or folded[0] == "々" else ""
    category = unicodedata.category(folded[0])
    if category[0] in "LNM":
        return "w"
    return "s" if category == "So" and ord(folded[0]) > 0x2000 else ""


def _clusters(text: str) -> Iterable[tuple[str, int, int]]:
    """Characters with the marks that belong to them."""
    start, size = 0, len(text)
    while start < size:
        end = start + 1
        while end < size and (text[end] >= "\u0300" and (unicodedata.category(text[end])[0] == "M" or 0x1160 <= ord(text[end]) <= 0x11FF or text[end] in "\uff9e\uff9f")):
            end += 1
        yield text[start:end], start, end
        start = end


def split(text: str, most: int = MOST) -> list[Word]:
    """The folded words of a text in order, with their places in it."""
    found: list[Word] = []
    if text.isascii():
        for match in _PLAIN.finditer(text):
            found.append(Word(match.group().replace("'", "").lower()[:LONGEST], match.start(), match.end()))
            if len(found) >= most:
                break
        return found
    run: list[tuple[str, int, int]] = []
    held = ""
    for cluster, start, end in _clusters(text):
        kind = _kind(cluster)
        if kind == "j" and run and held == "w":
            continue
        if kind != held or kind == "s":
            _close(found, run, held)
            run, held = [], kind
        if kind in ("w", "a", "s"):
            folded = _folded(cluster)
            run.append((folded, start, end))
        if len(found) >= most:
            return found[:most]
    _close(found, run, held)
    return found[:most]


def _close(found: list[Word], run: list[tuple[str, int, int]], kind: str) -> None:
    if not run:
        return
    if kind != "a":
        found.append(Word("".join(part for part, _, _ in run)[:LONGEST], run[0][1], run[-1][2]))
        return
    for (a, start, _), (b, _, end) in zip(run, run[1:], strict=False):
        found.append(Word(a + b, start, end))
    last = run[-1]
    found.append(Word(last[0], last[1], last[2], tail=True))


def numbers(text: str) -> list[tuple[str, int, int]]:
    """Digits of what looks like a phone number in a text, in one piece, however they are grouped."""
    plain = "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in text)
    return [("".join(c for c in match.group() if c.isdigit()), match.start(), match.end()) for match in _DIGITS.finditer(plain)] if any(map(str.isdigit, plain)) else []


def of_text(text: str) -> list[str]:
    """What is indexed of a message: its words, then the numbers in it in one piece and without their country."""
    words = [word.text for word in split(text)]
    extra: list[str] = []
    for digits, _, _ in numbers(text)[:50]:
        extra += [digits, *([digits[-10:]] if len(digits) > 10 else [])]
    return words + ([GAP, *dict.fromkeys(extra)] if extra else [])


def of_contact(name: str, phone: str | None, email: str | None) -> list[str]:
    """What is indexed of a contact: name, e-mail, and every end of at least four digits of the number."""
    words = [word.text for part in (name, email or "") for word in split(part)]
    digits = "".join(c for c in phone or "" if c.isdigit())
    if not phone or not digits:  # who hides their number has none to be found by
        return words
    home = "".join(c for c in phones.display(phone, phones.region_of(phone) or "US") if c.isdigit())
    ends = [digits[i:] for i in range(max(1, len(digits) - 3))]
    return [*words, GAP, *dict.fromkeys([*ends, *([home] if home not in ends else [])])]


GAP = "§"  # stands between words that are not neighbours; no word has it
