"""The registration form and its progress page, and the pages of a shared inbox."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from inbox import clock, mailers
from inbox.channels.base import Inbound
from inbox.extensions import db
from inbox.models import Carrier, Conversation, Draft, Event, Inbox, Member, Registration, Team, transaction
from inbox.models.inbox import InboxMember
from inbox.models.registration import business_day
from jobs.release_drafts import release_drafts

from .conftest import Browser, add_member

GOOD = {
    "brand_legal_name": "Harbor Vet Clinic LLC", "brand_ein": "12-3456789", "brand_type": "PRIVATE_PROFIT", "brand_vertical": "HEALTHCARE",
    "brand_website": "https://www.harborvet.example", "brand_address_street": "1 Main St", "brand_address_city": "Monterey", "brand_address_region": "CA",
    "brand_address_postal": "93940", "brand_country": "US", "contact_first_name": "Dana", "contact_last_name": "Whitfield", "contact_email": "dana@harborvet.example",
    "contact_phone": "(831) 555-0133", "contact_title": "Owner", "use_case": "CUSTOMER_CARE",
    "description": "Pet owners text our clinic with questions about their animals and we answer them.",
    "message_flow": "Customers give us their number at the front desk and agree to texts; a sign there says message and data rates may apply and that STOP ends it.",
    "sample_1": "Harbor Vet Clinic: Rex is ready to be picked up. Reply STOP to opt out.", "sample_2": "Harbor Vet Clinic: your appointment is tomorrow at nine.",
    "opt_in_keywords": "START", "opt_out_keywords": "STOP", "help_keywords": "HELP",
}


@pytest.fixture
def dana(app: Flask, owner: Member) -> Browser:
    return Browser(app).sign_in(owner.email)


@pytest.fixture
def pharmacy(app: Flask, owner: Member) -> Inbox:
    """An inbox whose number is bought and whose team is not registered yet."""
    carrier = Carrier.of(owner.account_id)
    adapter, credentials = carrier.adapter, carrier.credentials
    db.session.rollback()
    phone = adapter.search_numbers(credentials, "831", "", 1, 0)[0].e164
    owned = adapter.buy_number(credentials, phone, "http://localhost/x", "http://localhost/x", "http://localhost/x")
    with transaction():
        team = db.session.scalars(sa.select(Team).where(Team.account_id == owner.account_id)).one()
        inbox = Inbox.create(team, name="Pharmacy", api_code="pharmacy", hue="orange", phone=phone, number_sid=owned.sid, forward_to=None, description="", by=owner)
        Registration.start(team)
    return inbox


def registration() -> Registration:
    db.session.expire_all()
    return db.session.scalars(sa.select(Registration)).one()


def path(tail: str = "") -> str:
    return f"/registrations/{registration().public_id}{tail}"


def until(state: str, seconds: float = 20) -> Registration:
    """Poll the carrier as the poller does, until the registration is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        row = registration()
        if row.state == state:
            return row
        row.refresh()
        time.sleep(0.05)
    raise AssertionError(f"still {registration().state}: {registration().problem} {registration().issues}")


def settle(state: str) -> Registration:
    registration().send_to_carrier()
    return until(state)


def test_REG_1_the_form_suggests_what_is_usual_and_keeps_a_broken_draft(dana: Browser, pharmacy: Inbox) -> None:
    text = dana.get(path("/edit"))
    assert "Harbor Vet Clinic: you won’t get more texts from us." in text and 'value="Dana"' in text and "Support, account help" in text
    dana.post(path(), {"brand_ein": "nope", "description": "<script>short", "action": "save"}, page=path("/edit"))
    text = dana.get(path("/edit"))
    assert 'value="nope"' in text and "&lt;script&gt;short" in text
    assert registration().state == "draft"


