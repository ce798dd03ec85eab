"""The inbox in a hand, 390 px wide: list, thread, details and back by the device's own Back; fingers swipe and hold, buttons do the same."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Conversation
from tests.browser.test_two_agents import fresh

_numbers = itertools.count(5520)
pytestmark = [pytest.mark.browser, pytest.mark.one_database]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SMALL = """() => [...document.querySelectorAll('a[href], button, select, summary, input:not([type=hidden]), textarea')].filter(e => {
  const r = e.getBoundingClientRect(), s = getComputedStyle(e);
  if (!e.checkVisibility({visibilityProperty: true, opacityProperty: true}) || !r.width || s.clipPath !== 'none' || e.closest('.vh, .skip, .toast')) return false;
  const after = ['::before', '::after'].map(p => getComputedStyle(e, p)).find(a => a.content !== 'none' && a.position === 'absolute');
  const hit = after ? [parseFloat(after.width), parseFloat(after.height)] : [r.width, r.height], label = e.closest('label')?.getBoundingClientRect();
  return Math.max(hit[1], label?.height ?? 0) < 43.5 || Math.max(hit[0], label?.width ?? 0) < 43.5;
}).map(e => `${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 20)} ${Math.round(e.getBoundingClientRect().width)}x${Math.round(e.getBoundingClientRect().height)}`)"""


def row_of(page, cid):
    return page.locator(f'#rows li:has(a[href*="{cid}"])')


def finger(someone, row, by, hold=0):
    """A finger down on the row, moved sideways by so many pixels, held, and up."""
    row.locator("a").hover(trial=True)  # waits until it stands still: what came just now may draw it anew
    box = row.bounding_box()
    touch = someone.context.new_cdp_session(someone.page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def send(kind, at):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if kind == "touchEnd" else [{"x": at, "y": y}]})

    send("touchStart", x)
    if hold:
        someone.page.wait_for_timeout(hold)
    for step in (1, 2, 3) if by else ():  # few, so that a busy machine does not take them for holding
        send("touchMove", x + by * step / 3)
    send("touchEnd", x + by)
    touch.detach()


@pytest.fixture
def texts(lived_in):
    """Two conversations that just came in."""
    return [fresh(lived_in, f"From a phone {i}", sender=f"+1415555{next(_numbers)}") for i in range(2)]


def archived(house, row):
    with house.app.app_context():
        return db.session.get_one(Conversation, row).archived


def test_fingers_archive_mark_unread_and_select(lived_in, person, texts):
    (cid, number), (other, _) = texts
    maya = person(lived_in, lived_in.cast.maya, **PHONE)
    page = maya.open(f"/i/{lived_in.cast.front.public_id}/unassigned")
    row = row_of(page, cid)
    expect(row).to_be_visible()
    page.evaluate("import(document.querySelector('script[src*=\"app.js\"]').src.replace('app.js', 'phone.js'))")
    finger(maya, row, 40)  # too short to mean anything
    expect(row).to_be_visible()
    finger(maya, row, -110)
    expect(page.locator("#toasts")).to_contain_text("Marked read")
    expect(row).not_to_have_class(re.compile("unread"))
    finger(maya, row, -110)
    expect(page.locator("#toasts")).to_contain_text("Marked unread")
    expect(row).to_have_class(re.compile("unread"))
    with page.expect_response(lambda r: "/reading" in r.url) as answer:
        page.get_by_role("button", name="Undo").click()
    assert answer.value.ok, answer.value.status
    expect(row).not_to_have_class(re.compile("unread"))
    finger(maya, row, 110)
    expect(page.locator("#toasts")).to_contain_text("Archived")
    expect(row).to_have_count(0)
    assert archived(lived_in, number)
    page.get_by_role("button", name="Undo").click()
    expect(row_of(page, cid)).to_be_visible()
    assert not archived(lived_in, number)
    finger(maya, row_of(page, other), 0, hold=700)
    expect(row_of(page, other).locator(".pick")).to_be_checked()
    expect(page.locator("#bulk-n")).to_have_text("1 selected")
    assert "/c/" not in page.url
    maya.check_accessible()
    maya.picture("phone-selected")
    page.get_by_role("button", name="Archive selected").click()
    expect(page.locator("#bulk-result")).to_contain_text("1 archived")


def test_from_list_to_thread_to_details_and_back_by_the_devices_back(lived_in, person, texts):
    (cid, _), _ = texts
    maya = person(lived_in, lived_in.cast.maya, **PHONE)
    page = maya.open(f"/i/{lived_in.cast.front.public_id}/unassigned")
    expect(page.locator(".tabbar")).to_be_visible()
    expect(page.locator("#conversation")).to_be_hidden()
    row_of(page, cid).get_by_role("link").tap()
    expect(page.locator("#thread")).to_contain_text("From a phone")
    expect(page.locator("#list")).to_be_hidden()
    expect(page.locator(".tabbar")).to_be_hidden()
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")
    with page.expect_response(lambda r: "/draft" in r.url):
        page.locator("#body").fill("half a sentence")
    page.get_by_role("button", name="More actions").tap()
    expect(page.locator("#more-menu")).to_be_visible()
    page.get_by_role("button", name="Contact details").tap()
    expect(page.locator("#details")).to_be_visible()
    details = page.locator("#details")
    expect(details).to_be_visible()
    assert details.bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 844}, "a sheet over everything"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        maya.picture(f"phone-details-{scheme}")
    maya.check_accessible()
    page.evaluate("document.querySelector('#body').mine = 'the same'; document.querySelector('#thread').mine = 'the same'")
    page.go_back()
    expect(details).to_be_hidden()
    expect(page.locator("#body")).to_have_value("half a sentence")
    page.get_by_role("button", name="More actions").tap()
    expect(page.locator("#more-menu")).to_be_visible()
    page.get_by_role("button", name="Contact details").tap()
    expect(page.locator("#details")).to_be_visible()
    details.get_by_role("button", name="Back to the conversation").tap()
    expect(details).to_be_hidden()
    expect(page.locator("#thread")).to_be_visible()
    assert page.evaluate("[...document.querySelectorAll('#body, #thread')].map(e => e.mine)") == ["the same"] * 2, "nothing was fetched again"
    page.go_back()
    expect(page.locator("#list")).to_be_visible()
    expect(page.locator("#conversation")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_targets_are_big_fields_do_not_zoom_and_nothing_sticks_out(lived_in, person, texts, scheme):
    (cid, _), _ = texts
    maya = person(lived_in, lived_in.cast.maya, color_scheme=scheme, **PHONE)
    for name, path in {"list": f"/i/{lived_in.cast.front.public_id}/unassigned", "thread": f"/c/{cid}", "search": "/search", "compose": "/compose", "menu": "/work/mine#nav"}.items():
        page = maya.open(path)
        expect(page.locator("#main")).to_be_attached()
        assert not page.evaluate(SMALL), f"{path}: {page.evaluate(SMALL)}"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        fields = page.evaluate("[...document.querySelectorAll('input:not([type=checkbox],[type=radio],[type=hidden],[type=file]), select, textarea')].filter(e => e.checkVisibility()).map(e => parseFloat(getComputedStyle(e).fontSize))")
        assert all(size >= 16 for size in fields), (path, fields)
        maya.picture(f"phone-{name}-{scheme}")
    assert page.evaluate("document.querySelector('meta[name=viewport]').content.includes('viewport-fit=cover')")
