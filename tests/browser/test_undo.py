"""CONV-8 and LOCK-4 in the browser: a text counts down and comes back whole; when the customer speaks first, one key sends it anyway."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Inbox, Member, transaction
from tests.browser.test_two_agents import fresh

_numbers = itertools.count(3900)
pytestmark = [pytest.mark.browser, pytest.mark.one_database]


@pytest.fixture
def unhurried(lived_in):
    """The house in which Maya has twenty seconds to undo."""
    for seconds in (20, 0):
        with lived_in.app.app_context(), transaction():
            db.session.get_one(Member, lived_in.cast.maya.id).undo_seconds = seconds
        if seconds:
            yield lived_in


def test_CONV_8_a_text_counts_down_and_comes_back_into_the_form(unhurried, person):
    cid, _ = fresh(unhurried)
    maya, theo = person(unhurried, unhurried.cast.maya), person(unhurried, unhurried.cast.theo)
    page, other = maya.open(f"/c/{cid}"), theo.open(f"/c/{cid}")
    page.locator("#body").press_sequentially("Yes, come by at nine")
    page.locator("#send").click()
    waits = page.locator("[data-undo]")
    expect(waits).to_contain_text("Sending in")
    expect(other.locator("#thread")).to_contain_text("Sending in")
    expect(page.locator("#body")).to_have_value("")
    maya.check_accessible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        maya.picture(f"undo-{scheme}")
    page.set_viewport_size({"width": 390, "height": 844})
    maya.picture("undo-390")
    waits.get_by_role("button", name="Undo").click()
    expect(page.locator("#body")).to_have_value("Yes, come by at nine")
    expect(page.locator("#body")).to_be_focused()
    expect(page.locator("#thread")).to_contain_text("Taken back")
    expect(other.locator("#thread")).to_contain_text("Taken back")


def test_LOCK_4_the_customer_speaks_first_and_one_key_sends_anyway(unhurried, person):
    sender = f"+1415555{next(_numbers)}"
    cid, _ = fresh(unhurried, sender=sender)
    maya = person(unhurried, unhurried.cast.maya)
    page = maya.open(f"/c/{cid}")
    page.locator("#body").press_sequentially("Yes, come by at nine")
    page.locator("#send").click()
    expect(page.locator("[data-undo]")).to_be_visible()
    with unhurried.app.app_context():
        unhurried.cast.text("Or is ten better?", sender=sender, inbox=db.session.get(Inbox, unhurried.cast.front.id))
    expect(page.locator("#thread")).to_contain_text("Or is ten better?")
    expect(page.get_by_role("button", name="Send anyway")).to_be_visible()
    maya.check_accessible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        maya.picture(f"undo-held-{scheme}")
    page.locator("#body").press("Control+Enter")
    expect(page.get_by_role("button", name="Send anyway")).to_have_count(0)
    expect(page.locator("#thread .msg.out").last).to_have_attribute("data-state", re.compile("sending|sent|delivered|failed"), timeout=20_000)  # nobody holds that number
