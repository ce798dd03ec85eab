"""Imports with consent and custom fields, killed half-way, and taken back until every row is as before."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from inbox import clock
from inbox.extensions import redis
from inbox.models import Consent, Contact, ContactImport, ImportRow, Refused, db, transaction
from inbox.models.consent import Allowed
from inbox.models.importing import contact_import
from jobs.check_import import check_import
from jobs.run_import import run_import
from jobs.sweeps import sweep_import_files
from jobs.undo_import import undo_import
from tests.conftest import Bell
from tests.jobs.test_import_formats import workbook
from tests.jobs.test_imports import become, checked, finished, upload, verdicts
from tests.world import World


def table_hash() -> str:
    """Every contact with every column."""
    rows = db.session.execute(sa.select(*Contact.__table__.columns).order_by(Contact.id)).all()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def undone(found: ContactImport, world: World) -> ContactImport:
    with transaction():
        found.undo(by=world.dana)
    undo_import(found.id)
    db.session.expire_all()
    assert found.state == "undone"
    return found


def allowed(world: World, address: str) -> Allowed:
    return Allowed.read(world.front, address)


MIXED = """First name,Mobile,E-mail,UserID,Plan,Opt-in,Consent date,Consent source
Ana,2125550101,ana@example.org,{maya},Gold,yes,2026-03-01,web form
Bo,2125550102,,,Silver,no,,
Cy,2125550103,,,,yes,,
Di,2125550104,,,,perhaps,,
El,2125550105,,,,,,
"""


def mixed(world: World) -> ContactImport:
    """Bo is known and has an owner; Cy replied STOP."""
    world.text("STOP", sender="+12125550103")
    with transaction():
        bo = Contact.at(world.harbor.id, "+12125550102")
        bo.rename("Robert", "Lind")
        bo.fields = {"Plan": "Basic", "Town": "Ulm"}
    found = upload(world, MIXED.format(maya=world.maya.user_id))
    columns = [name if name else "field" for name in found.mapping["columns"]]
    assert columns == ["first_name", "phone", "email", "user_id", "field", "opt_in", "opt_in_at", "opt_in_how"]
    with transaction():
        found.start_check(columns, header=True, clear=False, by=world.dana)
    check_import(found.id)
    db.session.expire_all()
    return found


def test_DATA_1_consent_comes_with_its_evidence_and_a_stop_is_kept(world: World, bell: Bell) -> None:
    found = mixed(world)
    rows = found.rows_with(("create", "update", "unchanged", "invalid"))
    assert [(row.effect, row.consent) for row in rows] == [("create", "in"), ("update", "out"), ("update", "kept"), ("invalid", ""), ("create", "")]
    assert rows[1].changes == ["first name", "Plan"] and rows[2].told == "Update: first name, opted out, kept"
    assert "neither yes nor no" in rows[3].problem
    assert db.session.scalar(sa.select(sa.func.count(Consent.id)).where(Consent.source == "import")) == 0, "a dry run changes nothing"
    planned = dict(found.counts)
    finished(found, world)
    assert found.counts == planned == {"create": 2, "update": 2, "invalid": 1, "owner_set": 1, "consent_in": 1, "consent_out": 1, "consent_kept": 1}
    ana = Consent.changes(world.harbor.id, "+12125550101")[0]
    assert ana.evidence == "File “people.csv”, row 1: “yes”. When: 2026-03-01. How: web form." and ana.by_id == world.dana.id and ana.scope == "account"
    assert allowed(world, "+12125550101").opted_in and allowed(world, "+12125550102").opted_out
    assert allowed(world, "+12125550103").opted_out, "a STOP is never undone by a file"
    bo = db.session.scalars(sa.select(Contact).where(Contact.phone == "+12125550102")).one()
    assert (bo.name, bo.fields) == ("Bo Lind", {"Plan": "Silver", "Town": "Ulm"})


def test_DATA_1_an_undo_puts_every_contact_back_exactly(world: World, bell: Bell) -> None:
    mixed_up = mixed(world)
    before = table_hash()
    finished(mixed_up, world)
    assert table_hash() != before
    undone(mixed_up, world)
    assert table_hash() == before
    assert {key: value for key, value in mixed_up.counts.items() if key.startswith("undo")} == {"undo_removed": 2, "undo_restored": 2}
    for address in ("+12125550101", "+12125550102"):
        assert not allowed(world, address).opted_in and not allowed(world, address).opted_out, "nobody said anything"
    assert allowed(world, "+12125550103").opted_out
    with pytest.raises(Refused), transaction():
        mixed_up.undo(by=world.dana)
    with transaction():
        assert Consent.put(world.harbor, world.team.id, "+12125550101", opted_out=False, source="text", inbox_id=world.front.id), "a START counts anew"
    assert allowed(world, "+12125550101").opted_in


def test_an_undo_brings_back_what_was_said_before_the_import(world: World, bell: Bell) -> None:
    with transaction():
        Consent.put(world.harbor, world.team.id, "+12125550101", opted_out=False, source="hand", evidence="On paper", inbox_id=world.front.id)
    found = finished(checked(upload(world, "Mobile,Opt-in\n2125550101,no\n"), world), world)
    assert allowed(world, "+12125550101").opted_out
    undone(found, world)
    assert allowed(world, "+12125550101").opted_in and Consent.changes(world.harbor.id, "+12125550101")[0].evidence == "On paper"


def test_DATA_1_what_was_changed_or_talked_with_since_is_left_and_named(world: World, client: Any, bell: Bell) -> None:
    found = finished(checked(upload(world, "First name,Mobile\nAna,2125550101\nBo,2125550102\nCy,2125550103\n"), world), world)
    world.text(sender="+12125550101")
    with transaction():
        bo = db.session.scalars(sa.select(Contact).where(Contact.phone == "+12125550102")).one()
        bo.edit(by=world.dana, first="Robert", last="", email=None, owner=None)
    undone(found, world)
    assert [(row.undone, row.problem) for row in found.rows_with(("create",))] == [
        ("left", "Somebody talked with this contact since, or began to."), ("left", "Somebody changed this contact since."), ("removed", ""),
    ]
    assert db.session.scalars(sa.select(Contact.name).where(Contact.phone.like("+121255501%")).order_by(Contact.phone)).all() == ["Ana", "Robert"]
    client.sign_in(world.dana)
    shown = client.get(f"/contacts/imports/{found.public_id}").text
    assert "2 left as they are" in shown and "Somebody changed this contact since." in shown


def test_an_undo_that_died_goes_on(world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_import, "BATCH", 10)
    before = table_hash()
    found = finished(checked(upload(world, "Mobile\n" + "".join(f"+1212555{i:04d}\n" for i in range(200, 245))), world), world)
    with transaction():
        found.undo(by=world.dana)
    apply, calls = contact_import.Undoing.apply, []

    def dying(batch: Any) -> None:
        apply(batch)
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(contact_import.Undoing, "apply", dying)
    with pytest.raises(KeyboardInterrupt):
        undo_import(found.id)
    db.session.expire_all()
    assert (found.state, found.done) == ("undoing", 20)
    undo_import(found.id)
    db.session.expire_all()
    assert found.state == "undone" and found.counts["undo_removed"] == 45 and table_hash() == before


def test_an_undo_is_possible_for_thirty_days(world: World, bell: Bell) -> None:
    found = finished(checked(upload(world, "Mobile\n2125550101\n"), world), world)
    assert found.undo_until == found.finished_at + contact_import.UNDO_FOR
    found.finished_at = clock.now() - contact_import.UNDO_FOR
    assert found.undo_until is None
    with pytest.raises(Refused):
        found.undo(by=world.dana)


def test_a_check_that_died_goes_on_and_still_knows_its_duplicates(world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.check_import.BATCH", 10)
    text = "Mobile\n" + "".join(f"+1212555{i:04d}\n" for i in range(200, 225)) + "+12125550201\n"
    found = upload(world, text)
    with transaction():
        found.start_check(["phone"], header=True, clear=False, by=world.dana)
    note, calls = ContactImport.note_verdicts, []

    def dying(self: ContactImport, made: list[dict[str, Any]]) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        note(self, made)

    monkeypatch.setattr(ContactImport, "note_verdicts", dying)
    number = found.id
    with pytest.raises(KeyboardInterrupt):
        check_import(number)
    db.session.remove()
    found = db.session.get_one(ContactImport, number)
    assert found.done == 20
    check_import(found.id)
    db.session.expire_all()
    assert found.counts == {"create": 25, "duplicate": 1} and [row.number for row in found.rows_with(("duplicate",))] == [26]


KILLED = """
import sys
from tests.conftest import make_app
from pathlib import Path
from inbox.models.importing import contact_import
from jobs.run_import import run_import
from jobs.sweeps import sweep_import_files
contact_import.BATCH = 5
apply = contact_import.Batch.apply
def slowly(batch):
    apply(batch)
    print(batch.rows[-1].number, flush=True)
    if batch.rows[-1].number >= 20:
        sys.stdin.readline()