def test_REG_1_every_mistake_stands_at_its_field(dana: Browser, pharmacy: Inbox) -> None:
    text = dana.post(path(), {**GOOD, "brand_ein": "12", "description": "Too short", "sample_2": "", "action": "submit"}, status=422, page=path("/edit"))
    for name, sentence in (("brand_ein", "An EIN has nine digits"), ("description", "Use 40 to 4,096 characters; this has 9."), ("sample_2", "Give at least two sample texts.")):
        note = text.split(f'id="{name}-note"')[1].split("</div>")[0]
        assert sentence in note and f'href="#{name}"' in text
        assert re.search(rf'id="{name}"[^>]*aria-invalid="true"', text)
    assert "Not sent yet: 3 things to fix" in text and registration().state == "draft"


@pytest.mark.parametrize(("field", "value", "says"), [
    ("description", "x" * 39, "Use 40 to 4,096 characters"), ("description", "x" * 40, "40 of 40 to 4,096 characters"), ("brand_ein", "1", "nine digits"),
    ("sample_1", "Short", "Use 20 to 1,024"), ("privacy_url", "ftp", "full address"), ("opt_in_keywords", "a b!", "letters and digits"),
])
def test_REG_1_limits_are_checked_while_typing(dana: Browser, pharmacy: Inbox, field: str, value: str, says: str) -> None:
    text = dana.post(path(f"/check-field?field={field}"), {**GOOD, field: value}, status=200, page=path("/edit"))
    assert text.lstrip().startswith(f'<div class="note-line" id="{field}-note"') and says in text
    assert registration().form == {}
    dana.post(path("/check-field?field=nope"), GOOD, status=404, page=path("/edit"))


def test_REG_2_approved_by_the_carrier(dana: Browser, pharmacy: Inbox, owner: Member) -> None:
    assert "Fill in the form" in dana.get(path())
    assert dana.post(path(), {**GOOD, "action": "submit"}, page=path("/edit")) == path()
    text = dana.get(path())
    assert "In review" in text and 'hx-trigger="every 5s"' in text and "Business verified" in text
    assert dana.get(path("/edit"), 303) == path()
    dana.post(path(), {**GOOD, "action": "save"}, status=422, page=path())
    settle("approved")
    text = dana.get(path("/panel"), headers={"HX-Request": "true"})
    assert text.lstrip().startswith('<div class="page" id="registration"') and "Approved" in text and "Add people to Pharmacy" in text and "every 5s" not in text
    db.session.expire_all()
    assert [inbox.name for inbox in Inbox.visible_to(owner)] == ["Pharmacy"]


def test_REG_2_rejected_shows_each_error_at_its_field_and_can_be_resubmitted(app: Flask, dana: Browser, pharmacy: Inbox) -> None:
    wrong = {**GOOD, "brand_legal_name": "Harbor Vet Mismatch", "sample_1": "Harbor Vet Mismatch: Rex is ready. Reply STOP to opt out."}
    dana.post(path(), {**wrong, "action": "submit"}, page=path("/edit"))
    registration().send_to_carrier()
    row = until("rejected")
    text = dana.get(path())
    assert "The carriers want changes" in text and f'href="{path("/edit")}#brand_ein"' in text and "Fix and resubmit" in text
    text = dana.get(path("/edit"))
    note = text.split('id="brand_ein-note"')[1].split("</div>")[0]
    assert 'class="err"' in note, row.issues
    dana.post(path(), {**GOOD, "action": "submit"}, page=path("/edit"))
    settle("approved")


def put(**values: Any) -> Registration:
    with transaction():
        row = registration()
        for name, value in values.items():
            setattr(row, name, value)
    return row


