"""Every page of the product, collected from its routes: no finding of axe in light and dark on a desk and a phone, and none that has to be scrolled sideways.

Then what no rule of axe sees: high contrast colours keep every state, and who wants no motion gets none."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Inbox
from tests.browser.conftest import AXE

pytestmark = [pytest.mark.browser, pytest.mark.one_database]
PARTS = 4
RUN = "rules => axe.run(document, {resultTypes: ['violations'], runOnly: rules}).then(r => r.violations.map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 140))]))"
ALL = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
COLOURS = {"type": "rule", "values": ["color-contrast"]}
VIEWS = [("light", 1440, ALL), ("dark", 1440, COLOURS), ("dark", 390, COLOURS), ("light", 390, ALL)]
SPACING = """() => { const s = new CSSStyleSheet(); s.replaceSync('* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-block-end: 2em !important }'); document.adoptedStyleSheets = [s]; }"""
WIDE = """() => { const over = e => { for (let p = e; p && p !== document.body; p = p.parentElement) { const o = getComputedStyle(p).overflowX; if (o === 'auto' || o === 'scroll') return true; if (getComputedStyle(p).textOverflow === 'ellipsis') return true; } };
  const out = [...document.body.querySelectorAll('*')].filter(e => e.checkVisibility() && e.childElementCount === 0 && e.textContent.trim() && e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.vh, .skip, [popover], dialog') && getComputedStyle(e).clipPath === 'none' && !over(e));
  return [document.documentElement.scrollWidth > innerWidth ? `page ${document.documentElement.scrollWidth}` : '', ...out.slice(0, 3).map(e => e.outerHTML.slice(0, 120))].filter(Boolean); }"""


@pytest.mark.parametrize("part", range(PARTS))
def test_axe_finds_nothing_on_any_page(furnished, person, part):
    dana = person(furnished, furnished.cast.dana)
    found = {}
    for path in furnished.pages[part::PARTS]:
        page = dana.open(path)
        page.evaluate(AXE)
        for scheme, width, rules in VIEWS:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900 if width > 720 else 844})
            problems = page.evaluate(RUN, rules)
            if problems:
                found[path, scheme, width] = problems
    assert len(furnished.pages) > 60
    assert not found, found


@pytest.mark.parametrize("part", range(2))
def test_no_page_scrolls_sideways_at_320_pixels_or_at_200_percent_with_wide_text(furnished, person, part):
    dana = person(furnished, furnished.cast.dana)
    found = {}
    for path in furnished.pages[part::2]:
        page = dana.open(path)
        page.evaluate(SPACING)
        for width in (320, 640):  # 640 is a screen of 1280 at 200 percent
            page.set_viewport_size({"width": width, "height": 800})
            problems = page.evaluate(WIDE)
            if problems:
                found[path, width] = problems
    assert not found, found


def test_high_contrast_keeps_focus_selection_unread_and_the_lock(furnished, person):
    cast = furnished.cast
    with furnished.app.app_context():
        front = db.session.get_one(Inbox, cast.front.id)
        ids = [cast.text(f"High contrast {i}", sender=f"+141555555{90 + i}", inbox=front).conversation.public_id for i in range(2)]
    maya = person(furnished, cast.maya, forced_colors="active")
    theo = person(furnished, cast.theo, forced_colors="active")
    page = maya.open(f"/c/{ids[0]}?view=all")
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")

    def style(where, what, like=re.compile("^solid$")):  # waits: a row that is drawn anew meanwhile has no style
        expect(page.locator(where).first).to_have_css(what, like)

    style(".conv-row[aria-current]", "outline-style")
    ground = page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
    bar = page.locator(".conv-row.unread").first
    expect(bar).to_have_css("background-color", re.compile(r"^(?!rgba\(0, 0, 0, 0\)|" + re.escape(ground) + ")"), pseudo="before")
    style("#lock", "border-top-style")
    for chosen in (".list-tools .seg > [aria-current]", "#composer .seg > :has(:checked)", ".bub"):
        style(chosen, "border-top-style")
    style(".nav-link[aria-current]", "outline-style")
    page.locator("#archive").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    row = page.locator(f'#rows li:has(a[href*="{ids[1]}"])')
    row.locator(".pick").check()
    assert row.locator(".pick").evaluate("e => getComputedStyle(e).appearance") == "auto"
    other = theo.open(f"/c/{ids[0]}?view=all")
    expect(other.locator("#lock")).to_have_attribute("data-state", "theirs")
    expect(other.locator("#lock")).to_contain_text("Maya Chen is replying")
    for somebody, name in ((maya, "mine"), (theo, "theirs")):
        for scheme in ("light", "dark"):
            somebody.page.emulate_media(color_scheme=scheme, forced_colors="active")
            somebody.picture(f"contrast-{name}-{scheme}")


def test_who_wants_no_motion_gets_none(furnished, person):
    cast = furnished.cast
    with furnished.app.app_context():
        cid = cast.text("Keep still", sender="+14155555599", inbox=db.session.get_one(Inbox, cast.front.id)).conversation.public_id
    moving = "() => document.getAnimations().filter(a => a.playState === 'running' && a.effect.getComputedTiming().duration > 1).map(a => `${a.animationName ?? a.transitionProperty} ${a.effect.target?.className}`)"
    maya, theo = person(furnished, cast.maya), person(furnished, cast.theo)
    theo.open(f"/c/{cid}?view=all")
    expect(theo.page.locator("#lock")).to_have_attribute("data-state", "mine")
    page = maya.open(f"/c/{cid}?view=all")
    expect(page.locator("#lock")).to_have_attribute("data-state", "theirs")
    expect(page.locator("#rows")).to_contain_text(re.compile("is replying"))
    assert page.evaluate(moving) == []
    page.locator('[popovertarget="more-menu"]').click()
    assert page.evaluate(moving) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert page.evaluate(moving) == []
