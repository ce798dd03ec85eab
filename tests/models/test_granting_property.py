"""SECURITY S24, S26: whoever grants whatever to whomever, nobody gets what the one who gave it did not hold for that place."""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbox.models import Grant, InboxMember, Invitation, Member, Refused, Role, Team, db, transaction
from inbox.permissions import DEFAULT_ROLES, OWNERS_ONLY, TEAMED, Permission, with_needed
from tests.models.helpers import anew

_n = itertools.count(1)
PERMISSIONS = st.sets(st.sampled_from(list(Permission)), max_size=5)


def test_S24_no_role_grants_outside_its_own_set(world):
    annex = db.session.query(Team).filter_by(account_id=world.harbor.id, name="Annex").one()
    teams = {"whole": None, "home": world.team.id, "annex": annex.id}
    with transaction():
        target = world.member(world.harbor, "Target Person", "viewer", seat=False)
        actors = {}
        for role, place in itertools.product(DEFAULT_ROLES, teams):
            if role == "owner":
                continue
            who = Member(account_id=world.harbor.id, email=f"g{len(actors)}@harbor.example", name=f"{role} {place}", password_hash="x", user_id=f"G{len(actors)}", seated=True).save()
            Grant(member_id=who.id, role=role, team_id=teams[place]).save()
            InboxMember(inbox_id=world.front.id, member_id=who.id).save()
            actors[role, place] = who.id
        actors["custom", "whole"] = world.member(world.harbor, "Granter Person", "viewer", seat=False).id
        granter = Role.create(world.harbor, name="Granter", permissions={Permission.ROLES_ASSIGN, Permission.ROLES_MANAGE, Permission.MEMBERS_INVITE, Permission.CONVERSATIONS_VIEW}, by=world.dana)
        db.session.get_one(Member, actors["custom", "whole"]).set_roles([(granter.public_id, None)], by=world.dana)
        actors["owner", "whole"] = world.dana.id
    custom = granter.public_id
    names = {id: key for key, id in actors.items()}

    def holds(id: int, team: int | None) -> frozenset[Permission]:
        role, place = names[id]
        held = db.session.get_one(Role, granter.id).permissions if role == "custom" else DEFAULT_ROLES[role][1]
        return held if place == "whole" else held & TEAMED if teams[place] == team else frozenset()

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        by=st.sampled_from(sorted(actors)), role=st.sampled_from([*DEFAULT_ROLES, custom]), place=st.sampled_from(sorted(teams)), permissions=PERMISSIONS,
        inboxes=st.sets(st.sampled_from([world.front.id, world.pharmacy.id, world.reception.id])),
    )
    def check(by, role, place, permissions, inboxes):
        anew()
        actor, target_row, team = db.session.get_one(Member, actors[by]), db.session.get_one(Member, target.id), teams[place]
        given_now = db.session.get_one(Role, granter.id).permissions if role == custom else DEFAULT_ROLES[role][1]
        wanted = given_now & TEAMED if team else given_now
        same = {(grant.role, grant.team_id) for grant in target_row.grants} == {(role, team)}  # then nothing is given
        try:
            with transaction():
                target_row.set_roles([(role, team)], by=actor)
            assert same or role != "owner" and wanted <= holds(actor.id, team) | holds(actor.id, None), (by, role, place)
            assert Permission.ROLES_ASSIGN in holds(actor.id, None)
        except Refused:
            pass
        try:
            with transaction():
                made = Role.create(actor.account, name=f"Made {next(_n)}", permissions=permissions, by=actor)
                assert made.permissions == with_needed(permissions) <= holds(actor.id, None) - OWNERS_ONLY, (by, permissions)
                db.session.delete(made)
        except Refused:
            pass
        try:
            with transaction():
                sent = Invitation.send(actor.account, f"p{next(_n)}@example.com", by=actor, role=role, inbox_ids=sorted(inboxes))
                assert role != "owner" and given_now <= holds(actor.id, None), (by, role)
                assert set(sent.inbox_ids) <= actor.inbox_ids, "only inboxes they are in"
        except Refused:
            pass

    check()


def test_S26_what_the_body_says_about_account_author_and_state_does_not_count(app, world):
    """The row has the session's values, whatever the form holds."""
    c = world.conversation()
    client = app.test_client().sign_in(world.maya)
    lies = {
        "account_id": world.north.id, "account": world.north.public_id, "author_id": world.dana.id, "by": world.dana.public_id, "actor_id": world.dana.id, "kind": "in", "state": "sent",
        "created_at": "2001-01-01", "direction": "in", "cost": "0", "user_id": world.dana.user_id, "inbox_id": world.pharmacy.id, "team_id": 1, "seated": "1", "role": "owner",
    }
    assert client.send(f"/c/{c.public_id}/notes", note="A note", **lies).status_code == 303
    anew()
    note = c.thread()[0][-1].message
    assert (note.account_id, note.author_id, note.inbox_id, note.kind, note.state) == (world.harbor.id, world.maya.id, world.front.id, "note", "note")
    assert note.created_at.year > 2020
    client.send("/settings/profile", name="Maya Chen", time_zone="UTC", theme="auto", **lies)
    client.send(f"/contacts/{c.contact.public_id}", first="Rosa", last="Lee", owner_id=world.nina.id, phone="+12065550100", **lies)
    anew()
    maya = db.session.get_one(Member, world.maya.id)
    assert (maya.roles, maya.account_id, maya.user_id) == (["agent"], world.harbor.id, world.maya.user_id)
    assert (c.contact.account_id, c.contact.phone, c.contact.owner_id) == (world.harbor.id, "+14155550134", None)
