"""PERM-2..6, SEAT-2, SEAT-5 by a machine that plays the people of an account: roles, seats and endings by random actors, refusals allowed.

After every step: nothing is with somebody who cannot act on it, seats are counted right, the account has one owner, nobody gained what the actor lacked.
"""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from inbox.models import Conversation, Draft, Inbox, Invitation, Member, Refused, Role, Team, db, transaction
from inbox.models.role import RoleSheet
from inbox.permissions import DEFAULT_ROLES, GIVEN, Permission
from tests.models.helpers import anew
from tests.models.holding import Facts

P = Permission
PEOPLE = ("dana", "ada", "maya", "theo", "sven", "uma", "vera", "olga")
who = st.sampled_from(PEOPLE)
some = st.sets(st.sampled_from([P.MESSAGE, P.CONVERSATIONS_VIEW, P.CONVERSATIONS_NOTE, P.CONVERSATIONS_TAKE, P.CONVERSATIONS_ALL, P.MEMBERS_VIEW, P.SEATS_MANAGE, P.BILLING_MANAGE]), max_size=4)
talk = st.integers(0, 3)
_days = itertools.count(1)


class People(RuleBasedStateMachine):
    """The account of the cast; `world` is given by the test."""

    world = None

    @initialize()
    def open(self) -> None:
        world, day = self.world, next(_days)
        self.account = world.harbor.id
        self.people = {name: getattr(world, name).id for name in PEOPLE}
        self.inboxes = [world.front.id, world.pharmacy.id]
        self.teams = {None: None, "harbor": world.team.id, "annex": db.session.query(Team).filter_by(account_id=world.harbor.id, name="Annex").one().id}
        self.talks = [world.conversation(sender=f"+14155{day:02}{n:04}", inbox=inbox).id for n, inbox in enumerate((world.front, world.front, world.pharmacy, world.front))]
        self.custom: list[str] = []
        self.before = Facts(self.account)

    # -- doing something, with whatever refusal -----------------------------------------------------------------------

    def _row(self, name: str) -> Member:
        return db.session.get_one(Member, self.people[name])

    def _talk(self, n: int) -> Conversation:
        return db.session.get_one(Conversation, self.talks[n])

    def _do(self, actor: str | None, work) -> bool:
        """Do it; afterwards nobody holds more than before but for what the actor held for the whole account, or what a transfer moves."""
        try:
            with transaction():
                work()
            done = True
        except Refused:
            done = False
        after = Facts(self.account)
        for id in after.members:
            for team in (None, *self.teams.values()):
                had = self.before.held(id, team) if id in self.before.members else frozenset()
                grown = after.held(id, team) - had
                if grown and actor is not None:
                    assert grown <= self.before.held(self.people[actor], team), f"{after.members[id].name} got {sorted(grown)} from {actor}"
        self.before = after
        return done

    # -- roles --------------------------------------------------------------------------------------------------------

    def _keys(self, data: st.DataObject, team: bool = True) -> list[tuple[str, int | None]]:
        keys = [*GIVEN, "owner", *self.custom]
        places = st.tuples(st.sampled_from(keys), st.sampled_from(list(self.teams.values()) if team else [None]))
        return data.draw(st.lists(places, max_size=3, unique=True))

    @rule(by=who, to=who, heir=st.one_of(st.none(), who), data=st.data())
    def gives_roles(self, by: str, to: str, heir: str | None, data: st.DataObject) -> None:
        wanted = self._keys(data)
        self._do(by, lambda: self._row(to).set_roles(wanted, by=self._row(by), to=self._row(heir) if heir else None))

    @rule(to=who, role=st.sampled_from(GIVEN), team=st.sampled_from([None, None, "harbor", "annex"]))
    def the_owner_gives_one_role(self, to: str, role: str, team: str | None) -> None:
        owner = self._owner()
        self._do(owner, lambda: self._row(to).set_roles([(role, self.teams[team])], by=self._row(owner)))

    def _owner(self) -> str:
        ids = {id for id, roles in self.before.roles.items() for key, _, _ in roles if key == "owner"}
        return next(name for name, id in self.people.items() if id in ids)

    @rule(by=who, permissions=some)
    def makes_a_role(self, by: str, permissions: set[Permission]) -> None:
        made: list[str] = []

        def work() -> None:
            account = self._row(by).account
            made.append(Role.create(account, name=f"Role {len(self.custom)} {next(_days)}", permissions=permissions, by=self._row(by)).public_id)

        if self._do(by, work):
            self.custom += made

    def _role(self, key: str) -> Role | None:
        anew()
        sheet: RoleSheet | None = Role.sheet_of(self.account, key)
        return sheet.row if sheet else None

    @rule(by=who, permissions=some, data=st.data())
    def edits_a_role(self, by: str, permissions: set[Permission], data: st.DataObject) -> None:
        row = self._role(data.draw(st.sampled_from(self.custom))) if self.custom else None
        if row is not None:
            version = row.version
            self._do(by, lambda: row.change(permissions, by=self._row(by), version=version))

    @rule(by=who, replacement=st.sampled_from(["", "owner", "agent", "viewer", "supervisor"]), data=st.data())
    def deletes_a_role(self, by: str, replacement: str, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.custom)) if self.custom else ""
        row = self._role(key) if key else None
        if row is not None and self._do(by, lambda: row.destroy(by=self._row(by), replacement=replacement)):
            self.custom.remove(key)

    # -- seats, coming and going --------------------------------------------------------------------------------------

    @rule(to=who, on=st.booleans(), heir=st.one_of(st.none(), who))
    def toggles_a_seat(self, to: str, on: bool, heir: str | None) -> None:
        def work() -> None:
            row, by = self._row(to), self._row(self._owner())
            row.account.seat(row, by=by) if on else row.account.unseat(row, by=by, successor=self._row(heir) if heir else None)

        self._do(None, work)

    @rule(by=who, to=who, heir=st.one_of(st.none(), who), for_good=st.integers(0, 9))
    def ends_access(self, by: str, to: str, heir: str | None, for_good: int) -> None:
        def work() -> None:
            row = self._row(to)
            (row.remove if for_good == 0 else row.deactivate)(by=self._row(by), to=self._row(heir) if heir else None)

        self._do(by, work)

    @rule(by=who, to=who)
    def lets_back_in(self, by: str, to: str) -> None:
        self._do(by, lambda: self._row(to).reactivate(by=self._row(by)))

    @rule(by=who, to=who)
    def transfers_ownership(self, by: str, to: str) -> None:
        self._do(by, lambda: self._row(to).take_ownership(by=self._row(by)))

    @rule(by=who, n=st.integers(0, 1), names=st.sets(who))
    def chooses_who_is_in(self, by: str, n: int, names: set[str]) -> None:
        def work() -> None:
            active = [row for row in map(self._row, sorted(names)) if row.active]
            db.session.get_one(Inbox, self.inboxes[n]).set_members(active, by=self._row(by))

        self._do(by, work)

    @rule(by=who, role=st.sampled_from(list(DEFAULT_ROLES)))
    def invites(self, by: str, role: str) -> None:
        self._do(by, lambda: Invitation.send(self._row(by).account, f"guest{next(_days)}@example.com", by=self._row(by), role=role, inbox_ids=self.inboxes))

    # -- the day's work -----------------------------------------------------------------------------------------------

    @rule(by=who, to=st.one_of(st.none(), who), n=talk)
    def assigns(self, by: str, to: str | None, n: int) -> None:
        self._do(by, lambda: self._talk(n).assign_to(self._row(to) if to else None, by=self._row(by), expected=self._talk(n).assignee_id))

    @rule(by=who, n=talk)
    def takes_it_and_types(self, by: str, n: int) -> None:
        self._do(by, lambda: self._talk(n).assign_to(self._row(by), by=self._row(by), expected=self._talk(n).assignee_id))
        self._do(by, lambda: self._talk(n).acquire(by=self._row(by)))
        self._do(by, lambda: Draft.put(self._talk(n), f"half a thought of {by}", by=self._row(by)))

    @rule(by=who, n=talk)
    def notes_waits_and_takes_over(self, by: str, n: int) -> None:
        self._do(by, lambda: Draft.put(self._talk(n), f"half a note of {by}", by=self._row(by), kind="note"))
        self._do(by, lambda: self._talk(n).wait_for_lock(by=self._row(by)))
        self._do(by, lambda: self._talk(n).take_over(by=self._row(by), reason="The customer waits"))

    @rule(by=who, owner=st.one_of(st.none(), who), n=talk)
    def sets_the_contacts_owner(self, by: str, owner: str | None, n: int) -> None:
        self._do(by, lambda: self._talk(n).contact.edit(by=self._row(by), first="Rosa", last="", email=None, owner=self._row(owner) if owner else None))

    @rule(n=talk, by=who)
    def archives_and_gets_a_text(self, n: int, by: str) -> None:
        self._do(by, lambda: self._talk(n).archive(by=self._row(by)))
        conversation = self._talk(n)
        self.world.text("hello again", sender=conversation.address, inbox=db.session.get_one(Inbox, conversation.inbox_id))

    @invariant()
    def it_holds(self) -> None:
        if hasattr(self, "account"):
            Facts(self.account).check()


@pytest.mark.slow
def test_SEAT_5_whoever_changes_whatever_nothing_is_left_with_who_cannot_act(world):
    with transaction():
        world.front.reopen = True
        world.pharmacy.add_member(world.maya, by=world.dana)
    People.world = world
    run_state_machine_as_test(
        People,
        settings=settings(
            max_examples=int(os.environ.get("TEST_MACHINE_EXAMPLES", "12")), stateful_step_count=40, deadline=None, derandomize="CI" in os.environ, database=None,
            suppress_health_check=list(HealthCheck), print_blob=False,
        ),
    )
