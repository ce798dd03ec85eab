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
from inbox.models import Account, Inbox, Invitation, Member, Registration, Role, Team, transaction
from inbox.permissions import Permission

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
    assert guest.get(link, 303) == "/join"
    response = guest.client.get("/join")
    assert response.headers["Referrer-Policy"] == "no-referrer" and 'value="maya@harborvet.test" readonly' in response.text
    assert "Use at least 10 characters." in guest.post("/join", {**JOIN, "password": "short"}, status=422, page="/join")
    assert guest.post("/join", JOIN, page="/join") == "/"
    maya = db.session.scalars(sa.select(Member).where(Member.email == "maya@harborvet.test")).one()
    assert (maya.name, maya.roles, maya.seated) == ("Maya Chen", ["back-office-manager"], True)
    assert maya in desk.members and guest.get("/", 303).startswith(f"/i/{desk.public_id}")
    over = Browser(app)
    used, unknown = over.get(link, 404), over.get("/invitations/unknown", 404)
    assert "This invitation is over" in used and _plain(used) == _plain(unknown)
    over.post("/join", JOIN, status=404, page="/sign-in")
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
    assert guest.get(f"/invitations/{second}", 303) == "/join"
    guest.get("/join")
    with transaction():
        pending().expires_at = clock.now() - timedelta(seconds=1)
    guest.get("/join", 404)
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


def test_PERM_5_nobody_invites_beyond_themselves(app: Flask, owner: Member) -> None:
    add_member(owner, "Ada Admin", "admin", seat=True)
    with transaction():
        mine = Role.create(owner.account, name="Desk lead", permissions=[Permission.MESSAGE], by=owner)
        more = Role.create(owner.account, name="Sees all", permissions=[Permission.CONVERSATIONS_ALL], by=owner)
    ada = Browser(app).sign_in("ada@harborvet.test")
    where = "/settings/members/invitations"
    text = ada.get(where)
    assert 'value="agent"' in text and f'value="{mine.public_id}"' in text
    for key in ("owner", "supervisor", more.public_id, "nope", ""):
        assert f'value="{key}"' not in text.split("<select")[1].split("</select>")[0]
        assert "Not a valid choice" in ada.post(where, {"emails": "x@x.test", "role": key}, status=422, page=where)
    ada.post(where, {"emails": "x@x.test", "role": mine.public_id, "seat": "y"}, status=200, page=where)
    assert (pending().role, pending().seat) == (mine.public_id, True) and "Desk lead, with a seat" in ada.get("/settings/members")
    ada.post(where, {"emails": "y@x.test", "role": "viewer", "seat": "y"}, status=200, page=where)
    assert not pending().seat, "a viewer could not use it"


def test_PERM_5_a_link_to_more_rights_is_neither_shown_nor_sent_again(app: Flask, dana: Browser, owner: Member) -> None:
    add_member(owner, "Ada Admin", "admin")
    invite(dana, "boss@harborvet.test", role="supervisor")
    ada = Browser(app).sign_in("ada@harborvet.test")
    assert pending().token in dana.get("/settings/members") and pending().token not in ada.get("/settings/members")
    before = pending().token
    assert "You cannot invite someone as Supervisor" in ada.post(f"/settings/members/invitations/{pending().public_id}/resend", status=403, page="/settings/members")
    assert pending().token == before


@pytest.mark.parametrize(("pasted", "sent"), [
    ("ana+desk@x.test", ["ana+desk@x.test"]), ("ana@x.test, ANA@x.test; Ana <ana@x.test>", ["ana@x.test"]), ("o'neil@x.test\nü@x.test", ["o'neil@x.test", "ü@x.test"]),
    ("@x.test a@ a@b@c.test plain", []), ("a" * 300 + "@x.test", []), ("a@x.test\r\nBcc: b@x.test", ["a@x.test", "b@x.test"]),
])
def test_ACC_3_what_counts_as_an_address(dana: Browser, owner: Member, pasted: str, sent: list[str]) -> None:
    invite(dana, pasted, status=200 if sent else 422)
    assert sorted(db.session.scalars(sa.select(Invitation.email))) == sorted(sent)


def test_ACC_1_people_of_another_account_are_not_found(app: Flask, dana: Browser, owner: Member) -> None:
    with transaction():
        _, eve = Account.open(name="Other", owner_name="Eve", email="eve@other.test", password=PASSWORD)
    for tail in ("roles", "seat"):
        dana.post(f"/settings/members/{eve.public_id}/{tail}", {"value": "on", "role": "agent"}, status=404, page="/settings/members")
    assert "eve@other.test" not in dana.get("/settings/members")


def test_ACC_5_profile_changes_one_s_own_things(dana: Browser, owner: Member) -> None:
    form = {"name": "  Dana  W. ", "time_zone": "Europe/Berlin", "theme": "dark", "shortcuts": "", "language": "de"}
    dana.post("/settings/profile", form, page="/settings/profile")
    db.session.expire_all()
    assert (owner.name, owner.time_zone, owner.theme) == ("Dana W.", "Europe/Berlin", "dark")
    assert 'data-theme="dark"' in dana.get("/settings/profile")
    text = dana.post("/settings/profile", {**form, "name": "", "time_zone": "Mars/Base", "theme": "pink"}, status=422, page="/settings/profile")
    assert "Enter your name" in text and text.count("Not a valid choice") == 2


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
