"""Address books as contact cards (vCard 2.1, 3.0 and 4.0): every card one row of text. Pure; whatever the bytes are, only short plain strings come out."""

from __future__ import annotations

import codecs
import quopri
import re
from collections.abc import Iterator

HEADER = ["First name", "Last name", "Mobile", "E-mail", "Organization", "Birthday"]
LONGEST = 10_000  # bytes of a line that are read; pictures are longer and left out
_SEMICOLON = re.compile(r"(?<!\\);")
_ESCAPED = re.compile(r"\\(.)", re.S)
_NOT_FOR_TEXTS = {"FAX", "PAGER", "MODEM", "ISDN", "TELEX", "TTY", "TEXTPHONE"}
Line = tuple[str, set[str], str]  # the name, its parameters in capitals, the value


def looks_like(data: bytes) -> bool:
    """Whether the file begins with a card."""
    return _plain(data[:2000]).lstrip().lower().startswith(b"begin:vcard")


def rows(data: bytes) -> Iterator[list[str]]:
    """A header, then every card that holds anything, as a row."""
    yield list(HEADER)
    card: list[Line] = []
    depth = 0
    for line in _lines(_plain(data)):
        if line[0] == "BEGIN" and line[2].upper() == "VCARD":
            depth += 1
            if depth == 1:
                card = []
        elif line[0] == "END" and line[2].upper() == "VCARD":
            depth = max(0, depth - 1)
            if depth == 0:
                yield from _row(card)
                card = []
        elif depth == 1:
            card.append(line)
    yield from _row(card)  # the end of a file that was cut off


def _plain(data: bytes) -> bytes:
    for bom, name in ((codecs.BOM_UTF16_LE, "utf_16_le"), (codecs.BOM_UTF16_BE, "utf_16_be")):
        if data.startswith(bom):
            return data[len(bom):].decode(name, "replace").encode()
    return data.removeprefix(codecs.BOM_UTF8)


def _lines(data: bytes) -> Iterator[Line]:
    """Whole lines: folded ones joined, and those that a `=` at their end breaks softly."""
    whole = b""
    for line in re.split(rb"\r\n|\n|\r", data):
        head = whole.partition(b":")[0].upper()
        if whole.endswith(b"=") and b"QUOTED-PRINTABLE" in head:
            whole = whole[:-1] + line
        elif line[:1] in (b" ", b"\t") and whole:
            whole = (whole + line[1:])[:LONGEST]
        else:
            if whole:
                yield _line(whole)
            whole = line[:LONGEST]
    if whole:
        yield _line(whole)


def _line(line: bytes) -> Line:
    place = _colon(line)
    head, value = line[:place].decode("latin-1"), line[place + 1:]
    name, *given = re.split(r";", head.upper())
    parameters = {part.strip(' "') for one in given for part in one.rpartition("=")[2].split(",")}
    if any("QUOTED-PRINTABLE" in part for part in parameters):
        value = quopri.decodestring(value)
    charset = next((one.partition("=")[2].strip(' "') for one in given if one.startswith("CHARSET=")), "")
    return name.strip().rpartition(".")[2], parameters, _decoded(value, charset).strip()


def _colon(line: bytes) -> int:
    """Where the value begins: the first colon outside quotation marks."""
    quoted = False
    for place, byte in enumerate(line):
        if byte == 0x22:
            quoted = not quoted
        elif byte == 0x3A and not quoted:
            return place
    return len(line)


def _decoded(value: bytes, charset: str) -> str:
    for name in (charset, "utf_8", "cp1252"):
        try:
            return value.decode(name) if name else value.decode("utf_8")
        except (UnicodeDecodeError, LookupError):
            continue
    return value.decode("latin-1")


def _row(card: list[Line]) -> Iterator[list[str]]:
    """The card as a row; nothing when nobody could be meant by it."""
    first = {name: value for name, _, value in reversed(card) if value}
    family, given = ([_unescaped(part) for part in _SEMICOLON.split(first.get("N", ""))] + ["", ""])[:2]
    if not (family or given):
        given, _, family = _unescaped(first.get("FN", "") or first.get("NICKNAME", "")).partition(" ")
    organization = _unescaped(_SEMICOLON.split(first.get("ORG", ""))[0])
    number = _number(card)
    email = next((_unescaped(value) for name, _, value in card if name == "EMAIL" and "@" in value), "").removeprefix("mailto:")
    row = [given or ("" if family else organization), family, number, email, organization, first.get("BDAY", "")]
    if number or email or family or given or organization:
        yield [_short(cell) for cell in row]


def _number(card: list[Line]) -> str:
    """The number to text: a mobile one before a preferred one before any other; a fax is none of them while there is another."""
    numbers = [(parameters, _unescaped(value)) for name, parameters, value in card if name == "TEL" and value]
    best = sorted(numbers, key=lambda one: _rank(one[0]))
    return re.split(r";", best[0][1].removeprefix("tel:"))[0] if best else ""


def _rank(parameters: set[str]) -> int:
    if parameters & _NOT_FOR_TEXTS:
        return 9
    if parameters & {"CELL", "MOBILE", "IPHONE"}:
        return 0
    return 1 if parameters & {"PREF", "1"} else 2


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda m: " " if m[1] in "nN" else m[1], value).strip()


def _short(value: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:300]
