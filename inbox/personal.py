"""Phone numbers and e-mail addresses made unreadable: in a text, in a page, in a line of a log. Pure functions, one place for all of them."""

from __future__ import annotations

import re
from collections.abc import Collection
from html import unescape

EMAIL = re.compile(r"([\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]{0,64}(?:@|%40)(?:[\w-]+\.)+([^\W\d_]{2,24})\b")
# What is certainly a number: in full, or grouped as people of North America write it.
SURE = re.compile(
    r"(?:\+|%2B|(?<![\w+])00)\d(?:[\s\u00a0().\u2010-\u2013/-]{0,2}\d){6,14}(?!\d)"
    r"|(?<![\w+.])(?:1[\s.-]?)?(?:\(\d{3}\)[\s\u00a0]?|\d{3}[\s\u00a0.\u2010-\u2013-])\d{3}[\s\u00a0.\u2010-\u2013-]?\d{4}(?!\w)"
)
# What may be one among words: nine to fifteen digits, however they are grouped; a day with an hour is none.
LIKELY = re.compile(r"(?<![\w+.,:])(?!\d{4}-\d\d-\d\d\b)\(?\d(?:[\s\u00a0().\u2010-\u2013/-]{0,2}\d){8,14}(?![\w:]|[.,]\d)")
TOKEN = re.compile(r"(<!--.*?-->|<textarea\b[^>]*>.*?</textarea\s*>|<(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>)", re.DOTALL | re.IGNORECASE)
MARK = re.compile(r"</?mark>")
VALUE = re.compile(r"""\svalue=(?:"[^"]*"|'[^']*')""", re.IGNORECASE)


def digits_of(text: str) -> str:
    return "".join(c for c in text.replace("%2B", "") if c.isdigit())


def number(text: str) -> str:
    """(415) •••-••34, or for other countries +44 •••• ••58."""
    digits = digits_of(text)
    if len(digits) == 10 or (len(digits) == 11 and digits[0] == "1"):
        return f"({digits[-10:-7]}) •••-••{digits[-2:]}"
    return f"{'+' if '+' in text or '%2B' in text else ''}{digits[:2]} •••• ••{digits[-2:]}"


def email(text: str) -> str:
    """r•••@•••.com."""
    return EMAIL.sub(r"\1•••@•••.\2", text)


def covered(text: str, ours: Collection[str] = (), *, sure: bool = False) -> str:
    """The text without numbers and addresses, but for `ours`: the last ten digits of numbers, and addresses in lower case. `sure` leaves alone what may be a mere count."""
    if not any(map(str.isdigit, text)) and "@" not in text and "%40" not in text:
        return text
    text = EMAIL.sub(lambda m: m.group() if m.group().replace("%40", "@").lower() in ours else email(m.group()), text)

    def one(match: re.Match[str]) -> str:
        return match.group() if digits_of(match.group())[-10:] in ours else number(match.group())

    text = SURE.sub(one, text)
    return text if sure else LIKELY.sub(one, text)


def covered_page(html: str, ours: Collection[str] = ()) -> str:
    """A page or fragment without them: in its words and in its attributes. What stands in fields stays, or saving a form would store the cover."""
    parts = TOKEN.split(MARK.sub("", html))  # a mark in the middle of a number would split it
    return "".join(_tag(part, ours) if n % 2 else _words(part, ours) for n, part in enumerate(parts))


def _words(text: str, ours: Collection[str]) -> str:
    made = covered(text, ours)
    if "&#" in made and covered(plain := unescape(made), ours) != plain:  # digits written as character references hide nothing
        return covered(plain, ours).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return made


def _tag(tag: str, ours: Collection[str]) -> str:
    lower = tag[:9].lower()
    if lower.startswith("<textarea"):
        end = tag.index(">")
        return covered(tag[:end], ours, sure=True) + tag[end:]
    if lower.startswith("<input"):
        value = VALUE.search(tag)
        if value:
            return covered(tag[: value.start()], ours, sure=True) + value.group() + covered(tag[value.end() :], ours, sure=True)
    return covered(tag, ours, sure=True)
