"""The thread with two people at it: where it opens, what comes meanwhile, who is named, pictures and links."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Conversation, Inbox, Member, transaction

_numbers = itertools.count(3100)
pytestmark = [pytest.mark.browser, pytest.mark.one_database]

def talk(house, sender: str, n: int) -> str:
    """A conversation of n texts, as its public id."""
    with house.app.app_context():
        box = db.session.get_one(Inbox, house.cast.front.id)
        for i in range(n):
            conversation = house.cast.text(f"Text {i}.", sender=sender, inbox=box).conversation
        return conversation.public_id


def more(house, sender: str, body: str) -> None:
    with house.app.app_context():
        house.cast.text(body, sender=sender, inbox=db.session.get_one(Inbox, house.cast.front.id))


def test_CONV_4_a_link_opens_the_thread_at_its_message_and_new_texts_are_counted(lived_in, person):
    sender = f"+1415555{next(_numbers)}"
    cid = talk(lived_in, sender, 70)
    maya = person(lived_in, lived_in.cast.maya)
    with lived_in.app.app_context():
        items, _ = db.session.query(Conversation).filter_by(public_id=cid).one().thread(limit=100)
        name = items[20].message.public_id
    page = maya.open(f"/c/{cid}?at={name}")
    expect(page.locator("#thread [aria-current]")).to_be_in_viewport()
    expect(page.locator("#thread [aria-current]")).to_contain_text("Text 20.")
    maya.check_accessible()
    maya.picture("thread-at-1440")
    page.get_by_role("link", name="Later messages").click()
    expect(page.locator("#thread")).to_contain_text("Text 60.")
    page.get_by_role("link", name="Later messages").click()
    expect(page.locator("#thread")).to_contain_text("Text 69.")
    expect(page.get_by_role("link", name="Later messages")).to_have_count(0)
    page.locator(".thread-scroll").evaluate("e => e.scrollTo({top: -600})")
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")
    more(lived_in, sender, "A late one")
    expect(page.locator("#fresh")).to_have_text("1 new ↓")
    page.locator("#fresh").click()
    expect(page.locator("#thread")).to_contain_text("A late one")
    expect(page.locator("#fresh")).to_have_count(0)


def test_CONV_4_a_note_names_a_teammate_by_the_keyboard(lived_in, person):
    sender = f"+1415555{next(_numbers)}"
    cid = talk(lived_in, sender, 2)
    maya, theo = person(lived_in, lived_in.cast.maya), person(lived_in, lived_in.cast.theo, color_scheme="dark", viewport={"width": 390, "height": 844})
    page = maya.open(f"/c/{cid}")
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")
    page.locator("label", has_text="Note").first.click()
    page.locator("#note").press_sequentially("Please ask @o", delay=40)
    expect(page.get_by_role("option", name="Theo Okafor")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("option", name="Olga Outside")).to_have_attribute("aria-disabled", "true")
    maya.check_accessible()
    maya.picture("mention-1440")
    page.locator("#note").press("Enter")
    expect(page.locator("#note")).to_have_value("Please ask @Theo Okafor ")
    page.locator("#note").press("Control+Enter")
    expect(page.locator("#thread .note .pill")).to_have_text("@Theo Okafor")
    theo.open(f"/c/{cid}")
    expect(theo.page.locator("#thread .note .pill.on")).to_have_text("@Theo Okafor")
    theo.check_accessible()
    theo.picture("mention-390-dark")


def test_ASG_3_asking_for_help_keeps_the_conversation(lived_in, person):
    sender = f"+1415555{next(_numbers)}"
    cid = talk(lived_in, sender, 2)
    maya = person(lived_in, lived_in.cast.maya, color_scheme="dark")
    page = maya.open(f"/c/{cid}")
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("link", name="Ask for help").click()
    expect(page.get_by_role("heading", name="Ask for help")).to_be_visible()
    maya.check_accessible()
    maya.picture("help-1440-dark")
    page.get_by_label("Teammate").select_option(label="Theo Okafor")
    page.get_by_label("What about?").fill("the dosage")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#thread .note")).to_contain_text("@Theo Okafor for help: the dosage")
    expect(page.locator("#followers")).to_contain_text("Theo Okafor")
    expect(page.locator("#ask")).not_to_be_visible()
    with lived_in.app.app_context(), transaction():
        conversation = db.session.query(Conversation).filter_by(public_id=cid).one()
        for who in ("maya", "theo", "maya"):
            to, by = (db.session.get_one(Member, getattr(lived_in.cast, name).id) for name in (who, "dana"))
            conversation.assign_to(to, by=by, expected=conversation.assignee_id)
    expect(page.locator("#thread summary")).to_have_text("3 changes")