contact_import.Batch.apply = slowly
with make_app(Path(sys.argv[1]), sys.argv[2], 1).app_context():
    run_import(int(sys.argv[3]))
"""


def test_DATA_1_a_worker_killed_with_kill_9_is_followed_by_another_and_every_row_is_applied_once(world: World, app: Flask, bell: Bell, database: str) -> None:
    found = checked(upload(world, "First name,Mobile,Opt-in\n" + "".join(f"P{i},+1212555{i:04d},yes\n" for i in range(200, 260))), world)
    with transaction():
        found.run(by=world.dana)
    db.session.remove()
    url = db.engine.url.render_as_string(hide_password=False)
    folder = Path(app.config["SETTINGS"].data_dir)
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), url, str(found.id)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    assert worker.stdout is not None
    try:
        for line in worker.stdout:
            if int(line) >= 20:
                break
    finally:
        os.kill(worker.pid, signal.SIGKILL)  # in the middle of a transaction
        worker.wait(30)
        worker.stdout.close()
        worker.stdin.close()  # type: ignore[union-attr]
    found = db.session.get_one(ContactImport, found.id)
    assert (found.state, found.done) == ("running", 15), "the last batch was not committed"
    db.session.rollback()
    redis.client.delete(f"inbox:import:{found.id}")  # its lease runs out by itself after thirty seconds
    run_import(found.id)
    db.session.expire_all()
    assert found.state == "done" and found.counts == {"create": 60, "consent_in": 60}
    assert db.session.scalar(sa.select(sa.func.count(Contact.id)).where(Contact.first_name.like("P%"))) == 60
    assert db.session.scalar(sa.select(sa.func.count(Consent.id)).where(Consent.source == "import")) == 60


def test_DATA_1_columns_are_remembered_per_account_and_titles(world: World, bell: Bell) -> None:
    text = "Who,Reach,Tier\nAna,2125550101,Gold\n"
    first = upload(world, text)
    assert first.mapping["columns"] == ["", "", ""] and not first.mapping["remembered"]
    with transaction():
        first.start_check(["full_name", "phone", "field"], header=True, clear=True, by=world.dana)
    check_import(first.id)
    again = upload(world, "who , REACH,Tier\nBo,2125550102,Silver\n")
    assert again.mapping["columns"] == ["full_name", "phone", "field"] and again.mapping["remembered"] and not again.mapping["clear"], "clearing is never remembered"
    assert not upload(world, "Who,Reach\nBo,2125550102\n").mapping["remembered"]
    with transaction():
        elsewhere = ContactImport.upload("people.csv", text.encode(), by=world.nina)
    assert not elsewhere.mapping["remembered"]


def test_DATA_1_the_file_is_deleted_after_thirty_days_and_what_it_did_stays(world: World, client: Any, bell: Bell) -> None:
    done = finished(checked(upload(world, "First name,Mobile\nAna,2125550101\n"), world), world)
    idle = checked(upload(world, "First name,Mobile\nBo,2125550102\n"), world)
    redis.client.delete("inbox:sweep:import-files")
    clock.shift(29 * 86400)
    sweep_import_files()
    fresh = upload(world, "First name,Mobile\nCy,2125550103\n")
    db.session.expire_all()
    assert done.data and idle.data and done.emptied_at is None
    clock.shift(2 * 86400)
    sweep_import_files()
    db.session.expire_all()
    assert done.data, "once an hour is enough"
    redis.client.delete("inbox:sweep:import-files")
    sweep_import_files()
    db.session.expire_all()
    assert done.data == idle.data == b"" and done.emptied_at is not None and fresh.data and fresh.emptied_at is None
    assert (done.state, done.counts) == ("done", {"create": 1}) and len(done.rows_with(("create",))) == 1
    assert idle.state == "failed" and "Upload it again" in idle.problem
    client.sign_in(world.dana)
    assert "Upload it again" in client.get(f"/contacts/imports/{idle.public_id}").text
    assert client.get(f"/contacts/imports/{done.public_id}").status_code == 200


def test_the_pages_of_workbooks_cards_and_undo(world: World, client: Any, bell: Bell) -> None:
    client.sign_in(world.dana)
    data = workbook(("First", [["Note"], ["Nobody"]]), ("People", [["First name", "Mobile", "Plan"], ["Ana", 12125550101, "Gold"]]))
    path = client.post("/contacts/imports", data={"csrf_token": client.csrf(), "file": (io.BytesIO(data), "people.xlsx")}).headers["Location"]
    assert "Read this sheet" in client.get(path).text
    assert client.send(f"{path}/reading", part="7").status_code == 422
    assert client.send(f"{path}/reading", part="1").status_code == 303
    assert client.send(f"{path}/undoing").status_code == 422, "nothing to undo yet"
    assert client.send(f"{path}/mapping", header="1", **{"column-0": "first_name", "column-1": "phone", "column-2": "field"}).status_code == 303
    bell.work()
    assert client.send(f"{path}/run").status_code == 303
    bell.work()
    assert "Undo the import of 1 contact<" in client.get(path).text
    for member, status in ((world.nina, 404), (world.maya, 403)):
        become(client, member)
        assert client.send(f"{path}/undoing").status_code == status
    become(client, world.dana)
    assert client.send("/contacts/imports/nothing/undoing").status_code == 404
    assert client.send(f"{path}/undoing").status_code == 303
    assert "Putting the contacts back" in client.get(path).text and "Putting the contacts back" in client.part(f"{path}/progress").text
    assert client.send(f"{path}/cancel").status_code == 303
    bell.work()
    assert "This import was undone." in client.get(path).text
    assert db.session.scalar(sa.select(sa.func.count(Contact.id)).where(Contact.phone == "+12125550101")) == 0
    card = b"BEGIN:VCARD\nVERSION:3.0\nN:Lind;Bo;;;\nTEL;TYPE=CELL:2125550102\nEND:VCARD\n"
    path = client.post("/contacts/imports", data={"csrf_token": client.csrf(), "file": (io.BytesIO(card), "bo.vcf")}).headers["Location"]
    assert "Letters look wrong" not in client.get(path).text
    found = db.session.scalars(sa.select(ContactImport).order_by(ContactImport.id.desc()).limit(1)).one()
    assert verdicts(checked(found, world)) == [("create", "")]
    assert db.session.scalar(sa.select(ImportRow.values).where(ImportRow.import_id == found.id))["phone"] == "+12125550102"
