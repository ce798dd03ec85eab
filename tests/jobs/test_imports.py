"""Contact imports: read anything, judge every row, apply each once."""

from __future__ import annotations

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import g

from inbox import sheet
from inbox.models import Contact, ContactImport, ImportRow, Member, Refused, db, transaction
from inbox.models.importing import applying, contact_import
from inbox.models.importing.cells import normalized
from inbox.models.importing.checking import Checker
from inbox.models.importing.columns import guess_columns, match_columns
from inbox.views.imports import harmless
from jobs.check_import import check_import
from jobs.run_import import run_import
from tests.conftest import Bell
from tests.world import World

FILES = Path(__file__).parents[1] / "data" / "contacts"
EXPECTED = sorted(FILES.glob("*.expected.json*"))
ODD = {
    "30_empty.csv": "The file is empty.", "31_bom_only.csv": "The file is empty.", "32_header_only.csv": "no contacts below it", "33_binary_renamed.csv": "not look like a table",
    "34_xlsx_magic_renamed.csv": "damaged", "37_html_saved_as_csv.csv": "a web page", "39_10000_columns.csv": "more than 200 columns",
}


def read(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: path.name[:30])
def test_DATA_1_every_number_that_must_be_found_is_found(path: Path) -> None:
    """Encoding, delimiter, header, the number of rows, every number, and which row repeats which."""
    expected = json.loads(read(path))
    data = read(path.with_name(path.name.replace(".expected.json", "")))
    found = sheet.look(data)
    assert found.delimiter == expected["delimiter"]
    width = max(map(len, found.first))
    columns = match_columns(found.first[0], width) if expected["has_header"] else guess_columns(found.first, width)
    rows = list(sheet.rows(data, found.encoding, found.delimiter))[int(expected["has_header"]):]
    assert expected["rows"] <= len(rows) <= expected["rows"] + 1, "one broken record at the end may be a row of its own"
    checker = Checker(1, expected["default_region"], columns, False, {})
    wrong, firsts = [], {}
    for row in expected["expected"]:
        if row["level"] not in ("must", "should"):
            continue
        values = checker._values(rows[row["row"] - 1])
        if values.get("phone") != row["e164"]:
            wrong.append((row["row"], row["phone_raw"], values.get("phone"), row["e164"]))
        elif row["e164"] is None and not checker._fault(values):
            wrong.append((row["row"], row["phone_raw"], "no fault found"))
        elif row["e164"] and firsts.setdefault(row["e164"], row.get("dup_of_row") or row["row"]) != (row.get("dup_of_row") or row["row"]):
            wrong.append((row["row"], "a duplicate of another row"))
    assert not wrong


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_address_book_is_one_sentence(world: World, client: Any, name: str) -> None:
    client.sign_in(world.dana)
    answer = client.post("/contacts/imports", data={"csrf_token": client.csrf(), "file": (io.BytesIO((FILES / name).read_bytes()), name)})
    assert answer.status_code == 422 and 'class="err"' in answer.text and ODD[name] in answer.text
    assert db.session.scalar(sa.select(sa.func.count(ContactImport.id))) == 0


def test_tables_that_are_barely_one_are_read() -> None:
    first = {name: sheet.look((FILES / name).read_bytes()).first for name in ("35_duplicate_headers.csv", "36_single_column_phones.csv", "40_mixed_utf8_latin1.csv")}
    assert match_columns(first["35_duplicate_headers.csv"][0], 4) == ["phone", "", "full_name", ""]
    assert first["36_single_column_phones.csv"][0] == ["+12125550100"] and guess_columns(first["36_single_column_phones.csv"], 1) == ["phone"]
    assert [row[0] for row in first["40_mixed_utf8_latin1.csv"]] == ["Name", "Zoë", "Zoë"]
    assert sheet.look("name,email\nJöhn Döe,j@example.com\n".encode("cp1252")).first[1][0] == "Jöhn Döe"
    with pytest.raises(sheet.NotATable, match="too long for a table"):
        sheet.look(b"Name,Phone\n" + b"a" * 1_000_000)
    with pytest.raises(sheet.NotATable, match="larger than 20 MB"):
        sheet.look(b"a" * (sheet.MAX_BYTES + 1))


def upload(world: World, text: str, by: Member | None = None) -> ContactImport:
    with transaction():
        return ContactImport.upload("people.csv", text.encode(), by=by or world.dana)


def become(client: Any, member: Member) -> None:
    """Sign in as somebody else; the test's app context keeps what the requests before put into `g`."""
    g.__dict__.clear()
    client.sign_in(member)


def checked(found: ContactImport, world: World, clear: bool = False) -> ContactImport:
    with transaction():
        found.start_check(found.mapping["columns"], header=found.mapping["header"], clear=clear, by=world.dana)
    check_import(found.id)
    db.session.expire_all()
    assert found.state == "checked", found.problem
    return found


def finished(found: ContactImport, world: World) -> ContactImport:
    with transaction():
        found.run(by=world.dana)
    run_import(found.id)
    db.session.expire_all()
    assert found.state == "done"
    return found


