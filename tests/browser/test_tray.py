"""ACC-6, LOCK-5 and the palette in the browser: what happened arrives while one looks elsewhere, is read where it is read, and sounds only when wanted."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Conversation, Inbox, Member, TrayItem, transaction
from inbox.models import wish as wishing
from tests.browser.test_two_agents import fresh

_numbers = itertools.count(5450)
pytestmark = [pytest.mark.browser, pytest.mark.one_database]
SOUND = """() => { window.played = []; HTMLMediaElement.prototype.play = function () { window.played.push([new URL(this.src).pathname, this.volume]); return Promise.resolve(); }; }"""


def some(house, name="Rosa"):
    number = f"+1415555{next(_numbers)}"
    cid, id = fresh(house, f"{name} asks", sender=number)
    with house.app.app_context():
        house.cast.named(db.session.get_one(Conversation, id), name, "Diaz")
    return cid, id, number


def as_member(house, id, act, who):
    """Do something to a conversation as somebody, behind the pages."""
    with house.app.app_context(), transaction():
        act(db.session.get_one(Conversation, id), db.session.get_one(Member, who.id))


def assign(house, id, to, by):
    as_member(house, id, lambda c, member: c.assign_to(db.session.get_one(Member, to.id), by=member, expected=c.assignee_id), by)


@pytest.fixture
def quiet(lived_in):
    """The house with empty trays."""
    with lived_in.app.app_context(), transaction():
        for who in (lived_in.cast.maya, lived_in.cast.theo):
            TrayItem.read_all(db.session.get_one(Member, who.id), 2**40)
    return lived_in


def bell(page):
    return page.locator("#bell .count")


def test_ACC_6_the_bell_rings_live_and_the_line_leads_there(quiet, person):
    cid, id, _ = some(quiet)
    theo = person(quiet, quiet.cast.theo)
    page = theo.open(f"/i/{quiet.cast.front.public_id}/mine")
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")
    expect(bell(page)).to_have_count(0)
    assign(quiet, id, quiet.cast.theo, quiet.cast.ada)
    expect(bell(page)).to_contain_text("1")
    expect(page.locator("#live")).to_contain_text("Ada Admin assigned Rosa Diaz to you")
    page.locator("#bell").focus()
    page.keyboard.press("Enter")
    tray = page.locator("#tray")
    expect(tray).to_be_visible()
    expect(tray).to_contain_text("Ada Admin assigned Rosa Diaz to you")
    as_member(quiet, id, lambda c, maya: c.note("@Theo Okafor, is it ready?", by=maya), quiet.cast.maya)
    expect(tray.locator(".tray-line.unread")).to_have_count(2)
    theo.check_accessible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        theo.check_accessible()
        theo.picture(f"tray-{scheme}")
    page.keyboard.press("Escape")
    expect(tray).to_be_hidden()
    expect(page.locator("#bell")).to_be_focused()
    page.keyboard.press("Enter")
    tray.get_by_role("link", name=re.compile("mentioned you")).click()
    page.wait_for_url(f"**/c/{cid}?at=*")
    expect(page.locator("#thread [aria-current]")).to_contain_text("is it ready?")
    expect(bell(page)).to_have_count(0)  # seeing the conversation reads both


def test_ACC_6_one_line_and_all_of_them(quiet, person):
    made = [some(quiet, name) for name in ("Ana", "Bo", "Cleo")]
    for _, id, _ in made:
        assign(quiet, id, quiet.cast.theo, quiet.cast.ada)
    theo = person(quiet, quiet.cast.theo, viewport={"width": 390, "height": 844})
    page = theo.open("/notifications/tray")
    expect(page.locator(".tray-line.unread")).to_have_count(3)
    theo.check_accessible()
    theo.picture("tray-390")
    page.get_by_role("button", name=re.compile("Mark read: .*Cleo")).click()
    expect(page.locator(".tray-line.unread")).to_have_count(2)
    expect(page.locator(":focus")).to_have_count(1)
    page.get_by_role("button", name="Mark all read").click()
    expect(page.locator(".tray-line.unread")).to_have_count(0)
    page.reload()
    expect(page.locator(".tray-line.unread")).to_have_count(0)


def test_ACC_6_nothing_of_what_one_does_oneself(quiet, person):
    cid, id, _ = some(quiet)
    maya, theo = person(quiet, quiet.cast.maya), person(quiet, quiet.cast.theo)
    mine, other = maya.open(f"/c/{cid}"), theo.open("/notifications/tray")
    expect(mine.locator("#lock")).to_have_attribute("data-state", "mine")
    mine.keyboard.press("i")
    expect(mine.locator("#assignee")).to_contain_text("Assigned to you")
    assign(quiet, id, quiet.cast.theo, quiet.cast.maya)
    expect(bell(other)).to_contain_text("1")
    expect(other.locator(".tray-line").first).to_contain_text("Maya Chen assigned Rosa Diaz to you")
    expect(bell(mine)).to_have_count(0)


def test_LOCK_5_who_asked_is_told_although_they_look_elsewhere(quiet, person):
    cid, _, _ = some(quiet)
    maya, theo = person(quiet, quiet.cast.maya), person(quiet, quiet.cast.theo)
    mine, other = maya.open(f"/c/{cid}"), theo.open(f"/c/{cid}")
    expect(mine.locator("#lock")).to_have_attribute("data-state", "mine")
    expect(other.locator("#lock")).to_have_attribute("data-state", "theirs")
    other.get_by_role("button", name="Tell me when free").click()
    expect(other.locator("#lock")).to_contain_text("We’ll tell you")
    other.evaluate("""() => {
        Object.defineProperty(document, 'hidden', { get: () => window.away ?? true, configurable: true });
        Object.defineProperty(document, 'visibilityState', { get: () => document.hidden ? 'hidden' : 'visible', configurable: true });
        document.hasFocus = () => !document.hidden;
    }""")  # or the page would read what it shows, and the line with it
    title = other.title()
    mine.get_by_role("button", name="Release").click()
    expect(other).to_have_title(re.compile("^🔓 Rosa Diaz is free · "))
    expect(bell(other)).to_contain_text("1")
    expect(other.locator("#live")).to_contain_text("free")
    other.evaluate("() => { window.away = false; document.dispatchEvent(new Event('visibilitychange', { bubbles: true })); }")
    expect(other).to_have_title(re.compile(re.escape(title.split(") ")[-1]) + "$"))
    expect(other).not_to_have_title(re.compile("is free"))


def test_ACC_6_a_sound_only_for_who_wants_it_and_not_where_one_looks(quiet, person):
    cid, id, number = some(quiet)
    assign(quiet, id, quiet.cast.maya, quiet.cast.ada)
    for scope in ("mine", "off"):
        with quiet.app.app_context(), transaction():
            wishing.choose_sound(db.session.get_one(Member, quiet.cast.maya.id), scope, 40)
        if scope == "off":
            return
        maya, theo = person(quiet, quiet.cast.maya), person(quiet, quiet.cast.theo)
        page, other = maya.open(f"/i/{quiet.cast.front.public_id}/mine"), theo.open(f"/i/{quiet.cast.front.public_id}/all")
        for each in (page, other):
            expect(each.locator("#badge")).to_have_attribute("data-state", "live")
            each.evaluate(SOUND)
        with quiet.app.app_context():
            quiet.cast.text("Hello again", sender=number, inbox=db.session.get(Inbox, quiet.cast.front.id))
            quiet.cast.text("Of somebody else", sender=f"+1415555{next(_numbers)}", inbox=db.session.get(Inbox, quiet.cast.front.id))
        expect(page.locator("#rows")).to_contain_text("Hello again")
        expect(other.locator("#rows")).to_contain_text("Of somebody else")
        page.wait_for_timeout(2000)  # time for a second one, that must not come
        played = page.evaluate("() => window.played")
        assert len(played) == 1 and played[0][0].endswith("chime.wav") and abs(played[0][1] - 0.4) < 0.01
        assert other.evaluate("() => window.played") == []


def test_4_1_3_what_others_do_is_announced_once_in_three_seconds(quiet, person):
    cid, _, number = some(quiet)
    page = person(quiet, quiet.cast.theo).open(f"/c/{cid}")
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")
    page.wait_for_timeout(3200)
    page.evaluate("() => { window.heard = []; new MutationObserver(() => { const t = document.querySelector('#live').textContent; if (t) window.heard.push([Date.now(), t]); }).observe(document.querySelector('#live'), { childList: true }); }")
    with quiet.app.app_context():
        for words in ("One", "Two", "Three", "Four"):
            quiet.cast.text(words, sender=number, inbox=db.session.get(Inbox, quiet.cast.front.id))
    expect(page.locator("#thread")).to_contain_text("Four")
    page.wait_for_timeout(4500)
    heard = page.evaluate("() => window.heard")
    assert 1 <= len(heard) <= 2 and "Rosa" in heard[0][1] and "Four" in heard[-1][1], heard
    assert all(later[0] - sooner[0] > 2800 for sooner, later in zip(heard, heard[1:], strict=False)), heard


def test_the_sound_can_be_tried_on_its_page(quiet, person):
    maya = person(quiet, quiet.cast.maya)
    page = maya.open("/settings/notifications")
    page.evaluate(SOUND)
    page.get_by_label("Volume").fill("20")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator("[data-sound-says]")).to_have_text("Played.")
    assert page.evaluate("() => window.played[0][1]") == 0.2
    maya.check_accessible()


def test_the_palette_finds_runs_and_gives_the_focus_back(quiet, person):
    cid, id, _ = some(quiet, "Philippa")
    here, _, _ = some(quiet, "Quentin")
    maya = person(quiet, quiet.cast.maya)
    page = maya.open(f"/c/{here}")
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")
    page.locator("#body").fill("Half a tho")
    page.locator("#body").focus()
    page.keyboard.press("Control+k")
    field, chosen = page.locator("#palette-field"), page.locator("#palette [aria-selected=true]")
    expect(field).to_be_focused()
    expect(chosen).to_contain_text("Reply")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        maya.check_accessible()
        maya.picture(f"palette-{scheme}")
    page.keyboard.press("ArrowDown")
    assert chosen.get_attribute("id") == field.get_attribute("aria-activedescendant")
    page.keyboard.press("Escape")
    expect(page.locator("#body")).to_be_focused()
    expect(page.locator("#body")).to_have_value("Half a tho")
    page.keyboard.press("Control+k")
    page.keyboard.type("philip")
    expect(page.locator("#palette-found")).to_contain_text("Philippa Diaz")
    maya.check_accessible()
    page.keyboard.press("Control+A")
    page.keyboard.type("tag")
    expect(chosen).to_contain_text("Tags…")
    page.keyboard.press("Enter")
    expect(page.locator("#menu")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("philip")
    expect(chosen).to_contain_text("Philippa Diaz")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/c/{cid}")
    page.set_viewport_size({"width": 390, "height": 844})
    page.keyboard.press("Control+k")
    expect(field).to_be_focused()
    maya.picture("palette-390")


def test_PERM_6_the_palette_of_a_viewer_says_why(quiet, person):
    cid, _, _ = some(quiet)
    vera = person(quiet, quiet.cast.vera)
    page = vera.open(f"/c/{cid}")
    page.get_by_role("link", name="Commands").click()
    reply = page.get_by_role("option", name=re.compile("^Reply"))
    expect(reply).to_have_attribute("aria-disabled", "true")
    expect(reply).to_contain_text("does not allow you to reply")
    vera.check_accessible()
    page.keyboard.press("Enter")
    expect(page.locator("#palette")).to_be_visible()


def test_without_scripts_both_are_plain_pages(quiet, person):
    cid, id, _ = some(quiet)
    assign(quiet, id, quiet.cast.theo, quiet.cast.ada)
    theo = person(quiet, quiet.cast.theo, java_script_enabled=False)
    page = theo.open(f"/c/{cid}")
    page.get_by_role("link", name=re.compile("^Notifications")).click()
    expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    page.get_by_role("button", name="Mark all read").click()
    expect(page.locator(".tray-line.unread")).to_have_count(0)
    page.get_by_role("link", name="Commands").click()
    page.get_by_role("searchbox").fill("rosa")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name=re.compile("Rosa Diaz")).first.click()
    expect(page.locator("#conversation")).to_be_visible()
