# ruff: noqa: F811 - fixtures of another folder are named like arguments
"""Profile & collaborators, the owner's part: ACC-3, ACC-4, W11..W32; on both databases."""

from __future__ import annotations

import re
import smtplib
from datetime import timedelta

import pytest
import sqlalchemy as sa

from inbox import clock, mailers
from inbox.models import Event, Grant, Invitation, Notification, Role, db, transaction
from inbox.permissions import DEFAULT_ROLES, Permission
from tests.conftest import app  # noqa: F401 - both databases, with the migrated schema
from tests.screens.conftest import own_context  # noqa: F401 - several people at once

PAGE = "/settings/collaborators"
INVITE = f"{PAGE}/invitations"


@pytest.fixture
def dana(app, world):
    return app.test_client().sign_in(world.dana)


def listed(text):
    """The public ids in the list, in order."""
    return re.findall(r'name="person" value="([^"]+)"', text)


def on(text):
    return set(re.findall(r'name="was" value="([^"]+)"', text))


def allowed(member):
    db.session.rollback()
    return Notification.allowed(member)


@pytest.mark.parametrize("who", ["ada", "sven", "maya", "uma", "vera", "olga"])
def test_ACC_4_only_the_owner_ever_sees_it(app, world, who):
    client = app.test_client().sign_in(getattr(world, who))
    for path in (PAGE, INVITE):
        assert client.get(path).status_code == client.part(path).status_code == 403
        assert client.send(path, person=world.maya.public_id, emails="x@x.test").status_code == 403
    for path in ("/settings/profile", "/settings/members"):
        assert "collaborators" not in client.get(path).text.lower()
    assert allowed(world.maya) and not Invitation.pending(world.harbor)


def test_ACC_4_no_role_but_the_owner_s_can_hold_it():
    assert [key for key, (_, held) in DEFAULT_ROLES.items() if Permission.COLLABORATORS_MANAGE in held] == ["owner"]


def test_ACC_4_it_lists_just_those_who_hold_an_inbox_permission(world, dana):
    with transaction():
        setup = world.member(world.harbor, "Sue Setup", "inbox-setup", seat=False)
        analyst = world.member(world.harbor, "Al Analyst", "analytics", seat=False)
        plain = Role.create(world.harbor, name="Contacts only", permissions=[Permission.CONTACTS_EDIT], by=world.dana)
        writer = Role.create(world.harbor, name="Writer", permissions=[Permission.MESSAGE], by=world.dana)
        for member, role in ((setup, plain), (analyst, writer)):
            Grant(member_id=member.id, role=role.public_id, role_id=role.id).save()
        world.olga.deactivate(by=world.dana)
    text = dana.get(PAGE).text
    names = ["Ada Admin", "Al Analyst", "Dana Whitfield", "Maya Chen", "Sven Super", "Theo Okafor", "Uma Unseated", "Vera Lind"]
    assert re.findall(r"<b>([^<]+)</b>", text.split('class="ticks plain collab"')[1].split("</ul>")[0]) == names
    assert len(listed(text)) == 8 == text.count('aria-label="E-mail notifications for ') == text.count("Set permissions<")
    assert f'href="/settings/members/{world.maya.public_id}"' in text and "1 person of your team is not in this list" in text
    assert 'href="/settings/roles"' in text, "where a missing member's roles are edited"


def test_ACC_4_nothing_changes_until_save_changes(world, dana):
    events = db.session.scalar(sa.select(sa.func.count(Event.id)))
    text = dana.get(PAGE).text
    dana.part(PAGE)
    dana.get(PAGE, query_string={"allowed": world.maya.public_id, "person": world.maya.public_id})
    assert text.count("<form") - text.count('action="/sign-out') >= 1 and text.count(f'action="{PAGE}"') == 1, "one form"
    switches = re.findall(r'<input class="switch"[^>]*>', text)
    assert switches and not any("hx-" in tag or "form=" in tag for tag in switches)
    assert "Nothing changes until you press Save changes." in text and on(text) == set(listed(text))
    assert allowed(world.maya) and db.session.scalar(sa.select(sa.func.count(Event.id))) == events
    wanted = on(text) - {world.maya.public_id}
    assert dana.send(PAGE, person=listed(text), was=list(on(text)), allowed=list(wanted)).location == PAGE
    assert not allowed(world.maya) and allowed(world.theo)
    again = dana.get(PAGE).text
    assert "Saved. 1 person’s notifications were changed." in again and on(again) == wanted
    event = db.session.scalars(sa.select(Event).order_by(Event.id.desc())).first()
    assert (event.kind, event.about_id, event.actor_id) == ("collaborator.notifications_forbidden", world.maya.id, world.dana.id)
    assert dana.send(PAGE, person=listed(again), was=list(on(again)), allowed=[*wanted, world.maya.public_id]).status_code == 303
    assert allowed(world.maya)


