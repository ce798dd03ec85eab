"""ACC-6 at the model: allowed by the owner AND wanted by the member AND visible right now; one mail for what is still new."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.channels.base import Receipt, Status
from inbox.models import Bundle, Denied, Event, Notice, Notification, Refused, db, transaction
from inbox.models import wish as wishing
from inbox.models.wish import CELLS, DEFAULT, Wishes
from tests.models.helpers import anew

MAIL = frozenset(cell for cell in CELLS if cell[1] == "mail")


def waiting(*people, way="mail"):
    """Who is told of something by that way, as a set of (first name, event)."""
    names = {who.id: who.name.split()[0] for who in people}
    rows = db.session.execute(sa.select(Notification.member_id, Notification.event).where(Notification.way == way, Notification.state == "waiting"))
    return {(names.get(member_id, member_id), event) for member_id, event in rows}


def reasons(who):
    return sorted(db.session.scalars(sa.select(Notification.reason).where(Notification.member_id == who.id, Notification.state == "dropped")))


def take(who, way="mail"):
    with transaction():
        return Bundle.take(who.id, way)


def give(world, conversation, to, by):
    with transaction():
        conversation.assign_to(to, by=by, expected=conversation.assignee_id)


def fanned(bell):
    """Run the fan-out of what was rung for, and nothing else."""
    rung, bell.rung = bell.rung, []
    from jobs.notify_members import notify_members

    for name, args in rung:
        if name == "notify_members":
            notify_members(*args)


# -- who --------------------------------------------------------------------------------------------------------------


def test_ACC_6_everyone_who_may_see_it_and_nobody_else(world, bell):
    world.text()
    fanned(bell)
    assert waiting(*world.people) == {(name, "unassigned") for name in ("Dana", "Ada", "Maya", "Theo", "Sven", "Uma", "Vera")}, "seats do not matter, membership does"


def test_ACC_6_a_text_is_told_by_whose_the_conversation_is(world, bell):
    c = world.conversation()
    with transaction():
        wishing.choose(world.theo, MAIL, {}, previews=False, by=world.theo)
    fanned(bell)
    give(world, c, world.maya, world.maya)
    with transaction():
        db.session.execute(sa.delete(Notification))
    world.text()
    fanned(bell)
    assert waiting(*world.people) == {("Maya", "mine"), ("Theo", "others")}


def test_ACC_6_never_the_actor(world, bell):
    c = world.conversation()
    fanned(bell)
    with transaction():
        db.session.execute(sa.delete(Notification))
    give(world, c, world.maya, world.maya)
    fanned(bell)
    assert waiting(*world.people) == set(), "taking it oneself"
    give(world, c, world.theo, world.maya)
    fanned(bell)
    assert waiting(*world.people) == {("Theo", "assigned")}
    give(world, c, None, world.theo)
    fanned(bell)
    assert waiting(*world.people) == {("Theo", "assigned")}, "giving back tells nobody"


def test_ACC_6_who_was_taken_over_from_and_whose_text_failed(world, bell):
    c = world.conversation()
    fanned(bell)
    with transaction():
        db.session.execute(sa.delete(Notification))
        c.acquire(by=world.maya)
    with transaction():
        c.take_over(by=world.ada, reason="Maya is at lunch")
    fanned(bell)
    assert waiting(*world.people) == {("Maya", "taken_over")}
    bundle = (clock.shift(61), take(world.maya))[1]
    assert bundle and bundle.lines[0].others == ["Ada Admin took over from you"]
    with transaction():
        Notification.told(bundle.claim)
        c.release(by=world.ada)
    message = world.reply(c, world.maya)
    with transaction():
        message.take_receipt(Receipt(dedupe="r1", provider_id="SM1", ref=message.ref, status=Status.FAILED, error_code="30003", error_text="Unreachable", occurred_at=None))
    fanned(bell)
    assert waiting(*world.people) == {("Maya", "failed")}
    clock.shift(61)
    told = take(world.maya)
    assert told and told.lines[0].others == ["Your text was not delivered"]


def test_ACC_6_not_while_writing_there(world, bell):
    c = world.conversation()
    fanned(bell)
    with transaction():
        db.session.execute(sa.delete(Notification))
        c.acquire(by=world.maya)
    world.text()
    fanned(bell)
    assert ("Maya", "unassigned") not in waiting(*world.people) and ("Theo", "unassigned") in waiting(*world.people)
    with transaction():
        c.release(by=world.maya)
    world.text()
    fanned(bell)
    clock.shift(61)
    with transaction():
        c.acquire(by=world.theo)
    assert take(world.theo) is None and set(reasons(world.theo)) == {"working on it"}


def test_ACC_6_nothing_is_noted_when_nobody_could_want_it(world, bell):
    bell.rung.clear()
    with transaction():
        for who in world.people[:-1]:
            Notification.allow(who, False, by=world.dana)
    world.text()
    assert not [job for job in bell.rung if job[0] == "notify_members"]
    assert db.session.scalar(sa.select(sa.func.count(Notice.id))) == 0


# -- still true? --------------------------------------------------------------------------------------------------------


def change(world, c, what):
    """Something happens between the text and the mail."""
    if what == "read":
        c.mark_read(by=world.theo)
    elif what == "answered":
        held = c.acquire(by=world.theo)
        c.reply("Yes.", by=world.theo, fence=held.fence, seen=c.last_inbound_id)
        c.release(by=world.theo)
        c.unread = True
    elif what == "archived":
        c.archive(by=world.theo)
        c.unread = True
    elif what == "inbox removed":
        world.front.remove_member(world.maya, by=world.dana)
    elif what == "deactivated":
        world.maya.deactivated_at = clock.now()
    elif what == "not allowed":
        Notification.allow(world.maya, False, by=world.dana)
    elif what == "not wanted":
        wishing.choose(world.maya, frozenset(), {}, previews=False, by=world.maya)
    elif what == "taken":
        c.assign_to(world.theo, by=world.theo, expected=None)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("read", "read"), ("answered", "answered"), ("archived", "archived"), ("inbox removed", "may not see it"), ("deactivated", "access ended"),
        ("not allowed", "not allowed"), ("not wanted", "not wanted"), ("taken", "not wanted"),
    ],
)
def test_ACC_6_what_is_no_longer_so_is_not_told(world, bell, what, why):
    c = world.conversation()
    fanned(bell)
    assert ("Maya", "unassigned") in waiting(*world.people)
    with transaction():
        change(world, c, what)
    clock.shift(61)
    assert take(world.maya) is None
    assert reasons(world.maya) == [why]
    assert take(world.maya) is None, "dropped once and for all"


def test_ACC_6_a_lost_seat_changes_nothing(world, bell):
    world.text()
    fanned(bell)
    with transaction():
        world.harbor.unseat(world.maya, by=world.dana)
    clock.shift(61)
    assert take(world.maya) is not None


def test_ACC_6_an_assignment_that_moved_on_or_was_seen_is_not_told(world, bell):
    c, d = world.conversation(), world.conversation(sender="+14155550135")
    fanned(bell)
    with transaction():
        db.session.execute(sa.delete(Notification))
    give(world, c, world.maya, world.ada)
    give(world, d, world.maya, world.ada)
    fanned(bell)
    give(world, c, world.theo, world.ada)
    clock.shift(1)
    world.reply(d, world.maya)
    clock.shift(61)
    assert take(world.maya) is None
    assert reasons(world.maya) == ["assigned to somebody else", "seen"]


# -- one bundle ---------------------------------------------------------------------------------------------------------


def test_ACC_6_a_minute_after_the_first_everything_is_told_at_once(world, bell):
    c = world.conversation("One")
    world.text("Two")
    d = world.conversation("Other", sender="+14155550135")
    give(world, d, world.maya, world.ada)
    fanned(bell)
    clock.shift(59)
    assert take(world.maya) is None
    world.text("Three")
    fanned(bell)
    clock.shift(2)
    bundle = take(world.maya)
    assert [(line.conversation.id, line.texts, line.others, line.preview) for line in bundle.lines] == [
        (c.id, 3, [], "Three"), (d.id, 1, ["Ada Admin assigned it to you"], "Other"),
    ]
    assert take(world.maya) is None, "claimed"
    with transaction():
        Notification.told(bundle.claim)
    clock.shift(3600)
    assert take(world.maya) is None


def test_ACC_6_a_worker_that_died_is_followed_by_another(world, bell):
    world.text()
    fanned(bell)
    clock.shift(61)
    assert take(world.maya) and not take(world.maya)
    clock.shift(601)
    again = take(world.maya)
    assert again is not None
    for tries in range(9):
        with transaction():
            Notification.later(again.claim, "mail server")
        assert take(world.maya) is None, "not at once"
        clock.shift(3601)
        again = take(world.maya)
        if again is None:
            break
    assert tries == 6 and reasons(world.maya) == ["mail server"]


def test_ACC_6_two_workers_claim_once(world, bell, together, app):
    world.text()
    fanned(bell)
    clock.shift(61)
    maya = world.maya.id
    db.session.rollback()

    def both(_):
        with transaction():
            return Bundle.take(maya, "mail") is not None

    assert sorted(together(both, 4, app)) == [False, False, False, True]


def test_ACC_6_the_fan_out_costs_the_same_for_many(world, bell):
    def cost():
        world.text()
        found = []
        sa.event.listen(db.engine, "before_cursor_execute", listener := lambda *a: found.append(a[2]))
        fanned(bell)
        sa.event.remove(db.engine, "before_cursor_execute", listener)
        return len(found)

    cost()
    before = cost()
    with transaction():
        for i in range(6):
            world.front.add_member(world.member(world.harbor, f"P{i} More", "agent", seat=False), by=world.dana)
    assert cost() == before


def test_ACC_6_old_rows_are_forgotten(world, bell):
    world.text()
    fanned(bell)
    clock.shift(61)
    for who in world.people:
        bundle = take(who)
        if bundle:
            with transaction():
                Notification.told(bundle.claim)
    with transaction():
        Notification.forget_old()
    assert db.session.scalar(sa.select(sa.func.count(Notification.id))) > 0
    clock.shift(31 * 86400)
    with transaction():
        Notification.forget_old()
    assert db.session.scalar(sa.select(sa.func.count(Notification.id))) == 0 == db.session.scalar(sa.select(sa.func.count(Notice.id)))


# -- allowed and wanted ---------------------------------------------------------------------------------------------------


def test_ACC_6_the_owner_allows_each_on_their_own(world):
    assert Notification.allowed(world.maya)
    with transaction():
        Notification.allow(world.maya, False, by=world.dana)
        Notification.allow(world.maya, False, by=world.dana)
    assert not Notification.allowed(world.maya) and Notification.allowed(world.theo)
    assert Notification.not_allowed(world.harbor.id) == {world.maya.id} and Notification.not_allowed(world.north.id) == frozenset()
    with transaction():
        Notification.allow(world.maya, True, by=world.dana)
    events = db.session.scalars(sa.select(Event).where(Event.kind.like("collaborator.notif%")).order_by(Event.id)).all()
    assert [(e.kind, e.actor_id, e.data["member"]) for e in events] == [
        ("collaborator.notifications_forbidden", world.dana.id, world.maya.id), ("collaborator.notifications_allowed", world.dana.id, world.maya.id),
    ]


@pytest.mark.parametrize("who", ["ada", "maya", "sven", "vera", "nina"])
def test_ACC_6_only_the_owner_of_the_account_allows(world, who):
    with pytest.raises((Denied, Refused)), transaction():
        Notification.allow(world.theo, False, by=getattr(world, who))
    anew()
    assert Notification.allowed(world.theo)


def test_ACC_6_who_is_not_allowed_cannot_turn_them_on_but_off(world):
    with transaction():
        Notification.allow(world.maya, False, by=world.dana)
    with pytest.raises(wishing.NotAllowed) as refused, transaction():
        wishing.choose(world.maya, MAIL, {}, previews=False, by=world.maya)
    assert refused.value.status == 403 and "Dana Whitfield can allow them" in refused.value.sentence
    with transaction():
        wishing.choose(world.maya, frozenset(), {}, previews=False, by=world.maya)
        Notification.allow(world.maya, True, by=world.dana)
    assert Wishes.of(world.maya).general == frozenset(), "their own choice stays"


def test_ACC_6_an_inbox_may_differ(world, bell):
    with transaction():
        wishing.choose(world.dana, DEFAULT, {world.pharmacy: frozenset()}, previews=True, by=world.dana)
    wishes = Wishes.of(world.dana)
    assert wishes.wants("mine", "mail", world.front.id) and not wishes.wants("mine", "mail", world.pharmacy.id) and wishes.previews
    world.text(inbox=world.pharmacy)
    fanned(bell)
    assert waiting(*world.people) == {("Sven", "unassigned")}
    with pytest.raises(Refused), transaction():
        wishing.choose(world.maya, DEFAULT, {world.pharmacy: MAIL}, previews=False, by=world.maya)


def test_ACC_6_turning_a_way_off_everywhere(world):
    with transaction():
        wishing.choose(world.dana, CELLS, {world.pharmacy: MAIL}, previews=False, by=world.dana)
        assert wishing.turn_off(world.dana, "mail") and not wishing.turn_off(world.dana, "mail")
        assert wishing.turn_off(world.maya, "mail")
    dana, maya = Wishes.of(world.dana), Wishes.of(world.maya)
    assert not dana.anything("mail") and dana.anything("push") and dana.own[world.pharmacy.id] == frozenset()
    assert not maya.anything("mail") and maya.anything("push")
