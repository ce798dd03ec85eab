"""PERM-3, PERM-6, ACC-1, ACC-3 and ACC-7 at the model: who may what and why not, invitations, sessions, the first run."""

from __future__ import annotations

import pytest

from inbox import clock
from inbox.models import Account, Denied, Grant, Invitation, LoginSession, Member, NoSeat, Refused, db, transaction
from inbox.models.event import Event
from inbox.permissions import DEFAULT_ROLES, INBOXED, SEATED, Permission
from tests.models.helpers import anew, failures, rows
from tests.world import PASSWORD

P = Permission


# -- what they may do ---------------------------------------------------------------------------------------------


def test_PERM_6_the_sentence_names_what_is_missing_and_who_can_help(world):
    c = world.conversation()
    assert world.maya.can(P.CONVERSATIONS_REPLY, on=c).why == ""
    cases = {
        "uma": "Your role Agent allows you to reply, but you have no seat. Ada Admin or Dana Whitfield can give you one.",
        "vera": "Your role Viewer does not allow you to reply. Ada Admin or Dana Whitfield can change that.",
        "olga": "You are not in this inbox. Ada Admin or Dana Whitfield can add you.",
        "nina": "You are not in this inbox. An owner can add you.",
    }
    for name, sentence in cases.items():
        verdict = getattr(world, name).can(P.CONVERSATIONS_REPLY, on=c)
        assert not verdict and verdict.why == sentence
    assert world.ada.can(P.CONVERSATIONS_ALL).why == "Your role Admin does not allow you to manage every conversation. Dana Whitfield can change that."
    with transaction():
        world.maya.deactivated_at = clock.now()
    assert world.maya.can(P.CONVERSATIONS_VIEW).why == "Your access to this account has ended."
    with transaction():
        nobody = Member.join(world.harbor, email="x@harbor.example", name="X", password=PASSWORD)
    assert "You hold no role that allows you to see contacts." in nobody.can(P.CONTACTS_VIEW).why


@pytest.mark.parametrize("permission", list(P))
def test_PERM_6_role_and_seat_and_membership_for_everyone(world, permission):
    c = world.conversation()
    inside = {"dana", "ada", "maya", "theo", "sven", "uma", "vera"}  # Sven by his role
    for name in ("dana", "ada", "maya", "theo", "sven", "uma", "vera", "olga", "nina"):
        who = getattr(world, name)
        holds = any(permission in DEFAULT_ROLES[role][1] for role in who.roles)
        seat = permission not in SEATED or who.seated
        there = (permission not in INBOXED or name in inside) and name != "nina"  # nothing on another account’s things
        verdict = who.can(permission, on=c)
        assert bool(verdict) == (holds and seat and there), (name, permission)
        assert bool(verdict.why) != verdict.allowed
        if not verdict:
            with pytest.raises(NoSeat if holds and not seat else Denied) as refused:
                who.require(permission, on=c)
            assert refused.value.status == 403 and refused.value.sentence == verdict.why


def test_PERM_6_a_personal_inbox_is_its_owners_alone(world):
    with transaction():
        world.pharmacy.owner_id = world.theo.id
    for who in world.people:
        who.forget_inboxes()
        assert bool(who.can(P.CONVERSATIONS_VIEW, on=world.pharmacy)) == (who is world.theo), who.name


def test_PERM_3_roles_combine_but_agent_and_supervisor_do_not(world):
    with transaction():
        world.vera.give_role("inbox-setup", by=world.dana)
        world.vera.give_role("inbox-setup", by=world.dana)
    assert world.vera.roles == ["viewer", "inbox-setup"]
    assert world.vera.permissions == DEFAULT_ROLES["viewer"][1] | DEFAULT_ROLES["inbox-setup"][1]
    for who, role in ((world.maya, "supervisor"), (world.sven, "agent")):
        with pytest.raises(Refused) as refused, transaction():
            who.give_role(role, by=world.dana)
        assert refused.value.field == "role" and "Supervisor already contains Agent" in refused.value.sentence
    anew()
    assert world.maya.roles == ["agent"]


@pytest.mark.parametrize("giver", ["dana", "ada", "maya", "theo", "sven", "uma", "vera", "olga"])
@pytest.mark.parametrize("role", sorted(DEFAULT_ROLES))
def test_PERM_5_nobody_gives_what_they_lack(world, giver, role):
    by = getattr(world, giver)
    before = rows()
    gives = {P.ROLES_ASSIGN, P.MEMBERS_INVITE} <= by.permissions
    allowed = role != "owner" and gives and DEFAULT_ROLES[role][1] <= by.permissions
    for give in (lambda: world.vera.change_role(role, by=by), lambda: Invitation.send(world.harbor, "new@harbor.example", by=by, role=role)):
        try:
            with transaction():
                give()
            assert allowed or (gives and role == "viewer" and world.vera.roles == ["viewer"])
        except Refused:
            assert not allowed
            assert rows() == before
    anew()
    assert world.vera.roles == [role if allowed else "viewer"]