def test_REG_2_the_timeline_has_every_step_with_its_date_or_when_to_expect_it(dana: Browser, pharmacy: Inbox) -> None:
    text = dana.get(path())
    steps = ["Inbox created", "Form sent", "Customer profile accepted", "Business verified", "Campaign reviewed", "Number assigned", "Texting on"]
    assert [step for step in re.findall(r"<b>([A-Z][a-z ]+)<", text) if step in steps] == steps and "Usually 10 to 15 business days" in text
    assert "10 to 15 business days" in dana.get(path("/edit")) and "2 to 5" not in text
    sent = clock.now()
    put(state="in_review", submitted_at=sent, provider_state="brand in_review", round=1, refs={"brand": "BN1"})
    written = lambda days, after=sent: (lambda day: f"{day:%b} {day.day}")(business_day(after.date(), days))  # noqa: E731
    text = dana.get(path())
    assert f"usually by {written(3)}" in text and f"usually by {written(5)}" in text and f"usually {written(10)} – {written(15)}" in text
    assert f"usually done by {written(15)}" in text and "longer than usual" not in text
    later = (sent + timedelta(days=7)).isoformat()
    put(provider_state="brand approved", reached={"profile": later, "brand": later}, refs={"brand": "BN1", "campaign": "QE77"})
    text = dana.get(path())
    assert f"usually {written(10, sent + timedelta(days=7))}" in text and f'datetime="{later[:11]}' in text, "the campaign starts when the brand is verified"
    early = (sent - timedelta(days=30)).isoformat()
    put(submitted_at=sent - timedelta(days=30), reached={"profile": early, "brand": early})
    text = dana.get(path())
    assert "This takes longer than usual." in text and "name QE77" in text and 'class="now late"' in text


def test_REG_2_approved_says_in_words_what_may_be_sent(dana: Browser, pharmacy: Inbox) -> None:
    put(state="approved", provider_state="campaign verified", limits={"mps": 3.75, "daily_cap": 2000, "score": 62, "tier": "LOW"})
    text = dana.get(path())
    assert "3.75 segments a second" in text and "225 short texts a minute" in text and "2,000 segments a day" in text and "Business score 62 of 100" in text
    put(limits={"mps": 225.0, "daily_cap": None, "score": None, "tier": "UNCAPPED"})
    text = dana.get(path())
    assert "225 segments a second" in text and "No daily limit" in text and "Business score" not in text
    put(limits={})
    assert "What you may send" not in dana.get(path())


def test_REG_2_suspended_and_expired_say_what_to_do(dana: Browser, pharmacy: Inbox) -> None:
    put(
        state="suspended", provider_state="campaign suspended", refs={"campaign": "QE77"},
        issues=[{"field": "use_case", "code": "30899", "message": "One of the carriers turned it down.", "change": "Ask them."}],
    )
    text = dana.get(path())
    assert "Check now" in text and "naming campaign QE77" in text and "One of the carriers turned it down. Ask them." in text
    dana.post(path("/check"), status=303, page=path())
    put(state="expired", provider_state="campaign expired", form=GOOD)
    text = dana.get(path())
    assert "The registration expired." in text and "Check and resubmit" in text and "Check now" not in text
    assert "12-3456789" in dana.get(path("/edit"))
    dana.post(path(), {**GOOD, "action": "submit"}, page=path("/edit"))
    assert registration().state == "submitted"


def test_REG_1_advice_stands_at_its_field_while_typing_and_does_not_block(dana: Browser, pharmacy: Inbox) -> None:
    flow = "Customers give us their number at the front desk and agree to texts there."
    text = dana.post(path("/check-field?field=message_flow"), {**GOOD, "message_flow": flow}, status=200, page=path("/edit"))
    assert 'class="tip"' in text and "how often you text" in text and "You can submit all the same." in text and 'class="err"' not in text and "hx-swap-oob" not in text
    text = dana.post(path("/check-field?field=sample_3"), {**GOOD, "sample_3": "Follow your order at [link to the order]"}, status=200, page=path("/edit"))
    assert "say that texts hold links" in text.split('id="has_embedded_links-note"')[1]
    assert 'id="sample_3-note"' in text and 'id="sample_1-note" aria-live="polite" hx-swap-oob="true"' in text
    dana.post(path(), {**GOOD, "message_flow": flow, "action": "save"}, page=path("/edit"))
    assert 'class="tip"' in dana.get(path("/edit"))
    dana.post(path(), {**GOOD, "message_flow": flow, "action": "submit"}, page=path("/edit"))
    assert registration().state == "submitted"


