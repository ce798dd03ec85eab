"""The new-inbox wizard against the sandbox carrier."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from inbox import clock
from inbox.extensions import db
from inbox.models import Carrier, Inbox, InboxDraft, Member, Registration, Team, transaction
from inbox.views import wizard

from .conftest import Browser, add_member

DETAILS = {"name": "Pharmacy", "description": "Refills", "hue": "orange", "team": "", "api_code": ""}


def numbers(text: str) -> list[str]:
    return re.findall(r'name="phone" value="(\+1\d{10})"', text)


def api(app: Flask, owner: Member) -> tuple[Any, Any]:
    carrier = Carrier.of(owner.account_id)
    return carrier.adapter, carrier.credentials


@pytest.fixture
def dana(app: Flask, owner: Member) -> Browser:
    return Browser(app).sign_in(owner.email)


def team(owner: Member) -> Team:
    return db.session.scalars(sa.select(Team).where(Team.account_id == owner.account_id)).one()


def details(browser: Browser, owner: Member, **changes: str) -> str:
    return browser.post("/inboxes/new/details", {**DETAILS, "team": team(owner).public_id, **changes}, page="/inboxes/new/details")


def pick(browser: Browser, area_code: str = "415", **changes: str) -> str:
    browser.post("/inboxes/new/number", {"area_code": area_code, "prefix": "", "forward_to": "", "action": "search"}, page="/inboxes/new/number")
    chosen = numbers(browser.get("/inboxes/new/number"))[0]
    browser.post("/inboxes/new/number", {"area_code": area_code, "prefix": "", "phone": chosen, "forward_to": "", "action": "next", **changes}, page="/inboxes/new/number")
    return chosen


def up_to_confirm(browser: Browser, owner: Member, area_code: str = "415", **changes: str) -> str:
    details(browser, owner, **changes)
    chosen = pick(browser, area_code)
    browser.post("/inboxes/new/people", {"action": "next"}, page="/inboxes/new/people")
    return chosen


def test_BOX_2_a_whole_wizard_buys_the_number_and_leads_to_the_registration(app: Flask, dana: Browser, owner: Member) -> None:
    assert details(dana, owner) == "/inboxes/new/number"
    chosen = pick(dana, forward_to="(628) 555-0199")
    assert "You can add people once carriers approve this inbox." in dana.get("/inboxes/new/people")
    dana.post("/inboxes/new/people", {"action": "next"}, page="/inboxes/new/people")
    page = dana.get("/inboxes/new/confirm")
    assert "Pharmacy" in page and "(628) 555-0199" in page and "$1.15 a month" in page
    where = dana.post("/inboxes", {"consent": "y", "phone": chosen}, page="/inboxes/new/confirm")
    inbox = db.session.scalars(sa.select(Inbox)).one()
    registration = db.session.scalars(sa.select(Registration)).one()
    assert where == f"/registrations/{registration.public_id}"
    assert (inbox.name, inbox.phone, inbox.forward_to, inbox.hue, inbox.registered) == ("Pharmacy", chosen, "+16285550199", "orange", False)
    assert re.fullmatch(r"pharmacy-[0-9a-f]{4}", inbox.api_code)
    assert [person.name for person in inbox.members] == ["Dana Whitfield"]
    adapter, credentials = api(app, owner)
    owned = adapter.owned_number(credentials, chosen)
    assert owned and owned.sid == inbox.number_sid
    assert InboxDraft.of(owner) is None
    assert dana.post("/inboxes", {"consent": "y", "phone": chosen}) == where  # Back, then Create again
    assert db.session.scalar(sa.select(sa.func.count(Inbox.id))) == 1
    assert Inbox.visible_to(owner) == []


def test_BOX_2_steps_cannot_be_skipped_and_unknown_ones_are_not_found(dana: Browser, owner: Member) -> None:
    for step in ("number", "people", "confirm"):
        assert dana.get(f"/inboxes/new/{step}", 303) == "/inboxes/new/details"
    assert dana.post("/inboxes/new/number", {"phone": "+14155550100"}, page="/inboxes/new/details") == "/inboxes/new/details"
    assert dana.post("/inboxes", {"consent": "y"}, page="/inboxes/new/details") == "/settings/inboxes"
    dana.get("/inboxes/new/other", 404)
    details(dana, owner)
    assert dana.get("/inboxes/new", 303) == "/inboxes/new/number"
    assert dana.get("/inboxes/new/confirm", 303) == "/inboxes/new/number"
    assert dana.post("/inboxes", {"consent": "y"}, page="/inboxes/new/details") == "/inboxes/new"


def test_BOX_2_nothing_is_lost_on_a_mistake_a_reload_or_an_exit(dana: Browser, owner: Member) -> None:
    text = dana.post("/inboxes/new/details", {**DETAILS, "team": team(owner).public_id, "name": "Pharmacy", "api_code": "Not Good"}, status=422, page="/inboxes/new/details")
    assert "Use 3 to 32 lower-case letters, digits and hyphens." in text
    text = dana.get("/inboxes/new/details")
    assert 'value="Pharmacy"' in text and 'value="Not Good"' in text and "Refills" in text
    assert dana.post("/inboxes/new/details", {**DETAILS, "name": "Ph", "action": "exit"}, page="/inboxes/new/details") == "/settings/inboxes"
    assert "You began Ph" in dana.get("/settings/inboxes")
    details(dana, owner)
    assert dana.post("/inboxes/new/number", {"area_code": "628", "prefix": "5", "forward_to": "nonsense", "action": "back"}, page="/inboxes/new/number") == "/inboxes/new/details"
    text = dana.get("/inboxes/new/number")
    assert 'value="628"' in text and 'value="nonsense"' in text


def test_number_step_says_what_is_missing_and_checks_the_forwarding_number(dana: Browser, owner: Member) -> None:
    details(dana, owner)
    text = dana.post("/inboxes/new/number", {"area_code": "", "action": "next"}, status=422, page="/inboxes/new/number")
    assert "Search by area code, then pick a number." in text
    dana.post("/inboxes/new/number", {"area_code": "415", "action": "search"}, page="/inboxes/new/number")
    chosen = numbers(dana.get("/inboxes/new/number"))[0]
    text = dana.post("/inboxes/new/number", {"area_code": "415", "phone": chosen, "forward_to": "12", "action": "next"}, status=422, page="/inboxes/new/number")
    assert "Enter a phone number with its area code" in text and f'value="{chosen}" checked' in text
    text = dana.post("/inboxes/new/number", {"area_code": "415", "phone": chosen, "forward_to": chosen, "action": "next"}, status=422, page="/inboxes/new/number")
    assert "Calls cannot be forwarded to the inbox’s own number." in text
    text = dana.post("/inboxes/new/number", {"area_code": "415", "phone": "+14155550100", "action": "next"}, status=422, page="/inboxes/new/number")
    assert "was taken a moment ago" in text


def test_search_is_a_fragment_and_shows_others_and_says_when_there_are_none(dana: Browser, owner: Member) -> None:
    first = dana.get("/inboxes/new/number/search?area_code=415", headers={"HX-Request": "true"})
    assert first.lstrip().startswith('<div id="numbers"') and len(numbers(first)) == 5 and "$1.15 a month" in first
    second = dana.get("/inboxes/new/number/search?area_code=415&page=1", headers={"HX-Request": "true"})
    assert numbers(second) and not set(numbers(first)) & set(numbers(second))
    assert "No numbers with 999" in dana.get("/inboxes/new/number/search?area_code=999")
    for bad in ("area_code=12", "area_code=%27%3B--", "area_code=", "area_code=415&prefix=12345678901", "area_code=415&page=-1", "area_code=415&page=²"):
        dana.get(f"/inboxes/new/number/search?{bad}")


def test_search_keeps_the_input_when_the_carrier_cannot_be_reached(app: Flask, dana: Browser, owner: Member, carrier_server: Any) -> None:
    details(dana, owner)
    carrier_server.extensions["sandbox"].add_fault("500", 1, 1.0, {})
    dana.post("/inboxes/new/number", {"area_code": "415", "forward_to": "6285550199", "action": "search"}, page="/inboxes/new/details")
    text = dana.get("/inboxes/new/number")
    assert "Try again" in text and 'value="415"' in text and 'value="6285550199"' in text
    assert numbers(dana.get("/inboxes/new/number"))


def test_BOX_2_a_number_taken_meanwhile_says_so_and_keeps_the_rest(app: Flask, dana: Browser, owner: Member) -> None:
    chosen = up_to_confirm(dana, owner)
    adapter, credentials = api(app, owner)
    owned = adapter.buy_number(credentials, chosen, "http://localhost/x", "http://localhost/x", "http://localhost/x")
    assert dana.post("/inboxes", {"consent": "y", "phone": chosen}, page="/inboxes/new/confirm") == "/inboxes/new/number"
    text = dana.get("/inboxes/new/number")
    assert "was taken a moment ago" in text and 'value="415"' in text
    adapter.release_number(credentials, owned.sid)
    assert 'value="Pharmacy"' in dana.get("/inboxes/new/details")


def test_BOX_2_a_crash_after_buying_resumes_with_that_number(app: Flask, dana: Browser, owner: Member) -> None:
    chosen = up_to_confirm(dana, owner)
    adapter, credentials = api(app, owner)
    owned = adapter.buy_number(credentials, chosen, "http://localhost/x", "http://localhost/x", "http://localhost/x")
    with transaction():  # as a crash between the carrier's answer and noting it leaves the draft
        draft = InboxDraft.of(owner)
        assert draft
        draft.put(buying=chosen, creating=(clock.now() - wizard.STUCK).isoformat())
    dana.post("/inboxes", {"consent": "y", "phone": chosen}, page="/inboxes/new/confirm")
    inbox = db.session.scalars(sa.select(Inbox)).one()
    assert (inbox.phone, inbox.number_sid) == (chosen, owned.sid)


def test_a_name_taken_after_buying_goes_back_to_the_name_and_keeps_the_number(app: Flask, dana: Browser, owner: Member, monkeypatch: Any) -> None:
    chosen = up_to_confirm(dana, owner)
    real, owner_id, team_id = wizard._attach, owner.id, team(owner).id

    def meanwhile(_: int, owned: Any) -> None:
        with transaction():
            by, where = db.session.get_one(Member, owner_id), db.session.get_one(Team, team_id)
            Inbox.create(where, name="pharmacy", api_code="other-one", hue="red", phone="+12125550123", number_sid="PNx", forward_to=None, description="", by=by)

    monkeypatch.setattr(wizard, "_attach", meanwhile)
    text = dana.post("/inboxes", {"consent": "y", "phone": chosen}, status=422, page="/inboxes/new/confirm")
    assert "already has an inbox called Pharmacy" in text
    monkeypatch.setattr(wizard, "_attach", real)
    details(dana, owner, name="Refills")
    assert "is yours already" in dana.get("/inboxes/new/number")
    dana.post("/inboxes", {"consent": "y", "phone": chosen}, page="/inboxes/new/confirm")
    assert sorted(i.name for i in db.session.scalars(sa.select(Inbox))) == ["Refills", "pharmacy"]


def test_BOX_2_pressing_create_twice_at_once_makes_one_inbox(app: Flask, dana: Browser, owner: Member) -> None:
    chosen = up_to_confirm(dana, owner, "212")
    token = re.search(r'name="csrf_token" value="([^"]+)"', dana.get("/inboxes/new/confirm")).group(1)  # type: ignore[union-attr]
    cookie = dana.client.get_cookie("session")
    assert cookie
    answers: list[str] = []

    def press() -> None:
        with app.app_context():
            twin = Browser(app)
            twin.client.set_cookie("session", cookie.value)
            answers.append(twin.client.post("/inboxes", data={"consent": "y", "phone": chosen, "csrf_token": token}).headers["Location"])

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count(Inbox.id))) == 1
    assert len(set(answers)) == 1 and answers[0].startswith("/registrations/")


def test_consent_is_needed(dana: Browser, owner: Member) -> None:
    chosen = up_to_confirm(dana, owner)
    assert "Confirm that people agree" in dana.post("/inboxes", {"phone": chosen}, status=422, page="/inboxes/new/confirm")


def test_REG_4_a_later_inbox_joins_the_approved_campaign_with_its_people(app: Flask, dana: Browser, owner: Member) -> None:
    maya = add_member(owner, "Maya Chen", "agent", seat=True)
    adapter, credentials = api(app, owner)
    service = adapter.ensure_service(credentials, "Harbor texting", "http://localhost/x", "http://localhost/x")
    with transaction():
        registration = Registration.start(team(owner))
        registration.state, registration.refs = "approved", {"service": service}
    details(dana, owner)
    chosen = pick(dana, "628")
    text = dana.get("/inboxes/new/people")
    assert "Maya Chen" in text and "Everyone with access reads all texts" in text
    dana.post("/inboxes/new/people", {"people": [maya.public_id, "forged"], "action": "next"}, page="/inboxes/new/people")
    assert "Maya Chen" in dana.get("/inboxes/new/confirm")
    where = dana.post("/inboxes", {"consent": "y", "phone": chosen}, page="/inboxes/new/confirm")
    inbox = db.session.scalars(sa.select(Inbox)).one()
    assert inbox.registered and [person.name for person in inbox.members] == ["Dana Whitfield", "Maya Chen"]
    assert inbox.public_id in where
    assert [i.id for i in Inbox.visible_to(maya)] == [inbox.id]


def test_discarding_gives_a_bought_number_back(app: Flask, dana: Browser, owner: Member) -> None:
    chosen = up_to_confirm(dana, owner)
    adapter, credentials = api(app, owner)
    owned = adapter.buy_number(credentials, chosen, "http://localhost/x", "http://localhost/x", "http://localhost/x")
    with transaction():
        draft = InboxDraft.of(owner)
        assert draft
        draft.put(number_sid=owned.sid)
    dana.post("/inboxes/new/discard", page="/inboxes/new/details")
    db.session.rollback()
    assert adapter.owned_number(credentials, chosen) is None and InboxDraft.of(owner) is None


def test_BOX_1_only_those_who_may_create_inboxes_open_the_wizard(app: Flask, owner: Member) -> None:
    add_member(owner, "Maya Chen", "agent", seat=True)
    maya = Browser(app).sign_in("maya@harborvet.test")
    assert "does not allow you to create shared inboxes" in maya.get("/inboxes/new/details", 403)
    maya.post("/inboxes/new/details", DETAILS, status=403, page="/get-started")
    maya.post("/inboxes", {"consent": "y"}, status=403, page="/get-started")
