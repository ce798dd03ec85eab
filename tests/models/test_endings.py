"""SEAT-5 and PERM-5 at the model: what a change takes is known before, and moves with it, whichever way access ends."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Contact, Conversation, Denied, Draft, Event, Grant, Lock, LockWaiter, LoginSession, Refused, Role, Team, db, transaction
from inbox.models.handover import Handover, imagined, shifts
from inbox.models.holdings import Holdings
from inbox.models.inbox import InboxMember
from inbox.permissions import Permission
from tests.models.helpers import anew, failures, person, rows

WAYS = ["seat", "role", "deactivate", "remove"]


def end(world, way, member, by, to=None):
    """Take somebody's ability to answer, in one of the ways."""
    with transaction():
        if way == "seat":
            member.account.unseat(member, by=by, successor=to)
        elif way == "role":
            member.set_roles([("viewer", None)], by=by, to=to)
        else:
            getattr(member, way)(by=by, to=to)
    anew()


def laden(world, member, n=3):
    """Give a member conversations, a draft, a lock, a place in line and a contact; returns the conversations."""
    made = [world.conversation(sender=f"+141555503{i:02}") for i in range(n)]
    waited = world.conversation(sender="+14155550399")
    with transaction():
        for one in made:
            one.assign_to(member, by=member, expected=None)
        Draft.put(made[0], "half a sentence", by=member)
        assert made[0].acquire(by=member) and waited.acquire(by=world.theo if member is not world.theo else world.ada)
        waited.wait_for_lock(by=member)
        made[1].contact.give_to(member, by=None)
    return made


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("to", ["theo", None])
def test_SEAT_5_everything_moves_whichever_way_it_ends(world, bell, way, to):
    made, heir = laden(world, world.maya), getattr(world, to) if to else None
    assert Holdings.of(world.maya) == Holdings(conversations=3, drafts=1, locks=1, contacts=1)
    end(world, way, world.maya, world.dana, heir)
    maya = person(world.maya.id)
    assert {c.assignee_id for c in made} == {heir.id if heir else None} and not maya.seated
    assert made[0].lock_holder() is None
    assert not db.session.scalars(sa.select(LockWaiter).where(LockWaiter.member_id == maya.id)).all(), "no place in line is left"
    assert db.session.get(Contact, made[1].contact_id).owner_id == (heir.id if heir else None)
    assert Draft.of(made[0], heir or world.ada).body == "half a sentence", "nobody loses typed text"
    assert not Holdings.of(maya)
    assert not db.session.scalars(sa.select(Conversation).where(Conversation.assignee_id == maya.id)).all()
    assert any(f["what"] == "access" and f.get("member") == maya.id for f in bell.facts)


@pytest.mark.parametrize("way", ["deactivate", "remove"])
def test_ACC_7_an_ending_signs_out_everywhere_and_frees_the_seat(world, way):
    with transaction():
        token = LoginSession.start(world.maya, ip="127.0.0.1", user_agent="test")
    used = world.harbor.seats_used
    end(world, way, world.maya, world.ada)
    assert LoginSession.find(token) is None and world.harbor.seats_used == used - 1


def test_SEAT_5_reactivating_gives_back_roles_and_inboxes_but_no_seat(world):
    laden(world, world.maya)
    end(world, "deactivate", world.maya, world.ada, world.theo)
    assert not world.maya.can(Permission.CONVERSATIONS_VIEW) and world.front.id in person(world.maya.id).reach
    with transaction():
        world.maya.reactivate(by=world.ada)
    anew()
    assert world.maya.active and world.maya.roles == ["agent"] and not world.maya.seated
    assert world.maya.can(Permission.CONVERSATIONS_VIEW, on=world.front) and world.maya.can(Permission.CONVERSATIONS_REPLY, on=world.front).code == "seat"
    assert not Holdings.of(world.maya), "what moved stays where it is"
    with transaction():
        world.maya.reactivate(by=world.ada)
    kinds = db.session.scalars(sa.select(Event.kind).where(Event.kind.in_(("member.deactivated", "member.reactivated")))).all()
    assert sorted(kinds) == ["member.deactivated", "member.reactivated"]


