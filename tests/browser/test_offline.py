"""LOCK-7 on a device without a connection: the last lists can be read with their time, nothing can be done, and nobody reads another's."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from playwright.sync_api import Error, expect

from tests.browser.test_two_agents import fresh

_numbers = itertools.count(5500)
pytestmark = [pytest.mark.browser, pytest.mark.one_database]
KEPT = "async () => { const names = await caches.keys(); return names.includes('pages') ? (await (await caches.open('pages')).keys()).map(r => new URL(r.url).pathname) : [] }"


def listed(house, words):
    return fresh(house, words, sender=f"+1415555{next(_numbers)}")[0]


def until(page, words, arg=None):
    """Ask the page until it says yes; the policy forbids Playwright's own way, which is eval."""
    deadline = time.monotonic() + 15
    while not page.evaluate(words, arg):
        assert time.monotonic() < deadline, words
        page.wait_for_timeout(50)


def installed(page):
    """Wait until the device keeps pages, then see this one once more so that it is kept."""
    page.evaluate("navigator.serviceWorker.register('/sw.js')")  # what the page does by itself three seconds later
    until(page, "() => navigator.serviceWorker.controller?.state === 'activated'")
    page.reload()


def keeps(page, *paths):
    until(page, f"async want => (await ({KEPT})()).sort().join() === want", ",".join(sorted(("/owner", *paths) if paths else ())))


def test_a_list_stays_readable_and_nothing_else_works(lived_in, person):
    listed(lived_in, "Readable without a connection")
    maya = person(lived_in, lived_in.cast.maya)
    here = f"/i/{lived_in.cast.front.public_id}/unassigned"
    page = maya.open(here)
    installed(page)
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")
    maya.open("/settings/notifications")
    keeps(page, here)
    maya.context.set_offline(True)
    maya.open(here)
    expect(page.locator("#as-of")).to_contain_text(re.compile(r"You are offline\. This is as of \d+:\d\d"))
    expect(page.locator("#rows")).to_contain_text("Readable without a connection")
    assert page.evaluate("document.fonts.check('14px Inter') && getComputedStyle(document.querySelector('.app')).display === 'grid'"), "it looks as usual"
    expect(page.locator("#rows .pick").first).to_be_disabled()
    page.locator("#rows a").first.click()
    expect(page.locator("#toasts")).to_contain_text("This needs a connection")
    assert page.url.endswith(here)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        maya.picture(f"offline-{scheme}")
    page.set_viewport_size({"width": 390, "height": 844})
    maya.picture("offline-390")
    maya.check_accessible()
    maya.open("/")
    expect(page.locator("#rows")).to_contain_text("Readable without a connection")
    maya.open("/settings/notifications")
    expect(page.get_by_role("heading", level=1)).to_have_text("You are offline")
    maya.check_accessible()
    maya.open(here)
    maya.context.set_offline(False)
    expect(page.locator("#as-of")).to_have_count(0)
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")
    expect(page.locator("#rows .pick").first).to_be_enabled()


def test_an_open_page_says_so_and_recovers(lived_in, person):
    cid = listed(lived_in, "The line drops")
    maya = person(lived_in, lived_in.cast.maya)
    page = maya.open(f"/c/{cid}")
    installed(page)
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")
    page.locator("#body").fill("half a sentence")
    maya.context.set_offline(True)
    expect(page.locator("#as-of")).to_contain_text("You are offline")
    expect(page.locator("#archive")).to_be_disabled()
    expect(page.locator("#send")).to_be_disabled()
    page.locator("#body").fill("half a sentence and more")
    maya.context.set_offline(False)
    expect(page.locator("#as-of")).to_have_count(0, timeout=20_000)
    expect(page.locator("#archive")).to_be_enabled()
    expect(page.locator("#body")).to_have_value("half a sentence and more")


def test_signing_out_wipes_what_was_kept_and_nobody_reads_anothers_lists(lived_in, person):
    listed(lived_in, "Only for Maya")
    here = f"/i/{lived_in.cast.front.public_id}/unassigned"
    maya = person(lived_in, lived_in.cast.maya)
    page = maya.open(here)
    installed(page)
    maya.open("/work/mine")
    keeps(page, here, "/work/mine")
    maya.context.add_cookies([{"name": "session", "value": lived_in.cookie(lived_in.cast.olga), "url": lived_in.url}])  # another person, the same browser
    maya.open("/work/mine")
    keeps(page, "/work/mine")
    maya.context.set_offline(True)
    maya.open(here)
    expect(page.locator("body")).not_to_contain_text("Only for Maya")
    maya.context.set_offline(False)
    maya.open("/work/mine")
    page.locator("#nav button[popovertarget=me-menu]").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Sign in")
    keeps(page)
    maya.context.set_offline(True)
    try:
        maya.open("/work/mine")
        expect(page.locator("body")).not_to_contain_text("My work")
    except Error as error:  # signing out may take the worker away with what it kept
        assert "ERR_INTERNET_DISCONNECTED" in str(error)  # noqa: PT017


def test_a_session_that_ended_elsewhere_wipes_it_too(lived_in, person):
    listed(lived_in, "Gone with the session")
    here = f"/i/{lived_in.cast.front.public_id}/unassigned"
    maya = person(lived_in, lived_in.cast.maya)
    page = maya.open(here)
    installed(page)
    keeps(page, here)
    maya.context.clear_cookies()
    maya.open(here)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Sign in")
    keeps(page)


def test_only_whole_lists_are_kept_never_fragments_settings_or_conversations(lived_in, person):
    cid = listed(lived_in, "Kept nowhere")
    here = f"/i/{lived_in.cast.front.public_id}/unassigned"
    maya = person(lived_in, lived_in.cast.maya)
    page = maya.open(here)
    installed(page)
    for path in ("/settings/profile", f"/c/{cid}", "/search?q=kept", f"{here}?read=unread", here):
        maya.open(path)
    page.evaluate(f"fetch('{here}', {{headers: {{'HX-Request': 'true'}}}}).then(r => r.text())")
    until(page, f"async () => (await ({KEPT})()).length === 3")
    assert sorted(set(page.evaluate(KEPT))) == sorted({"/owner", here})
    assert page.evaluate("async () => (await caches.keys()).filter(n => n !== 'pages' && !n.startsWith('files-'))") == []


def test_a_new_version_takes_over_and_leaves_no_old_file(lived_in, person):
    maya = person(lived_in, lived_in.cast.maya)
    page = maya.open("/work/mine")
    page.evaluate("caches.open('files-old').then(c => c.put('/static/old/app.js', new Response('stale')))")
    installed(page)
    until(page, "async () => { const all = (await caches.keys()).filter(n => n.startsWith('files-')); return all.length === 1 && all[0] !== 'files-old' }")
    until(page, "async () => (await (await caches.open((await caches.keys()).find(n => n.startsWith('files-')))).keys()).length === 8")
