"""ACC-1, BOX-2, REG-1..4: from an empty machine to the first reply, as its owner would do it."""

from __future__ import annotations

import json
import re
import time
import urllib.request

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def simulator(house, path, **body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{house.sandbox_port}/__sim/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return json.load(urllib.request.urlopen(request, timeout=10))


def fill_registration(page, legal_name="Harbor Vet Clinic LLC"):
    page.locator("[name=brand_legal_name]").fill(legal_name)
    values = {
        "brand_ein": "12-3456789", "brand_website": "https://harborvet.example.com", "brand_address_street": "1 Harbor St", "brand_address_city": "San Francisco",
        "brand_address_region": "CA", "brand_address_postal": "94105", "contact_first_name": "Dana", "contact_last_name": "Whitfield",
        "contact_email": "dana@harborvet.example.com", "contact_phone": "+14155550199", "contact_title": "Owner",
        "description": "We answer questions of our clinic's customers about appointments, refills and orders by text.",
        "message_flow": "Customers text our published number first, or tick a consent box on the paper form at our desk. Message frequency varies. Message and data rates may apply. Reply STOP to opt out.",
        "sample_1": f"{legal_name}: your order is ready for pickup until 6 pm. Reply STOP to opt out.", "sample_2": f"{legal_name}: see you Saturday at 10 with Dr. Alvarez.",
        "privacy_url": "https://harborvet.example.com/privacy", "terms_url": "https://harborvet.example.com/terms",
        "opt_in_message": f"{legal_name}: you are opted in. Reply HELP for help, STOP to opt out.", "opt_out_message": f"{legal_name}: you are opted out and get no more texts.",
        "help_message": f"{legal_name}: call (415) 555-0100 for help. Reply STOP to opt out.",
    }
    for name, value in values.items():
        field = page.locator(f"[name={name}]")
        if field.count():
            field.first.fill(value)
    for name in ("brand_type", "brand_vertical", "contact_position"):
        field = page.locator(f"select[name={name}]")
        if field.count() and not field.input_value():
            field.select_option(index=1)
    use_case = page.locator("input[name=use_case]")
    if use_case.count():
        page.locator("input[name=use_case][value=CUSTOMER_CARE]").check()


def test_ACC_1_from_an_empty_machine_to_the_first_reply(empty_house, person):
    house = empty_house
    owner = person(house)
    page = owner.open("/")
    expect(page).to_have_url(re.compile("/welcome"))
    owner.check_accessible()
    owner.picture("welcome")
    for name, value in {"account": "Harbor Vet Clinic", "account_name": "Harbor Vet Clinic", "name": "Dana Whitfield", "owner_name": "Dana Whitfield", "email": "dana@harbor.example", "password": "quiet river stone 9"}.items():
        field = page.locator(f"input[name={name}]")
        if field.count():
            field.fill(value)
    page.locator("form[action*=welcome] button[type=submit], form[action*=welcome] button:not([type])").last.click()
    expect(page).to_have_url(re.compile("get-started"))
    owner.check_accessible()
    owner.picture("get-started")
    page.get_by_role("main").get_by_role("link", name="Get started").click()
    expect(page).to_have_url(re.compile("/inboxes/new/details"))
    page.get_by_label("Name").fill("Front Desk")
    owner.check_accessible()
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url(re.compile("/inboxes/new/number"))
    page.get_by_label("Area code").fill("415")
    page.get_by_role("button", name="Search").click()
    page.locator("input[type=radio]").first.check()
    owner.check_accessible()
    owner.picture("wizard")
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url(re.compile("/inboxes/new/people"))
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url(re.compile("/inboxes/new/confirm"))
    owner.check_accessible()
    page.locator("input[name=consent]").check()
    page.get_by_role("button", name=re.compile("Create")).click()
    page.wait_for_url(re.compile("/registrations/"))
    if not page.locator("[name=brand_legal_name]").count():
        page.get_by_role("link", name=re.compile("form|Fill|Start|Edit|Register", re.I)).first.click()

    # a rejected one first: each error at its field, corrected and sent again
    fill_registration(page, "Mismatch Vet LLC")
    owner.check_accessible()
    page.get_by_role("button", name=re.compile("Submit")).click()
    expect(page.locator("#registration")).to_contain_text(re.compile("review|Submitted", re.I))
    expect(page.get_by_role("navigation", name="Main").get_by_text("Front Desk")).to_have_count(0)
    owner.picture("registration")
    expect(page.locator("#registration")).to_contain_text(re.compile("Rejected|changes|fix", re.I), timeout=60000)
    owner.check_accessible()
    owner.picture("registration-rejected")
    page.get_by_role("link", name=re.compile("Fix|Edit|Correct", re.I)).first.click()
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()
    fill_registration(page)
    page.get_by_role("button", name=re.compile("Submit|Resubmit")).click()
    expect(page.locator("#registration")).to_contain_text(re.compile("Approved|Texting is on", re.I), timeout=60000)
    expect(page.get_by_role("link", name="Front Desk").first).to_be_visible()  # without a reload
    owner.check_accessible()

    # a customer texts in through the signed webhook, with two pictures, and gets an answer
    with house.app.app_context():
        from inbox.extensions import db
        from inbox.models import Inbox

        number = db.session.query(Inbox).one().phone
    page.get_by_role("link", name="Front Desk").first.click()
    simulator(house, "inbound", **{"from": "+14155550134", "to": number, "body": "Hi! Is my order ready? 🐶"})
    page.get_by_role("link", name="Unassigned").first.click()
    row = page.locator("#list").get_by_role("link", name=re.compile("415"))
    expect(row).to_be_visible(timeout=20000)
    row.first.click()
    expect(page.locator("#lock")).to_have_attribute("data-state", "mine")
    page.locator("#body").fill("Yes, come by any time before 6.")
    page.locator("#send").click()
    expect(page.locator("#thread")).to_contain_text("Delivered", timeout=20000)
    owner.check_accessible()
    handset = simulator_get(house, "state")
    assert handset
    mails = list((house.data / "mail").glob("*.eml"))
    assert any("Texting is on" in m.read_text() for m in mails), "admins are told (REG-4)"


def simulator_get(house, path):
    return json.load(urllib.request.urlopen(f"http://127.0.0.1:{house.sandbox_port}/__sim/{path}", timeout=10))


def test_ACC_3_a_second_member_joins_by_link_and_answers(empty_house, person):
    """Runs on the house of the story above."""
    house = empty_house
    with house.app.app_context():
        from inbox.extensions import db
        from inbox.models import Invitation, Member, transaction

        dana = db.session.query(Member).one()
        with transaction():
            dana.account.seats_paid = 2
            invitation = Invitation.send(dana.account, "maya@harbor.example", by=dana, role="agent", seat=True, inbox_ids=list(dana.inbox_ids))
            token = invitation.token
    deadline = time.monotonic() + 20
    while not any("maya@harbor.example" in m.read_text() for m in (house.data / "mail").glob("*.eml")):
        assert time.monotonic() < deadline, "the invitation was mailed"
        time.sleep(0.2)
    maya = person(house)
    page = maya.open(f"/invitations/{token}")
    maya.check_accessible()
    page.locator("input[name=name]").fill("Maya Chen")
    page.locator("input[name=password]").fill("another quiet river")
    page.locator("form button").last.click()
    expect(page.get_by_role("link", name="Front Desk").first).to_be_visible()
    again = person(house)
    again.open(f"/invitations/{token}")
    expect(again.page.locator("h1")).to_be_visible()
    assert not again.page.locator("input[name=password]").count()
