"""An agent's day with JavaScript off: sign in, filter, open, lock, reply, note, assign, archive, search; and an import. Forms and links do all of it."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Contact, Conversation, Member, transaction
from tests.browser.test_two_agents import fresh
from tests.world import PASSWORD

_numbers = itertools.count(5590)
pytestmark = [pytest.mark.browser, pytest.mark.one_database]


def test_LOCK_7_a_day_without_scripts(lived_in, person):
    sender = f"+1415555{next(_numbers)}"
    cid, row = fresh(lived_in, "Is the ear cream in?", sender=sender)
    maya = person(lived_in, None, java_script_enabled=False)
    page = maya.open("/sign-in")
    page.get_by_label("E-mail").or_(page.get_by_label("Email")).first.fill("maya@harbor.example")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Assigned to me")
    page.get_by_role("link", name="Unassigned").first.click()
    page.get_by_role("button", name="Filter").click()
    page.locator("#filter").get_by_label("Needs reply").check()
    page.locator("#filter").get_by_role("button", name="Apply").click()
    expect(page.locator(".chip").first).to_contain_text("Needs reply")
    page.locator(f'#rows a[href*="{cid}"]').click()
    expect(page.locator("#thread")).to_contain_text("Is the ear cream in?")
    page.locator("#lock-take").click()
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")
    page.locator("#body").fill("Yes, come by any time.")
    page.locator("#send").click()
    expect(page.locator("#thread")).to_contain_text("Yes, come by any time.")
    page.get_by_role("group", name="Message type").get_by_text("Note").click()
    page.locator("#note").fill("Set one aside.")
    page.get_by_role("button", name="Add note").click()
    expect(page.locator("#thread .note")).to_contain_text("Set one aside.")
    page.locator("#assignee").click()
    page.get_by_role("button", name="Theo Okafor").click()
    expect(page.locator("#assignee")).to_contain_text("Theo Okafor")
    page.locator("#archive").click()
    expect(page.locator("#toasts")).to_contain_text("Archived")
    maya.open("/search")
    page.locator("#q").fill(sender)
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator(f'#found a[href*="{cid}"]').first.click()
    expect(page.locator("#thread")).to_contain_text("Yes, come by any time.")
    with lived_in.app.app_context():
        done = db.session.get_one(Conversation, row)
        assert done.archived and done.assignee_id == lived_in.cast.theo.id


def test_DATA_1_an_import_without_scripts(lived_in, person):
    with lived_in.app.app_context(), transaction():
        for old in db.session.query(Contact).filter_by(account_id=db.session.get_one(Member, lived_in.cast.dana.id).account_id, phone="+12125555599"):
            db.session.delete(old)
    dana = person(lived_in, lived_in.cast.dana, java_script_enabled=False)
    page = dana.open("/contacts/imports/new")
    page.get_by_label("File", exact=True).set_input_files({"name": "people.csv", "mimeType": "text/csv", "buffer": b"First name,Mobile\nIna,+12125555599\n"})
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("button", name="Check the file").click()
    for _ in range(60):
        if page.get_by_role("button", name="Import 1 contact").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    page.get_by_role("button", name="Import 1 contact").click()
    for _ in range(60):
        if page.get_by_text("Undo this import").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    dana.open("/contacts?q=Ina")
    expect(page.locator("main")).to_contain_text("Ina")