def test_PERM_5_nobody_takes_a_role_they_could_not_give(world):
    with transaction():
        Grant(member_id=world.olga.id, role="admin").save()
        db.session.refresh(world.olga)
    with pytest.raises(Denied), transaction():
        world.olga.change_role("viewer", by=world.sven)
    for by in (world.ada, world.dana):
        with pytest.raises(Refused) as refused, transaction():
            world.dana.change_role("viewer", by=by)
        assert refused.value.sentence == "Ownership moves only by a transfer."
    for role in ("owner", "king", "", "AGENT"):
        with pytest.raises(Refused), transaction():
            world.vera.change_role(role, by=world.dana)
    anew()
    assert world.vera.roles == ["viewer"] and world.dana.roles == ["owner"]


# -- the first run ------------------------------------------------------------------------------------------------


def test_ACC_1_the_first_run_makes_account_team_owner_and_one_seat(app):
    assert not Account.any()
    with transaction():
        account, owner = Account.open(name="  Harbor  ", owner_name=" Dana   Whitfield ", email=" DANA@Harbor.Example ", password=PASSWORD)
    assert Account.any() and account.trial_days_left in (59, 60)
    assert (account.name, owner.name, owner.email, owner.user_id) == ("Harbor", "Dana Whitfield", "dana@harbor.example", "U1001")
    assert [t.name for t in account.teams] == ["Harbor"] and owner.roles == ["owner"] and owner.seated and account.seats_used == 1
    clock.shift(61 * 86400)
    assert account.trial_days_left == 0


@pytest.mark.parametrize("password", ["", "short", "passwort123", "password!!", "aaaaaaaaaaaa", "1234567890", "x" * 201, "qwertyuiop"])
def test_ACC_7_weak_passwords_are_refused_at_the_field(app, password):
    before = rows()
    with pytest.raises(Refused) as refused, transaction():
        Account.open(name="Harbor", owner_name="Dana", email="dana@harbor.example", password=password)
    assert refused.value.field == "password" and rows() == before and not Account.any()


def test_ACC_1_an_address_signs_in_once_in_the_whole_house(world):
    before = rows()
    with pytest.raises(Refused) as refused, transaction():
        Account.open(name="Other", owner_name="Other", email="ＭＡＹＡ@harbor.example", password=PASSWORD)
    assert refused.value.field == "email" and rows() == before


def test_ACC_7_signing_in(world):
    assert Member.authenticate(" MAYA@harbor.example", PASSWORD) is world.maya
    for email, password in (("maya@harbor.example", PASSWORD + " "), ("nobody@harbor.example", PASSWORD), ("", ""), ("maya@harbor.example", ""), ("\x00", "\x00")):
        assert Member.authenticate(email, password) is None
    with transaction():
        world.maya.deactivated_at = clock.now()
    assert Member.authenticate("maya@harbor.example", PASSWORD) is None


# -- sessions -----------------------------------------------------------------------------------------------------


def start(who):
    with transaction():
        return LoginSession.start(who, ip="127.0.0.1" * 9, user_agent="x" * 900)


def test_ACC_7_a_session_lives_while_used_and_no_longer_than_30_days(world):
    token = start(world.maya)
    assert LoginSession.find(token).member is world.maya
    assert token not in {s.token_digest for s in db.session.query(LoginSession)}
    for wrong in ("", "x", token + "x", "\x00"):
        assert LoginSession.find(wrong) is None
    clock.shift(13 * 86400)
    with transaction():
        LoginSession.find(token).seen_at = clock.now()
    clock.shift(13 * 86400)
    with transaction():
        LoginSession.find(token).seen_at = clock.now()
    clock.shift(5 * 86400)
    assert LoginSession.find(token) is None
    idle = start(world.maya)
    clock.shift(14 * 86400 + 1)
    assert LoginSession.find(idle) is None


def test_ACC_7_a_revoked_session_and_a_deactivated_member_are_out_at_once(world):
    one, two = start(world.maya), start(world.maya)
    with transaction():
        LoginSession.find(one).revoke()
    assert LoginSession.find(one) is None and LoginSession.find(two)
    with transaction():
        world.maya.deactivated_at = clock.now()
    assert LoginSession.find(two) is None


# -- invitations --------------------------------------------------------------------------------------------------


def invite(world, email="new@harbor.example", **kwargs):
    with transaction():
        return Invitation.send(world.harbor, email, by=world.dana, **kwargs)


def accept(token, name="New Person"):
    with transaction():
        invitation = Invitation.find(token)
        if invitation is None:
            raise Refused("over")
        return invitation.accept(name=name, password=PASSWORD)


def test_ACC_3_an_invitation_works_once(world, bell):
    invitation = invite(world, " New@Harbor.example", seat=True, inbox_ids=[world.front.id, world.waiting.id, world.reception.id])
    assert bell.rung[-1] == ("send_mail", ("invitation", invitation.id))
    token = invitation.token
    assert token not in (invitation.token_digest, invitation.link_token)
    member = accept(token)
    assert (member.email, member.roles, member.seated) == ("new@harbor.example", ["back-office-manager"], True)
    assert [i.id for i in (world.front, world.waiting, world.reception) if member in i.members] == [world.front.id]
    anew()
    assert (invitation.state, invitation.token) == ("accepted", None)
    before = rows()
    with pytest.raises(Refused):
        accept(token)
    with pytest.raises(Refused), transaction():
        invitation.accept(name="Again", password=PASSWORD)
    for act in (invitation.resend, invitation.revoke):
        with pytest.raises(Refused), transaction():
            act(by=world.dana)
    assert rows() == before