def verdicts(found: ContactImport) -> list[tuple[str, str]]:
    return [(row.effect, row.owner) for row in db.session.scalars(sa.select(ImportRow).where(ImportRow.import_id == found.id).order_by(ImportRow.number))]


PEOPLE = """First name,Last name,Mobile,E-mail,Contact ID,UserID
Ana,Silva,(212) 555-0101,ana@example.org,C1,{maya}
Bo,Lind,212 555 0102,,C2,
Cy,Young,212-555-0103,,C3,{theo}
Cy,Again,+12125550103,,C9,
Di,Short,12345,,C4,
El,Wrong,2125550105,,C5,U9999
Fay,Mail,2125550106,fay at example,C6,
"""


def test_DATA_1_a_dry_run_says_what_will_happen_and_the_run_does_it(world: World, bell: Bell) -> None:
    text = PEOPLE.format(maya=world.maya.user_id, theo=world.theo.user_id.lower())
    with transaction():
        bo = Contact.at(world.harbor.id, "+12125550102")
        bo.rename("Bo", "Lind")
        bo.external_id = "C2"
        cy = Contact.at(world.harbor.id, "+12125550103")
    before = db.session.scalar(sa.select(sa.func.count(Contact.id)))
    found = checked(upload(world, text), world)
    assert verdicts(found) == [("create", "set"), ("unchanged", ""), ("update", "set"), ("duplicate", ""), ("invalid", ""), ("conflict", "unknown"), ("invalid", "")]
    assert db.session.scalar(sa.select(sa.func.count(Contact.id))) == before and cy.owner_id is None, "a dry run changes nothing"
    finished(found, world)
    ana = db.session.scalars(sa.select(Contact).where(Contact.phone == "+12125550101")).one()
    assert (ana.name, ana.email, ana.owner_id) == ("Ana Silva", "ana@example.org", world.maya.id)
    assert (cy.name, cy.owner_id, cy.external_id) == ("Cy Young", world.theo.id, "C3")
    assert found.counts == {"create": 1, "update": 1, "unchanged": 1, "duplicate": 1, "invalid": 2, "conflict": 1, "owner_set": 2, "owner_unknown": 1}
    assert db.session.scalar(sa.select(sa.func.count(Contact.id))) == before + 1
    again = checked(upload(world, text), world)
    assert verdicts(again)[:3] == [("unchanged", "")] * 3


def test_DATA_1_owners_are_cleared_only_when_asked(world: World, bell: Bell) -> None:
    with transaction():
        contact = Contact.at(world.harbor.id, "+12125550101")
        contact.give_to(world.maya, by=None)
    without = "First name,Mobile\nAna,2125550101\n"
    empty = "First name,Mobile,UserID\nAna,2125550101,\n"
    for text in (without, empty):
        assert verdicts(finished(checked(upload(world, text), world), world))[0][1] == ""
        assert contact.owner_id == world.maya.id
    found = finished(checked(upload(world, without), world, clear=True), world)
    assert verdicts(found) == [("update", "cleared")] and contact.owner_id is None and found.counts["owner_cleared"] == 1


def test_members_of_other_accounts_own_nothing_here(world: World, bell: Bell) -> None:
    with transaction():
        db.session.get_one(Member, world.nina.id).user_id = "N77"
    found = checked(upload(world, "Mobile,UserID\n2125550101,N77\n"), world)
    assert verdicts(found) == [("conflict", "unknown")]


def test_a_killed_run_goes_on_and_applies_every_row_once(world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_import, "BATCH", 10)
    text = "First name,Mobile\n" + "".join(f"P{i},+1212555{i:04d}\n" for i in range(200, 255))
    found = checked(upload(world, text), world)
    with transaction():
        found.run(by=world.dana)
    apply, calls = applying.Batch.apply, []

    def dying(batch: Any) -> None:
        apply(batch)
        calls.append(1)
        if len(calls) in (2, 4):
            raise KeyboardInterrupt

    monkeypatch.setattr(applying.Batch, "apply", dying)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_import(found.id)
    run_import(found.id)
    db.session.expire_all()
    assert found.state == "done" and found.counts == {"create": 55} and found.done == 55
    assert db.session.scalar(sa.select(sa.func.count(Contact.id)).where(Contact.first_name.like("P%"))) == 55


def test_a_contact_that_texts_during_the_import_is_met_not_doubled(world: World, bell: Bell) -> None:
    found = checked(upload(world, "First name,Mobile\nAna,2125550101\n"), world)
    world.text(sender="+12125550101")
    finished(found, world)
    assert found.counts == {"update": 1}
    assert db.session.scalars(sa.select(Contact.name).where(Contact.phone == "+12125550101")).all() == ["Ana"]


