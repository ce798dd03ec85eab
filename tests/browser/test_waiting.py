"""REG-4: a reply that leaves by itself on the approval stays on the server alone, so that no browser brings it back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Draft
from tests.browser.test_two_agents import fresh

pytestmark = [pytest.mark.browser, pytest.mark.one_database]


def test_REG_4_what_leaves_by_itself_is_not_kept_in_the_browser_and_stays_flagged(lived_in, person):
    cid, row = fresh(lived_in, inbox="waiting")
    dana = person(lived_in, lived_in.cast.dana)
    page = dana.open(f"/c/{cid}")
    page.locator("#body").press_sequentially("Yes!\nCome by.")
    page.get_by_role("button", name="Send when approved").click()
    expect(page.locator("#lock")).to_contain_text("Leaves when the carriers approve.")
    assert page.evaluate("Object.keys(localStorage).filter(k => k.startsWith('draft:'))") == []
    page.wait_for_timeout(1500)  # longer than the page waits before it saves what was typed
    with lived_in.app.app_context():
        draft = db.session.query(Draft).filter_by(conversation_id=row).one()
        assert draft.release and draft.body == "Yes!\nCome by."
    page.reload()
    expect(page.locator("#body")).to_have_value("Yes!\nCome by.")
    dana.check_accessible()
