"""SEAT-1..5 at the model: never more seats than paid for, and nothing left with someone who cannot answer."""

from __future__ import annotations

import pytest

from inbox.models import Account, Conversation, Draft, Grant, LockLost, Member, NoSeatLeft, Refused, db, transaction
from inbox.models.event import Event
from inbox.permissions import Permission
from tests.models.helpers import anew, failures, person, rows


def newcomers(world, n, role="agent"):
    with transaction():
        people = [Member.join(world.harbor, email=f"new{i}@harbor.example", name=f"New {i}", password="correct horse battery") for i in range(n)]
        for one in people:
            db.session.add(Grant(member_id=one.id, role=role))
    for one in people:
        db.session.refresh(one)
    return people


def test_SEAT_1_an_account_starts_with_one_seat_and_the_owner_holds_it(world):
    assert (world.north.seats_paid, world.north.seats_used, world.north.seats_free) == (1, 1, 0)
    assert world.nina.seated
    seated = db.session.query(Member).filter_by(account_id=world.harbor.id, seated=True).count()
    assert world.harbor.seats_used == seated == 6


def test_SEAT_2_no_seat_left_and_no_seat_wasted(world):
    before = rows()
    with transaction():
        world.harbor.seats_paid = 6
    with pytest.raises(NoSeatLeft) as none, transaction():
        world.harbor.seat(world.uma, by=world.ada)
    assert none.value.sentence == "All 6 seats are used. Free one, or add seats first."
    with pytest.raises(Refused) as wasted, transaction():
        world.harbor.seat(world.vera, by=world.ada)
    assert "only allow looking" in wasted.value.sentence
    with transaction():
        world.harbor.seat(world.maya, by=world.ada)  # has one
    assert rows() == before
    anew()
    assert not world.uma.seated and world.harbor.seats_used == 6


def test_SEAT_2_32_threads_at_the_last_seat(world, app, together):
    people = [p.id for p in newcomers(world, 32)]
    with transaction():
        world.harbor.seats_paid = world.harbor.seats_used + 1
    harbor, ada = world.harbor.id, world.ada.id

    def press(i):
        with transaction():
            db.session.get(Account, harbor).seat(person(people[i]), by=person(ada))

    results = together(press, 32, app)
    assert results.count(None) == 1 and all(isinstance(r, NoSeatLeft) for r in failures(results)), results
    anew()
    assert world.harbor.seats_used == world.harbor.seats_paid == db.session.query(Member).filter_by(account_id=harbor, seated=True).count()


def test_SEAT_2_pressing_for_the_same_member_at_once_takes_one_seat(world, app, together):
    (one,) = newcomers(world, 1)
    harbor, ada, one = world.harbor.id, world.ada.id, one.id
    used = world.harbor.seats_used

    def press(_):
        with transaction():
            db.session.get(Account, harbor).seat(person(one), by=person(ada))

    assert not failures(together(press, 8, app))
    anew()
    assert world.harbor.seats_used == used + 1 and db.session.query(Event).filter_by(kind="seat.given").filter(Event.data["member"].as_integer() == one).count() == 1


def test_SEAT_2_giving_and_taking_at_once_keeps_the_count(world, app, together):
    people = [p.id for p in newcomers(world, 4)]
    harbor, ada = world.harbor.id, world.ada.id

    def press(i):
        for n in range(6):
            try:
                with transaction():
                    account, who = db.session.get(Account, harbor), person(people[(i + n) % 4])
                    account.unseat(who, by=person(ada)) if (i + n) % 2 else account.seat(who, by=person(ada))
            except NoSeatLeft:
                pass

    results = together(press, 6, app)
    assert not failures(results), results
    anew()
    assert world.harbor.seats_used == db.session.query(Member).filter_by(account_id=harbor, seated=True).count() <= world.harbor.seats_paid


def test_SEAT_5_what_they_hold_moves_to_the_successor_in_one_go(world, bell):
    mine = [world.conversation(sender=f"+141555502{n:02}") for n in range(3)]
    theirs = world.conversation(sender="+14155550240")
    elsewhere = world.conversation(sender="+14155550241", inbox=world.pharmacy)
    with transaction():
        world.pharmacy.add_member(world.maya, by=world.dana)
        for c in (*mine, elsewhere):
            c.assign_to(world.maya, by=world.maya, expected=None)
        theirs.assign_to(world.theo, by=world.theo, expected=None)
        held = mine[0].acquire(by=world.maya)
        Draft.put(mine[0], "half", by=world.maya)
        mine[0].wait_for_lock(by=world.theo)
    used = world.harbor.seats_used
    bell.facts.clear()
    with transaction():
        world.harbor.unseat(world.maya, by=world.dana, successor=world.theo)
    anew()
    assert [c.assignee_id for c in mine] == [world.theo.id] * 3
    assert elsewhere.assignee_id is None, "Theo is not in the pharmacy"
    assert theirs.assignee_id == world.theo.id and mine[0].lock_holder() is None
    assert world.harbor.seats_used == used - 1 and not world.maya.seated
    kept = Draft.of(mine[0], world.theo)
    assert (kept.body, kept.from_name) == ("half", "Maya Chen"), "nobody loses typed text"
    assert any(f.get("waiting") == [world.theo.id] for f in bell.facts) and any(f["what"] == "access" for f in bell.facts)
    with pytest.raises(LockLost), transaction():
        mine[0].renew_lock(by=world.maya, fence=held.fence, active=True)
    with pytest.raises(Refused), transaction():
        mine[0].reply("too late", by=world.maya, fence=held.fence, seen=0, anyway=True)
    with transaction():
        world.harbor.unseat(world.maya, by=world.dana, successor=world.theo)
    assert world.harbor.seats_used == used - 1
    assert world.maya.can(Permission.CONVERSATIONS_VIEW, on=world.front), "looking goes on"


@pytest.mark.parametrize("heir", [None, "uma", "vera", "olga"])
def test_SEAT_5_without_a_fit_successor_it_goes_back_to_nobody(world, heir):
    c = world.conversation()
    with transaction():
        c.assign_to(world.maya, by=world.maya, expected=None)
        world.harbor.unseat(world.maya, by=world.dana, successor=getattr(world, heir) if heir else None)
    anew()
    assert c.assignee is None


def test_SEAT_5_a_role_that_only_looks_gives_the_seat_back(world):
    c = world.conversation()
    with transaction():
        c.assign_to(world.maya, by=world.maya, expected=None)
        c.acquire(by=world.maya)
    used = world.harbor.seats_used
    with transaction():
        world.maya.change_role("viewer", by=world.ada)
    anew()
    assert not world.maya.seated and world.harbor.seats_used == used - 1 and c.assignee is None and c.lock_holder() is None


def test_SEAT_5_leaving_an_inbox_gives_back_what_is_open_there(world):
    here, there = world.conversation(), world.conversation(inbox=world.pharmacy)
    with transaction():
        world.pharmacy.add_member(world.maya, by=world.dana)
        for c in (here, there):
            c.assign_to(world.maya, by=world.maya, expected=None)
            c.acquire(by=world.maya)
    with transaction():
        world.pharmacy.remove_member(world.maya, by=world.dana)
    anew()
    assert (here.assignee_id, there.assignee_id) == (world.maya.id, None)
    assert here.lock_holder().holder is world.maya and there.lock_holder() is None
    assert there not in db.session.scalars(Conversation.scope(world.maya)).all()
