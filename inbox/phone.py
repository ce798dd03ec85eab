"""Phone numbers, text segments and opt-out keywords: pure functions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import phonenumbers
from phonenumbers import PhoneNumberFormat, ValidationResult
from phonenumbers import timezone as number_timezone

Keyword = Literal["STOP", "START", "HELP"]
Encoding = Literal["GSM-7", "UCS-2"]

# Longer text is never a phone number, and parsing it would only cost time.
_MAX_NUMBER = 64
# A spreadsheet that turned a number into 4.47E+11 has lost digits: refuse rather than guess.
_SCIENTIFIC = re.compile(r"^\s*[+-]?\d+([.,]\d+)?[eE][+-]?\d+\s*$")
_E164 = re.compile(r"^\+[1-9]\d{1,14}$")
# North American numbers, most of what comes here, need no parser: ten digits are always a possible number.
_AMERICAN = re.compile(r"(\+1|1)?[ ().-]{0,3}([2-9][0-9]{2})[ ().-]{0,3}([0-9]{3})[ .-]{0,3}([0-9]{4})")


def normalize(text: str, region: str = "US") -> str | None:
    """The E.164 form of what a person or a carrier wrote, or None when it can't be a full phone number."""
    if not text or len(text) > _MAX_NUMBER or _SCIENTIFIC.match(text):
        return None
    plain = _AMERICAN.fullmatch(text)
    if plain and (plain[1] == "+1" or region in ("US", "CA")):
        return f"+1{plain[2]}{plain[3]}{plain[4]}"
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    # "Possible locally" (seven digits without an area code) is not enough to send to.
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


@lru_cache(maxsize=4096)
def _parsed(e164: str) -> phonenumbers.PhoneNumber | None:
    if not _E164.match(e164):
        return None
    try:
        return phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return None


@lru_cache(maxsize=1)
def _american_lines() -> re.Pattern[str]:
    """The ordinary numbers of the United States, as the library's own table has them."""
    table: Any = phonenumbers.PhoneMetadata.metadata_for_region("US")
    return re.compile(f"(?=(?:{table.general_desc.national_number_pattern})$)(?:{table.fixed_line.national_number_pattern})")


def valid(e164: str) -> bool:
    """Whether the number is in a range somebody has been assigned; only a reason to warn, never to refuse."""
    if e164.startswith("+1") and _american_lines().fullmatch(e164, 2):
        return True
    number = _parsed(e164)
    return number is not None and phonenumbers.is_valid_number(number)


@lru_cache(maxsize=8192)
def display(e164: str, region: str = "US") -> str:
    """The number as people of the region write it; short codes and other text come back unchanged."""
    number = _parsed(e164)
    if number is None or not phonenumbers.is_possible_number(number):
        return e164
    own = number.country_code == phonenumbers.country_code_for_region(region)
    style = PhoneNumberFormat.NATIONAL if own else PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(number, style)


def area_code(e164: str) -> str | None:
    """The area code, when the number has one."""
    number = _parsed(e164)
    if number is None:
        return None
    national = phonenumbers.national_significant_number(number)
    if number.country_code == 1:  # every North American number has three digits here, geographic or not
        return national[:3] if len(national) == 10 else None
    length = phonenumbers.length_of_geographical_area_code(number)
    return national[:length] or None


def region_of(e164: str) -> str | None:
    """The two-letter country of the number; for an unassigned range the main country of its calling code."""
    number = _parsed(e164)
    if number is None:
        return None
    region = phonenumbers.region_code_for_number(number)
    if region is None and number.country_code is not None:
        region = phonenumbers.region_code_for_country_code(number.country_code)
    return region if region not in (None, "ZZ", "001") else None


@lru_cache(maxsize=4096)
def time_zones(e164: str) -> tuple[str, ...]:
    """The zones the number may be in; empty when nothing is known, many for a toll-free number."""
    number = _parsed(e164)
    if number is None:
        return ()
    return tuple(zone for zone in number_timezone.time_zones_for_number(number) if zone != "Etc/Unknown")


_GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED = frozenset("^{}\\[~]|€\f")
_SIZES: dict[Encoding, tuple[int, int]] = {"GSM-7": (160, 153), "UCS-2": (70, 67)}


