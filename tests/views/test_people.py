"""Invitations, members, seats and profiles."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from inbox import clock, mailers
from inbox.extensions import db
from inbox.forms.people import addresses
from inbox.models import Account, Contact, Conversation, Event, Inbox, Invitation, LoginSession, Member, Registration, Team, transaction

from .conftest import PASSWORD, Browser, add_member


@pytest.fixture
def dana(app: Flask, owner: Member) -> Browser:
    return Browser(app).sign_in(owner.email)


@pytest.fixture
def desk(app: Flask, owner: Member) -> Inbox:
    """A live inbox."""
    with transaction():
        team = db.session.scalars(sa.select(Team).where(Team.account_id == owner.account_id)).one()
        registration = Registration.start(team)
        registration.state = "approved"
        inbox = Inbox.create(team, name="Front desk", api_code="desk", hue="teal", phone="+14155550100", number_sid="PN1", forward_to=None, description="", by=owner)
        registration.join(inbox)
    return inbox


def invite(dana: Browser, emails: str, status: int = 200, **form: object) -> str:
    return dana.post("/settings/members/invitations", {"emails": emails, "role": "back-office-manager", **form}, status=status, page="/settings/members/invitations")


def pending() -> Invitation:
    db.session.expire_all()
    return db.session.scalars(sa.select(Invitation).order_by(Invitation.id.desc())).first()  # type: ignore[return-value]


JOIN = {"name": "Maya Chen", "password": PASSWORD}


def test_ACC_3_several_addresses_each_with_its_verdict(dana: Browser, owner: Member) -> None:
    invite(dana, "old@harborvet.test")
    text = invite(dana, f"Maya <maya@harborvet.test>; OLD@harborvet.test\n{owner.email} nonsense, <script>@x")
    for address, words in (("maya@harborvet.test", "Sent"), ("OLD@harborvet.test", "Pending"), (owner.email, "Already a member"), ("nonsense", "Not an address")):
        row = text.split(f"<b>{address}</b>")[1].split("</li>")[0]
        assert words in row
    assert "<script>@x" not in text
    assert sorted(db.session.scalars(sa.select(Invitation.email))) == ["maya@harborvet.test", "old@harborvet.test"]
    assert pending().role == "back-office-manager" and "Enter at least one address." in invite(dana, " ", status=422)
    assert "Invite at most 50 people at once" in invite(dana, ",".join(f"p{n}@x.test" for n in range(51)), status=422)


def test_pasted_addresses_are_found_once() -> None:
    assert addresses('Ana <ana@x.test>, bo@x.test;BO@x.test\nword  c@x.test') == ["ana@x.test", "bo@x.test", "word", "c@x.test"]


def test_ACC_3_the_link_works_once_and_signs_in(app: Flask, dana: Browser, owner: Member, desk: Inbox) -> None:
    invite(dana, "maya@harborvet.test", seat="y", inboxes=desk.public_id)
    link = re.search(r'value="http://localhost:8000(/invitations/[^"]+)"', dana.get("/settings/members")).group(1)  # type: ignore[union-attr]
    guest = Browser(app)
    response = guest.client.get(link)
    assert response.headers["Referrer-Policy"] == "no-referrer" and 'value="maya@harborvet.test" readonly' in response.text
    assert "Use at least 10 characters." in guest.post(link, {**JOIN, "password": "short"}, status=422, page=link)
    assert guest.post(link, JOIN, page=link) == "/"
    maya = db.session.scalars(sa.select(Member).where(Member.email == "maya@harborvet.test")).one()
    assert (maya.name, maya.roles, maya.seated) == ("Maya Chen", ["back-office-manager"], True)
    assert maya in desk.members and guest.get("/", 303).startswith(f"/i/{desk.public_id}")
    over = Browser(app)
    used, unknown = over.get(link, 404), over.get("/invitations/unknown", 404)
    assert "This invitation is over" in used and _plain(used) == _plain(unknown)
    over.post(link, JOIN, status=404, page="/sign-in")
    assert "Invited" not in dana.get("/settings/members")


def _plain(text: str) -> str:
    return re.sub(r"X-CSRFToken.*?}", "", text)


def test_ACC_3_expired_revoked_and_resent_links(app: Flask, dana: Browser, owner: Member) -> None:
    invite(dana, "maya@harborvet.test")
    first = pending().token
    dana.post(f"/settings/members/invitations/{pending().public_id}/resend", page="/settings/members")
    second = pending().token
    guest = Browser(app)
    guest.get(f"/invitations/{first}", 404)
    with transaction():
        pending().expires_at = clock.now() + timedelta(seconds=1)
    guest.get(f"/invitations/{second}")
    with transaction():
        pending().expires_at = clock.now() - timedelta(seconds=1)
    guest.get(f"/invitations/{second}", 404)
    assert "Expired" in dana.get("/settings/members")
    dana.post(f"/settings/members/invitations/{pending().public_id}/resend", page="/settings/members")
    third = pending().token
    dana.post(f"/settings/members/invitations/{pending().public_id}/revoke", page="/settings/members")
    guest.get(f"/invitations/{third}", 404)
    dana.post(f"/settings/members/invitations/{pending().public_id}/resend", status=422, page="/settings/members")
    for junk in ("null", "%20", "%00", "None", (third or "x" * 43)[:-1], "%ff%fe", "x" * 3000):
        guest.get(f"/invitations/{junk}", 404)


def test_invitation_mail_holds_the_link_and_escapes(app: Flask, dana: Browser, owner: Member) -> None:
    with transaction():
        owner.account.name = "Harbor <b>Vet"
    invite(dana, "maya@harborvet.test")
    with app.test_request_context(headers={"Host": "evil.example"}):
        mail = mailers.invitation(pending())
    assert mail is not None and mail.subject == "Join Harbor <b>Vet’s shared inbox"
    assert f"http://localhost:8000/invitations/{pending().token}" in mail.body and "evil" not in mail.body
    assert "Harbor &lt;b&gt;Vet" in mail.html


def test_PERM_5_nobody_invites_or_promotes_beyond_themselves(app: Flask, owner: Member) -> None:
    add_member(owner, "Ada Admin", "admin", seat=True)
    maya = add_member(owner, "Maya Chen", "agent")
    ada = Browser(app).sign_in("ada@harborvet.test")
    text = ada.get("/settings/members/invitations")
    assert 'value="agent"' in text and 'value="owner"' not in text and 'value="supervisor"' not in text
    assert "Not a valid choice" in ada.post("/settings/members/invitations", {"emails": "x@x.test", "role": "owner"}, status=422, page="/settings/members/invitations")
    ada.post(f"/settings/members/{maya.public_id}/role", {"role": "supervisor"}, status=403, page="/settings/members")
    ada.post(f"/settings/members/{owner.public_id}/role", {"role": "agent"}, status=422, page="/settings/members")
    for junk in ("owner", "nope", ""):
        ada.post(f"/settings/members/{maya.public_id}/role", {"role": junk}, status=422, page="/settings/members")
    assert "Ownership moves only by a transfer." in ada.get("/settings/members")
    ada.post(f"/settings/members/{maya.public_id}/role", {"role": "viewer"}, page="/settings/members")
    db.session.expire_all()
    assert maya.roles == ["viewer"] and owner.roles == ["owner"]


def test_members_page_explains_what_the_reader_may_not_do(app: Flask, owner: Member) -> None:
    add_member(owner, "Sue Setup", "inbox-setup")
    add_member(owner, "Maya Chen", "agent")
    sue = Browser(app).sign_in("sue@harborvet.test")
    text = sue.get("/settings/members")
    assert "does not allow you to hand out seats" in text and "does not allow you to give roles" in text and "does not allow you to invite people" in text
    assert "<select" not in text
    maya = Browser(app).sign_in("maya@harborvet.test")
    maya.get("/settings/members", 403)
    sue.get("/settings/members/invitations", 403)


def test_SEAT_2_seats_are_given_until_none_is_left(app: Flask, dana: Browser, owner: Member) -> None:
    maya, bo, vi = add_member(owner, "Maya Chen", "agent"), add_member(owner, "Bo Li", "agent"), add_member(owner, "Vi Lee", "viewer")
    zed = add_member(owner, "Zed Zoe", "agent")
    assert "1 of 3 used" in dana.get("/settings/members")
    for person in (maya, bo):
        dana.post(f"/settings/members/{person.public_id}/seat", {"value": "on"}, page="/settings/members")
    text = dana.get("/settings/members")
    assert "3 of 3 used" in text and "All seats are used. Free one first." in text and "Viewer only allows looking" in text
    dana.post(f"/settings/members/{zed.public_id}/seat", {"value": "on"}, page="/settings/members")
    assert "All 3 seats are used." in dana.get("/settings/members")
    dana.post(f"/settings/members/{vi.public_id}/seat", {"value": "on"}, status=422, page="/settings/members")
    dana.post(f"/settings/members/{bo.public_id}/seat", {"value": "off"}, page="/settings/members")
    db.session.expire_all()
    assert (maya.seated, bo.seated, owner.account.seats_used) == (True, False, 2)


def test_SEAT_5_open_conversations_are_handed_over_first(app: Flask, dana: Browser, owner: Member, desk: Inbox) -> None:
    maya, bo = add_member(owner, "Maya Chen", "agent", seat=True), add_member(owner, "Bo Li", "agent", seat=True)
    with transaction():
        for person in (maya, bo):
            desk.add_member(person, by=owner)
        contact = Contact(account_id=owner.account_id, name="Rosa").save()
        conversation = Conversation(account_id=owner.account_id, inbox_id=desk.id, contact_id=contact.id, address="+14155550177", assignee_id=maya.id).save()
    where = f"/settings/members/{maya.public_id}/seat"
    assert dana.post(where, {"value": "off"}, page="/settings/members") == where
    text = dana.get(where)
    assert "1 open conversation is" in text and "Bo Li" in text
    dana.post(where, {"value": "off", "confirmed": "1", "successor": "forged"}, status=422, page=where)
    dana.post(where, {"value": "off", "confirmed": "1", "successor": bo.public_id}, page=where)
    db.session.expire_all()
    assert not maya.seated and conversation.assignee_id == bo.id
    text = dana.post(f"/settings/members/{bo.public_id}/role", {"role": "viewer"}, status=200, page="/settings/members")
    assert "1 open conversation goes" in text
    dana.post(f"/settings/members/{bo.public_id}/role", {"role": "viewer", "confirmed": "1"}, page="/settings/members")
    db.session.expire_all()
    assert not bo.seated and conversation.assignee_id is None


def test_ACC_1_people_of_another_account_are_not_found(app: Flask, dana: Browser, owner: Member) -> None:
    with transaction():
        _, eve = Account.open(name="Other", owner_name="Eve", email="eve@other.test", password=PASSWORD)
    for tail in ("role", "seat"):
        dana.post(f"/settings/members/{eve.public_id}/{tail}", {"value": "on", "role": "agent"}, status=404, page="/settings/members")
    assert "eve@other.test" not in dana.get("/settings/members")


def test_ACC_5_profile_changes_one_s_own_things(dana: Browser, owner: Member) -> None:
    form = {"name": "  Dana  W. ", "time_zone": "Europe/Berlin", "theme": "dark", "shortcuts": ""}
    dana.post("/settings/profile", form, page="/settings/profile")
    db.session.expire_all()
    assert (owner.name, owner.time_zone, owner.theme) == ("Dana W.", "Europe/Berlin", "dark")
    assert 'data-theme="dark"' in dana.get("/settings/profile")
    text = dana.post("/settings/profile", {**form, "name": "", "time_zone": "Mars/Base", "theme": "pink"}, status=422, page="/settings/profile")
    assert "Enter your name" in text and text.count("Not a valid choice") == 2


def test_S44_a_new_password_needs_the_old_one_and_ends_other_sessions(app: Flask, dana: Browser, owner: Member) -> None:
    other = Browser(app).sign_in(owner.email)
    where = "/settings/profile/password"
    assert "That is not your current password." in dana.post(where, {"current": "wrong", "password": "another quiet river"}, status=422, page="/settings/profile")
    assert "Use at least 10 characters." in dana.post(where, {"current": PASSWORD, "password": "short"}, status=422, page="/settings/profile")
    dana.post(where, {"current": PASSWORD, "password": "another quiet river"}, page="/settings/profile")
    dana.get("/settings/profile")
    other.get("/settings/profile", 303)
    assert "member.password_changed" in db.session.scalars(sa.select(Event.kind)).all()
    Browser(app).sign_in(owner.email, "another quiet river")


def test_ACC_7_sessions_are_listed_and_ended(app: Flask, dana: Browser, owner: Member) -> None:
    other = Browser(app).sign_in(owner.email)
    mine, theirs = db.session.scalars(sa.select(LoginSession.id).order_by(LoginSession.id)).all()
    assert "Signed-in browsers" in dana.get("/settings/profile")
    add_member(owner, "Maya Chen", "agent")
    maya = Browser(app).sign_in("maya@harborvet.test")
    maya.post(f"/settings/profile/sessions/{theirs}/revoke", status=404, page="/settings/profile")
    dana.post(f"/settings/profile/sessions/{theirs}/revoke", page="/settings/profile")
    other.get("/settings/profile", 303)
    assert dana.post("/settings/profile/sign-out-everywhere", page="/settings/profile") == "/sign-in"
    dana.get("/settings/profile", 303)


def test_ACC_9_checklist_ticks_itself_and_can_be_put_away(app: Flask, dana: Browser, owner: Member) -> None:
    text = dana.get("/get-started")
    assert "0 of 4 done" in text and "About three minutes." in text
    invite(dana, "maya@harborvet.test")
    assert "1 of 4 done" in dana.get("/get-started")
    dana.post("/get-started/dismissal", page="/get-started")
    assert "The checklist is put away: 1 of 4 done." in dana.get("/get-started")
    dana.post("/get-started/dismissal", {"value": "off"}, page="/get-started")
    assert "Your checklist" in dana.get("/get-started")
    add_member(owner, "Vi Lee", "viewer")
    vi = Browser(app).sign_in("vi@harborvet.test")
    assert "Ask an admin to create the first inbox" in vi.get("/get-started")
    vi.post("/get-started/dismissal", status=403, page="/get-started")