def test_ACC_3_and_for_24_hours(world):
    invitation = invite(world)
    token = invitation.token
    clock.shift(24 * 3600 - 1)
    assert Invitation.find(token)
    clock.shift(2)
    assert Invitation.find(token) is None and invitation.state == "expired"
    with pytest.raises(Refused) as over, transaction():
        invitation.accept(name="Late", password=PASSWORD)
    assert "Ask for a new one" in over.value.sentence
    assert Invitation.pending(world.harbor) == [invitation]
    with transaction():
        invitation.resend(by=world.ada)
    assert Invitation.find(token) is None and invitation.token != token and accept(invitation.token)


def test_ACC_3_a_revoked_link_is_dead(world):
    invitation = invite(world)
    token = invitation.token
    with transaction():
        invitation.revoke(by=world.dana)
    assert Invitation.find(token) is None and Invitation.pending(world.harbor) == [] and invitation.token is None
    with pytest.raises(Refused), transaction():
        invitation.accept(name="Sly", password=PASSWORD)
    assert invite(world).token


def test_ACC_3_no_second_invitation_and_none_for_a_member(world):
    invite(world)
    before = rows()
    for email in ("NEW@harbor.example", "maya@harbor.example"):
        with pytest.raises(Refused) as refused, transaction():
            Invitation.send(world.harbor, email, by=world.dana)
        assert refused.value.field == "email"
    assert rows() == before


def test_ACC_1_inviting_says_nothing_about_other_accounts_members(world):
    with transaction():
        invitation = Invitation.send(world.harbor, "nina@north.example", by=world.dana)
    with pytest.raises(Refused) as refused, transaction():
        invitation.accept(name="Nina", password=PASSWORD)
    assert refused.value.field == "email"


def test_ACC_3_a_weak_password_does_not_use_the_invitation_up(world):
    invitation = invite(world)
    with pytest.raises(Refused), transaction():
        invitation.accept(name="New", password="short")
    anew()
    assert invitation.state == "pending" and accept(invitation.token)


def test_ACC_3_without_a_seat_left_they_join_and_may_look(world):
    with transaction():
        world.harbor.seats_paid = world.harbor.seats_used
    member = accept(invite(world, seat=True, inbox_ids=[world.front.id]).token)
    assert not member.seated and member.can(P.CONVERSATIONS_VIEW, on=world.front) and not member.can(P.CONVERSATIONS_REPLY, on=world.front)


def test_ACC_3_eight_threads_with_one_link_make_one_member(world, app, together):
    token = invite(world, seat=True).token
    used = world.harbor.seats_used
    results = together(lambda i: accept(token, f"Person {i}").id, 8, app)
    assert len([r for r in results if isinstance(r, int)]) == 1 and all(isinstance(r, Refused) for r in failures(results)), results
    anew()
    assert db.session.query(Member).filter_by(email="new@harbor.example").count() == 1
    assert world.harbor.seats_used == used + 1 and db.session.query(Event).filter_by(kind="invitation.accepted").count() == 1


def test_ACC_3_eight_people_accept_at_once_and_share_the_last_two_seats(world, app, together):
    tokens = [invite(world, f"new{i}@harbor.example", seat=True, inbox_ids=[world.front.id]).token for i in range(8)]
    results = together(lambda i: accept(tokens[i], f"Person {i}").id, 8, app)
    assert not failures(results), results
    anew()
    people = Member.of(world.harbor.id)
    assert len({m.user_id for m in people}) == len(people) == 16
    assert world.harbor.seats_used == sum(m.seated for m in people) == 8


def test_ACC_3_two_accounts_invite_one_address_and_the_first_to_accept_wins(world, app, together):
    with transaction():
        other = Invitation.send(world.north, "new@harbor.example", by=world.nina)
    tokens = [invite(world).token, other.token]
    results = together(lambda i: accept(tokens[i]).id, 2, app)
    assert len([r for r in results if isinstance(r, int)]) == 1 and all(isinstance(r, Refused) for r in failures(results)), results


@pytest.mark.parametrize("name", ["\x00", "a\x00b\x1f c\n\td", "\ud800", "\u202eabc"])
def test_odd_names_never_break_the_database(world, name):
    with transaction():
        invitation = Invitation.send(world.harbor, f"{name}@harbor.example", by=world.dana)
        member = invitation.accept(name=name, password=PASSWORD)
        contact = world.named(world.conversation(), name, name)
    anew()
    assert member.name == {"a\x00b\x1f c\n\td": "ab c d", "\u202eabc": "\u202eabc"}.get(name, "")
    assert contact.first_name == member.name and Member.authenticate(member.email, PASSWORD) is member
