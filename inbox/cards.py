"""Contact cards (vCard 2.1 to 4.0) that come with texts: who, and which numbers. Pure; whatever the bytes are, only short plain strings come out."""

from __future__ import annotations

import quopri
import re
from dataclasses import asdict, dataclass
from typing import Any

from inbox import phone

MAX_BYTES = 256 * 1024
MAX_LINES = 400
MAX_EACH = 6  # numbers and addresses shown of one card
_FOLD = re.compile(r"\r?\n[ \t]")
_SOFT = re.compile(r"=\r?\n")
_ESCAPED = re.compile(r"\\(.)", re.S)


@dataclass(frozen=True)
class Card:
    """The first card of a file; `more` is how many others follow it."""

    name: str
    phones: tuple[str, ...]
    emails: tuple[str, ...]
    more: int = 0

    def stored(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def parse(data: bytes, region: str = "US") -> Card | None:
    """What the card says; None when nothing in it can be shown."""
    text = _decoded(data[:MAX_BYTES])
    fields: list[tuple[str, str]] = []
    cards = text.upper().count("BEGIN:VCARD")
    for line in text.splitlines()[:MAX_LINES]:
        name, value = _field(line)
        if name == "END":
            break
        fields.append((name, value))
    found = {name: value for name, value in reversed(fields) if value}
    phones = tuple(dict.fromkeys(_number(value, region) for name, value in fields if name == "TEL" and value))[:MAX_EACH]
    emails = tuple(dict.fromkeys(_short(value, 120) for name, value in fields if name == "EMAIL" and "@" in value))[:MAX_EACH]
    name = _short(found.get("FN") or _name(found.get("N", "")) or found.get("ORG", ""), 80)
    return Card(name, phones, emails, max(0, cards - 1)) if name or phones or emails else None


def _decoded(data: bytes) -> str:
    """The text with folded and soft-broken lines made whole."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "QUOTED-PRINTABLE" in text.upper():
        text = _SOFT.sub("", text)
    return _FOLD.sub("", text)


def _field(line: str) -> tuple[str, str]:
    """The name of a line without its group and parameters, and its value."""
    head, _, value = line.partition(":")
    name, *parameters = head.upper().split(";")
    if any("QUOTED-PRINTABLE" in p for p in parameters):
        value = quopri.decodestring(value.encode("utf-8", "replace")).decode("utf-8", "replace")
    name = name.strip().rpartition(".")[2]
    value = value.strip()
    if name == "TEL":
        value = value.removeprefix("tel:")
    return name, value if name == "N" else _unescaped(value)


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda m: "\n" if m[1] in "nN" else m[1], value)


def _name(value: str) -> str:
    """Family;Given;Middle;Prefix;Suffix as a person writes it."""
    family, given, *_ = [*(_unescaped(part).strip() for part in re.split(r"(?<!\\);", value)), "", ""]
    return f"{given} {family}".strip()


def _number(value: str, region: str) -> str:
    number = phone.normalize(_short(value, 40), region)
    return phone.display(number, region) if number else _short(value, 40)


def _short(value: str, length: int) -> str:
    """One line of characters that show, at most so long."""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:length]