# -- replies that wait for the approval --------------------------------------------------------------------------


def letter(inbox: Inbox, body: str = "Hi, is it ready?", sid: str = "SM1") -> Conversation:
    with transaction():
        message = Conversation.receive(inbox, Inbound(dedupe=sid, provider_id=sid, sender="+18315550134", to=inbox.phone or "", text=body, media=(), occurred_at=clock.now(), keyword=None, raw={}))
    assert message is not None
    return message.conversation


def draft() -> Draft:
    db.session.expire_all()
    return db.session.scalars(sa.select(Draft)).one()


def test_REG_3_a_reply_can_be_written_while_the_carriers_decide(dana: Browser, pharmacy: Inbox) -> None:
    conversation = letter(pharmacy)
    where = f"/c/{conversation.public_id}"
    assert f'href="{where}"' in dana.get(path()), "the registration page leads to what came in"
    text = dana.get(where)
    assert 'data-state="waiting"' in text and "Send when approved" in text and 'id="send-archive"' not in text and 'type="file"' not in text
    assert f'action="{where}/draft/release' in text
    seen = str(conversation.last_inbound_id)
    text = dana.post(f"{where}/draft/release", {"body": "Yes!", "seen": seen}, status=200, page=where, headers={"HX-Request": "true"})
    assert "Leaves when the carriers approve." in text and "Don’t send by itself" in text
    assert draft().release and draft().body == "Yes!"
    text = dana.get(where)
    assert "Yes!</textarea>" in text and "Leaves when the carriers approve." in text
    dana.post(f"{where}/draft", {"body": "Yes!"}, status=204, page=where, headers={"HX-Request": "true"})
    assert draft().release, "a late copy of the same words changes nothing"
    dana.post(f"{where}/draft", {"body": "Yes, it is!"}, status=204, page=where, headers={"HX-Request": "true"})
    assert not draft().release and draft().body == "Yes, it is!"
    dana.post(f"{where}/draft/release", {"body": "Yes, it is!", "seen": seen}, page=where)
    assert draft().release
    dana.post(f"{where}/draft/release", {"body": "Yes!\r\nCome by.", "seen": seen}, status=200, page=where, headers={"HX-Request": "true"})
    dana.post(f"{where}/draft", {"body": "Yes!\nCome by."}, status=204, page=where, headers={"HX-Request": "true"})
    assert draft().release, "a form writes line ends in its own way"
    dana.post(f"{where}/draft/keep", {"body": "Yes, it is."}, page=where)
    assert not draft().release and draft().body == "Yes, it is."


def test_REG_3_what_could_not_leave_anyway_is_said_at_once_and_kept(dana: Browser, pharmacy: Inbox) -> None:
    conversation = letter(pharmacy)
    where, seen = f"/c/{conversation.public_id}", str(conversation.last_inbound_id)
    text = dana.post(f"{where}/draft/release", {"body": "x" * 1601, "seen": seen}, status=422, page=where)
    assert "at most 1,600 characters" in text and "x" * 1601 in text
    assert "Write something first." in dana.post(f"{where}/draft/release", {"body": " ", "seen": seen}, status=422, page=where, headers={"HX-Request": "true"})
    letter(pharmacy, "Hello?", "SM2")
    text = dana.post(f"{where}/draft/release", {"body": "Yes!", "seen": seen}, status=409, page=where)
    assert "1 new text since you started." in text and "Yes!</textarea>" in text and 'name="anyway"' in text
    dana.post(f"{where}/draft/release", {"body": "Yes!", "seen": seen, "anyway": "1"}, page=where)
    db.session.refresh(conversation)
    assert draft().release and draft().seen == conversation.last_inbound_id
    settle_by_hand(pharmacy)
    text = dana.get(where)
    assert 'data-state="waiting"' in text and "Leaves when the carriers approve." in text, "nobody sends by hand what a job is about to send"
    release_drafts(registration().id)
    text = dana.get(where)
    assert 'data-state="free"' in text and "Yes!</textarea>" not in text
    text = dana.post(f"{where}/draft/release", {"body": "Once more", "seen": seen}, status=409, page=where)
    assert "approved Pharmacy meanwhile" in text and "Once more</textarea>" in text and 'id="send-menu"' in text


