"""Two agents, one number: nobody is answered twice. Real browsers, the real system, both databases."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Conversation, Draft, Inbox, Member, Message, transaction


def fresh(house, body="Hi, is the ear cream ready?", sender=None, inbox="front"):
    """A conversation that just came in, as its public id and row id."""
    fresh.count += 1
    with house.app.app_context():
        box = db.session.get(Inbox, getattr(house.cast, inbox).id)
        c = house.cast.conversation(body, sender=sender or f"+1415555{2000 + fresh.count}", inbox=box)
        return c.public_id, c.id


fresh.count = 0


def state(page):
    return page.locator("#lock")


def test_LOCK_1_the_other_agent_sees_who_is_replying_and_cannot_type(lived_in, person):
    cid, _ = fresh(lived_in)
    maya, theo = person(lived_in, lived_in.cast.maya), person(lived_in, lived_in.cast.theo)
    theo.open(f"/i/{lived_in.cast.front.public_id}/unassigned")
    maya.open(f"/c/{cid}")
    expect(state(maya.page)).to_have_attribute("data-state", "mine")
    row = theo.page.locator(f'li:has(a[href*="{cid}"])')
    expect(row).to_contain_text("Maya is replying")
    row.get_by_role("link").click()
    expect(state(theo.page)).to_have_attribute("data-state", "theirs")
    expect(state(theo.page)).to_contain_text("Maya Chen is replying")
    expect(theo.page.locator("#body")).to_have_attribute("readonly", "")
    expect(theo.page.locator("#send")).to_be_disabled()
    theo.check_accessible()
    maya.open(f"/i/{lived_in.cast.front.public_id}/mine")  # leaving frees it at once
    expect(state(theo.page)).to_have_attribute("data-state", re.compile("free|mine"))


def test_reply_goes_out_and_arrives_with_its_states_in_words(lived_in, person):
    cid, row = fresh(lived_in)
    maya, theo = person(lived_in, lived_in.cast.maya), person(lived_in, lived_in.cast.theo)
    theo.open(f"/c/{cid}")
    expect(state(theo.page)).to_have_attribute("data-state", "mine")
    theo.page.get_by_role("button", name="Release").click()
    expect(state(theo.page)).to_have_attribute("data-state", "free")
    maya.open(f"/c/{cid}")
    expect(state(maya.page)).to_have_attribute("data-state", "mine")
    maya.page.locator("#body").fill("Yes, it’s ready 🐶 Come by any time")
    maya.page.locator("#body").press("Control+Enter")
    expect(maya.page.locator("#thread")).to_contain_text("Come by any time")
    expect(maya.page.locator("#body")).to_have_value("")
    expect(theo.page.locator("#thread")).to_contain_text("Come by any time")
    expect(theo.page.locator("#thread")).to_contain_text("Maya Chen")
    with lived_in.app.app_context():
        assert db.session.query(Message).filter_by(conversation_id=row, kind="out").count() == 1


def test_LOCK_4_a_text_that_came_meanwhile_holds_the_send(lived_in, person):
    cid, row = fresh(lived_in)
    maya = person(lived_in, lived_in.cast.maya)
    maya.open(f"/c/{cid}")
    expect(state(maya.page)).to_have_attribute("data-state", "mine")
    maya.page.locator("#body").fill("Yes, it is ready")
    maya.page.evaluate("document.querySelector('[name=seen]').value = '0'")  # as if the socket had not told yet
    maya.page.locator("#send").click()
    expect(maya.page.locator("#composer")).to_contain_text("Send anyway")
    expect(maya.page.locator("#body")).to_have_value("Yes, it is ready")
    maya.page.get_by_role("button", name="Send anyway").click()
    expect(maya.page.locator("#thread")).to_contain_text("Yes, it is ready")
    with lived_in.app.app_context():
        assert db.session.query(Message).filter_by(conversation_id=row, kind="out").count() == 1


def test_LOCK_5_take_over_hands_over_the_draft_and_tells_the_other(lived_in, person):
    cid, row = fresh(lived_in)
    maya, ada = person(lived_in, lived_in.cast.maya), person(lived_in, lived_in.cast.ada)
    maya.open(f"/c/{cid}")
    expect(state(maya.page)).to_have_attribute("data-state", "mine")
    with maya.page.expect_response(lambda r: "/draft" in r.url):
        maya.page.locator("#body").fill("Dear Rosa, your")
    ada.open(f"/c/{cid}")
    expect(state(ada.page)).to_have_attribute("data-state", "theirs")
    ada.page.get_by_role("link", name="Take over").click()
    ada.page.get_by_label(re.compile("why|reason", re.I)).fill("Maya is at lunch")
    ada.page.get_by_role("dialog").get_by_role("button", name="Take over").click()
    expect(state(ada.page)).to_have_attribute("data-state", "mine")
    expect(ada.page.locator("#body")).to_have_value("Dear Rosa, your")
    expect(ada.page.locator("#draft-from")).to_contain_text("Maya Chen")
    expect(state(maya.page)).to_have_attribute("data-state", "taken")
    expect(maya.page.locator("#body")).to_have_value("Dear Rosa, your")
    expect(maya.page.locator("#send")).to_be_disabled()
    maya.check_accessible()


def test_LOCK_1_news_that_comes_late_does_not_reach_the_next_conversation(lived_in, person):
    (first, _), (second, row) = fresh(lived_in), fresh(lived_in)
    maya = person(lived_in, lived_in.cast.maya)
    sockets = []

    def through(ws):
        ws.connect_to_server()
        sockets.append(ws)

    maya.page.route_web_socket(re.compile("/live"), through)
    page = maya.open(f"/i/{lived_in.cast.front.public_id}/unassigned")
    page.locator(f'.conv-row a[href*="{first}"]').click()
    expect(state(page)).to_have_attribute("data-state", "mine")
    late = state(page).evaluate("n => { n = n.cloneNode(true); n.dataset.now = +n.dataset.now + 60000; n.setAttribute('hx-swap-oob', 'true'); [n, ...n.querySelectorAll('[style]')].forEach(each => each.removeAttribute('style')); return n.outerHTML }")
    page.locator(f'.conv-row a[href*="{second}"]').click()
    expect(page.locator(f'#conversation[data-id="{second}"]')).to_be_visible()
    expect(state(page)).to_have_attribute("data-state", "mine")
    fence = page.locator("#fence").input_value()
    sockets[-1].send(late + '<input type="hidden" name="fence" id="fence" value="1" hx-swap-oob="true">')
    sockets[-1].send('<hx-partial hx-target="#live" hx-swap="innerHTML">All has come.</hx-partial>')
    expect(page.locator("#live")).to_contain_text("All has come.")
    expect(state(page)).to_have_attribute("data-of", f"c{row}")
    assert page.locator("#fence").input_value() == fence


def quicker(house, **seconds):
    with house.app.app_context(), transaction():
        inbox = db.session.get(Inbox, house.cast.front.id)
        for name, value in seconds.items():
            setattr(inbox, name, value)


def test_LOCK_3_an_idle_holder_is_asked_and_then_unlocked_with_the_draft_kept(lived_in, person):
    quicker(lived_in, idle_after=3, idle_answer=4)
    try:
        cid, row = fresh(lived_in)
        maya, theo = person(lived_in, lived_in.cast.maya), person(lived_in, lived_in.cast.theo)
        maya.open(f"/c/{cid}")
        expect(state(maya.page)).to_have_attribute("data-state", "mine")
        with maya.page.expect_response(lambda r: "/draft" in r.url):
            maya.page.locator("#body").fill("half a sentence")
        theo.open(f"/c/{cid}")
        expect(state(theo.page)).to_have_attribute("data-state", "theirs")
        dialog = maya.page.get_by_role("dialog", name="Are you still working on this?")
        expect(dialog).to_be_visible()
        maya.check_accessible()
        dialog.get_by_role("button", name="Keep working").click()
        expect(state(maya.page)).to_have_attribute("data-state", "mine")
        expect(dialog).to_be_visible()  # idle again: asked again
        expect(state(maya.page)).to_have_attribute("data-state", "expired", timeout=15000)
        expect(maya.page.locator("#body")).to_have_value("half a sentence")
        expect(state(theo.page)).to_have_attribute("data-state", re.compile("free|mine"))
        with lived_in.app.app_context():
            draft = db.session.query(Draft).filter_by(conversation_id=row).one()
            assert draft.body == "half a sentence"
    finally:
        quicker(lived_in, idle_after=180, idle_answer=60)


def test_LOCK_2_a_crashed_browser_frees_the_conversation(lived_in, person):
    quicker(lived_in, lock_lease=3, lock_heartbeat=1)
    try:
        cid, _ = fresh(lived_in)
        maya, theo = person(lived_in, lived_in.cast.maya), person(lived_in, lived_in.cast.theo)
        maya.open(f"/c/{cid}")
        expect(state(maya.page)).to_have_attribute("data-state", "mine")
        theo.open(f"/c/{cid}")
        expect(state(theo.page)).to_have_attribute("data-state", "theirs")
        maya.context.set_offline(True)  # no more heartbeats, no goodbye
        expect(state(theo.page)).to_have_attribute("data-state", re.compile("free|mine"), timeout=15000)
    finally:
        quicker(lived_in, lock_lease=45, lock_heartbeat=15)


def test_LOCK_7_with_the_socket_blocked_the_same_rules_hold(lived_in, person):
    cid, _ = fresh(lived_in)
    maya, theo = person(lived_in, lived_in.cast.maya), person(lived_in, lived_in.cast.theo)
    for who in (maya, theo):
        who.page.route_web_socket(re.compile("/live"), lambda ws: ws.close())
    theo.open(f"/c/{cid}")
    expect(state(theo.page)).to_have_attribute("data-state", "mine")
    maya.open(f"/c/{cid}")
    expect(state(maya.page)).to_have_attribute("data-state", "theirs")
    theo.page.get_by_role("button", name="Release").click()
    expect(state(maya.page)).to_have_attribute("data-state", "free", timeout=15000)
    maya.page.locator("#lock-take").click()
    expect(state(maya.page)).to_have_attribute("data-state", "mine")
    expect(state(theo.page)).to_have_attribute("data-state", "theirs", timeout=15000)
    with lived_in.app.app_context():
        lived_in.cast.text("And one more thing", sender=db.session.query(Conversation).filter_by(public_id=cid).one().address)
    expect(maya.page.locator("#thread")).to_contain_text("And one more thing", timeout=15000)


def test_LOCK_7_without_javascript_reading_locking_and_replying_are_forms(lived_in, person):
    cid, row = fresh(lived_in)
    maya = person(lived_in, lived_in.cast.maya, java_script_enabled=False)
    maya.open(f"/i/{lived_in.cast.front.public_id}/unassigned")
    maya.page.locator(f'a[href*="{cid}"]').first.click()
    expect(maya.page.locator("#thread")).to_contain_text("ear cream")
    maya.page.locator("#lock-take").click()
    expect(state(maya.page)).to_have_attribute("data-state", "mine")
    maya.page.locator("#body").fill("Yes, without scripts")
    maya.page.locator("#send").click()
    expect(maya.page.locator("#thread")).to_contain_text("Yes, without scripts")
    with lived_in.app.app_context():
        assert db.session.query(Message).filter_by(conversation_id=row, kind="out").count() == 1


def test_texts_arrive_live_in_list_and_thread(lived_in, person):
    cid, row = fresh(lived_in)
    maya, vera = person(lived_in, lived_in.cast.maya), person(lived_in, lived_in.cast.vera)
    maya.open(f"/c/{cid}")
    vera.open(f"/i/{lived_in.cast.front.public_id}/all")
    expect(state(maya.page)).to_have_attribute("data-state", "mine")
    maya.page.locator("#body").fill("typing while it arrives")
    with lived_in.app.app_context():
        lived_in.cast.text("Second text 🎉", sender=db.session.get(Conversation, row).address)
    expect(maya.page.locator("#thread")).to_contain_text("Second text 🎉")
    expect(maya.page.locator("#body")).to_have_value("typing while it arrives")
    expect(vera.page.locator(f'li:has(a[href*="{cid}"])')).to_contain_text("Second text 🎉")
    vera.page.locator(f'a[href*="{cid}"]').first.click()
    expect(vera.page.locator("#thread")).to_contain_text("Second text")
    expect(vera.page.locator("#composer")).to_contain_text("does not allow you to reply")
    vera.check_accessible()


def test_ASG_2_take_assign_and_archive(lived_in, person):
    cid, row = fresh(lived_in)
    maya = person(lived_in, lived_in.cast.maya)
    maya.open(f"/c/{cid}")
    expect(state(maya.page)).to_have_attribute("data-state", "mine")
    maya.page.locator("body").press("Escape")
    maya.page.locator("#thread").click()
    maya.page.keyboard.press("i")
    expect(maya.page.locator(".assignee")).to_contain_text("You")
    maya.page.keyboard.press("e")
    expect(maya.page.locator("#toasts")).to_contain_text("Archived")
    with lived_in.app.app_context():
        c = db.session.get(Conversation, row)
        assert c.archived and c.assignee_id == lived_in.cast.maya.id


def test_inbox_pictures_light_dark_and_phone(lived_in, person):
    cid, _ = fresh(lived_in, "Hi! It’s Rosa, Biscuit’s mom. He’s been scratching his left ear a lot since Sunday.")
    for name, options in {
        "inbox-light": {"color_scheme": "light"}, "inbox-dark": {"color_scheme": "dark"},
        "inbox-phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    }.items():
        ada = person(lived_in, lived_in.cast.ada, **options)
        ada.open(f"/c/{cid}")
        expect(state(ada.page)).to_have_attribute("data-state", re.compile("mine|free"))
        ada.picture(name)
        ada.check_accessible()
        assert ada.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
        ada.open(f"/i/{lived_in.cast.front.public_id}/all")
        ada.check_accessible()
        ada.picture(f"{name}-list")
        with lived_in.app.app_context(), transaction():
            db.session.query(Conversation).filter_by(public_id=cid).one().release(by=db.session.get(Member, lived_in.cast.ada.id))
