"""PERM-5 in a real browser: ticks and what comes with them, said aloud; the bar of unsaved changes; keyboard, phone, zoom, speed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Member, Role, transaction
from inbox.permissions import Permission

pytestmark = [pytest.mark.browser, pytest.mark.one_database]
P = Permission


@pytest.fixture
def house(lived_in):
    """The running system with one custom role, which Maya holds; the role is gone afterwards."""
    with lived_in.app.app_context():
        cast = lived_in.cast
        dana = db.session.get(Member, cast.dana.id)
        maya = db.session.get(Member, cast.maya.id)
        with transaction():
            role = Role.create(dana.account, name="Desk lead", permissions=[P.CONVERSATIONS_REPLY, P.CONTACTS_VIEW], by=dana)
            maya.set_roles([("viewer", None), (role.public_id, None)], by=dana)
        lived_in.role = role.public_id
    yield lived_in
    with lived_in.app.app_context(), transaction():
        dana = db.session.get(Member, cast.dana.id)
        for row in Role.custom(dana.account_id):
            row.destroy(by=dana, replacement="agent")


def stored(house):
    with house.app.app_context():
        return Role.sheet_of(house.cast.harbor.id, house.role).permissions


def tick(page, title, name="Desk lead"):
    return page.get_by_label(f"{title}, {name}", exact=True)


def test_PERM_5_toggle_say_preview_save(house, person):
    dana = person(house, house.cast.dana)
    page = dana.open("/settings/roles")
    expect(page.locator("#savebar")).to_be_hidden()
    tick(page, "Set a contact’s owner").check()
    expect(page.locator("#said")).to_have_text("Set a contact’s owner also needs Edit contacts: ticked.")
    expect(tick(page, "Edit contacts")).to_be_checked()
    expect(page.locator("td.changed")).to_have_count(2)
    expect(page.locator("#words")).to_have_text(re.compile(r"Desk lead: added Edit contacts and Set a contact’s owner\."))
    expect(page.locator("#effects")).to_contain_text("Maya Chen gains Edit contacts, Set a contact’s owner.")
    tick(page, "View contacts").uncheck()
    expect(page.locator("#said")).to_have_text("Edit contacts and Set a contact’s owner need View contacts: unticked too.")
    expect(page.locator("#count")).to_have_text("1 change")
    expect(page.locator("#effects")).to_contain_text("Maya Chen loses View contacts.")
    dana.picture("roles-changed")
    dana.check_accessible()
    page.get_by_role("button", name="Save changes").click()
    expect(page.locator("#toasts")).to_contain_text("Saved. Desk lead applies from now on.")
    assert stored(house) == {P.CONVERSATIONS_REPLY, P.CONVERSATIONS_VIEW}


def test_PERM_5_discard_and_the_warning_before_leaving(house, person):
    page = person(house, house.cast.dana).open("/settings/roles")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    tick(page, "Send media").check()
    page.get_by_role("link", name="Discard").click()
    expect(tick(page, "Send media")).not_to_be_checked()
    expect(page.locator("#savebar")).to_be_hidden()
    page.goto(house.url + "/settings/roles/new")
    assert not asked
    page.goto(house.url + "/settings/roles")
    tick(page, "Send media").check()
    page.goto(house.url + "/settings/roles/new")
    assert asked == ["beforeunload"]


def test_PERM_5_a_group_at_once(house, person):
    page = person(house, house.cast.dana).open("/settings/roles")
    everything = page.get_by_label("All of Contacts, Desk lead")
    assert everything.evaluate("e => e.indeterminate")
    everything.check()
    for title in ("View contacts", "Edit contacts", "Set a contact’s owner", "Import contacts"):
        expect(tick(page, title)).to_be_checked()
    everything.uncheck()
    expect(tick(page, "View contacts")).not_to_be_checked()
    expect(page.locator("#said")).to_contain_text("changed")


def test_PERM_5_a_closed_cell_holds_what_it_needs(house, person):
    with house.app.app_context(), transaction():
        dana = db.session.get(Member, house.cast.dana.id)
        role = Role.sheet_of(dana.account_id, house.role).row
        role.change(role.permissions | {P.CONVERSATIONS_ALL}, by=dana, version=0)
    page = person(house, house.cast.ada).open("/settings/roles")
    expect(tick(page, "Manage every conversation")).to_be_disabled()
    tick(page, "View conversations").click()
    expect(page.locator("#said")).to_have_text("View conversations stays ticked: Manage every conversation needs it, and you cannot take that away.")
    expect(tick(page, "View conversations")).to_be_checked()


def test_PERM_5_search_without_a_reload(house, person):
    page = person(house, house.cast.dana).open("/settings/roles")
    page.get_by_label("Search permissions").fill("seat")
    expect(page.locator("tr[data-p]:visible")).to_have_count(3)
    expect(page.locator("#said")).to_have_text("3 permissions")
    assert page.url.endswith("?q=seat")
    page.get_by_label("Search permissions").fill("nothing at all")
    expect(page.get_by_text("No permission is called that.")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("tr[data-p]:visible")).to_have_count(len(P))


def test_PERM_5_with_the_keyboard_only(house, person):
    page = person(house, house.cast.dana).open("/settings/roles")
    page.get_by_label("Search permissions").focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('td.edit .check')"):
            break
    for _ in range(8):  # a group may grow
        page.keyboard.press("ArrowDown")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "View conversations, Desk lead":
            break
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "View conversations, Desk lead"
    page.keyboard.press("Space")
    expect(page.locator("#said")).to_contain_text("Reply needs View conversations: unticked too.")
    clear = "(() => { const a = document.activeElement.getBoundingClientRect(), h = document.querySelector('.matrix thead').getBoundingClientRect(); return a.top >= h.bottom - 1; })()"
    assert page.evaluate(clear), "the sticky header does not cover what has the focus"
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Save changes":
            break
    expect(page.locator("#effects")).to_contain_text("Maya Chen loses")
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("Saved.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_PERM_5_accessible_pages(house, person, scheme):
    dana = person(house, house.cast.dana, color_scheme=scheme)
    maya = house.cast.maya.public_id
    for path in (
        "/settings/roles", f"/settings/roles/{house.role}", "/settings/roles/new?copy=agent", f"/settings/roles/{house.role}/deletion", "/settings/ownership",
        f"/settings/roles/explain?member={maya}&action=inbox/conversations/reply", "/settings/roles/explain?action=inbox/conversations/reply",
    ):
        dana.open(path)
        dana.check_accessible()


def test_PERM_5_one_role_at_a_time_on_a_phone(house, person):
    dana = person(house, house.cast.dana, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = dana.open("/settings/roles")
    expect(page.locator("thead th:visible")).to_have_count(2)
    tick(page, "Send media").check()
    expect(page.locator("#effects")).to_contain_text("Maya Chen gains Send media.")
    sizes = page.evaluate("[...document.querySelectorAll('.savebar .btn, td.edit.shown label')].map(e => e.getBoundingClientRect()).filter(r => r.width).map(r => Math.min(r.width, r.height))")
    assert min(sizes) >= 44, min(sizes)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    dana.check_accessible()
    page.locator("#role-tools select[name=role]").select_option("agent")
    expect(page.locator("thead th:visible").nth(1)).to_contain_text("Agent")
    expect(page.locator("#words")).to_contain_text("Send media")


def test_PERM_5_at_twice_the_size(house, person):
    page = person(house, house.cast.dana, viewport={"width": 720, "height": 450}, device_scale_factor=2).open("/settings/roles")
    tick(page, "Export the audit log").check()
    expect(page.get_by_role("button", name="Save changes")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 720


def test_PERM_5_without_javascript(house, person):
    page = person(house, house.cast.dana, java_script_enabled=False).open("/settings/roles")
    tick(page, "Send media").check()
    page.get_by_role("button", name="Save changes").click()
    expect(page.locator("h1")).to_have_text("Save these changes?")
    expect(page.locator("#effects")).to_contain_text("Maya Chen gains Send media.")
    page.get_by_role("button", name="Save changes").click()
    assert P.MEDIA_SEND in stored(house)


def test_PERM_5_a_toggle_among_720_boxes_is_instant(house, person):
    with house.app.app_context(), transaction():
        dana = db.session.get(Member, house.cast.dana.id)
        for n in range(19):
            Role.create(dana.account, name=f"Role {n:02}", permissions=[P.CONTACTS_VIEW], by=dana)
    page = person(house, house.cast.dana).open("/settings/roles")
    assert page.locator("input[name^=on-]").count() >= 720
    measure = """async label => {
      const box = document.querySelector(`input[aria-label="${label}"]`), from = performance.now();
      box.click();
      const words = document.querySelector('#words').textContent;
      await new Promise(done => requestAnimationFrame(() => setTimeout(done)));  // painted
      return [performance.now() - from, words, document.querySelectorAll('*').length];
    }"""
    took = []
    for n in range(6):
        ms, words, nodes = page.evaluate(measure, f"Import contacts, Role {n:02}")
        took.append(ms)
        assert f"Role {n:02}: added" in words and nodes < 8000
    print("toggle, ms:", [round(ms) for ms in took], "nodes:", nodes)
    assert min(took) < 100, took  # a busy machine is late now and then, a slow page always