def test_SEAT_5_a_removed_person_leaves_only_the_name(world):
    message = world.reply(world.conversation(), world.maya)
    email = world.maya.email
    end(world, "remove", world.maya, world.ada)
    maya = person(world.maya.id)
    assert maya.removed_at and maya.email != email and not maya.grants and message.author_id == maya.id and maya.name == "Maya Chen"
    assert not db.session.scalars(sa.select(InboxMember).where(InboxMember.member_id == maya.id)).all()
    with pytest.raises(Refused, match="was removed"), transaction():
        maya.reactivate(by=world.ada)
    with transaction():
        again = world.member(world.harbor, "Maya Chen", "viewer", seat=False)
    assert again.email == email, "the address is free again"


@pytest.mark.parametrize("way", WAYS)
def test_PERM_5_an_admin_ends_nothing_of_somebody_with_more_rights(world, way):
    if way == "seat":
        return  # handing out seats is a permission of its own
    before = rows()
    with pytest.raises((Denied, Refused)):
        end(world, way, world.sven, world.ada)
    with pytest.raises(Refused):
        end(world, way, world.dana, world.ada)
    assert rows() == before and person(world.sven.id).active and person(world.dana.id).active


@pytest.mark.parametrize("heir", ["uma", "vera", "olga", "nina"])
def test_SEAT_5_an_heir_who_cannot_answer_gets_nothing(world, heir):
    made = laden(world, world.maya)
    end(world, "deactivate", world.maya, world.dana, getattr(world, heir))
    assert {c.assignee_id for c in made} == {None}


def test_SEAT_5_two_admins_ending_the_same_access_hand_over_once(world, app, together):
    made = laden(world, world.maya)
    maya, by, to = world.maya.id, (world.dana.id, world.ada.id), (world.theo.id, world.ada.id)
    db.session.rollback()

    def press(i):
        with transaction():
            person(maya).deactivate(by=person(by[i]), to=person(to[i]))

    assert not failures(together(press, 2, app))
    anew()
    assert len({c.assignee_id for c in made}) == 1 and made[0].assignee_id in to
    assert db.session.scalar(sa.select(sa.func.count(Event.id)).where(Event.kind == "member.deactivated")) == 1


def test_SEAT_5_nothing_is_assigned_to_somebody_who_is_ending_at_that_moment(world, app, together):
    ids = [world.conversation(sender=f"+141555504{i:02}").id for i in range(6)]
    maya, theo, ada = world.maya.id, world.theo.id, world.ada.id
    db.session.rollback()

    def press(i):
        with transaction():
            if i == 3:
                person(maya).deactivate(by=person(ada), to=person(theo))
            else:
                db.session.get_one(Conversation, ids[i]).assign_to(person(maya), by=person(theo), expected=None)

    together(press, 6, app)
    anew()
    assert not person(maya).active
    assert not db.session.scalars(sa.select(Conversation).where(Conversation.assignee_id == maya)).all()


# -- known before --------------------------------------------------------------------------------------------------


def test_SEAT_5_the_handover_says_exactly_what_will_move_and_changes_nothing(world):
    empty = Handover.of(world.maya, imagined(world.maya, ended=True), reader=world.dana)
    assert not empty and empty.words == [] and not empty.first
    laden(world, world.maya)
    before = rows()
    for after in (imagined(world.maya, seated=False), imagined(world.maya, places=[("viewer", None)]), imagined(world.maya, places=[]), imagined(world.maya, ended=True)):
        foreseen = Handover.of(world.maya, after, reader=world.dana)
        assert foreseen.holds == Holdings(conversations=3, drafts=1, locks=1, contacts=1) == Holdings.of(world.maya)
        assert len(foreseen.first) == 3 and all(held.public_id for held in foreseen.first)
        assert foreseen.words == ["3 open conversations", "1 draft", "1 reply being written right now", "1 owned contact"]
    assert not db.session.new and not db.session.dirty
    assert rows() == before and person(world.maya.id).seated and person(world.maya.id).roles == ["agent"]
    assert not Handover.of(world.maya, imagined(world.maya, places=[("front-desk-staff", None)]), reader=world.dana), "another role that answers takes nothing"


