"""An import in real browsers: drop a workbook, choose the columns, see what would happen, do it, take it back; and on a phone without scripts."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Contact, Member, transaction
from tests.jobs.test_import_formats import workbook

TITLES = ["First name", "Last name", "Mobile", "UserID", "Opt-in", "Plan"]


def names(house):
    with house.app.app_context():
        return set(db.session.scalars(sa.select(Contact.name).where(Contact.phone.like("+1212555%"))))


@pytest.fixture
def file(lived_in):
    """A workbook with a known contact, a new one, a number that is none, and an owner nobody knows."""
    with lived_in.app.app_context():
        with transaction():
            contact = Contact.at(lived_in.cast.harbor.id, "+12125550171")
            contact.rename("Robert", "Lind")
            for old in db.session.scalars(sa.select(Contact).where(Contact.phone == "+12125550172")):
                db.session.delete(old)
        maya = db.session.get(Member, lived_in.cast.maya.id).user_id
    rows = [["Bo", "Lind", 12125550171, maya, "", "Gold"], ["Ana", "Silva", 12125550172, "", "yes", "Basic"], ["Cy", "Young", 123, "", "", ""], ["Di", "Short", 12125550173, "U-999", "", ""]]
    return {"name": "people.xlsx", "mimeType": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "buffer": workbook(("People", [TITLES, *rows]))}


def test_DATA_1_a_file_is_dropped_mapped_checked_imported_and_undone(lived_in, person, file):
    before = names(lived_in)
    dana = person(lived_in, lived_in.cast.dana)
    page = dana.open("/contacts/imports/new")
    dana.check_accessible()
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_label("Mobile", exact=True)).to_have_value("phone")
    page.get_by_label("Plan", exact=True).select_option(label="Custom field of this name")
    dana.check_accessible()
    dana.picture("import-mapping")
    page.get_by_role("button", name="Check the file").click()
    expect(page.locator("[data-count=create]")).to_have_text("1", timeout=60_000)
    expect(page.locator("[data-count=update]")).to_have_text("1")
    expect(page.get_by_role("row", name=re.compile("Di Short"))).to_contain_text("Nobody in this account has the User ID “U-999”.")
    assert names(lived_in) == before, "a dry run changes nothing"
    dana.check_accessible()
    dana.picture("import-checked")
    page.get_by_role("link", name="Updates").click()
    expect(page.get_by_role("row", name=re.compile("Bo Lind"))).to_contain_text("Update: first name, Plan, owner set")
    page.get_by_role("button", name="Import 2 contacts").click()
    expect(page.get_by_text("Undo this import")).to_be_visible(timeout=60_000)
    assert {"Ana Silva", "Bo Lind"} <= names(lived_in)
    page.get_by_text("Undo this import").click()
    dana.check_accessible()
    dana.picture("import-done")
    page.get_by_role("button", name="Undo the import of 2 contacts").click()
    expect(page.get_by_text("This import was undone.")).to_be_visible(timeout=60_000)
    assert names(lived_in) == before
    dana.check_accessible()
    dana.picture("import-undone")


def test_an_import_on_a_phone_without_scripts(lived_in, person, file):
    dana = person(lived_in, lived_in.cast.dana, java_script_enabled=False, color_scheme="dark", viewport={"width": 390, "height": 844})
    page = dana.open("/contacts/imports/new")
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("button", name="Check the file").click()
    for _ in range(60):
        if page.get_by_role("button", name=re.compile("Import [12] contact")).count():
            break
        page.get_by_role("link", name="Reload").click()
    expect(page.get_by_role("button", name=re.compile("Import [12] contact"))).to_be_visible()
    dana.picture("import-phone")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Canceled")).to_be_visible()
