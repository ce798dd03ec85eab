"""Workbooks (XLSX) that people upload, read cell by cell as text; formulas are never run, only what they gave last is read."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from itertools import islice
from typing import Any

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

MAX_PARTS = 2000
MAX_UNPACKED = {"xl/sharedStrings.xml": 64 << 20, "xl/worksheets/": 256 << 20}  # bytes; reading a part never gives more than it declares
MAX_OTHER = 16 << 20
MAX_GAP = 2000  # empty rows after which nothing more is expected
WORKBOOK_START = b"PK\x03\x04"
OLD_START = b"\xd0\xcf\x11\xe0"
warnings.filterwarnings("ignore", module="openpyxl")  # features of spreadsheets that are not read


class Unreadable(Exception):
    """Why a workbook can't be read, for the person who has it."""


def sheets(data: bytes) -> list[str]:
    """The names of the workbook's sheets; raises Unreadable."""
    book = _open(data)
    try:
        return [sheet.title[:60] for sheet in book.worksheets]
    finally:
        book.close()


def rows(data: bytes, sheet: int, width: int) -> Iterator[list[str]]:
    """Every row of a sheet, at most `width` cells each, trailing empty ones left out; raises Unreadable."""
    book = _open(data)
    gap = 0
    try:
        page = book.worksheets[sheet]
        page.reset_dimensions()
        for cells in page.iter_rows(values_only=True, max_col=width):
            row = [_text(cell) for cell in cells]
            while row and not row[-1]:
                row.pop()
            gap = 0 if row else gap + 1
            if gap > MAX_GAP:
                return
            yield row
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, SyntaxError, zipfile.BadZipFile):
        raise Unreadable("This workbook is damaged. Open it in your spreadsheet, save it again and upload that file.") from None
    finally:
        book.close()


def _open(data: bytes) -> Any:
    _guard(data)
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, SyntaxError, zipfile.BadZipFile, InvalidFileException):
        raise Unreadable("This is not a workbook of contacts. Save it as an Excel workbook (.xlsx) or as CSV and upload that file.") from None
    if not book.worksheets:
        raise Unreadable("The workbook has no sheet with cells.")
    return book


def _guard(data: bytes) -> None:
    """Refuse what is locked, is an older format, or would grow beyond all measure."""
    if data.startswith(OLD_START):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise Unreadable("This workbook is locked with a password. Save a copy without the password and upload that.")
        raise Unreadable("This is a workbook of an old format. In your spreadsheet choose Save as, then Excel workbook (.xlsx) or CSV, and upload that file.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            if any(part.flag_bits & 1 for part in parts):
                raise Unreadable("This workbook is locked with a password. Save a copy without the password and upload that.")
            if len(parts) > MAX_PARTS or any(part.file_size > _most(part.filename) for part in parts):
                raise Unreadable("This workbook is too large when it is unpacked. Keep only the contacts, or save them as CSV.")
            for part in parts:
                if part.filename.endswith((".xml", ".rels")) and _declares(archive, part):
                    raise Unreadable("This workbook holds declarations that no spreadsheet writes. Save it again and upload that file.")
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        raise Unreadable("This workbook is damaged. Open it in your spreadsheet, save it again and upload that file.") from None


def _most(name: str) -> int:
    return next((most for start, most in MAX_UNPACKED.items() if name.startswith(start)), MAX_OTHER)


def _declares(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    """Whether a part begins with a document type, which is how XML grows or asks for files."""
    with archive.open(part) as file:
        start = b"".join(islice(iter(lambda: file.read(4096), b""), 1))
    return b"<!doctype" in start.replace(b"\x00", b"").lower() or b"<!entity" in start.replace(b"\x00", b"").lower()


def _text(value: Any) -> str:
    """A cell as a person reads it: whole numbers without a point, days as YYYY-MM-DD."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat(" ", "minutes")
    return value.isoformat() if isinstance(value, date) else str(value).strip()
