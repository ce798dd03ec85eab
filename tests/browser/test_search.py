"""CONV-9 in a real browser: from the list by one key, typed, narrowed down, and into the thread at the text that was found."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Inbox, transaction

pytestmark = [pytest.mark.browser, pytest.mark.one_database]
_numbers = itertools.count(4100)


@pytest.fixture
def talked(lived_in):
    """A conversation in which one word stands far up, and another person's inbox in which it stands, too."""
    with lived_in.app.app_context():
        front, pharmacy = (db.session.get_one(Inbox, getattr(lived_in.cast, name).id) for name in ("front", "pharmacy"))
        sender = f"+1415555{next(_numbers)}"
        found = lived_in.cast.text("The Crème brûlée torch burnt my cat’s ear.", sender=sender, inbox=front).conversation
        with transaction():
            found.contact.rename("Zoë", "Brûlard")
        for i in range(60):
            lived_in.cast.text(f"Filler {i}.", sender=sender, inbox=front)
        lived_in.cast.text("Hidden brulee.", sender=f"+1415555{next(_numbers)}", inbox=pharmacy)
        lived_in.found = found.public_id
    return lived_in


def test_CONV_9_by_the_keyboard_from_the_list_into_the_thread(talked, person):
    maya = person(talked, talked.cast.maya)
    page = maya.open(f"/i/{talked.cast.front.public_id}/all")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()  # the field above the list
    page.keyboard.type("brulee", delay=30)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Search", level=1)).to_be_visible()
    expect(page.locator("#found mark").first).to_have_text("brûlée")
    expect(page.locator("#found")).not_to_contain_text("Hidden")
    maya.check_accessible()
    maya.picture("search-light-1440")
    page.locator("#found .conv-row", has=page.locator("mark")).first.get_by_role("link").click()
    expect(page.locator("#thread [aria-current]")).to_contain_text("Crème brûlée torch")
    expect(page.locator("#thread [aria-current]")).to_be_in_viewport()


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1440), ("light", 390), ("dark", 390)])
def test_CONV_9_filters_are_chips_and_everybody_can_use_the_page(talked, person, scheme, width):
    maya = person(talked, talked.cast.maya, color_scheme=scheme, viewport={"width": width, "height": 844})
    page = maya.open("/search?q=brulee+is:open")
    expect(page.locator("#found mark").first).to_be_visible()
    maya.check_accessible()
    maya.picture(f"search-{scheme}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("#found .chip a").first.click()
    expect(page.locator("#q")).to_have_value("brulee")
    page.locator("#q").fill("brulee iss:open")
    expect(page.locator("#found")).to_contain_text("is:")
    maya.check_accessible()


def test_CONV_9_without_javascript(talked, person):
    maya = person(talked, talked.cast.maya, java_script_enabled=False)
    page = maya.open("/search")
    page.locator("#q").fill("brûlard")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#found")).to_contain_text("Zoë Brûlard")
