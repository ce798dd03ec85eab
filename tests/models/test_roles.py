"""PERM-1..3, PERM-5 at the model: custom roles are made, changed and deleted only by who holds what they give, and nobody is left holding more than that."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from inbox.models import Denied, Grant, Invitation, Member, NeedsReplacement, Refused, Role, RoleChanged, RoleGone, Team, db, transaction
from inbox.models.event import Event
from inbox.models.role import copyable, grantable
from inbox.models.role_edit import RoleEdit, effects, settled
from inbox.permissions import DEFAULT_ROLES, ENTRIES, OWNERS_ONLY, SEATED, TEAMED, Permission, needed, with_needed
from tests.models.helpers import anew, failures, person, rows

P = Permission
FREE = frozenset(P) - OWNERS_ONLY


def lead(world, *permissions, by=None, name="Front desk lead"):
    with transaction():
        return Role.create(world.harbor, name=name, permissions=permissions or (P.CONVERSATIONS_REPLY,), by=by or world.dana)


def hold(world, who, *places):
    with transaction():
        who.set_roles(list(places), by=world.dana)


def last(kind):
    return db.session.scalars(sa.select(Event).where(Event.kind == kind).order_by(Event.id.desc())).first()


# -- making and naming ---------------------------------------------------------------------------------------------


def test_PERM_5_what_a_permission_needs_comes_along(world):
    role = lead(world, P.CONTACTS_IMPORT)
    assert role.permissions == {P.CONTACTS_IMPORT, P.CONTACTS_OWN, P.CONTACTS_EDIT, P.CONTACTS_VIEW}
    event = last("role.created")
    assert event.data["name"] == "Front desk lead" and event.data["permissions"] == sorted(role.permissions) and event.actor_id == world.dana.id


def test_PERM_5_nobody_makes_a_role_with_what_they_lack(world):
    before = rows()
    for by, permission in ((world.ada, P.CONVERSATIONS_ALL), (world.dana, P.OWNERSHIP_TRANSFER), (world.dana, P.COLLABORATORS_MANAGE), (world.maya, P.CONVERSATIONS_VIEW)):
        with pytest.raises(Denied), transaction():
            Role.create(world.harbor, name="More", permissions=[permission], by=by)
    assert rows() == before


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "Agent", "ＡＧＥＮＴ", "front DESK  lead"])
def test_PERM_5_names_are_short_and_unique_whatever_their_case(world, name):
    lead(world)
    with pytest.raises(Refused) as refused, transaction():
        Role.create(world.harbor, name=name, permissions=[], by=world.dana)
    assert refused.value.field == "name"


def test_PERM_5_renaming_keeps_access_and_is_recorded(world):
    role = lead(world)
    with transaction():
        role.rename("Desk chief", by=world.ada, description="Runs the desk")
    anew()
    assert (role.name, role.description, role.version) == ("Desk chief", "Runs the desk", 0)
    assert last("role.renamed").data["before"] == "Front desk lead"
    with transaction():
        role.rename("desk CHIEF", by=world.ada)
    with pytest.raises(Denied), transaction():
        role.rename("Mine", by=world.maya)


def test_PERM_5_of_two_who_take_a_name_at_once_one_is_told(world, app, together):
    harbor, dana = world.harbor.id, world.dana.id

    def make(_):
        with transaction():
            by = person(dana)
            return Role.create(by.account, name="Night shift", permissions=[], by=by).account_id

    results = together(make, 4, app)
    assert results.count(harbor) == 1 and all(isinstance(r, Refused) and r.field == "name" for r in failures(results)), results


@pytest.mark.parametrize("key", [key for key in DEFAULT_ROLES if key != "owner"])
def test_PERM_2_a_copy_holds_what_the_copier_may_give(world, key):
    sheet = Role.sheet_of(world.harbor.id, key)
    assert copyable(sheet, world.dana) == sheet.permissions
    for by in (world.dana, world.ada):
        kept = copyable(sheet, by)
        assert kept <= grantable(by) and with_needed(kept) == kept
        role = lead(world, *kept, by=by, name=f"Copy by {by.name}") if kept else None
        assert role is None or role.permissions == kept
    assert not copyable(sheet, world.maya)


# -- changing ------------------------------------------------------------------------------------------------------


def test_PERM_5_only_cells_the_editor_holds_change(world):
    role = lead(world, P.CONVERSATIONS_ALL, P.CONTACTS_VIEW)
    with pytest.raises(Denied), transaction():
        role.change(role.permissions - {P.CONVERSATIONS_ALL}, by=world.ada, version=0)
    with transaction():
        role.change(role.permissions | {P.CONTACTS_EDIT}, by=world.ada, version=0)
    anew()
    assert role.permissions == {P.CONVERSATIONS_ALL, P.CONVERSATIONS_VIEW, P.CONTACTS_VIEW, P.CONTACTS_EDIT} and role.version == 1
    assert last("role.edited").data["added"] == [P.CONTACTS_EDIT]


def test_PERM_5_the_second_editor_is_told(world):
    role = lead(world)
    with transaction():
        role.change({P.CONTACTS_VIEW}, by=world.ada, version=0)
    for version in (0, 2, -1):
        with pytest.raises(RoleChanged) as refused, transaction():
            role.change({P.CONTACTS_EDIT}, by=world.dana, version=version)
        assert refused.value.status == 409
    anew()
    assert role.permissions == {P.CONTACTS_VIEW}


def test_PERM_5_editors_at_the_same_moment_one_wins(world, app, together):
    role, dana, ada = lead(world).id, world.dana.id, world.ada.id

    def change(i):
        with transaction():
            db.session.get(Role, role).change({(P.CONTACTS_VIEW, P.BILLING_VIEW, P.MEMBERS_VIEW, P.AUDIT_VIEW)[i]}, by=person((dana, ada)[i % 2]), version=0)

    results = together(change, 4, app)
    assert results.count(None) == 1 and all(isinstance(r, RoleChanged) for r in failures(results)), results
    anew()
    row = db.session.get(Role, role)
    assert row.version == 1 and len(row.permissions) == 1 and db.session.query(Event).filter_by(kind="role.edited").count() == 1


def test_PERM_5_several_roles_change_together_or_not_at_all(world):
    one, two = lead(world), lead(world, P.CONTACTS_VIEW, name="Other")
    with pytest.raises(RoleChanged), transaction():
        Role.change_all([(one, {P.BILLING_VIEW}, 0), (two, {P.BILLING_VIEW}, 7)], by=world.dana)
    anew()
    assert one.permissions == {P.CONVERSATIONS_REPLY, P.CONVERSATIONS_VIEW} and two.permissions == {P.CONTACTS_VIEW}
    with transaction():
        Role.change_all([(one, {P.BILLING_VIEW}, 0), (two, two.permissions, 0)], by=world.dana)
    anew()
    assert (one.version, two.version) == (1, 0)


def test_SEAT_5_moving_a_permission_between_two_roles_of_one_person_strands_nothing(world):
    one, two = lead(world), lead(world, P.CONVERSATIONS_VIEW, name="Other")
    hold(world, world.maya, (one.public_id, None), (two.public_id, None))
    c = world.conversation()
    with transaction():
        c.assign_to(world.maya, by=world.dana, expected=None)
    with transaction():
        Role.change_all([(one, {P.CONVERSATIONS_VIEW}, 0), (two, {P.CONVERSATIONS_REPLY}, 0)], by=world.dana)
    anew()
    assert c.assignee_id == world.maya.id and world.maya.seated


def test_SEAT_5_losing_the_right_to_reply_gives_back_seat_and_conversations(world):
    role = lead(world)
    hold(world, world.maya, (role.public_id, None))
    c = world.conversation()
    with transaction():
        c.assign_to(world.maya, by=world.dana, expected=None)
    (effect,) = effects(world.harbor.id, {role.id: frozenset({P.CONVERSATIONS_VIEW})})
    assert (effect.member.id, effect.gained, effect.lost, effect.conversations, effect.unseated) == (world.maya.id, (), ("Reply",), 1, True)
    with transaction():
        role.change({P.CONVERSATIONS_VIEW}, by=world.dana, version=0)
    anew()
    assert c.assignee_id is None and not world.maya.seated


def test_PERM_5_nobody_locks_themselves_out(world):
    role = lead(world, P.ROLES_MANAGE, P.ROLES_ASSIGN, P.CONTACTS_PII)  # as every default role has
    hold(world, world.uma, (role.public_id, None))
    with pytest.raises(Refused, match="yourself"), transaction():
        role.change({P.ROLES_VIEW}, by=world.uma, version=0)
    with pytest.raises(Refused, match="yourself"), transaction():
        role.destroy(by=world.uma, replacement="analytics")
    anew()
    assert world.uma.can(P.ROLES_MANAGE)


# -- who gains and loses -------------------------------------------------------------------------------------------


def test_PERM_5_effects_count_the_other_roles_and_write_nothing(world):
    role = lead(world, P.CONVERSATIONS_REPLY, P.BILLING_VIEW)
    for who, other in ((world.maya, "agent"), (world.vera, "viewer"), (world.theo, "agent")):
        hold(world, who, (other, None), (role.public_id, None))
    with transaction():
        world.theo.deactivate(by=world.dana)
    before = rows()
    found = effects(world.harbor.id, {role.id: frozenset({P.AUDIT_VIEW})})
    assert [(e.member.name, e.gained, e.lost) for e in found] == [
        ("Maya Chen", ("Read the audit log",), ("View plan and balance",)),
        ("Vera Lind", ("Read the audit log",), ("Reply", "View plan and balance")),
    ]
    assert rows() == before and world.maya.can(P.BILLING_VIEW) and not world.maya.can(P.AUDIT_VIEW)


def test_PERM_3_effects_name_the_team_a_role_is_held_for(world):
    annex = db.session.scalars(sa.select(Team).where(Team.name == "Annex")).one()
    role = lead(world, P.CONVERSATIONS_REPLY, P.MEMBERS_VIEW)
    hold(world, world.vera, ("viewer", None), (role.public_id, annex.id))
    (effect,) = effects(world.harbor.id, {role.id: frozenset({P.CONTACTS_VIEW, P.AUDIT_VIEW})})
    assert effect.gained == ("View contacts (Annex)",) and effect.lost == ("Reply (Annex)",)


def test_PERM_5_effects_cost_the_same_queries_for_many(world, app):
    role = lead(world)
    counts = []
    for n in (2, 12):
        with transaction():
            for i in range(n):
                who = world.member(world.harbor, f"P{n}x{i} X", "viewer", seat=False)
                Grant(member_id=who.id, role=role.public_id, role_id=role.id).save()
        db.session.expire_all()
        id, asked = world.harbor.id, []
        after = {role.id: frozenset({P.BILLING_VIEW})}
        db.session.rollback()
        listen = lambda *args: asked.append(args[2])  # noqa: E731
        sa.event.listen(db.engine, "before_cursor_execute", listen)
        assert effects(id, after)
        sa.event.remove(db.engine, "before_cursor_execute", listen)
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 9, counts


# -- ticks and their dependencies ----------------------------------------------------------------------------------

SETS = st.frozensets(st.sampled_from(list(P)))


@given(SETS, SETS, SETS)
def test_PERM_5_ticks_settle_closed_keeping_what_is_not_the_readers(seen, ticked, fixed):
    seen, fixed = with_needed(seen), frozenset(P) - with_needed(frozenset(P) - fixed)  # who may give something holds what it needs
    wanted = settled(seen, (ticked - fixed) | (seen & fixed), fixed)
    assert with_needed(wanted) == wanted, "nothing is ticked without what it needs"
    assert wanted & fixed == seen & fixed, "closed cells never move"
    assert ticked - seen - fixed <= wanted, "what was added is there"
    for gone in (seen - ticked) - wanted - fixed:
        assert not any(gone in needed(other) for other in wanted)
    assert settled(seen, seen, fixed) == seen


def test_PERM_5_a_change_moves_on_top_of_what_somebody_else_saved(world):
    role = lead(world, P.CONVERSATIONS_REPLY, P.CONTACTS_VIEW)
    edit = RoleEdit(role, 0, role.permissions, (role.permissions - {P.CONTACTS_VIEW}) | {P.MEDIA_SEND}, FREE)
    with transaction():
        role.change(role.permissions | {P.CONTACTS_EDIT}, by=world.ada, version=0)
    assert edit.stale
    again = edit.rebased()
    assert not again.stale and again.version == 1 and again.added == [P.MEDIA_SEND] and again.removed == [P.CONTACTS_VIEW, P.CONTACTS_EDIT]


# -- deleting ------------------------------------------------------------------------------------------------------


def test_PERM_5_a_role_in_use_asks_for_a_replacement(world):
    role = lead(world)
    hold(world, world.maya, (role.public_id, None))
    with pytest.raises(NeedsReplacement, match="1 person holds"), transaction():
        role.destroy(by=world.dana)
    for key, kind in (("owner", Refused), (role.public_id, NeedsReplacement), ("nonsense", NeedsReplacement)):
        with pytest.raises(kind), transaction():
            role.destroy(by=world.dana, replacement=key)
    with pytest.raises(Denied), transaction():
        role.destroy(by=world.ada, replacement="supervisor")
    with transaction():
        role.destroy(by=world.ada, replacement="front-desk-staff")
    anew()
    assert world.maya.roles == ["front-desk-staff"] and not Role.custom(world.harbor.id)
    assert last("role.deleted").data == {"name": "Front desk lead", "replacement": "Front Desk Staff", "people": 1}


def test_PERM_5_pending_invitations_follow_the_replacement(world):
    role = lead(world)
    with transaction():
        invitation = Invitation.send(world.harbor, "new@harbor.example", by=world.dana, role=role.public_id)
    with pytest.raises(NeedsReplacement, match="1 invitation is"), transaction():
        role.destroy(by=world.dana)
    with transaction():
        role.destroy(by=world.dana, replacement="viewer")
    anew()
    assert invitation.role == "viewer"


def test_PERM_3_a_replacement_never_joins_agent_and_supervisor(world):
    role = lead(world)
    hold(world, world.maya, ("agent", None), (role.public_id, None))
    with pytest.raises(Refused, match="Maya Chen holds Agent") as refused, transaction():
        role.destroy(by=world.dana, replacement="supervisor")
    assert refused.value.field == "replacement"
    anew()
    assert set(world.maya.roles) == {"agent", role.public_id}


def test_PERM_5_deleting_twice_at_once_deletes_once(world, app, together):
    role, dana, ada = lead(world).id, world.dana.id, world.ada.id

    def delete(i):
        with transaction():
            row = db.session.get(Role, role)
            if row is None:
                raise RoleGone("gone before")
            row.destroy(by=person((dana, ada)[i % 2]))

    results = together(delete, 4, app)
    assert results.count(None) == 1 and all(isinstance(r, RoleGone) for r in failures(results)), results


def test_PERM_5_giving_a_role_while_it_is_deleted_ends_in_order(world, app, together):
    role, key, dana, people = lead(world), lead(world, name="x").public_id, world.dana.id, [world.maya.id, world.theo.id, world.uma.id]
    key, id = role.public_id, role.id

    def race(i):
        with transaction():
            if i == 3:
                db.session.get(Role, id).destroy(by=person(dana), replacement="viewer")
            else:
                person(people[i]).set_roles([(key, None)], by=person(dana))

    results = together(race, 4, app)
    assert all(isinstance(r, Refused) for r in failures(results)), results
    anew()
    assert not db.session.scalar(sa.select(sa.func.count()).select_from(Grant).where(Grant.role == key)) or db.session.get(Role, id)


# -- teams ---------------------------------------------------------------------------------------------------------


def test_PERM_3_a_role_for_a_team_counts_for_that_team_only(world):
    with transaction():
        world.waiting_registration.state = "approved"
        world.waiting.joined_at = world.front.joined_at
        world.waiting.add_member(world.vera, by=world.dana)
    role = lead(world, *(TEAMED - OWNERS_ONLY), P.MEMBERS_VIEW)
    hold(world, world.vera, ("viewer", None), (role.public_id, world.waiting.team_id))
    with transaction():
        world.harbor.seat(world.vera, by=world.dana)
    anew()
    assert world.vera.can(P.CONVERSATIONS_REPLY, on=world.waiting) and not world.vera.can(P.CONVERSATIONS_REPLY, on=world.front)
    assert not world.vera.can(P.MEMBERS_VIEW), "what belongs to no team is not held for one"


# -- nobody rises above who made them ------------------------------------------------------------------------------

CAST = ("ada", "maya", "theo", "sven", "uma", "vera")


class Undo(Exception):
    """Every example starts from the same rows."""


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_PERM_5_no_sequence_of_edits_and_grants_creates_rights(world, data):
    """Without the owner's help nobody gains what the actor lacked, nobody gains by their own hand, and owners' rights stay theirs."""
    draw = data.draw
    try:
        with transaction():
            teams = [None, *db.session.scalars(sa.select(Team.id).where(Team.account_id == world.harbor.id))]
            helper = Role.create(world.harbor, name="Helper", permissions=[P.ROLES_MANAGE, P.ROLES_ASSIGN, P.CONVERSATIONS_REPLY, P.CONTACTS_EDIT], by=world.dana)
            world.uma.set_roles([(helper.public_id, None)], by=world.dana)
            ceiling = frozenset().union(*(getattr(world, name).permissions for name in CAST))
            for _ in range(draw(st.integers(3, 8))):
                step(world, draw, teams, ceiling)
            raise Undo
    except Undo:
        pass


def step(world, draw, teams, ceiling):
    actor, target = getattr(world, draw(st.sampled_from(("ada", "uma", "maya", "sven")))), getattr(world, draw(st.sampled_from(CAST)))
    roles = Role.custom(world.harbor.id)
    keys = [sheet.key for sheet in Role.sheets(world.harbor.id)]
    before = {name: {team: getattr(world, name).permissions_in(team) for team in teams} for name in CAST}
    mine = {team: actor.permissions_in(team) for team in teams}
    wanted = draw(st.frozensets(st.sampled_from(list(P)), max_size=6))
    action = draw(st.sampled_from(("create", "change", "grant", "grant", "delete") if roles else ("create", "grant")))
    try:
        with db.session.begin_nested():
            if action == "create":
                Role.create(world.harbor, name=f"Role {len(roles)} {draw(st.integers(0, 10**6))}", permissions=wanted & mine[None] or wanted, by=actor)
            elif action == "change":
                role = draw(st.sampled_from(roles))
                role.change(role.permissions ^ wanted, by=actor, version=role.version)
            elif action == "grant":
                places = draw(st.lists(st.tuples(st.sampled_from(keys), st.sampled_from(teams)), max_size=3, unique=True))
                target.set_roles(places, by=actor)
            else:
                draw(st.sampled_from(roles)).destroy(by=actor, replacement=draw(st.sampled_from(keys)))
    except Refused:
        db.session.expire_all()
        return
    db.session.expire_all()
    for name in CAST:
        who = getattr(world, name)
        for team in teams:
            gained = who.permissions_in(team) - before[name][team]
            assert gained <= mine[team], f"{name} gained {gained - mine[team]} from {actor.name} by {action}"
            assert not (who.id == actor.id and gained), f"{name} helped themselves to {gained}"
        assert not who.permissions & OWNERS_ONLY and who.permissions <= ceiling
        assert not {"agent", "supervisor"} <= set(who.roles)


# -- ownership -----------------------------------------------------------------------------------------------------


def test_PERM_2_the_owner_is_one_and_cannot_leave(world, bell):
    for change in (
        lambda: world.dana.set_roles([("viewer", None)], by=world.ada), lambda: world.dana.deactivate(by=world.dana), lambda: world.dana.remove(by=world.dana),
        lambda: world.maya.set_roles([("owner", None)], by=world.dana), lambda: world.dana.take_ownership(by=world.dana), lambda: world.nina.take_ownership(by=world.dana),
        lambda: world.maya.take_ownership(by=world.ada),
    ):
        with pytest.raises(Refused), transaction():
            change()
    with transaction():
        world.maya.take_ownership(by=world.dana)
    anew()
    assert world.maya.roles == ["owner"] and world.dana.roles == ["admin"]
    event = last("account.ownership_transferred")
    assert ("send_mail", ("ownership", event.id)) in bell.rung and event.about_id == world.maya.id


def test_PERM_2_of_two_transfers_at_once_one_wins(world, app, together):
    dana, heirs = world.dana.id, [world.ada.id, world.maya.id, world.theo.id, world.sven.id]

    def transfer(i):
        with transaction():
            person(heirs[i]).take_ownership(by=person(dana))

    results = together(transfer, 4, app)
    assert results.count(None) == 1 and all(isinstance(r, Refused) for r in failures(results)), results
    anew()
    owners = db.session.scalars(sa.select(Member.id).join(Grant).where(Grant.role == "owner", Member.account_id == world.harbor.id)).all()
    assert owners == [heirs[results.index(None)]] and person(dana).roles == ["admin"]


def test_PERM_1_every_permission_is_in_one_group_and_needs_only_known_ones(world):
    assert set(ENTRIES) == set(P) and len(ENTRIES) == len(P)
    for permission in P:
        assert permission not in needed(permission), "no circles"
        assert not (permission in SEATED and not ENTRIES[permission].inboxed)
