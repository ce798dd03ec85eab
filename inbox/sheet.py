"""Tables that people upload: bytes to rows of text, whatever program wrote them. Pure functions; a sentence when it is no table."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from charset_normalizer import from_bytes

from inbox import vcards, workbook

MAX_BYTES = 20 * 1024 * 1024
MAX_COLUMNS = 200
MAX_CELL = 10_000  # characters
MAX_ROWS = 50_000
DELIMITERS = ",;\t|^~"
ENCODINGS = (
    "utf_8", "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp932", "euc_jp", "gb18030", "big5", "cp949", "koi8_r",
    "cp874", "mac_roman",
)
MIXED = "utf_8+cp1252"
WORKBOOK, CARDS = "xlsx", "vcard"  # in place of an encoding, for files that are no text table
_BOMS = (
    (codecs.BOM_UTF8, "utf_8"), (codecs.BOM_UTF32_LE, "utf_32_le"), (codecs.BOM_UTF32_BE, "utf_32_be"), (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)
_RUN = re.compile(rb"[\x80-\xff]{2}")
_SEP = re.compile(r"sep=(.)\r?\n?\Z", re.IGNORECASE)


class NotATable(Exception):
    """The file can't be read as a table; the text says why and what to do."""


@dataclass(frozen=True)
class Sheet:
    """How a file is to be read, its first rows, and the sheets it has when it is a workbook."""

    encoding: str
    delimiter: str
    first: list[list[str]]
    parts: tuple[str, ...] = ()


def look(data: bytes, encoding: str = "", part: int = 0) -> Sheet:
    """Find out how the file is written; raises NotATable."""
    _refuse_other_files(data)
    delimiter = ","
    parts: tuple[str, ...] = ()
    if data.startswith((workbook.WORKBOOK_START, workbook.OLD_START)):
        encoding, parts = WORKBOOK, _parts(data, part)
    elif vcards.looks_like(data):
        encoding = CARDS
    else:
        encoding = encoding if encoding not in ("", WORKBOOK, CARDS) else _encoding(data)
        delimiter, _ = _delimiter(_head(data, encoding))
    first = list(itertools.islice(rows(data, encoding, delimiter, part), 51))
    if not first:
        raise NotATable("This sheet is empty." if parts else "The file is empty.")
    if max(map(len, first)) > MAX_COLUMNS:
        raise NotATable(f"The file has more than {MAX_COLUMNS} columns. Keep the ones you need and upload it again.")
    if any(len(cell) > 300 for cell in first[0]) or (delimiter and encoding not in (WORKBOOK, CARDS) and _noise(_head(data, encoding)[:4000])):
        raise NotATable("This does not look like a table of contacts. Save it as CSV and upload it again.")
    return Sheet(encoding, delimiter, first, parts)


def rows(data: bytes, encoding: str, delimiter: str, part: int = 0) -> Iterator[list[str]]:
    """Every row that holds anything, header included, one after the other; cells are trimmed and free of NULs."""
    if encoding == WORKBOOK:
        try:
            yield from filter(any, workbook.rows(data, part, MAX_COLUMNS + 1))
        except workbook.Unreadable as error:
            raise NotATable(str(error)) from None
        return
    if encoding == CARDS:
        yield from vcards.rows(data)
        return
    reader = csv.reader(_lines(data, encoding), delimiter=delimiter)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield cells
    except csv.Error:
        raise NotATable(f"Line {reader.line_num:,} is too long for a table. Is a quotation mark missing?") from None


def _parts(data: bytes, part: int) -> tuple[str, ...]:
    try:
        parts = tuple(workbook.sheets(data))
    except workbook.Unreadable as error:
        raise NotATable(str(error)) from None
    if not 0 <= part < len(parts):
        raise NotATable("Choose a sheet from the list.")
    return parts


def _lines(data: bytes, encoding: str) -> Iterator[str]:
    """The lines of the table, decoded as they are read; what stands before the table is left out."""
    _, start = _delimiter(_head(data, encoding))
    if encoding == MIXED:
        lines: Iterator[str] = (_either(line) for line in data.splitlines(keepends=True))
    else:
        bom, name = next(((bom, name) for bom, name in _BOMS if data.startswith(bom)), (b"", encoding))
        lines = iter(io.TextIOWrapper(io.BytesIO(data[len(bom):]), name, "replace", newline=""))
    if start:
        next(lines, None)
    return (line.replace("\x00", "") for line in lines)