def settle_by_hand(inbox: Inbox) -> None:
    with transaction():
        registration().state = "approved"
        inbox.joined_at = clock.now()


def test_REG_3_what_did_not_leave_by_itself_says_why_above_the_composer(dana: Browser, pharmacy: Inbox, owner: Member) -> None:
    conversation = letter(pharmacy)
    with transaction():
        Draft.put(conversation, "Yes!", by=owner)
        draft().released_why = "Maya is <replying> now."
    settle_by_hand(pharmacy)
    text = dana.get(f"/c/{conversation.public_id}")
    assert "This did not leave by itself. Maya is &lt;replying&gt; now." in text and "Yes!</textarea>" in text


def test_check_now_asks_at_most_every_few_seconds(dana: Browser, pharmacy: Inbox) -> None:
    dana.post(path(), {**GOOD, "action": "submit"}, page=path("/edit"))
    registration().send_to_carrier()
    text = dana.post(path("/check"), status=200, page=path(), headers={"HX-Request": "true"})
    assert "Checked a moment ago. Try again in a few seconds." in text
    assert dana.post(path("/check"), page=path()) == path()


def test_a_carrier_that_cannot_be_reached_is_a_sentence(dana: Browser, pharmacy: Inbox, carrier_server: Any) -> None:
    dana.post(path(), {**GOOD, "action": "submit"}, page=path("/edit"))
    carrier_server.extensions["sandbox"].add_fault("500", 3, 1.0, {})
    registration().send_to_carrier()
    assert "The carrier could not be asked." in dana.get(path())
    carrier_server.extensions["sandbox"].clear_faults()
    settle("approved")


def test_registrations_of_others_are_not_found(app: Flask, dana: Browser, pharmacy: Inbox, owner: Member) -> None:
    from inbox.models import Account

    with transaction():
        _, eve = Account.open(name="Other", owner_name="Eve", email="eve@other.test", password="quiet river stone")
        Carrier.open(eve.account, app.config["CARRIER"])
    add_member(owner, "Maya Chen", "agent", seat=True)
    for browser, status in ((Browser(app).sign_in("eve@other.test"), 404), (Browser(app).sign_in("maya@harborvet.test"), 403)):
        for where in (path(), path("/edit"), path("/panel"), f"/inboxes/{pharmacy.public_id}/members", f"/inboxes/{pharmacy.public_id}/settings"):
            browser.get(where, status)
        for where in (path(), path("/check"), path("/check-field?field=description"), f"/inboxes/{pharmacy.public_id}/members", f"/inboxes/{pharmacy.public_id}/settings"):
            browser.post(where, {}, status=status, page="/get-started")


def test_REG_4_the_mail_names_the_decision_and_escapes(app: Flask, dana: Browser, pharmacy: Inbox, owner: Member) -> None:
    with transaction():
        row = registration()
        row.state = "rejected"
        row.issues = [{"field": "brand_ein", "code": "30794", "message": "The name & <b>tax ID</b> differ.", "change": "Copy both."}]
    with app.test_request_context():
        mail = mailers.registration(registration(), owner)
    assert mail.subject == "Carriers need changes before Harbor Vet Clinic can text"
    assert f"http://localhost:8000/registrations/{registration().public_id}" in mail.body and "- The name & <b>tax ID</b> differ. Copy both.\n" in mail.body
    assert "The name &amp; &lt;b&gt;tax ID&lt;/b&gt; differ." in mail.html


# -- the pages of a shared inbox ---------------------------------------------------------------------------------


