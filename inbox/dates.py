"""How languages write times, dates and whole numbers: pure functions of the CLDR's patterns, compiled once for each language."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from babel import Locale, UnknownLocaleError
from babel.numbers import get_group_symbol

USUAL = "en-US"
LANGUAGES = (
    USUAL, "en-GB", "en-AU", "en-CA", "cs", "da", "de", "es", "fi", "fr", "it", "ja", "ko", "nb", "nl", "pl", "pt-BR", "pt-PT", "sv", "tr", "uk", "zh-Hans",
)
_UNGROUPED_BELOW = {"es": 10_000, "pl": 10_000, "pt-PT": 10_000}  # these leave four digits together
_TOKEN = re.compile(r"'((?:[^']|'')*)'|([a-zA-Z])\2*")

Writer = Callable[[datetime], str]


@dataclass(frozen=True)
class Written:
    """The hand of one language; every writer takes a moment that is already in the reader's zone."""

    clock: Writer  # 9:42 AM, 09:42
    weekday: Writer  # Wed, Mi
    date: Writer  # Nov 18, 18. Nov.
    dated: Writer  # the same with the year
    day: Writer  # Wednesday, November 18
    dayed: Writer  # the same with the year
    moment: Writer  # Nov 18, 2:10 PM
    separator: str
    together: int

    def number(self, value: int) -> str:
        """12,345 as the language groups digits."""
        return str(value) if abs(value) < self.together else f"{value:,}".replace(",", self.separator)


@cache
def written(language: str) -> Written:
    """The hand of a language; American English for one we do not know."""
    try:
        locale = Locale.parse(language, sep="-")
    except (ValueError, UnknownLocaleError):
        language, locale = USUAL, Locale.parse(USUAL, sep="-")
    skeletons = {name: found.pattern for name, found in locale.datetime_skeletons.items()}

    def make(pattern: str) -> Writer:
        return _writer(pattern, locale)

    clock, date = make(locale.time_formats["short"].pattern), make(skeletons["MMMd"])
    day = next(skeletons[name] for name in ("MMMMEEEEd", "MMMMEd", "MMMEd") if name in skeletons)
    joint = str(locale.datetime_formats["medium"])
    return Written(
        clock=clock, weekday=make("EEE"), date=date, dated=make(skeletons["yMMMd"]), day=make(_wide(day)), dayed=make(locale.date_formats["full"].pattern),
        moment=lambda at: joint.replace("{1}", date(at)).replace("{0}", clock(at)), separator=get_group_symbol(locale), together=_UNGROUPED_BELOW.get(language, 1000),
    )


@cache
def names() -> dict[str, str]:
    """Each language in its own words."""
    own = {code: str(Locale.parse(code, sep="-").get_display_name()) for code in LANGUAGES}
    return {code: name[0].upper() + name[1:] for code, name in own.items()}


def _wide(pattern: str) -> str:
    """The pattern with its weekday and month written out, as the CLDR says a longer one is made from a shorter."""
    return re.sub(r"(?<![Ec])([Ec])\1{0,2}(?![Ec])", r"\1\1\1\1", re.sub(r"(?<!M)MMM(?!M)", "MMMM", pattern))


def _writer(pattern: str, locale: Locale) -> Writer:
    """Compile a CLDR pattern; raises KeyError for a field that dates and times of ours never have."""
    parts: list[Writer] = []
    place = 0
    pattern = pattern.replace("\u202f", " ").replace("\u00a0", " ")  # copied and searched text has plain blanks
    for match in _TOKEN.finditer(pattern):
        parts += [_literal(pattern[place : match.start()])] if match.start() > place else []
        quoted = match.group(1)
        parts.append(_literal(quoted.replace("''", "'") or "'") if quoted is not None else _field(match.group(), locale))
        place = match.end()
    parts += [_literal(pattern[place:])] if place < len(pattern) else []
    return lambda at: "".join([part(at) for part in parts])


def _literal(text: str) -> Writer:
    return lambda at: text


def _field(token: str, locale: Locale) -> Writer:
    """One field of a pattern: MMM, EEEE, h, mm ..."""
    letter, width = token[0], len(token)
    if letter in "ML" and width > 2:
        months = locale.months["format" if letter == "M" else "stand-alone"]["abbreviated" if width == 3 else "wide"]
        return lambda at: months[at.month]
    if letter in "Ec":
        days = locale.days["format" if letter == "E" else "stand-alone"]["wide" if width == 4 else "abbreviated"]
        return lambda at: days[at.weekday()]
    if letter == "a":
        periods = locale.day_periods["format"]["wide"]
        return lambda at: periods["am" if at.hour < 12 else "pm"]
    number = _NUMBERS[letter]
    return (lambda at: f"{number(at):02d}") if width == 2 else (lambda at: str(number(at)))


_NUMBERS: dict[str, Callable[[datetime], int]] = {
    "y": lambda at: at.year, "M": lambda at: at.month, "L": lambda at: at.month, "d": lambda at: at.day, "H": lambda at: at.hour,
    "h": lambda at: at.hour % 12 or 12, "m": lambda at: at.minute,
}