def test_ACC_4_only_what_was_moved_is_saved(world, dana):
    """Two open pages: the one saved last does not undo what the other changed."""
    text = dana.get(PAGE).text
    everyone = list(on(text))
    dana.send(PAGE, person=listed(text), was=everyone, allowed=[k for k in everyone if k != world.maya.public_id])
    dana.send(PAGE, person=listed(text), was=everyone, allowed=[k for k in everyone if k != world.theo.public_id])
    assert not allowed(world.maya) and not allowed(world.theo)
    assert dana.send(PAGE, person=listed(text)).status_code == 303
    assert "Nothing changed." in dana.get(PAGE).text


def test_ACC_4_foreign_and_forged_people_change_nothing(world, dana):
    for key in (world.nina.public_id, "forged", "", "<b>", "x" * 3000):
        assert dana.send(PAGE, person=[key], was=[key], allowed=[]).status_code == 303
    assert allowed(world.nina)


def invite(client, emails, status=200):
    answer = client.send(INVITE, emails=emails)
    assert answer.status_code == status, answer.text[-800:]
    return answer.text


def pending():
    db.session.rollback()
    return db.session.scalars(sa.select(Invitation).order_by(Invitation.id.desc())).first()


def test_ACC_3_invite_has_no_role_and_gives_back_office_manager(world, dana, bell):
    text = dana.get(INVITE).text
    assert "<select" not in text and 'name="role"' not in text and 'name="seat"' not in text and "Back Office Manager" in text
    assert f'href="{INVITE}"' in dana.get(PAGE).text
    text = invite(dana, "ana+desk@x.test, Bo <bo@x.test>\nnonsense; maya@harbor.example nina@north.example")
    for address, words in (("ana+desk@x.test", "Sent"), ("bo@x.test", "Sent"), ("nonsense", "Not an address"), ("maya@harbor.example", "Already a member"), ("nina@north.example", "Sent")):
        assert words in text.split(f"<b>{address}</b>")[1].split("</li>")[0], "an address of another account is like any other"
    assert ">Done</a>" in text and "nonsense</textarea>" in text
    assert {i.role for i in Invitation.pending(world.harbor)} == {"back-office-manager"} and len(Invitation.pending(world.harbor)) == 3
    assert dana.send(INVITE, emails="c@x.test", role="admin", seat="y").status_code == 200
    assert (pending().email, pending().role, pending().seat) == ("c@x.test", "back-office-manager", False)


@pytest.mark.parametrize(("emails", "words"), [("", "Enter at least one address."), ("x" * 10_001, "Paste fewer"), (",".join(f"p{n}@x.test" for n in range(51)), "Invite at most 50"), ("@ x@", "Not an address")])
def test_ACC_3_bad_input_is_kept_and_explained(world, dana, emails, words):
    assert words in invite(dana, emails, 422) and not Invitation.pending(world.harbor)


def test_ACC_3_pending_ones_are_listed_resent_and_revoked_here(world, dana):
    invite(dana, "ana@x.test")
    text = dana.get(PAGE).text
    assert "ana@x.test" in text and "Back Office Manager" in text
    row, first = pending().public_id, pending().token
    assert dana.send(f"/settings/members/invitations/{row}/resend", back="collaborators").location == PAGE
    assert pending().token != first
    with transaction():
        pending().expires_at = clock.now() - timedelta(seconds=1)
    assert "Expired" in dana.get(PAGE).text
    assert dana.send(f"/settings/members/invitations/{row}/revoke", back="collaborators").location == PAGE
    assert "<b>ana@x.test" not in dana.get(PAGE).text
    assert dana.send(f"/settings/members/invitations/{row}/revoke", back="collaborators").status_code == 422


def test_ACC_3_a_bounced_invitation_says_so_until_it_is_sent_again(world, dana, bell, monkeypatch):
    def refuse(mail):
        raise smtplib.SMTPRecipientsRefused({mail.recipients[0]: (550, b"no such user")})

    invite(dana, "typo@x.test ana@x.test")
    monkeypatch.setattr(mailers, "deliver", lambda mail: refuse(mail) if mail.recipients == ["typo@x.test"] else None)
    bell.work()
    db.session.rollback()
    for path in (PAGE, "/settings/members"):
        lines = {address: dana.get(path).text.split(f"<b>{address}</b>")[1].split("</li>")[0] for address in ("typo@x.test", "ana@x.test")}
        assert "Bounced" in lines["typo@x.test"] and "The mail server refused this address." in lines["typo@x.test"] and "Bounced" not in lines["ana@x.test"]
    row = next(i for i in Invitation.pending(world.harbor) if i.email == "typo@x.test")
    monkeypatch.setattr(mailers, "deliver", lambda mail: None)
    clock.shift(300)
    dana.send(f"/settings/members/invitations/{row.public_id}/resend")
    bell.work()
    assert "Bounced" not in dana.get(PAGE).text


def test_ACC_4_profile_and_collaborators_are_tabs_of_one_heading_for_the_owner(world, dana):
    text = dana.get(PAGE).text
    assert re.search("<h1>Profile (&|&amp;) collaborators</h1>", text) and 'href="/settings/profile"' in text.split("page-tabs")[1].split("</nav>")[0]