def _head(data: bytes, encoding: str) -> str:
    """The beginning of the text, long enough to know it by; a character cut off at its end does no harm."""
    return decode(data[:200_000], encoding)


def decode(data: bytes, encoding: str) -> str:
    """The text; what the encoding can't explain becomes a replacement character."""
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data[len(bom):].decode(name, "replace")
    if encoding == MIXED:
        return "".join(_either(line) for line in data.splitlines(keepends=True))
    return data.decode(encoding, "replace")


def _either(line: bytes) -> str:
    try:
        return line.decode("utf_8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def _refuse_other_files(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise NotATable("The file is larger than 20 MB. Split it and upload the parts one after the other.")
    start = data[:512].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if not start:
        raise NotATable("The file is empty.")
    if data.startswith((workbook.WORKBOOK_START, workbook.OLD_START)):
        return
    if start.startswith((b"<!doctype", b"<html", b"<table", b"<?xml", b"<head", b"<body")):
        raise NotATable("This is a web page, not a CSV file. Download the table as CSV and upload that file.")
    if start.startswith((b"%pdf", b"\x89png", b"\xff\xd8\xff", b"gif8", b"\x1f\x8b", b"rar!", b"7z\xbc")):
        raise NotATable("This is not a CSV file.")
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not _wide(data):
        head = data[:65536]
        if sum(byte < 9 or 13 < byte < 32 for byte in head) > max(20, len(head) // 50):
            raise NotATable("This is not a text file. Save your contacts as CSV and upload that file.")


def _noise(text: str) -> bool:
    """Whether the text has no more variety than a filler."""
    return len(text) > 200 and len(set(text)) < 6


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: every other byte of western text is zero."""
    head = data[:2000]
    if len(head) < 8:
        return ""
    half = len(head) // 2
    if head[1::2].count(0) > half * 0.6:
        return "utf_16_le"
    return "utf_16_be" if head[0::2].count(0) > half * 0.6 else ""


def _encoding(data: bytes) -> str:
    for bom, name in _BOMS:
        if data.startswith(bom):
            return name
    if wide := _wide(data):
        return wide
    try:
        data.decode("utf_8")
        return "utf_8"
    except UnicodeDecodeError:
        pass
    if b"\r" in data and b"\n" not in data:  # only the classic Mac ended lines so
        return "mac_roman"
    telling = [line for line in data.splitlines() if not line.isascii()]
    good = sum(_is_utf8(line) for line in telling)
    if good and good * 2 >= len(telling):
        return MIXED
    return _guess(b"\n".join(itertools.islice(telling, 400))[:60_000])


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf_8")
    except UnicodeDecodeError:
        return False
    return True


def _guess(sample: bytes) -> str:
    likely: tuple[str, ...] = ENCODINGS[1:]
    if not _RUN.search(sample):  # letters with accents among plain ones: no script of its own writes so
        if len(sample) < 200:
            return "cp1252"
        likely = ("cp1252", "cp1250", "cp1254", "cp1257", "cp1258")
    best = from_bytes(sample, cp_isolation=list(likely), threshold=0.6, explain=False).best()
    return best.encoding if best is not None and best.encoding in ENCODINGS else "cp1252"


def _delimiter(text: str) -> tuple[str, int]:
    """What separates cells, and where the table starts (Excel may put a `sep=;` line before it)."""
    end = next((place for place, char in enumerate(text[:20]) if char in "\r\n"), -1)
    if end > 0 and (hint := _SEP.match(text[:end].strip('"'))):
        return hint[1], end + (2 if text[end:end + 2] == "\r\n" else 1)
    head = text[:40_000].replace("\x00", "")
    best, best_score = ",", 0.0
    for delimiter in DELIMITERS:
        try:
            read = itertools.islice(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), 40)
            widths = [len(row) for row in read if any(cell.strip() for cell in row)]
        except csv.Error:
            continue
        if not widths:
            continue
        width, times = Counter(widths[:-1] or widths).most_common(1)[0]
        score = times / len(widths) * (1 + min(width, 10) / 100) if width > 1 else 0.0
        if score > best_score:
            best, best_score = delimiter, score
    return best, 0
