"""Workbooks and contact cards: read cell by cell, never run, never larger than they may be."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from inbox import sheet, vcards

CARDS = Path(__file__).parents[1] / "data" / "contacts" / "cards"


def workbook(*sheets: tuple[str, list[list[Any]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        page = book.create_sheet(name)
        for row in rows:
            page.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def rezip(data: bytes, **changed: bytes) -> bytes:
    """The workbook with parts replaced or added; `__` stands for a slash and `_dot_` for a point in a name."""
    out = io.BytesIO()
    new = {name.replace("__", "/").replace("_dot_", "."): part for name, part in changed.items()}
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in old.namelist():
            archive.writestr(name, new.pop(name, None) or old.read(name))
        for name, part in new.items():
            archive.writestr(name, part)
    return out.getvalue()


PEOPLE = [
    ["First name", "Mobile", "Born", "Seen", "Opt-in", "Code"],
    ["Ana", 12125550101, date(1990, 5, 1), datetime(2026, 1, 2, 13, 5), True, 7.5],
    [],
    ["=1+1", 12125550102.0, None, None, False, "007"],
]


def test_DATA_1_workbooks_are_read_as_text() -> None:
    data = workbook(("People", PEOPLE), ("Others", [["Mobile"], ["+12125550109"]]))
    found = sheet.look(data)
    assert (found.encoding, found.parts) == ("xlsx", ("People", "Others"))
    assert found.first == [
        ["First name", "Mobile", "Born", "Seen", "Opt-in", "Code"], ["Ana", "12125550101", "1990-05-01", "2026-01-02 13:05", "yes", "7.5"],
        ["", "12125550102", "", "", "no", "007"],
    ], "whole numbers have no point, days are days, a formula without a result says nothing"
    assert sheet.look(data, part=1).first == [["Mobile"], ["+12125550109"]]
    for part in (2, -1):
        with pytest.raises(sheet.NotATable, match="Choose a sheet"):
            sheet.look(data, part=part)


def test_S87_a_workbook_that_would_grow_beyond_all_measure_is_refused() -> None:
    small = workbook(("A", [["Mobile"], ["+12125550101"]]))
    with pytest.raises(sheet.NotATable, match="too large when it is unpacked"):
        sheet.look(rezip(small, xl__styles_dot_xml=b"<styleSheet>" + b" " * (17 << 20) + b"</styleSheet>"))
    far = openpyxl.Workbook()
    far.active["A1"], far.active["A2"] = "Mobile", "+12125550101"
    far.active.cell(1_048_576, 16_384, "far away")
    out = io.BytesIO()
    far.save(out)
    assert sheet.look(out.getvalue()).first == [["Mobile"], ["+12125550101"]], "a cell at the far end costs nothing"
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><workbook>&b;</workbook>'
    with pytest.raises(sheet.NotATable, match="declarations"):
        sheet.look(rezip(small, xl__workbook_dot_xml=bomb))


def test_workbooks_that_cannot_be_read_are_one_sentence() -> None:
    locked = b"\xd0\xcf\x11\xe0" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 100
    for data, sentence in (
        (locked, "locked with a password"), (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "old format"), (b"PK\x03\x04 nothing", "damaged"),
        (workbook(("Empty", [])), "sheet is empty"), (workbook(("Wide", [[f"c{i}" for i in range(10_000)]])), "more than 200 columns"),
        (rezip(workbook(("A", [["x"]])), xl__worksheets__sheet1_dot_xml=b"<worksheet><sheetData><row><c"), "damaged|not a workbook"),
    ):
        with pytest.raises(sheet.NotATable, match=sentence):
            sheet.look(data)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("word/document.xml", "<document/>")
    with pytest.raises(sheet.NotATable, match="not a workbook"):
        sheet.look(out.getvalue())


def numbers(data: bytes) -> list[str]:
    return [row[2] for row in list(vcards.rows(data))[1:]]


@pytest.mark.parametrize("path", sorted(CARDS.glob("*.vcf")), ids=lambda path: path.stem[:30])
def test_DATA_1_cards_of_real_phones_are_read(path: Path) -> None:
    """As many rows as the file has outermost cards, and of each the number that a text can reach."""
    text = re.sub(r"\r?\n[ \t]", "", path.read_bytes().decode("utf-8", "replace"))
    found = sheet.look(path.read_bytes())
    assert found.encoding == "vcard" and found.first[0] == vcards.HEADER
    mobile = re.search(r"^(?:item\d+\.)?TEL[^:\r\n]*\bCELL\b[^:\r\n]*:(.+)$", text, re.MULTILINE | re.IGNORECASE)
    assert len(found.first) - 1 == len(re.findall(r"^BEGIN:VCARD", text, re.MULTILINE | re.IGNORECASE))
    if mobile and len(found.first) == 2:
        assert found.first[1][2] == mobile[1].strip().removeprefix("tel:").partition(";")[0]
    assert not any(c in cell for row in found.first for cell in row for c in "\r\n\0")


def test_cards_of_all_versions() -> None:
    old = "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;J=F6rg=\r\n=20Karl\r\nTEL;WORK;FAX:+1 212 555 0199\r\nTEL;HOME:+1 212 555 0101\r\n"
    old += "TEL;CELL:+1 212 555 0102\r\nPHOTO;ENCODING=BASE64:AAAA\r\n BBBB==\r\nEMAIL:j@example.org\r\nEND:VCARD\r\n"
    third = "begin:vcard\nversion:3.0\nFN:Ana María\n  Silva\nORG:Acme\\, Inc.;Sales\nitem1.TEL;type=pref:(212) 555-0103\nTEL:2125550104\nend:vcard\n"
    fourth = 'BEGIN:VCARD\nVERSION:4.0\nN:Lind;Bo;;;\nTEL;VALUE=uri;TYPE="voice,home":tel:+1-212-555-0105;ext=7\nTEL;TYPE="cell,voice";VALUE=uri:tel:+12125550106\nEMAIL:bo@example.org\n'
    rows = list(vcards.rows((old + third + fourth).encode()))
    assert rows[1:] == [
        ["Jörg Karl", "Müller", "+1 212 555 0102", "j@example.org", "", ""], ["Ana", "María Silva", "(212) 555-0103", "", "Acme, Inc.", ""],
        ["Bo", "Lind", "+12125550106", "bo@example.org", "", ""],
    ], "the last card was cut off"
    assert numbers(b"BEGIN:VCARD\nFN:Only a fax\nTEL;FAX:2125550107\nEND:VCARD") == ["2125550107"]
    assert sheet.look(third.encode("utf-16")).first[1][0] == "Ana"
    with pytest.raises(sheet.NotATable, match="empty"):
        sheet.look(b"\n\n  ")
