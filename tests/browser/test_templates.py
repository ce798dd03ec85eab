"""TOOL-1 in a real browser: templates and emoji by the keyboard alone, what is missing asked for, and a page everybody can use."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Contact, Member, Template, transaction
from inbox.models.wording import Wording
from tests.browser.test_two_agents import fresh

pytestmark = [pytest.mark.browser, pytest.mark.one_database]

TEXTS = [
    ("Opening hours", "hours", "Hi {{contact.first_name | there}}, we are open Monday to Friday, 9 to 5.", "Clinic", {"es": "Hola, abrimos de lunes a viernes, de 9 a 5."}),
    ("Ready for pickup", "pickup", "Hi {{contact.first_name}}, your order for {{ask: which pet}} is ready for pickup.", "Clinic", {}),
    ("Parking", "parking", "You can park behind the house.", "", {}),
]


@pytest.fixture
def templates(lived_in):
    """The team's templates, made once, and a customer called Rosa."""
    with lived_in.app.app_context(), transaction():
        dana = db.session.get_one(Member, lived_in.cast.dana.id)
        if not db.session.query(Template).count():
            for name, shortcut, body, folder, variants in TEXTS:
                Template.create(Wording(name, shortcut, body, folder, variants), by=dana, shared=True)
    return lived_in


def write(house, person, name="", **options):
    """Maya with a conversation open, its lock in hand and the caret in the reply; the customer is unnamed unless `name` says otherwise."""
    cid, row = fresh(house)
    if name:
        from inbox.models import Conversation

        with house.app.app_context(), transaction():
            db.session.get_one(Contact, db.session.get_one(Conversation, row).contact_id).rename(name, "Delgado")
    maya = person(house, house.cast.maya, **options)
    page = maya.open(f"/c/{cid}")
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")
    page.locator("#body").focus()
    return maya


def test_TOOL_1_templates_and_emoji_by_the_keyboard_alone(templates, person):
    maya = write(templates, person, "Rosa")
    page, body = maya.page, maya.page.locator("#body")
    options = page.get_by_role("option")
    page.keyboard.type("Good morning! /")
    expect(options).to_have_count(3)
    expect(body).to_be_focused()
    page.keyboard.type("hour")
    expect(options).to_have_count(1)
    expect(body).to_have_attribute("aria-activedescendant", "insert-0")
    maya.check_accessible()
    page.keyboard.press("Enter")
    text = "Good morning! Hi Rosa, we are open Monday to Friday, 9 to 5."
    expect(body).to_have_value(text)
    expect(page.locator("#count")).to_contain_text(f"{len(text)}/160")
    page.keyboard.press("Control+z")
    expect(body).to_have_value("Good morning! /hour")
    expect(options).to_have_count(0)
    page.keyboard.press("Control+Shift+z")
    expect(body).to_have_value(text)
    page.keyboard.type(" :part")
    expect(options.first).to_contain_text("party popper")
    page.keyboard.press("Enter")
    expect(body).to_have_value(f"{text} 🎉")
    page.keyboard.type(" /")
    expect(options).to_have_count(3)
    expect(options.first).to_contain_text("Suggested")
    expect(options.nth(1)).to_contain_text("Opening hours")  # used last
    page.keyboard.press("ArrowUp")
    expect(options.nth(2)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    expect(body).to_be_focused()
    for ordinary in (" 1/2 or w/ and / or 10:30 see: no", "\nhttps://example.com/a :D"):
        page.keyboard.type(ordinary)
        expect(options).to_have_count(0)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#thread")).to_contain_text("Monday to Friday, 9 to 5. 🎉")


def test_TOOL_1_what_is_missing_is_asked_for_before_it_is_inserted(templates, person):
    maya = write(templates, person)
    page, body = maya.page, maya.page.locator("#body")
    page.keyboard.type("/pick")
    expect(page.get_by_role("option")).to_contain_text("Asks for")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Ready for pickup")
    expect(dialog.get_by_label("Their first name")).to_be_focused()
    maya.check_accessible()
    maya.picture("templates-asked")
    page.keyboard.press("Escape")
    expect(body).to_be_focused()
    expect(body).to_have_value("/pick")
    page.keyboard.type("u")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(dialog.get_by_label("Their first name")).to_be_focused()
    page.keyboard.type("Ann")
    page.keyboard.press("Tab")
    page.keyboard.type("Milo")
    page.keyboard.press("Enter")
    expect(body).to_have_value("Hi Ann, your order for Milo is ready for pickup.")
    expect(body).to_be_focused()
    body.fill("Hi {{contact.first_name}}")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#refusal")).to_contain_text("{{contact.first_name}} is not filled in.")
    expect(body).to_have_value("Hi {{contact.first_name}}")
    page.locator("label", has_text="Note").first.click()
    page.locator("#note").focus()
    page.keyboard.type("See /park")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#note")).to_have_value("See You can park behind the house.")


def test_TOOL_1_the_buttons_do_the_same_in_a_reply_and_in_a_first_text(templates, person):
    maya = write(templates, person, "Rosa")
    page = maya.page
    page.get_by_role("button", name="Templates").click()
    page.get_by_role("option", name="Parking").click()
    expect(page.locator("#body")).to_have_value("You can park behind the house.")
    page.get_by_role("button", name="Emoji").click()
    page.get_by_role("option", name="thumbs up").click()
    expect(page.locator("#body")).to_have_value("You can park behind the house.👍")
    page = maya.open("/compose")
    page.locator("#body").focus()
    page.keyboard.type("/hours")
    expect(page.get_by_role("option")).to_have_count(1)
    maya.check_accessible()
    page.keyboard.press("Enter")
    expect(page.locator("#body")).to_have_value("Hi there, we are open Monday to Friday, 9 to 5.")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)])
def test_TOOL_1_everybody_can_use_the_pages(templates, person, scheme, width):
    maya = write(templates, person, "Rosa", color_scheme=scheme, viewport={"width": width, "height": 900})
    page = maya.page
    page.keyboard.type("Hello /")
    expect(page.get_by_role("option")).to_have_count(3)
    maya.check_accessible()
    maya.picture(f"templates-list-{scheme}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dana = person(templates, templates.cast.dana, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = dana.open("/settings/templates")
    dana.check_accessible()
    dana.picture(f"templates-settings-{scheme}-{width}")
    page.get_by_role("link", name="Opening hours").click()
    expect(page.locator("#preview")).to_contain_text("Hi Rosa, we are open")
    page.get_by_role("textbox", name="Text", exact=True).fill("Hello {{contact.name}}!")
    expect(page.locator("#preview")).to_contain_text("Hello Rosa Delgado!")
    dana.check_accessible()
    dana.picture(f"templates-edit-{scheme}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_TOOL_1_without_javascript_a_template_goes_into_the_draft(templates, person):
    cid, _ = fresh(templates)
    maya = person(templates, templates.cast.maya, java_script_enabled=False)
    page = maya.open(f"/c/{cid}")
    page.locator("#body").fill("Good morning!")
    expect(page.get_by_role("button", name="Emoji")).to_be_hidden()
    page.get_by_role("button", name="Templates").click()
    page.get_by_role("button", name=re.compile("Put into the reply.*Parking")).click()
    expect(page.locator("#body")).to_have_value("Good morning!\nYou can park behind the house.")
