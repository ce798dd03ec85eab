"""CONV-8 in the browser: a text is scheduled from the Send menu, everyone sees it wait, and the customer's answer drops it."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from inbox import clock
from inbox.extensions import db
from inbox.models import Draft, Inbox, Message, ScheduledMessage, transaction
from tests.browser.test_two_agents import fresh, state

_numbers = itertools.count(5100)
pytestmark = [pytest.mark.browser, pytest.mark.one_database]
WORDS = "See you tomorrow at ten."


def schedule(page, words=WORDS, tick=True):
    """As a person does it: write, Send options, Schedule…, the first moment offered."""
    expect(state(page)).to_have_attribute("data-state", "mine")
    page.locator("#body").press_sequentially(words)
    page.locator("#send-more").click()
    page.locator("#send-later").click()
    expect(page.locator("#schedule-menu")).to_be_visible()
    if not tick:
        page.locator("#schedule-menu [name=unanswered]").uncheck()
    page.locator("#schedule-menu").get_by_role("button", name="Tomorrow").click()
    expect(page.locator("#scheduled")).to_contain_text("You scheduled this")


def test_CONV_8_a_scheduled_text_is_seen_by_everyone_and_dropped_by_an_answer(lived_in, person):
    sender = f"+1415555{next(_numbers)}"
    cid, _ = fresh(lived_in, sender=sender)
    maya, theo = person(lived_in, lived_in.cast.maya), person(lived_in, lived_in.cast.theo)
    page, other = maya.open(f"/c/{cid}"), theo.open(f"/c/{cid}")
    schedule(page)
    expect(page.locator("#body")).to_have_value("")
    expect(page.locator("#body")).to_be_focused()
    chip = other.locator("#scheduled .sched")
    expect(chip).to_contain_text("Maya Chen scheduled this for tomorrow")
    expect(chip).to_contain_text(WORDS)
    expect(chip.get_by_role("button")).to_have_count(0)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        maya.check_accessible()
        maya.picture(f"scheduled-{scheme}")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    maya.check_accessible()
    maya.picture("scheduled-390")
    page.set_viewport_size({"width": 1440, "height": 900})
    with lived_in.app.app_context():
        lived_in.cast.text("Or is eleven better?", sender=sender, inbox=db.session.get(Inbox, lived_in.cast.front.id))
    for who in (page, other):
        expect(who.locator("#scheduled .sched")).to_contain_text("They wrote first.")
    page.reload()
    expect(page.locator("#thread")).to_contain_text("scheduled text was dropped")
    maya.check_accessible()
    page.locator("#scheduled").get_by_role("button", name="Back to draft").click()
    expect(page.locator("#body")).to_have_value(WORDS)
    expect(other.locator("#scheduled .sched")).to_have_count(0)


def test_CONV_8_a_chip_is_edited_canceled_and_sent_now(lived_in, person):
    cid, row = fresh(lived_in, sender=f"+1415555{next(_numbers)}")
    maya = person(lived_in, lived_in.cast.maya)
    page = maya.open(f"/c/{cid}")
    schedule(page)
    page.locator("#scheduled").get_by_role("link", name="Edit").click()
    page.locator("#schedule-body").fill("See you at eleven.")
    maya.check_accessible()
    maya.picture("scheduled-edit")
    page.get_by_role("dialog").get_by_role("button", name="Tomorrow").click()
    expect(page.locator("#scheduled")).to_contain_text("See you at eleven.")
    expect(page.locator("#ask")).to_be_hidden()
    page.locator("#body").press_sequentially("And bring the card.")
    page.locator("#scheduled").get_by_role("button", name="Cancel").click()
    expect(page.locator("#body")).to_have_value("See you at eleven.\nAnd bring the card.")
    page.locator("#body").fill("")
    schedule(page, "Now after all.")
    page.locator("#scheduled").get_by_role("button", name="Send now").click()
    expect(page.locator("#thread .msg.out")).to_contain_text("Now after all.")
    expect(page.locator("#scheduled .sched")).to_have_count(0)
    with lived_in.app.app_context():
        assert db.session.query(Message).filter_by(conversation_id=row, kind="out").count() == 1


def test_CONV_8_it_leaves_by_itself_at_its_moment(lived_in, person):
    cid, row = fresh(lived_in, sender=f"+1415555{next(_numbers)}")
    maya = person(lived_in, lived_in.cast.maya)
    page = maya.open(f"/c/{cid}")
    schedule(page)
    with lived_in.app.app_context(), transaction():
        box = db.session.get(Inbox, lived_in.cast.front.id)
        box.quiet = "off"  # whatever the hour is while this runs
        waiting = db.session.query(ScheduledMessage).filter_by(conversation_id=row).one()
        waiting.due_at = clock.now() + timedelta(seconds=1)
    expect(page.locator("#thread .msg.out")).to_contain_text(WORDS, timeout=20_000)
    expect(page.locator("#scheduled .sched")).to_have_count(0)
    with lived_in.app.app_context():
        assert db.session.query(Message).filter_by(conversation_id=row, kind="out").count() == 1
        assert db.session.query(Draft).filter_by(conversation_id=row).count() == 0


def test_CONV_8_the_same_without_javascript(lived_in, person):
    cid, _ = fresh(lived_in, sender=f"+1415555{next(_numbers)}")
    maya = person(lived_in, lived_in.cast.maya, java_script_enabled=False)
    page = maya.open(f"/c/{cid}")
    page.locator("#body").fill(WORDS)
    page.locator("#send-more").click()
    page.locator("#send-later").click()
    expect(page.locator("#schedule-body")).to_have_value(WORDS)
    page.get_by_role("button", name="Tomorrow").click()
    expect(page.locator("#scheduled")).to_contain_text("You scheduled this for tomorrow")
    page.goto(f"{lived_in.url}/scheduled")
    line = page.locator(".scheds > li", has_text=WORDS).first
    line.get_by_role("button", name="Cancel").click()
    expect(page.locator("body")).to_contain_text("Canceled.")


def test_CONV_8_the_list_of_what_is_scheduled(lived_in, person):
    cid, _ = fresh(lived_in, sender=f"+1415555{next(_numbers)}")
    sven = person(lived_in, lived_in.cast.sven)
    page = sven.open(f"/c/{cid}")
    schedule(page, "From the supervisor.")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Scheduled").click()
    expect(page.locator(".scheds")).to_contain_text("From the supervisor.")
    page.get_by_role("link", name="Everyone’s").click()
    expect(page.locator(".scheds")).to_contain_text("You")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        sven.check_accessible()
        sven.picture(f"scheduled-list-{scheme}")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    sven.picture("scheduled-list-390")
