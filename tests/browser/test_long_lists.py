"""Lists longer than a page in a real browser: everything that matches is chosen at once, and the place is kept for whoever comes back."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from inbox import clock
from inbox.extensions import db
from inbox.models import Conversation, Inbox, Member, transaction

pytestmark = [pytest.mark.browser, pytest.mark.one_database]
MANY = 95


@pytest.fixture
def long_list(lived_in):
    """The front desk with ninety-five open conversations and nothing else."""
    with lived_in.app.app_context():
        dana, front = db.session.get(Member, lived_in.cast.dana.id), lived_in.cast.front.id
        with transaction():
            for old in db.session.scalars(sa.select(Conversation).where(Conversation.inbox_id == front, Conversation.archived_at.is_(None))):
                old.archive(by=dana)
        like = lived_in.cast.conversation("It is the first.", sender="+14155555601", inbox=db.session.get(Inbox, front))
        with transaction():
            for k in range(1, MANY):
                row = {"account_id": like.account_id, "inbox_id": front, "contact_id": like.contact_id, "address": f"+1415556{5600 + k}"}
                db.session.add(Conversation(**row, last_activity_at=clock.now() - timedelta(minutes=k), preview=f"Number {k}"))
    lived_in.at = f"/i/{lived_in.cast.front.public_id}/all"
    return lived_in


def rows(page):
    return page.locator("#rows .conv-row")


def test_CONV_8_all_that_match_are_chosen_and_archived(long_list, person):
    maya = person(long_list, long_list.cast.maya)
    maya.open(long_list.at)
    expect(rows(maya.page)).to_have_count(40)
    rows(maya.page).first.hover()
    maya.page.keyboard.press("j")
    maya.page.keyboard.press("x")
    maya.page.get_by_label("Select all on this page").check()
    every = maya.page.locator("#bulk-all")
    expect(every).to_have_text(f"Select all {MANY} that match")
    every.click()
    maya.check_accessible()
    maya.page.get_by_role("button", name="Archive selected").click()
    expect(maya.page.locator("#bulk-result")).to_contain_text(f"{MANY} archived.", timeout=30_000)
    expect(rows(maya.page)).to_have_count(0)


def test_CONV_3_whoever_comes_back_finds_their_place(long_list, person):
    maya = person(long_list, long_list.cast.maya)
    maya.open(long_list.at)
    for count in (80, MANY):
        maya.page.locator("#more").scroll_into_view_if_needed()
        expect(rows(maya.page)).to_have_count(count)
    seen = rows(maya.page).nth(70)
    seen.evaluate("row => row.scrollIntoView({ block: 'start' })")
    name = seen.get_attribute("id")
    kept = "id => sessionStorage[`deep:${document.querySelector('#list').dataset.sync}`] === `95 ${id}`"
    maya.page.wait_for_function(kept, arg=name)
    maya.page.goto(f"{long_list.url}/search")
    maya.page.go_back()
    expect(rows(maya.page)).to_have_count(MANY)
    expect(maya.page.locator(f"#{name}")).to_be_in_viewport()
    maya.page.goto(f"{long_list.url}{long_list.at}")
    expect(rows(maya.page)).to_have_count(40)