@dataclass(frozen=True)
class Segments:
    """How a text travels: units are septets or UTF-16 code units, room is what the last segment still holds."""

    encoding: Encoding
    units: int
    segments: int
    room: int
    forced_by: tuple[str, ...]


def segments(text: str) -> Segments:
    """Count the segments a carrier will bill; forced_by names the characters that forced the larger encoding."""
    forced = tuple(dict.fromkeys(c for c in text if c not in _GSM_BASIC and c not in _GSM_EXTENDED))
    encoding: Encoding = "UCS-2" if forced else "GSM-7"
    costs = [(2 if ord(c) > 0xFFFF else 1) if forced else (2 if c in _GSM_EXTENDED else 1) for c in text]
    units = sum(costs)
    single, part = _SIZES[encoding]
    if units <= single:
        return Segments(encoding, units, 1, single - units, forced)
    count, used = 1, 0
    for cost in costs:
        if used + cost > part:  # an escape pair or a surrogate pair is never split between two segments
            count, used = count + 1, 0
        used += cost
    return Segments(encoding, units, count, part - used, forced)


# The carriers' own words, and the words for "stop" that customers of other languages send as a whole text (SECURITY S98).
_KEYWORDS: dict[str, Keyword] = {
    **dict.fromkeys(
        (
            "stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "arret", "arrêt", "stopp", "parar", "alto", "стоп",
            "отписаться", "退订", "停止", "إيقاف", "수신거부",
        ),
        "STOP",
    ),
    **dict.fromkeys(("start", "yes", "unstop"), "START"),
    **dict.fromkeys(("help", "info"), "HELP"),
}
MAX_KEYWORD = 20  # letters of a keyword of one's own


def _keep(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM" and not 0xFE00 <= ord(char) <= 0xFE0F


def _words(text: str) -> list[str]:
    """The words of a text without case, quotes, punctuation or hidden characters."""
    words = unicodedata.normalize("NFKC", text).casefold().replace("-", " ").split()
    kept = ["".join(filter(_keep, word)) for word in words]
    return [word for word in kept if word]


def plain(text: str) -> str:
    """The whole text as it is compared with keywords: one word, whatever its case, spaces, quotes, punctuation or hidden characters."""
    kept = _words(text)
    if len(set(kept)) == 1:  # "Stop stop stop"
        kept = kept[:1]
    return "".join(kept)


def keyword(text: str) -> Keyword | None:
    """The carriers' keyword that the whole message consists of."""
    return own_keyword(text, _KEYWORDS)


def own_keyword(text: str, words: Mapping[str, Keyword]) -> Keyword | None:
    """The keyword of `words`, which are in their `plain` form, that the whole message consists of."""
    return None if len(text) > _MAX_NUMBER else words.get(plain(text))


_OUT = frozenset({"stop", "stopall", "unsubscribe", "unsub", "optout", "revoke", "quit", "arret", "arrêt", "stopp", "parar", "basta", "стоп", "отписаться"})
_OUT_WITH_TEXTS = frozenset({"cancel", "end", "remove", "no", "dont", "not", "never", "without"})  # "Cancel my appointment" says nothing about texts
_TEXTS = frozenset({"text", "texts", "texting", "message", "messages", "messaging", "msg", "msgs", "sms", "contacting", "contact", "subscription"})
_PHRASES = (("opt", "out"), ("no", "mas"), ("no", "más"), ("remove", "me"), ("take", "me", "off"), ("leave", "me", "alone"), ("td",))
_NOT_OUT = ((("dont", "cant", "wont", "never", "nonstop", "bus", "next", "pit", "not"), "stop"), (("stop",), "by"), (("stop",), "in"), (("stop",), "over"))
MOST_WORDS = 6


def maybe_opt_out(text: str) -> bool:
    """Whether a short text that is no keyword may mean "no more texts": a person decides, nothing happens by itself."""
    if len(text) > 4 * _MAX_NUMBER or keyword(text):
        return False
    words = _words(text)
    if not 0 < len(words) <= MOST_WORDS:
        return False
    pairs = set(zip(words, words[1:], strict=False))
    if any((first, second) in pairs for firsts, second in _NOT_OUT for first in firsts):
        return False
    said = set(words)
    if said & _OUT or (said & _OUT_WITH_TEXTS and said & _TEXTS):
        return True
    return any(tuple(words[i : i + len(phrase)]) == phrase for phrase in _PHRASES for i in range(len(words)))