def test_SEAT_5_a_role_change_moves_only_what_gets_out_of_reach(world):
    with transaction():
        world.pharmacy.add_member(world.maya, by=world.dana)
        world.waiting.joined_at = clock.now()
        InboxMember(inbox_id=world.waiting.id, member_id=world.maya.id, added_at=clock.now()).save()
    annex = db.session.scalars(sa.select(Team).where(Team.name == "Annex")).one()
    here, there = world.conversation(), world.conversation(inbox=world.waiting, sender="+14155550777")
    with transaction():
        world.maya.forget_rights()
        for one in (here, there):
            one.assignee_id = world.maya.id
    places = [("viewer", None), ("agent", annex.id)]
    foreseen = Handover.of(world.maya, imagined(world.maya, places=places), reader=world.dana)
    assert foreseen.holds.conversations == 1 and imagined(world.maya, places=places).seated
    with transaction():
        world.maya.set_roles(places, by=world.dana, to=world.theo)
    anew()
    assert here.assignee_id == world.theo.id and there.assignee_id == world.maya.id and world.maya.seated


def test_PERM_5_gains_and_losses_are_told_for_the_account_and_for_each_team(world):
    anew()
    annex = db.session.scalars(sa.select(Team).where(Team.name == "Annex")).one()
    told = shifts(world.vera, imagined(world.vera, places=[("viewer", None), ("agent", annex.id)]), world.harbor.teams)
    assert [(s.where, s.loses) for s in told] == [("Annex", [])] and "Reply" in told[0].gains and "View conversations" not in told[0].gains
    told = shifts(world.maya, imagined(world.maya, places=[("agent", annex.id)]), world.harbor.teams)
    assert told[0].where == "" and "Reply" in told[0].loses and [(s.where, "Reply" in s.gains) for s in told[1:]] == [("Annex keeps", True)]
    assert shifts(world.maya, imagined(world.maya), world.harbor.teams) == []


def test_SEAT_5_heirs_are_those_who_can_answer_with_what_they_cannot_take(world):
    with transaction():
        world.pharmacy.add_member(world.maya, by=world.dana)
    for i, inbox in enumerate((world.front, world.front, world.pharmacy)):
        one = world.conversation(sender=f"+141555506{i:02}", inbox=inbox)
        with transaction():
            one.assign_to(world.maya, by=world.maya, expected=None)
    foreseen = Handover.of(world.maya, imagined(world.maya, seated=False), reader=world.dana)
    assert {heir.member.name: (heir.takes, heir.lacking) for heir in foreseen.heirs} == {
        "Dana Whitfield": (3, ()), "Sven Super": (3, ()), "Ada Admin": (2, ("Pharmacy",)), "Theo Okafor": (2, ("Pharmacy",)), "Olga Outside": (0, ("Front Desk", "Pharmacy")),
    }
    outsider = Handover.of(world.maya, imagined(world.maya, seated=False), reader=world.olga)
    assert all(not held.public_id and not held.contact for held in outsider.first), "a reader outside the inboxes reads nothing of them"


def test_SEAT_4_who_has_only_custom_roles_has_no_default_role(world):
    with transaction():
        role = Role.create(world.harbor, name="Desk", permissions=[Permission.MESSAGE], by=world.dana)
        db.session.execute(sa.delete(Grant).where(Grant.member_id == world.maya.id))
        Grant(member_id=world.maya.id, role=role.public_id, role_id=role.id).save()
    anew()
    assert (world.maya.role_names, world.maya.default_role_names, world.maya.seat_eligible) == (["Desk"], [], True)
    assert db.session.scalar(sa.select(Lock.holder_id).where(Lock.holder_id == world.maya.id)) is None
