"""The team manager in real browsers: a seat is taken while its holder is writing, by mouse, by keyboard, on a phone, without scripts."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Conversation, Inbox, Member, transaction

LIST = "/settings/members"


def conversation_of(house, name):
    """A conversation assigned to somebody of the cast, as its public id and row id."""
    conversation_of.count += 1
    with house.app.app_context():
        box, who = db.session.get(Inbox, house.cast.front.id), db.session.get(Member, getattr(house.cast, name).id)
        c = house.cast.conversation("Is the ear cream ready?", sender=f"+1415555{7000 + conversation_of.count}", inbox=box)
        with transaction():
            c.assign_to(who, by=who, expected=None)
        return c.public_id, c.id


conversation_of.count = 0


def holder(house, row):
    with house.app.app_context():
        return db.session.scalar(sa.select(Conversation.assignee_id).where(Conversation.id == row))


def seat(page, name):
    return page.get_by_role("switch", name=f"Inbox seat for {name}")


def test_SEAT_5_who_loses_the_seat_sees_it_at_once_and_the_conversation_moves(lived_in, person):
    cid, row = conversation_of(lived_in, "maya")
    maya, ada = person(lived_in, lived_in.cast.maya), person(lived_in, lived_in.cast.ada)
    maya.open(f"/c/{cid}")
    expect(maya.page.locator("#lock")).to_have_attribute("data-state", "mine")
    with maya.page.expect_response(lambda r: "/draft" in r.url):
        maya.page.locator("#body").fill("Dear Rosa, your")
    ada.open(LIST)
    seat(ada.page, "Maya Chen").click()
    dialog = ada.page.get_by_role("dialog")
    expect(dialog).to_contain_text(re.compile(r"\d+ open conversation"))
    expect(dialog).to_contain_text("1 reply being written right now")
    ada.check_accessible()
    ada.picture("team-dialog")
    dialog.get_by_label("Hand them to").select_option(label="Theo Okafor")
    dialog.get_by_role("button", name="Take the seat away").click()
    expect(dialog).to_be_hidden()
    expect(seat(ada.page, "Maya Chen")).to_have_attribute("aria-checked", "false")
    expect(seat(ada.page, "Maya Chen")).to_be_focused()
    expect(ada.page.locator("#toasts")).to_contain_text("Maya Chen has no seat anymore and can only read.")
    expect(maya.page.locator("#lock")).to_have_attribute("data-state", "viewer")
    expect(maya.page.locator("#lock")).to_contain_text("but you have no seat. ")
    expect(maya.page.locator("#send")).to_be_disabled()
    expect(maya.page.locator("#body")).to_have_attribute("readonly", "")
    expect(maya.page.locator("#body")).to_have_value("Dear Rosa, your")
    assert holder(lived_in, row) == lived_in.cast.theo.id
    theo = person(lived_in, lived_in.cast.theo)
    theo.open(f"/c/{cid}")
    expect(theo.page.locator("#body")).to_have_value("Dear Rosa, your")


def test_SEAT_2_the_keyboard_alone_gives_and_takes_a_seat(lived_in, person):
    ada = person(lived_in, lived_in.cast.ada)
    ada.open(LIST)
    seat(ada.page, "Uma Unseated").focus()
    ada.page.keyboard.press("Space")
    expect(seat(ada.page, "Uma Unseated")).to_have_attribute("aria-checked", "true")
    expect(seat(ada.page, "Uma Unseated")).to_be_focused()
    ada.page.keyboard.press("Enter")
    dialog = ada.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    ada.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(seat(ada.page, "Uma Unseated")).to_be_focused()
    ada.page.keyboard.press("Space")
    expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()
    ada.page.keyboard.press("Tab")
    ada.page.keyboard.press("Enter")
    expect(seat(ada.page, "Uma Unseated")).to_have_attribute("aria-checked", "false")


def test_SEAT_2_the_second_of_two_admins_is_told(lived_in, person):
    ada, dana = person(lived_in, lived_in.cast.ada), person(lived_in, lived_in.cast.dana)
    with lived_in.app.app_context(), transaction():
        account = db.session.get(Member, lived_in.cast.dana.id).account
        paid, account.seats_paid = account.seats_paid, account.seats_used + 1
        other = lived_in.cast.member(account, "Zed Late", "agent", seat=False)
    try:
        for who in (ada, dana):
            who.open(LIST)
        seat(dana.page, "Uma Unseated").click()
        expect(seat(dana.page, "Uma Unseated")).to_have_attribute("aria-checked", "true")
        seat(ada.page, "Zed Late").click()
        expect(ada.page.locator("#toasts")).to_contain_text("seats are used.")
        expect(seat(ada.page, "Zed Late")).to_be_disabled()
        expect(seat(ada.page, "Uma Unseated")).to_have_attribute("aria-checked", "true")
        ada.check_accessible()
    finally:
        with lived_in.app.app_context(), transaction():
            db.session.get(Member, other.id).remove(by=db.session.get(Member, lived_in.cast.dana.id))
            db.session.get(Member, lived_in.cast.dana.id).account.seats_paid = paid


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_pages_are_accessible_and_fit(lived_in, person, scheme, width):
    dana = person(lived_in, lived_in.cast.dana, viewport={"width": width, "height": 844}, color_scheme=scheme)
    maya = f"{LIST}/{lived_in.cast.maya.public_id}"
    for path in (LIST, maya, f"{maya}/seat", f"{maya}/removal", "/settings/collaborators", "/settings/collaborators/invitations", f"{LIST}/invitations"):
        dana.open(path)
        dana.check_accessible()
        assert not dana.page.evaluate("document.documentElement.scrollWidth > innerWidth"), path
        if width == 390:
            small = dana.page.evaluate(
                "[...document.querySelectorAll('.page-body :is(.btn, select, button.switch), .savebar .btn')].filter(e => e.offsetParent && !e.classList.contains('vh'))"
                ".filter(e => { const b = e.getBoundingClientRect(), a = getComputedStyle(e, '::after'); return (e.matches('button.switch') ? b.height - parseFloat(a.top) - parseFloat(a.bottom) : b.height) < 43; })"
                ".map(e => e.outerHTML.slice(0, 120))"
            )
            assert not small, (path, small)
    dana.open(maya)
    dana.page.get_by_label("Role 1", exact=True).select_option("viewer")
    expect(dana.page.locator("#roles")).to_contain_text("Not saved yet")
    dana.check_accessible()
    dana.picture(f"team-person-{scheme}-{width}")


def test_PERM_5_roles_say_what_they_change_and_are_saved_with_save(lived_in, person):
    dana = person(lived_in, lived_in.cast.dana)
    dana.open(f"{LIST}/{lived_in.cast.uma.public_id}")
    roles = dana.page.locator("#roles")
    roles.get_by_label("Another role", exact=True).select_option("inbox-setup")
    expect(roles.get_by_label("Role 2", exact=True)).to_have_value("inbox-setup")
    expect(roles).to_contain_text(re.compile("Gains .*Create shared inboxes"))
    roles.get_by_label("Another role", exact=True).select_option("supervisor")
    expect(roles).to_contain_text("Agent and Supervisor cannot be held together")
    roles.get_by_role("button", name="Remove Supervisor").click()
    expect(roles.get_by_label("Role 3", exact=True)).to_have_count(0)
    roles.get_by_role("button", name="Save").click()
    expect(dana.page.locator("#toasts")).to_contain_text("Saved. Uma Unseated is Agent and Inbox Setup now.")
    roles.get_by_role("button", name="Remove Inbox Setup").click()
    roles.get_by_role("button", name="Save").click()
    expect(dana.page.locator("#toasts")).to_contain_text("Uma Unseated is Agent now.")


def test_ACC_4_the_owner_s_switches_wait_for_save_changes(lived_in, person):
    dana = person(lived_in, lived_in.cast.dana)
    dana.open("/settings/collaborators")
    switch = dana.page.get_by_role("switch", name="E-mail notifications for Theo Okafor")
    switch.click()
    expect(dana.page.get_by_text("1 change is not saved yet.")).to_be_visible()
    dana.page.get_by_role("link", name="Discard").click()
    expect(switch).to_be_checked()
    switch.focus()
    dana.page.keyboard.press("Space")
    dana.page.get_by_role("button", name="Save changes").click()
    expect(dana.page.locator("#toasts")).to_contain_text("Saved.")
    expect(switch).not_to_be_checked()
    switch.click()
    dana.page.get_by_role("button", name="Save changes").click()
    expect(switch).to_be_checked()


def test_everything_works_without_scripts(lived_in, person):
    conversation_of(lived_in, "maya")
    ada = person(lived_in, lived_in.cast.ada, java_script_enabled=False)
    ada.open(LIST)
    seat(ada.page, "Maya Chen").click()
    expect(ada.page.get_by_role("heading", name="Take Maya Chen’s seat away?")).to_be_visible()
    ada.page.get_by_label("Hand them to").select_option(label="Theo Okafor")
    ada.page.get_by_role("button", name="Take the seat away").click()
    expect(seat(ada.page, "Maya Chen")).to_have_attribute("aria-checked", "false")
    seat(ada.page, "Maya Chen").click()
    expect(seat(ada.page, "Maya Chen")).to_have_attribute("aria-checked", "true")
    ada.page.get_by_role("link", name="Uma Unseated").click()
    ada.page.get_by_label("Another role", exact=True).select_option("viewer")
    ada.page.get_by_role("button", name="Review changes").click()
    expect(ada.page.locator("#roles")).to_contain_text("Not saved yet")
    ada.page.get_by_role("link", name="Discard").click()
    ada.page.get_by_role("link", name="Deactivate…").click()
    expect(ada.page.get_by_role("heading", name="Deactivate Uma Unseated?")).to_be_visible()
