"""SEAT-2, SEAT-5, PERM-2 by threads: whatever access ends beside whatever somebody gets, nothing stays with a person who cannot act on it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from inbox.models import Account, Contact, Conversation, Draft, Grant, Inbox, Invitation, Member, NoSeatLeft, Refused, Role, Team, db, transaction
from inbox.models.base import Refused as Sentence
from inbox.models.role import RoleChanged
from inbox.permissions import Permission
from tests.models.helpers import anew, failures, person
from tests.models.holding import Facts

P = Permission
Work = Callable[[], None]


def newcomer(world, name: str, *, role: str = "agent", seat: bool = True, custom: Role | None = None) -> Member:
    """Somebody in the front desk's inbox."""
    with transaction():
        who = Member.join(world.harbor, email=f"{name.lower()}@harbor.example", name=f"{name} Newcomer", password="correct horse battery")
        Grant(member_id=who.id, role=custom.public_id if custom else role, role_id=custom.id if custom else None).save()
        db.session.refresh(who)
        if seat:
            world.harbor.seat(who, by=world.dana)
        world.front.add_member(who, by=world.dana)
    return who


def beside(app, first: Work, second: Work) -> list[Exception]:
    """Do `first`, and while it is done but not yet committed begin `second`; returns what was refused."""
    refused: list[Exception] = []
    doing, begun = threading.Event(), threading.Event()

    def run(work: Work, before: Callable[[], Any], after: Callable[[], Any]) -> None:
        with app.app_context():
            try:
                before()
                with transaction():
                    work()
                    after()
            except Exception as error:
                refused.append(error)
            finally:
                doing.set()
                db.session.remove()

    def wait() -> None:
        doing.set()
        begun.wait(5)
        time.sleep(0.06)  # the other one is at the rows by now

    threads = [
        threading.Thread(target=run, args=(first, lambda: None, wait)),
        threading.Thread(target=run, args=(second, lambda: (doing.wait(5), begun.set()), lambda: None)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads), "two transactions wait for each other"
    return refused


def gain(world, way: str, who: int, n: int) -> Work:
    """A way to come to hold something, with a conversation of its own."""
    dana, maya, front = world.dana.id, world.maya.id, world.front.id
    found = world.conversation(sender=f"+1415557{n:02}90")
    talk_id = found.id
    with transaction():
        if way == "a text comes in":
            found.contact.give_to(person(who), by=None)
            found.archive(by=world.dana)
            world.front.reopen = False  # the next text starts anew, with the contact's owner
        if way == "wait":
            found.acquire(by=world.maya)
    talk = lambda: db.session.get_one(Conversation, talk_id)  # noqa: E731
    return {
        "take": lambda: talk().assign_to(person(who), by=person(who), expected=None),
        "assign": lambda: talk().assign_to(person(who), by=person(maya), expected=None),
        "lock": lambda: _(talk().acquire(by=person(who))),
        "draft": lambda: Draft.put(talk(), "half a thought", by=person(who)),
        "note": lambda: Draft.put(talk(), "half a note", by=person(who), kind="note"),
        "wait": lambda: talk().wait_for_lock(by=person(who)),
        "own": lambda: talk().contact.edit(by=person(dana), first="Rosa", last="", email=None, owner=person(who)),
        "compose": lambda: _(Conversation.compose(db.session.get_one(Inbox, front), f"+1415558{n:02}77", "Hello", by=person(who))),
        "a text comes in": lambda: _(world_text(world, front, f"+1415557{n:02}90")),
    }[way]


def _(_result: object) -> None:
    """The result does not matter."""


def world_text(world, inbox_id: int, sender: str) -> object:
    from datetime import UTC, datetime

    from inbox.channels.base import Inbound

    sid = f"SM{random.getrandbits(120):032x}"
    return Conversation.receive(db.session.get_one(Inbox, inbox_id), Inbound(sid, sid, sender, "", "Me again", (), datetime.now(UTC), None, {}))


def endings(world, who: int, role: int) -> dict[str, tuple[Work, Work]]:
    """Ways to lose access, each with how it is given back."""
    dana, harbor, front = world.dana.id, world.harbor.id, world.front.id
    account = lambda: db.session.get_one(Account, harbor)  # noqa: E731

    def back() -> None:
        person(who).reactivate(by=person(dana))
        account().seat(person(who), by=person(dana))

    def change(permissions: set[Permission]) -> None:
        found = db.session.get_one(Role, role)
        found.change(permissions, by=person(dana), version=found.version)

    def whole() -> None:
        change({P.MESSAGE, P.CONVERSATIONS_TAKE, P.CONVERSATIONS_NOTE, P.CONVERSATIONS_COMPOSE})
        if not person(who).seated:
            account().seat(person(who), by=person(dana))

    def given() -> None:
        person(who).set_roles([(db.session.get_one(Role, role).public_id, None)], by=person(dana))
        account().seat(person(who), by=person(dana))

    return {
        "deactivate": (lambda: person(who).deactivate(by=person(dana)), back),
        "unseat": (lambda: account().unseat(person(who), by=person(dana)), lambda: account().seat(person(who), by=person(dana))),
        "role taken": (lambda: person(who).set_roles([("viewer", None)], by=person(dana)), given),
        "role edited": (lambda: change({P.CONVERSATIONS_VIEW}), whole),
        "role edited, seat kept": (lambda: change({P.CONVERSATIONS_ARCHIVE}), whole),
        "out of the inbox": (
            lambda: db.session.get_one(Inbox, front).remove_member(person(who), by=person(dana)),
            lambda: db.session.get_one(Inbox, front).add_member(person(who), by=person(dana)),
        ),
        "remove": (lambda: person(who).remove(by=person(dana)), lambda: None),
    }


@pytest.mark.parametrize("ending", ["deactivate", "unseat", "role taken", "role edited", "role edited, seat kept", "out of the inbox", "remove"])
def test_SEAT_5_nothing_slips_in_beside_an_ending(world, app, ending):
    with transaction():
        world.harbor.seats_paid = 20
        custom = Role.create(world.harbor, name="Desk", permissions={P.MESSAGE, P.CONVERSATIONS_TAKE, P.CONVERSATIONS_NOTE, P.CONVERSATIONS_COMPOSE}, by=world.dana)
    role = custom.id
    order = 0
    for way in ("take", "assign", "lock", "draft", "note", "wait", "own", "compose", "a text comes in"):
        who = newcomer(world, f"N{order}", custom=custom).id if ending == "remove" or order == 0 else who  # noqa: F821
        for first in ("gain", "end"):
            if first == "end" and ending == "remove":
                who = newcomer(world, f"M{order}", custom=custom).id
            order += 1
            anew()
            get, (end, back) = gain(world, way, who, order), endings(world, who, role)[ending]
            refused = beside(app, *((get, end) if first == "gain" else (end, get)))
            assert all(isinstance(e, Sentence) for e in refused), (way, first, refused)
            assert Facts(world.harbor.id).stranded() == [], f"{way} beside {ending}, {first} first"
            with transaction():
                back()
    Facts(world.harbor.id).check()


def test_SEAT_5_the_heir_may_lose_access_at_the_same_moment(world, app):
    talks = [world.conversation(sender=f"+141555599{i:02}") for i in range(4)]
    with transaction():
        for i, c in enumerate(talks):
            c.assign_to(world.maya if i % 2 else world.theo, by=world.dana, expected=None)
        Draft.put(talks[1], "half", by=world.maya)
    dana, maya, theo = world.dana.id, world.maya.id, world.theo.id
    refused = beside(app, lambda: person(maya).deactivate(by=person(dana), to=person(theo)), lambda: person(theo).deactivate(by=person(dana), to=person(maya)))
    assert refused == []
    Facts(world.harbor.id).check()
    assert [c.assignee_id for c in talks] == [None] * 4


def test_SEAT_2_32_threads_toggle_seats_around_the_last_free_one(world, app, together):
    with transaction():
        people = [Member.join(world.harbor, email=f"new{i}@harbor.example", name=f"New {i}", password="correct horse battery") for i in range(16)]
        for one in people:
            Grant(member_id=one.id, role="agent").save()
        world.harbor.seats_paid = world.harbor.seats_used + 1
    ids, harbor, dana = [one.id for one in people], world.harbor.id, world.dana.id

    def toggle(i: int) -> int:
        given = 0
        for n in range(3):
            try:
                with transaction():
                    account, who = db.session.get_one(Account, harbor), person(ids[(i + n) % 16])
                    if (i + n) % 3:
                        account.seat(who, by=person(dana))
                        given += 1
                    else:
                        account.unseat(who, by=person(dana))
            except NoSeatLeft:
                pass
        return given

    results = together(toggle, 32, app)
    assert not failures(results), failures(results)[:2]
    assert any(results)
    Facts(harbor).check()


def test_PERM_2_of_two_transfers_at_once_one_wins(world, app, together):
    dana, heirs = world.dana.id, [world.ada.id, world.maya.id, world.sven.id, world.theo.id]

    def transfer(i: int) -> str:
        with transaction():
            person(heirs[i]).take_ownership(by=person(dana))
        return "done"

    results = together(transfer, 4, app)
    assert results.count("done") == 1 and all(isinstance(r, Refused) for r in failures(results)), results
    Facts(world.harbor.id).check()
    assert world.dana.roles == ["admin"]


def test_ACC_3_accept_beside_revoke_and_beside_a_deleted_role(world, app):
    with transaction():
        role = Role.create(world.harbor, name="Desk", permissions={P.MESSAGE}, by=world.dana)
        made = [Invitation.send(world.harbor, f"guest{i}@example.com", by=world.dana, role=role.public_id) for i in range(4)]
    invitations, dana, custom = [i.id for i in made], world.dana.id, role.id
    accept = lambda i: lambda: _(db.session.get_one(Invitation, invitations[i]).accept(name=f"Guest {i}", password="correct horse battery"))  # noqa: E731
    revoke = lambda i: lambda: db.session.get_one(Invitation, invitations[i]).revoke(by=person(dana))  # noqa: E731
    for i, pair in enumerate([(accept(0), revoke(0)), (revoke(1), accept(1))]):
        refused = beside(app, *pair)
        assert len(refused) == 1 and isinstance(refused[0], Refused), (i, refused)
    destroy = lambda: db.session.get_one(Role, custom).destroy(by=person(dana), replacement="viewer")  # noqa: E731
    assert beside(app, accept(2), destroy) == []
    anew()
    joined = db.session.query(Member).filter_by(email="guest2@example.com").one()
    assert joined.roles == ["viewer"]
    with transaction():
        again = Role.create(world.harbor, name="Desk", permissions={P.MESSAGE}, by=world.dana)
        db.session.get_one(Invitation, invitations[3]).role = again.public_id
        custom = again.id
    assert beside(app, destroy, accept(3)) == []
    anew()
    assert db.session.query(Member).filter_by(email="guest3@example.com").one().roles == ["viewer"]
    Facts(world.harbor.id).check()


def test_PERM_5_two_edits_of_a_role_do_not_overwrite_each_other(world, app, together):
    with transaction():
        role = Role.create(world.harbor, name="Desk", permissions={P.MESSAGE}, by=world.dana)
    dana, id, version = world.dana.id, role.id, role.version
    wanted = [{P.CONTACTS_VIEW}, {P.CONVERSATIONS_VIEW}, {P.AUDIT_VIEW}, {P.BILLING_VIEW}]

    def edit(i: int) -> int:
        with transaction():
            db.session.get_one(Role, id).change(wanted[i], by=person(dana), version=version)
        return i

    results = together(edit, 4, app)
    assert len(failures(results)) == 3 and all(isinstance(e, RoleChanged) for e in failures(results)), results
    anew()
    winner = next(r for r in results if not isinstance(r, Exception))
    assert role.permissions == wanted[winner] and role.version == version + 1


def test_SEAT_5_a_storm_of_changes_never_locks_up(world, app, together):
    """Everything at once, at random: no deadlock, no error but a sentence, and what must hold holds afterwards."""
    with transaction():
        world.harbor.seats_paid = 12
        annex = db.session.query(Team).filter_by(account_id=world.harbor.id, name="Annex").one()
        custom = Role.create(world.harbor, name="Desk", permissions={P.MESSAGE, P.CONVERSATIONS_TAKE}, by=world.dana)
    talks = [world.conversation(sender=f"+141555533{i:02}").id for i in range(4)]
    people = [newcomer(world, f"S{i}", custom=custom).id for i in range(4)]
    dana, harbor, front, role, team, key = world.dana.id, world.harbor.id, world.front.id, custom.id, annex.id, custom.public_id
    account = lambda: db.session.get_one(Account, harbor)  # noqa: E731
    talk = lambda dice: db.session.get_one(Conversation, dice.choice(talks))  # noqa: E731

    def one(dice: random.Random) -> None:
        who, other, boss = person(dice.choice(people)), person(dice.choice(people)), person(dana)
        c, inbox, found = talk(dice), db.session.get_one(Inbox, front), db.session.get_one(Role, role)
        what = dice.choice(
            [
                lambda: c.assign_to(who, by=other, expected=c.assignee_id), lambda: c.acquire(by=who), lambda: Draft.put(c, "x", by=who), lambda: c.wait_for_lock(by=who),
                lambda: c.take_over(by=boss, reason="hurry"), lambda: c.release(by=who), lambda: c.contact.edit(by=boss, first="Rosa", last="", email=None, owner=who),
                lambda: who.deactivate(by=boss, to=other), lambda: who.reactivate(by=boss), lambda: account().seat(who, by=boss),
                lambda: account().unseat(who, by=boss, successor=other), lambda: inbox.remove_member(who, by=boss), lambda: inbox.add_member(who, by=boss),
                lambda: inbox.set_members([who, other], by=boss), lambda: who.set_roles([("agent", team)], by=boss), lambda: who.set_roles([(key, None)], by=boss, to=other),
                lambda: found.change({P.CONVERSATIONS_VIEW}, by=boss, version=found.version), lambda: found.change({P.MESSAGE, P.CONVERSATIONS_TAKE}, by=boss, version=found.version),
                lambda: Conversation.compose(inbox, f"+14155553{dice.randrange(400, 404)}", "Hello", by=who), lambda: world_text(world, front, f"+141555533{dice.randrange(6):02}"),
            ]
        )
        what()

    def play(i: int) -> int:
        dice, done = random.Random(i * 7919), 0
        for _n in range(25):
            try:
                with transaction():
                    one(dice)
                done += 1
            except Refused:
                pass
        return done

    results = together(play, 8, app)
    assert not failures(results), failures(results)[:2]
    assert sum(results) > 40
    Facts(harbor).check()
    assert db.session.query(Contact).filter_by(account_id=harbor).count() >= 4