def approve(inbox: Inbox) -> None:
    with transaction():
        row = registration()
        row.state = "approved"
        row.join(inbox)


def test_REG_3_people_cannot_be_added_before_approval(dana: Browser, pharmacy: Inbox, owner: Member) -> None:
    maya = add_member(owner, "Maya Chen", "agent", seat=True)
    where = f"/inboxes/{pharmacy.public_id}/members"
    assert "You can add people once carriers approve this inbox." in dana.get(where)
    text = dana.post(where, {"people": [owner.public_id, maya.public_id], "confirmed": "1"}, status=422, page=where)
    assert "once carriers approve" in text and [p.name for p in pharmacy.members] == ["Dana Whitfield"]


def test_BOX_4_members_are_ticked_and_the_change_is_shown_before_saving(dana: Browser, pharmacy: Inbox, owner: Member) -> None:
    maya, bo = add_member(owner, "Maya Chen", "agent", seat=True), add_member(owner, "Bo <i>Li", "viewer")
    approve(pharmacy)
    with transaction():
        pharmacy.add_member(bo, by=owner)
    where = f"/inboxes/{pharmacy.public_id}/members"
    text = dana.post(where, {"people": [owner.public_id, maya.public_id]}, status=200, page=where)
    assert "Gain access" in text and "Maya Chen" in text and "Lose access" in text and "Bo &lt;i&gt;Li" in text
    assert sorted(p.name for p in pharmacy.members) == ["Bo <i>Li", "Dana Whitfield"]
    dana.post(where, {"people": [owner.public_id, maya.public_id, "forged"], "seen": [owner.public_id, bo.public_id], "confirmed": "1"}, page=where)
    assert sorted(p.name for p in pharmacy.members) == ["Dana Whitfield", "Maya Chen"]
    assert db.session.scalar(sa.select(sa.func.count(InboxMember.id))) == 2


SETTINGS = {
    "lock_on": "open", "idle_after": "180", "idle_answer": "60", "lock_lease": "45", "lock_heartbeat": "15", "reopen": "yes", "stop_reply": "", "start_reply": "",
    "help_reply": "", "description": "", "forward_to": "",
}


@pytest.mark.parametrize(("change", "says"), [
    ({"lock_lease": "5"}, "Choose between 20 and 600 seconds."), ({"lock_heartbeat": "40"}, "at most half of the lease"), ({"idle_after": "abc"}, "Not a valid integer"),
    ({"idle_after": ""}, "Enter a number of seconds."), ({"lock_on": "never"}, "Not a valid choice"), ({"forward_to": "12"}, "Enter a phone number"),
    ({"stop_reply": "x" * 321}, "Use at most 320 characters."), ({"idle_after": "9" * 30}, "Choose between 30 and 1800 seconds."),
])
def test_settings_refuse_what_would_break_the_lock(dana: Browser, pharmacy: Inbox, change: dict[str, str], says: str) -> None:
    where = f"/inboxes/{pharmacy.public_id}/settings"
    assert says in dana.post(where, {**SETTINGS, **change}, status=422, page=where)
    db.session.expire_all()
    assert (pharmacy.lock_lease, pharmacy.idle_after, pharmacy.forward_to) == (45, 180, None)


def test_settings_are_saved_and_recorded(dana: Browser, pharmacy: Inbox) -> None:
    where = f"/inboxes/{pharmacy.public_id}/settings"
    dana.post(where, {**SETTINGS, "lock_lease": "60", "reopen": "no", "sign_texts": "y", "help_reply": "Call us <3", "forward_to": "831 555 0100"}, page=where)
    db.session.expire_all()
    assert (pharmacy.lock_lease, pharmacy.reopen, pharmacy.sign_texts, pharmacy.help_reply, pharmacy.forward_to) == (60, False, True, "Call us <3", "+18315550100")
    assert {"inbox.lock_changed", "inbox.changed"} <= set(db.session.scalars(sa.select(Event.kind)))
    assert "Call us &lt;3" in dana.get(where)
