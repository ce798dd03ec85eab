"""Everything by keyboard (UX 1.4, 4.2): each key does what the list of keys says, the off switch turns single letters off, and a whole day needs no mouse."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Member, transaction
from tests.browser.test_two_agents import fresh

_numbers = itertools.count(5400)
pytestmark = [pytest.mark.browser, pytest.mark.one_database]
LISTED = {
    "J K", "↓ ↑", "Enter O", "R", "N", "E", "A", "I", "H", "T", "X", "U", "L", "C", "G I", "G U", "G O", "G A", "G D", "G S", "G M", "[", "]", "Ctrl or ⌘ K", "Ctrl or ⌘ Enter",
    "Ctrl or ⌘ Shift Enter", "/", ":", "@", "Esc", "?",
}


def some(house, count=3):
    """Conversations that just came in, the newest last."""
    return [fresh(house, f"Question {n}", sender=f"+1415555{next(_numbers)}")[0] for n in range(count)]


def held(page):
    """Something has the focus: it is never lost to the page itself."""
    expect(page.locator(":focus")).to_have_count(1)


def row(page, cid):
    return page.locator(f'.conv-row:has(a[href*="{cid}"])')


def opened(page, cid):
    expect(page.locator(f'#conversation[data-id="{cid}"]')).to_be_visible()
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")


@pytest.fixture
def list_of_three(lived_in, person):
    """Maya at the unassigned of the front desk, three new conversations on top; yields her page, the ids from the top, and her."""
    ids = some(lived_in)[::-1]
    maya = person(lived_in, lived_in.cast.maya)
    page = maya.open(f"/i/{lived_in.cast.front.public_id}/unassigned")
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")
    return page, ids, maya


def test_the_keys_of_the_list(list_of_three):
    page, (first, second, third), _ = list_of_three
    page.keyboard.press("j")
    expect(row(page, first).get_by_role("link")).to_be_focused()
    page.keyboard.press("j")
    expect(row(page, second).get_by_role("link")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(row(page, third).get_by_role("link")).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("k")
    expect(row(page, first).get_by_role("link")).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator("#bulk-n")).to_have_text("1 selected")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    expect(page.locator("#bulk-n")).to_have_text("3 selected")
    page.keyboard.press("Escape")
    expect(page.locator('[name="c"]:checked')).to_have_count(0)
    held(page)
    page.keyboard.press("o")
    opened(page, third)
    held(page)
    row(page, second).get_by_role("link").focus()
    page.keyboard.press("Enter")
    opened(page, second)
    held(page)


def test_the_keys_of_a_conversation(list_of_three):
    page, (first, second, third), _ = list_of_three
    page.keyboard.press("j")
    page.keyboard.press("o")
    opened(page, first)
    page.keyboard.press("r")
    expect(page.locator("#body")).to_be_focused()
    page.keyboard.type("jk/ ")
    expect(page.locator("#body")).to_have_value("jk/ ")
    page.keyboard.press("Control+A")
    page.keyboard.press("Backspace")
    page.keyboard.type("/")
    expect(page.locator(".menu.insert")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".menu.insert")).to_be_hidden()
    page.keyboard.press("Backspace")
    page.keyboard.press("Escape")
    expect(row(page, first).get_by_role("link")).to_be_focused()
    page.keyboard.press("n")
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.press("Escape")
    for key in "aht":
        page.keyboard.press(key)
        expect(page.locator("#menu")).to_be_visible()
        held(page)
        page.keyboard.press("Escape")
        expect(page.locator("#menu")).to_be_hidden()
        held(page)
    page.keyboard.press("i")
    expect(page.locator("#assignee")).to_contain_text("Assigned to you")
    held(page)
    count = page.locator("#nav [data-go=mine] .count")
    before = int(re.sub(r"\D", "", count.text_content() or "")) if count.count() else 0  # others may wait for her from earlier
    page.keyboard.press("u")
    expect(row(page, first)).to_have_count(0)  # it is Maya's now
    expect(count).to_contain_text(str(before + 1))
    page.keyboard.press("Shift+U")
    if before:
        expect(count).to_contain_text(str(before))
    else:
        expect(count).to_have_count(0)
    page.keyboard.press("l")
    expect(page.locator("#lock")).to_have_attribute("data-state", "free")
    held(page)
    page.keyboard.press("r")
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")
    page.keyboard.type("Ready")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#thread")).to_contain_text("Ready")
    expect(page.locator("#body")).to_have_value("")
    expect(page.locator("#body")).to_be_focused()
    page.keyboard.type("Bye")
    page.keyboard.press("Control+Shift+Enter")
    opened(page, second)  # on to the next; what is told of the first stays out of its thread
    expect(page.locator("#thread")).not_to_contain_text("Bye")
    held(page)


def test_e_archives_and_goes_on_to_the_next(list_of_three):
    page, (first, second, third), _ = list_of_three
    page.keyboard.press("j")
    page.keyboard.press("o")
    opened(page, first)
    page.keyboard.press("e")
    opened(page, second)
    expect(row(page, first)).to_have_count(0)
    held(page)


def test_brackets_hide_the_list_and_the_details_and_are_kept(list_of_three):
    page, (first, *_), maya = list_of_three
    page.keyboard.press("j")
    page.keyboard.press("o")
    opened(page, first)
    page.keyboard.press("[")
    expect(page.locator("#list")).to_be_hidden()
    held(page)
    page.keyboard.press("]")
    expect(page.locator("#details")).to_be_hidden()
    maya.check_accessible()
    page.reload()
    expect(page.locator("#list")).to_be_hidden()
    page.keyboard.press("[")
    page.keyboard.press("]")
    expect(page.locator("#list")).to_be_visible()
    expect(page.locator("#details")).to_be_visible()
    page.set_viewport_size({"width": 1100, "height": 800})
    page.keyboard.press("]")
    expect(page.locator("#details")).to_be_visible()


def test_places_are_two_keys_away(list_of_three, lived_in):
    page, _, _ = list_of_three
    for key, place in (("a", "all"), ("i", "mine"), ("o", "others"), ("d", "archived"), ("s", "snoozed"), ("u", "unassigned")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**/i/{lived_in.cast.front.public_id}/{place}")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/work/mine")
    page.keyboard.press("c")
    page.wait_for_url("**/compose*")
    page.goto(lived_in.url + "/notifications/tray")
    page.keyboard.press("/")
    page.wait_for_url("**/search")
    expect(page.locator("#q")).to_be_focused()


def test_the_list_of_keys_names_exactly_what_there_is(list_of_three):
    page, _, maya = list_of_three
    page.keyboard.press("?")
    keys = page.locator("#keys")
    expect(keys).to_be_visible()
    named = {" ".join(" ".join(text.split()) for text in dt.locator(".kbd").all_inner_texts()) for dt in keys.locator("dt").all()}
    assert named == LISTED
    maya.check_accessible()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()


def test_2_1_4_single_letters_can_be_turned_off(lived_in, person):
    (cid,) = some(lived_in, 1)
    for on in (False, True):
        with lived_in.app.app_context(), transaction():
            db.session.get_one(Member, lived_in.cast.maya.id).shortcuts = on
        if on:
            return
        page = person(lived_in, lived_in.cast.maya).open(f"/c/{cid}")
        opened(page, cid)
        for key in ("j", "n", "?", "e", "c", "["):
            page.keyboard.press(key)
        expect(page.locator("#keys")).to_be_hidden()
        assert page.url.endswith(cid) and page.evaluate("document.activeElement.id") != "note"
        page.keyboard.press("Control+k")
        expect(page.locator("#palette")).to_be_visible()  # no single letter


def test_a_day_without_a_mouse(list_of_three, lived_in):
    """Open, reply, note, assign, tag, snooze, archive, undo, search, another inbox, settings: the focus is somewhere after every step."""
    page, (first, second, third), _ = list_of_three
    press, write = page.keyboard.press, page.keyboard.type
    press("j")
    press("Enter")
    opened(page, first)
    press("r")
    write("Good morning, yes")
    press("Control+Enter")
    expect(page.locator("#thread")).to_contain_text("Good morning, yes")
    held(page)
    press("Escape")
    press("n")
    write("Ask the lab")
    press("Control+Enter")
    expect(page.locator("#thread .note")).to_contain_text("Ask the lab")
    held(page)
    press("Escape")
    press("a")
    expect(page.locator("#menu")).to_be_visible()
    page.locator("#menu").get_by_role("button", name="Theo Okafor").focus()
    press("Enter")
    expect(page.locator("#assignee")).to_contain_text("Theo Okafor")
    held(page)
    press("h")
    expect(page.locator("#menu")).to_be_visible()
    held(page)
    page.locator("#menu button").first.focus()
    press("Enter")
    expect(page.locator("#toasts")).to_contain_text("Snoozed until")
    held(page)
    row(page, second).get_by_role("link").focus()
    press("o")
    opened(page, second)
    press("e")
    expect(page.locator("#toasts")).to_contain_text("Archived")
    page.locator("#toasts").get_by_role("button", name="Undo").focus()
    press("Enter")
    expect(page.locator("#toasts")).to_contain_text("Back in the inbox")
    held(page)
    press("Control+k")
    expect(page.locator("#palette-field")).to_be_focused()
    write("my work")
    expect(page.locator("#palette [aria-selected=true]")).to_contain_text("My work")
    press("Enter")
    page.wait_for_url("**/work/mine")
    press("/")
    expect(page.locator("#q")).to_be_focused()
    write("Good morning")
    press("Enter")
    page.wait_for_url(re.compile("/search|[?&]q="))
    page.wait_for_load_state()
    page.locator("body").press("Control+k")
    expect(page.locator("#palette [role=option]").first).to_be_visible()
    write("notification set")
    expect(page.locator("#palette [aria-selected=true]")).to_contain_text("Notification settings")
    press("Enter")
    page.wait_for_url("**/settings/notifications")


@pytest.mark.parametrize("then", ["the same", "another"])
def test_the_undo_of_an_archive_is_shown_although_a_conversation_was_opened_meanwhile(list_of_three, then):
    page, (_, second, third), _ = list_of_three
    row(page, second).get_by_role("link").click()
    opened(page, second)
    under_way = []
    page.route("**/archival*", lambda route: under_way.append(route))
    page.keyboard.press("e")
    expect(page.locator("#conversation form.htmx-request")).to_have_count(1)
    page.evaluate("document.querySelector('#conversation').dataset.old = 1")
    row(page, second if then == "the same" else third).get_by_role("link").click()
    expect(page.locator("#conversation[data-old]")).to_have_count(0)
    under_way[0].continue_()
    expect(page.locator("#toasts")).to_contain_text("Archived")
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(page.locator("#toasts")).to_contain_text("Back in the inbox")
