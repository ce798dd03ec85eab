"""TOOL-6 in the browser: a contact is made, filled in and found again by the keyboard; who may not see numbers sees none, live neither."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Inbox, Member, Role, transaction
from inbox.permissions import OWNERS_ONLY, Permission
from tests.browser.test_two_agents import fresh

_numbers = itertools.count(5300)
pytestmark = [pytest.mark.browser, pytest.mark.one_database]


def pictures(who, page, name):
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        who.check_accessible()
        who.picture(f"{name}-{scheme}")
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="light")
    who.check_accessible()
    who.picture(f"{name}-390")
    page.set_viewport_size({"width": 1440, "height": 900})


def test_TOOL_6_a_field_a_contact_and_its_card(lived_in, person):
    dana = person(lived_in, lived_in.cast.dana)
    digits = f"{next(_numbers)}"
    page = dana.open("/settings/contact-fields")
    page.get_by_label("Name", exact=True).fill(f"Pet {digits}")
    page.get_by_label("Name", exact=True).press("Enter")
    expect(page.locator("#fields")).to_contain_text(f"Pet {digits}")
    pictures(dana, page, "contact-fields")
    page.goto(f"{lived_in.url}/contacts")
    page.get_by_role("link", name="New contact").press("Enter")
    page.get_by_label("Mobile number").fill(f"(415) 555-{digits}")
    page.get_by_label("First name").fill("Quinn")
    page.get_by_label("Last name").fill(f"Q{digits}")
    page.get_by_label(f"Pet {digits}").fill("Milo")
    pictures(dana, page, "contact-new")
    page.get_by_role("button", name="Save").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Quinn Q{digits}")
    expect(page.locator(".contact-page")).to_contain_text("Milo")
    page.get_by_role("link", name="Change the contact owner").press("Enter")
    expect(page.get_by_label("Contact owner")).to_be_focused()
    page.get_by_label("Contact owner").select_option(label="Maya Chen")
    page.locator("#contact-owner button").press("Enter")
    expect(page.locator("#contact-owner")).to_contain_text("Maya Chen")
    pictures(dana, page, "contact-card")
    page.goto(f"{lived_in.url}/contacts")
    page.get_by_placeholder("Name, number or email").press_sequentially(f"(415) 555-{digits}")
    expect(page.locator("#contacts tbody tr")).to_have_count(1)
    expect(page.locator("#contacts")).to_contain_text(f"Quinn Q{digits}")
    page.goto(f"{lived_in.url}/contacts?q=quinn&owner={lived_in.cast.maya.public_id}")
    expect(page.locator(".contact-chips")).to_contain_text("Maya Chen")
    pictures(dana, page, "contacts")


def test_TOOL_6_numbers_stay_hidden_also_live(lived_in, person):
    digits = f"{next(_numbers)}"
    sender = f"+1415555{digits}"
    with lived_in.app.app_context(), transaction():
        dana, theo = (db.session.get_one(Member, who.id) for who in (lived_in.cast.dana, lived_in.cast.theo))
        role = Role.create(dana.account, name=f"Careful {digits}", permissions=frozenset(Permission) - OWNERS_ONLY - {Permission.CONTACTS_PII}, by=dana)
        theo.set_roles([(role.public_id, None)], by=dana)
    cid, _ = fresh(lived_in, sender=sender)
    theo, maya = person(lived_in, lived_in.cast.theo), person(lived_in, lived_in.cast.maya)
    page, hers = theo.open(f"/c/{cid}"), maya.open(f"/c/{cid}")
    expect(page.locator("#conv-title")).to_have_text(f"(415) •••-••{digits[-2:]}")
    expect(hers.locator("#conv-title")).to_have_text(f"(415) 555-{digits}")
    with lived_in.app.app_context():
        lived_in.cast.text(f"Or call (415) 555-{digits}", sender=sender, inbox=db.session.get(Inbox, lived_in.cast.front.id))
    expect(page.locator("#thread")).to_contain_text(f"Or call (415) •••-••{digits[-2:]}")
    expect(hers.locator("#thread")).to_contain_text(f"Or call (415) 555-{digits}")
    assert f"555-{digits}" not in page.content() and sender not in page.content()
    pictures(theo, page, "contact-hidden")
