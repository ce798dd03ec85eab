"""What a cell says: a number in its one form or why it is none, and what an e-mail address looks like. Pure functions."""

from __future__ import annotations

import re
import unicodedata

from inbox import phone as phones

_LETTERS = re.compile(r"[A-Za-z<>@;]")
EMAIL = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\".]{2,}")


def plain_number(text: str) -> str:
    """The number without what spreadsheets and address books put around it."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) not in ("Cf", "Cc"))
    text = text.strip().lstrip("'’`").strip()
    text = re.sub(r"^(tel|sms|phone|mobile)\s*:\s*", "", text, flags=re.IGNORECASE)
    if re.fullmatch(r"=\"[^\"]*\"", text):
        text = text[2:-1]
    text = re.sub(r"\s*(x|ext\.?)\s*\d{1,6}$", "", text, flags=re.IGNORECASE)
    return text[:-2] if re.fullmatch(r"\d{7,}\.0", text) else text


def normalized(text: str, region: str) -> str | None:
    """The E.164 form of a cell, or None when it holds no full number."""
    plain = plain_number(text)
    if not plain or _LETTERS.search(plain):
        return None
    digits = "".join(filter(str.isdigit, plain)) if plain.isascii() else "".join(str(unicodedata.digit(c)) for c in plain if c.isdigit())
    if len(digits) < 7 or len(set(digits)) == 1:
        return None
    found = phones.normalize(plain, region)
    if found is not None and phones.valid(found):
        return found
    # A country code without its plus sign, or after the 00 that most of the world dials.
    longer = phones.normalize(f"+{digits.removeprefix('00')}", region) if 10 < len(digits) < 18 and not plain.startswith("+") else None
    return longer if longer is not None and phones.valid(longer) else found


def number_problem(text: str) -> str:
    """Why a cell is not a number, for the person who has the file."""
    plain = plain_number(text)
    if re.fullmatch(r"[+-]?\d+([.,]\d+)?[eE][+-]?\d+", plain):
        return f"“{text[:40]}”: the spreadsheet shortened this number. Format the column as text and export it again."
    digits = sum(c.isdigit() for c in plain)
    if _LETTERS.search(plain) or not digits:
        return f"“{text[:40]}” is not a phone number."
    if digits < 7:
        return f"“{text[:40]}” is too short for a phone number."
    return f"“{text[:40]}” is too long for a phone number." if digits > 15 else f"“{text[:40]}” is not a full phone number. Is the area or country code missing?"


_YES_WORDS = (
    "yes y true t 1 x ok ja j oui o si sí sì s sim да д 是 是的 はい 同意 כן نعم tak evet on optin optedin in subscribed granted agreed accepted zugestimmt angemeldet"
    " inscrit suscrito iscritto given active ✓ ✔ ✅"
)
_NO_WORDS = (
    "no n false f 0 nein non não nao nee нет 否 不 いいえ לא لا nie hayır hayir off optout optedout out unsubscribed denied revoked declined refused stop never abgemeldet"
    " désinscrit withdrawn inactive ✗ ✘ ❌"
)
_YES, _NO = frozenset(_YES_WORDS.split()), frozenset(_NO_WORDS.split())
_DAY = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}([ T].*)?")


def wish(text: str) -> bool | None:
    """What an opt-in cell says: True, False, or None for neither; a day means that they opted in then."""
    if _DAY.fullmatch(text):
        return True
    word = "".join(c for c in text.casefold() if not c.isspace() and c not in "-_.\"'\ufe0f")
    return True if word in _YES else False if word in _NO else None
