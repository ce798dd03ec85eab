"""CONV-8 in the browser: one person with two numbers becomes one contact and one conversation, and comes apart again."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Conversation, transaction
from tests.browser.test_two_agents import fresh

_numbers = itertools.count(5250)
pytestmark = [pytest.mark.browser, pytest.mark.one_database]


def pair(house):
    """Two conversations of two contacts with one name, as (public ids, contacts' public ids)."""
    talks = [fresh(house, body, sender=f"+1415555{next(_numbers)}") for body in ("From my old phone", "From my new phone")]
    with house.app.app_context(), transaction():
        found = []
        for _, id in talks:
            talk = db.session.get_one(Conversation, id)
            talk.contact.rename("Rosa", f"Diaz {talks[0][1]}")
            talk.contact.email = f"rosa{id}@example.com"
            found.append(talk.contact.public_id)
        return [cid for cid, _ in talks], found


def seen(who, name):
    """Pictures in light, dark and at the width of a phone, and axe."""
    for scheme in ("light", "dark"):
        who.page.emulate_media(color_scheme=scheme)
        who.picture(f"{name}-{scheme}")
        who.check_accessible()
    who.page.set_viewport_size({"width": 390, "height": 844})
    who.picture(f"{name}-390")
    who.check_accessible()
    assert who.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
    who.page.set_viewport_size({"width": 1440, "height": 900})
    who.page.emulate_media(color_scheme="light")


def test_CONV_8_two_contacts_become_one_and_come_apart_while_a_teammate_watches(lived_in, person):
    (one, other), (into, second) = pair(lived_in)
    dana, maya = person(lived_in, lived_in.cast.dana), person(lived_in, lived_in.cast.vera)
    watched = maya.open(f"/c/{one}")
    page = dana.open(f"/contacts/{into}")
    page.get_by_role("link", name="Merge", exact=True).click()
    expect(page.get_by_text("Same name, another number")).to_be_visible()
    seen(dana, "merge-find")
    page.locator(f'a[href$="/merge/{second}"]').first.click()
    expect(page.get_by_role("radio", name="Email: rosa", exact=False).first).to_be_checked()
    seen(dana, "merge-compare")
    page.get_by_role("radio", name="Main number", exact=False).nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Merge").press("Enter")
    expect(page.get_by_text("The contacts are one now.")).to_be_visible()
    survivor = page.locator(".contact-entries a").first
    expect(page.locator(".contact-entries a")).to_have_count(1)
    survivor.click()
    expect(page.locator("#thread")).to_contain_text("From my old phone")
    expect(page.locator("#thread")).to_contain_text("From my new phone")
    expect(page.locator("#thread")).to_contain_text("merged 2 conversations into this one")
    expect(watched.get_by_text("This conversation was merged into another one").or_(watched.locator("#thread").get_by_text("From my new phone"))).to_be_visible()
    page.goto(lived_in.url + f"/contacts/{into}/merge")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("They are two contacts again.")).to_be_visible()
    dana.open(f"/c/{other}")
    expect(page.locator("#thread")).to_contain_text("From my new phone")
    expect(page.locator("#thread")).not_to_contain_text("From my old phone")


def test_CONV_8_conversations_are_merged_from_more_and_from_the_list_without_scripts(lived_in, person):
    from inbox.models.merging.people import merge_contacts

    (one, other), _ = pair(lived_in)
    with lived_in.app.app_context(), transaction():
        talks = [db.session.query(Conversation).filter_by(public_id=id).one() for id in (one, other)]
        merge_contacts(talks[0].contact, talks[1].contact, by=db.session.merge(lived_in.cast.dana))
    dana = person(lived_in, lived_in.cast.dana)
    page = dana.open(f"/c/{one}")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("link", name="Merge").click()
    expect(page.get_by_role("checkbox", name="From my new phone", exact=False)).to_be_checked()
    seen(dana, "merge-conversations")
    page.get_by_role("button", name="Merge").click()
    expect(page.locator("#thread")).to_contain_text("From my new phone")
    dana.open(f"/c/{other}")
    expect(page).to_have_url(f"{lived_in.url}/c/{one}")
    plain = person(lived_in, lived_in.cast.dana, java_script_enabled=False)
    still = plain.open(f"/c/{one}/merge")
    still.get_by_role("button", name="Undo").click()
    expect(still.get_by_text("The conversations are apart again.")).to_be_visible()
    still.goto(f"{lived_in.url}/c/{one}/merge?c={other}")
    still.get_by_role("button", name="Merge").click()
    expect(still.get_by_text("The conversations are one now.")).to_be_visible()