def test_S86_cells_that_would_run_in_a_spreadsheet_are_text(world: World, client: Any, bell: Bell) -> None:
    for cell in ("=1+1", "+1", "-1", "@x", "\t=1", " =1", '"=1', "＝1"):
        assert harmless(cell) == f"'{cell}"
    assert harmless("Ana") == "Ana"
    found = checked(upload(world, 'First name,Mobile\n"=HYPERLINK(""http://x"")",123\n'), world)
    client.sign_in(world.dana)
    answer = client.get(f"/contacts/imports/{found.public_id}/problems.csv")
    assert answer.mimetype == "text/csv" and "'=HYPERLINK" in answer.text and answer.headers["Content-Disposition"].startswith("attachment")


def test_the_pages_of_an_import(world: World, client: Any, bell: Bell) -> None:
    client.sign_in(world.dana)
    assert client.get("/contacts/imports").status_code == 200
    assert client.get("/contacts/imports/new").status_code == 200
    text = PEOPLE.format(maya=world.maya.user_id, theo="U1")
    answer = client.post("/contacts/imports", data={"csrf_token": client.csrf(), "file": (io.BytesIO(text.encode()), "../../people.csv")})
    assert answer.status_code == 303
    path = answer.headers["Location"]
    shown = client.get(path).text
    assert "people.csv" in shown and "../" not in shown
    assert re.findall(r'value="(\w+)" selected', shown) == ["first_name", "last_name", "phone", "email", "external_id", "user_id"]
    assert re.search(r'name="header" value="1" checked', shown) and re.search(r'name="clear" value="1">', shown), "owners stay unless somebody ticks the box"
    twice = {f"column-{i}": "phone" for i in range(6)}
    assert client.send(f"{path}/mapping", header="1", **twice).status_code == 422
    assert client.send(f"{path}/mapping", header="1", **{f"column-{i}": "" for i in range(6)}).status_code == 422
    assert client.send(f"{path}/reading", encoding="cp1252").status_code == 303
    assert client.send(f"{path}/reading", encoding="rot13").status_code == 422
    columns = {f"column-{i}": name for i, name in enumerate(["first_name", "last_name", "phone", "email", "external_id", "user_id"])}
    assert client.send(f"{path}/mapping", header="1", **columns).status_code == 303
    assert "Checking every row" in client.get(path).text
    assert "Checking every row" in client.part(f"{path}/progress").text
    bell.work()
    assert client.part(f"{path}/progress").headers["HX-Redirect"] == path
    for effect in ("", "?effect=create", "?effect=nonsense"):
        assert client.get(path + effect).status_code == 200
    assert client.send(f"{path}/run").status_code == 303
    bell.work()
    assert "created" in client.get(path).text
    assert client.send(f"{path}/run").status_code == 422
    become(client, world.nina)
    assert client.get(path).status_code == 404
    become(client, world.maya)
    assert client.get(path).status_code == 403


def test_the_pages_of_contacts(world: World, client: Any, bell: Bell) -> None:
    conversation = world.conversation()
    contact = world.named(conversation, "Zoë <b>", "O'Brien", world.maya)
    with transaction():
        for i in range(60):
            Contact.at(world.harbor.id, f"+1212555{i:04d}").rename("Person", f"{i:02d}")
    client.sign_in(world.maya)
    first = client.get("/contacts").text
    assert "Person 00" in first and "Person 59" not in first and "Next" in first
    following = re.search(r'href="(/contacts\?after=[^"]+)"', first)
    assert following and "Person 59" in client.get(following[1]).text
    assert "Zoë &lt;b&gt;" in client.get("/contacts?q=zoë").text or "Zoë &lt;b&gt;" in client.get("/contacts?q=Zo").text
    assert "Nobody found" in client.part("/contacts?q=%25%5F%5C").text
    assert client.get("/contacts?after=nothing").status_code == 200
    path = f"/contacts/{contact.public_id}"
    assert conversation.public_id in client.get(path).text
    assert client.get(f"{path}/edit").status_code == 200
    assert client.send(path, first="Zoë", last="Brien", email="nope", owner="").status_code == 422
    assert client.send(path, first="Zoë", last="Brien", email="z@example.org", owner=world.nina.public_id).status_code == 422
    assert client.send(path, first="Zoë", last="Brien", email="z@example.org", owner=world.theo.public_id).status_code == 303
    db.session.expire_all()
    assert (contact.name, contact.email, contact.owner_id) == ("Zoë Brien", "z@example.org", world.theo.id)
    become(client, world.nina)
    assert client.get(path).status_code == 404
    become(client, world.vera)
    assert client.get("/contacts").status_code == 403


def test_numbers_as_people_write_them() -> None:
    assert normalized("'+1 (415) 555-0134 x12", "US") == "+14155550134"
    assert normalized("0044 7400 123456", "JP") == "+447400123456"
    for text in ("4.47E+11", "<b>+14155550134</b>", "#N/A", "0000000000", "12345", "+1234567890123456789", ""):
        assert normalized(text, "US") is None


def test_only_those_who_may_import(world: World) -> None:
    with pytest.raises(Refused):
        upload(world, "Mobile\n2125550101\n", by=world.maya)
