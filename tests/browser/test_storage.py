"""SECURITY S67: after signing out the browser keeps nothing of what was read or typed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.test_two_agents import fresh

pytestmark = [pytest.mark.browser, pytest.mark.one_database]

STORED = """async () => {
  const kept = [JSON.stringify(localStorage), JSON.stringify(sessionStorage), JSON.stringify(history.state)];
  for (const name of await caches.keys()) for (const request of await (await caches.open(name)).keys()) kept.push(request.url + await (await (await caches.open(name)).match(request)).text());
  for (const {name} of await indexedDB.databases()) kept.push(name);
  return kept.join('\\n');
}"""


def test_S67_signing_out_leaves_no_text_behind(lived_in, person):
    cid, _ = fresh(lived_in)
    maya = person(lived_in, lived_in.cast.maya)
    page = maya.open(f"/i/{lived_in.cast.front.public_id}/all")
    page.locator(f'li:has(a[href*="{cid}"]) a').first.click()
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")
    page.locator("#body").press_sequentially("PLANTED secret")
    words = page.locator("#thread").inner_text().splitlines()
    page.go_back()
    expect(page.locator("#badge")).to_have_attribute("data-state", "live")  # the page is there, all of it
    page.get_by_role("button", name="Maya Chen, your menu").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    kept = page.evaluate(STORED)
    assert "PLANTED" not in kept
    assert not [line for line in words if len(line) > 12 and line in kept]
    page.go_back()
    expect(page.locator("body")).not_to_contain_text("PLANTED")
