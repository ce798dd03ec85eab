"""Many at once, tags and snooze in real browsers: chosen by mouse, keyboard and touch, seen by others at once, without scripts."""

from __future__ import annotations

import itertools

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Conversation, Inbox, Member, Tag, transaction

pytestmark = [pytest.mark.browser, pytest.mark.one_database]
_numbers = itertools.count(1)


@pytest.fixture
def desk(lived_in):
    """The front desk with four open conversations and nothing else, and a tag."""
    with lived_in.app.app_context():
        dana = db.session.get(Member, lived_in.cast.dana.id)
        with transaction():
            for old in db.session.scalars(sa.select(Conversation).where(Conversation.inbox_id == lived_in.cast.front.id, Conversation.archived_at.is_(None))):
                old.archive(by=dana)
            Tag.create("Refund", "red", by=dana)
        made = []
        for name in ("Rosa", "Priya", "Arjun", "Lena"):
            c = lived_in.cast.conversation(f"It is {name}.", sender=f"+1415555{next(_numbers) + 8600}", inbox=db.session.get(Inbox, lived_in.cast.front.id))
            with transaction():
                c.contact.rename(name, "Example")
            made.append((c.id, c.public_id))
    lived_in.at = f"/i/{lived_in.cast.front.public_id}/all"
    lived_in.made = made
    return lived_in


def assignees(house):
    with house.app.app_context():
        return [db.session.scalar(sa.select(Conversation.assignee_id).where(Conversation.id == row)) for row, _ in house.made]


def rows(page):
    return page.locator("#rows .conv-row")


def box(page, name):
    return page.get_by_role("checkbox", name=f"Select {name} Example")


def test_CONV_8_ana_assigns_three_and_theo_sees_them_arrive(desk, person):
    ada, theo = person(desk, desk.cast.ada), person(desk, desk.cast.theo)
    theo.open(desk.at.replace("/all", "/mine"))
    expect(theo.page.locator("#badge")).to_have_attribute("data-state", "live")
    expect(rows(theo.page)).to_have_count(0)
    ada.open(desk.at)
    expect(ada.page.locator("#badge")).to_have_attribute("data-state", "live")
    box(ada.page, "Rosa").check(force=True)
    expect(ada.page.locator("#bulk-n")).to_have_text("1 selected")
    box(ada.page, "Arjun").click(modifiers=["Shift"], force=True)
    expect(ada.page.locator("#bulk-n")).to_have_text("3 selected")
    ada.check_accessible()
    ada.picture("bulk-selected-light")
    ada.page.get_by_role("button", name="Change", exact=True).click()
    dialog = ada.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Change 3 conversations")
    ada.check_accessible()
    ada.picture("bulk-dialog-light")
    dialog.get_by_label("Assign to").select_option(label="Theo Okafor")
    dialog.get_by_role("button", name="Assign").click()
    expect(dialog).to_be_hidden()
    result = ada.page.locator("#bulk-result")
    expect(result).to_contain_text("3 assigned to Theo Okafor.")
    expect(rows(theo.page)).to_have_count(3)
    expect(ada.page.locator("#bulk")).to_be_hidden()
    ada.picture("bulk-result-light")
    result.get_by_role("button", name="Undo").click()
    expect(result).to_contain_text("3 put back as they were.")
    expect(rows(theo.page)).to_have_count(0)
    assert assignees(desk) == [None] * 4


def test_CONV_8_by_keyboard_and_all_on_the_page(desk, person):
    maya = person(desk, desk.cast.maya, color_scheme="dark")
    maya.open(desk.at)
    expect(rows(maya.page)).to_have_count(4)
    maya.page.keyboard.press("j")
    maya.page.keyboard.press("x")
    expect(maya.page.locator("#bulk-n")).to_have_text("1 selected")
    maya.page.keyboard.press("j")
    maya.page.keyboard.press("j")
    maya.page.keyboard.press("Shift+X")
    expect(maya.page.locator("#bulk-n")).to_have_text("3 selected")
    maya.page.get_by_label("Select all on this page").check()
    expect(maya.page.locator("#bulk-n")).to_have_text("4 selected")
    expect(maya.page.locator("#bulk-all")).to_be_hidden()
    maya.picture("bulk-selected-dark")
    maya.page.get_by_role("button", name="Archive selected").click()
    expect(maya.page.locator("#bulk-result")).to_contain_text("4 archived.")
    expect(rows(maya.page)).to_have_count(0)
    maya.check_accessible()


def test_TOOL_3_and_CONV_8_tagged_and_snoozed_by_key_and_others_see_it(desk, person):
    ada, vera = person(desk, desk.cast.ada), person(desk, desk.cast.vera)
    row, cid = desk.made[0]
    vera.open(f"/c/{cid}?view=all")
    ada.open(f"/c/{cid}?view=all")
    expect(ada.page.locator("#badge")).to_have_attribute("data-state", "live")
    expect(vera.page.locator("#badge")).to_have_attribute("data-state", "live")
    ada.page.locator("#conv-head").click(position={"x": 200, "y": 10})
    ada.page.keyboard.press("t")
    field = ada.page.get_by_label("Name of a tag")
    expect(field).to_be_focused()
    ada.check_accessible()
    ada.picture("tag-menu-light")
    field.press_sequentially("refu")
    expect(ada.page.locator("#picks .item")).to_have_count(1)
    ada.page.locator("#picks").get_by_role("button", name="Refund").click()
    expect(vera.page.locator("#conv-head .tag")).to_have_text("Refund")
    expect(vera.page.locator("#thread")).to_contain_text("Ada Admin added Refund")
    expect(ada.page.locator("#menu")).to_be_hidden()
    ada.page.keyboard.press("h")
    expect(ada.page.locator("#menu")).to_contain_text("Tomorrow morning")
    ada.picture("snooze-menu-light")
    ada.page.get_by_role("button", name="Tomorrow morning").click()
    toast = ada.page.locator("#toasts")
    expect(toast).to_contain_text("Snoozed until")
    expect(ada.page.locator(f"#row-{row}")).to_have_count(0)
    expect(ada.page.locator("#conversation")).not_to_have_attribute("data-id", cid)
    opened = ada.page.locator("#conv-title").text_content()
    toast.get_by_role("button", name="Undo").click()
    expect(ada.page.locator(f"#row-{row}")).to_have_count(1)
    expect(ada.page.locator("#conv-title")).to_have_text(opened)
    expect(vera.page.locator("#thread")).to_contain_text("ended the snooze")


def test_CONV_8_without_scripts_on_a_phone(desk, person):
    maya = person(desk, desk.cast.maya, java_script_enabled=False, viewport={"width": 390, "height": 844}, color_scheme="dark")
    maya.open(desk.at)
    box(maya.page, "Rosa").check()
    box(maya.page, "Priya").check()
    maya.picture("bulk-phone-dark")
    maya.page.get_by_role("button", name="Change", exact=True).click()
    expect(maya.page.get_by_role("heading", level=1)).to_have_text("Change 2 conversations")
    maya.picture("bulk-form-phone-dark")
    maya.page.get_by_role("button", name="Archive").click()
    expect(maya.page.locator("main")).to_contain_text("2 archived.")
    maya.page.get_by_role("button", name="Undo").click()
    expect(maya.page.locator("main")).to_contain_text("2 put back as they were.")
