"""CH-3 in real browsers: a call rings live, its voicemail appears and can be played; calling out shows how it goes."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import expect

from inbox import channels
from inbox.extensions import db
from inbox.models import Carrier, Conversation, Inbox, transaction

ROSA, AGENT = "+14155550101", "+16285550171"  # a phone of the simulator, and one that nobody holds


@pytest.fixture(scope="session")
def line(standing):
    """The pharmacy with a number that is bought at the carrier and points here, and a conversation with Rosa: (number, inbox, conversation)."""
    with standing.app.app_context():
        box = db.session.get(Inbox, standing.cast.pharmacy.id)
        carrier, adapter = Carrier.of(box.account_id), channels.get("sms")
        number = adapter.search_numbers(carrier.credentials, "415")[0].e164
        adapter.buy_number(carrier.credentials, number, carrier.hook("messages"), carrier.hook("voice"), carrier.hook("status"))
        with transaction():
            box.phone = number
        conversation = standing.cast.conversation("Is it ready?", sender=ROSA, inbox=box)
        standing.cast.named(conversation, "Rosa", "Delgado")
        return number, box.public_id, conversation.public_id


def sim(house, path, **data):
    answer = httpx.post(f"{house.simulator}/__sim/{path}", json=data, trust_env=False, timeout=20)
    assert answer.status_code == 200, answer.text


def test_CH_3_a_voicemail_appears_live_and_can_be_played(lived_in, line, person):
    number, inbox, conversation = line
    dana, other = person(lived_in, lived_in.cast.dana), person(lived_in, lived_in.cast.dana, viewport={"width": 390, "height": 800})
    dana.open(f"/c/{conversation}")
    other.open(f"/i/{inbox}/all")
    expect(dana.page.locator("#badge")).to_have_attribute("data-state", "live")
    expect(other.page.locator("#badge")).to_have_attribute("data-state", "live")
    sim(lived_in, "settings", answer_by_hand=False)
    sim(lived_in, "call", **{"from": ROSA, "to": number, "message": 12})
    row = dana.page.locator(".phone-call")
    expect(row).to_contain_text("Voicemail 0:12")
    expect(row).to_have_count(1)
    expect(row.locator("audio")).to_be_visible()
    expect(other.page.locator(".conv-row").first).to_contain_text("Voicemail 0:12")
    expect(other.page.locator(".conv-row").first).not_to_have_class(re.compile("unread"))  # it arrived before open eyes
    played = dana.page.evaluate(
        "async () => { const a = document.querySelector('.phone-call audio'); a.muted = true; await a.play();"
        " await new Promise(r => { a.ontimeupdate = () => a.currentTime > 0 && r() }); a.currentTime = 9; await new Promise(r => a.onseeked = r); return [a.duration, a.currentTime]; }"
    )
    assert 11.9 < played[0] < 12.1 and played[1] >= 9
    dana.check_accessible()
    assert other.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_CH_3_a_call_out_shows_every_state_while_it_happens(lived_in, line, person):
    _, _, conversation = line
    dana = person(lived_in, lived_in.cast.dana)
    sim(lived_in, "settings", answer_by_hand=True, call_outcome="completed")
    try:
        dana.open(f"/c/{conversation}")
        expect(dana.page.locator("#badge")).to_have_attribute("data-state", "live")
        dana.page.get_by_role("link", name="Call Rosa Delgado").click()
        dialog = dana.page.get_by_role("dialog", name=re.compile("Call Rosa"))
        dialog.get_by_label("Your phone").fill("555")
        dialog.get_by_role("button", name="Call").click()
        expect(dialog).to_contain_text("with its area code")
        dana.check_accessible()
        dialog.get_by_label("Your phone").fill(AGENT)
        dialog.get_by_role("button", name="Call").click()
        expect(dana.page.get_by_role("dialog")).to_contain_text("Your phone rings")
        dana.page.get_by_role("dialog").get_by_role("link", name="Close").click()
        row = dana.page.locator(".phone-call.out").last
        expect(row).to_contain_text("Calling Rosa…")
        sim(lived_in, "pick-up", phone=ROSA, answer=True)
        expect(row).to_contain_text("Call 0:42")
        expect(row).to_contain_text("You called Rosa")
    finally:
        sim(lived_in, "settings", answer_by_hand=False)
    with lived_in.app.app_context():
        found = db.session.query(Conversation).filter_by(public_id=conversation).one()
        assert found.preview == "Call 0:42"
