"""LOCK-1..6 and CONV-6 by a machine that plays all day: people open, type, crash, take over and reply while texts and repeats come in and time passes.

The machine keeps its own small model of what must be true and compares after every step.
"""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from inbox import clock
from inbox.channels.base import Inbound
from inbox.models import Conversation, Denied, Dispatch, LockLost, Message, Refused, Stale, TakenAlready, db, transaction
from inbox.models.conversation import Lock
from tests.models.helpers import anew

LEASE, IDLE, ANSWER = 60, 180, 80  # time moves in steps of 40 s: never close to a limit
PEOPLE = ("maya", "theo", "ada", "dana")
who = st.sampled_from(PEOPLE)
_customers = itertools.count(1)


class Day(RuleBasedStateMachine):
    """One conversation's day; `world` is given by the test."""

    world = None

    @initialize()
    def open(self) -> None:
        world = self.world
        self.people = {name: getattr(world, name) for name in PEOPLE}
        number = next(_customers)
        self.customer = f"+1415556{number:04}"
        self.prefix = f"SM{number}-"
        self.inbound: list[str] = []
        self.replies: dict[str, int] = {}  # nonce -> message id
        self.tabs: dict[str, tuple[int, int]] = {}  # who thinks they hold it: fence and newest text seen
        self.held: tuple[str, int] | None = None
        self.expires = self.dies = self.prompt = clock.now()
        self.top = 0
        self.archived = False
        self.assignee: str | None = None
        self.c = self._receive("first")

    # -- the model ------------------------------------------------------------------------------------------------

    def _receive(self, text: str, sid: str = "") -> Conversation | None:
        sid = sid or f"{self.prefix}{len(self.inbound)}"
        item = Inbound(sid, sid, self.customer, "", text, (), datetime.now(UTC), None, {})
        with transaction():
            message = Conversation.receive(self.world.front, item)
        if sid in self.inbound:
            assert message is None, "a repeated text was stored again"
            return None
        assert message is not None, "a text was lost"
        self.inbound.append(sid)
        self.archived = False
        self.newest_text = message.id
        return message.conversation

    def _live(self) -> tuple[str, int] | None:
        now = clock.now()
        return self.held if self.held and self.expires > now and self.dies > now else None

    def _input(self) -> None:
        now = clock.now()
        self.expires, self.prompt = now + timedelta(seconds=LEASE), now + timedelta(seconds=IDLE)
        self.dies = self.prompt + timedelta(seconds=ANSWER)

    def _valid(self, name: str, fence: int) -> bool:
        return self._live() == (name, fence)

    def _now_holds(self, name: str, fence: int) -> None:
        live = self._live()
        if live and live[0] == name:
            assert fence == live[1], "the same holding changed its fence"
        else:
            assert fence > self.top, "a new holding did not raise the fence"
        self.held, self.top = (name, fence), max(self.top, fence)
        self._input()
        self.tabs[name] = (fence, self.newest_text)

    # -- people ---------------------------------------------------------------------------------------------------

    @rule(name=who)
    def opens(self, name: str) -> None:
        before = self._live()
        with transaction():
            held = self.c.acquire(by=self.people[name])
        if before and before[0] != name:
            assert held is None, "two live holders"
        else:
            assert held is not None and held.holder.id == self.people[name].id
            self._now_holds(name, held.fence)

    @rule(name=who, active=st.booleans())
    def heartbeat(self, name: str, active: bool) -> None:
        fence, _ = self.tabs.get(name, (0, 0))
        valid = self._valid(name, fence)
        try:
            with transaction():
                self.c.renew_lock(by=self.people[name], fence=fence, active=active)
        except LockLost:
            assert not valid, "a live lock was refused its heartbeat"
            self.tabs.pop(name, None)
        else:
            assert valid, "a dead lock came back to life"
            if active:
                self._input()
            else:
                self.expires = clock.now() + timedelta(seconds=LEASE)

    @rule(name=who)
    def leaves(self, name: str) -> None:
        fence, _ = self.tabs.pop(name, (0, 0))
        with transaction():
            gone = self.c.release(by=self.people[name], fence=fence)
        assert gone == (self.held == (name, fence))
        if gone:
            self.held = None

    @rule(name=who)
    def crashes(self, name: str) -> None:
        self.tabs.pop(name, None)

    @rule(name=who)
    def takes_over(self, name: str) -> None:
        before = self._live()
        try:
            with transaction():
                held = self.c.take_over(by=self.people[name], reason="The customer is waiting")
        except Denied:
            assert name in ("maya", "theo")
            return
        assert name in ("ada", "dana") and held.holder.id == self.people[name].id
        if before and before[0] != name:
            assert held.fence > before[1]
        self._now_holds(name, held.fence)

    @precondition(lambda self: getattr(self, "held", None))
    @rule(beats=st.integers(3, 8))
    def sits_there_without_typing(self, beats: int) -> None:
        name = self.held[0]
        for _ in range(beats):
            clock.shift(40)
            self.heartbeat(name, False)

    # -- replies --------------------------------------------------------------------------------------------------

    def _reply(self, name: str, fence: int, seen: int, nonce: str, anyway: bool) -> None:
        valid = self._valid(name, fence)
        fresh = anyway or seen >= self.newest_text
        try:
            with transaction():
                message = self.c.reply(f"reply {nonce}", by=self.people[name], fence=fence, seen=seen, nonce=nonce, anyway=anyway)
        except LockLost:
            assert not valid, "a holder was refused"
            assert nonce not in self.replies, "a repeated post was not answered with its text"
        except Stale:
            assert valid and not fresh, "held back without a newer text"
            assert nonce not in self.replies, "a repeated post was not answered with its text"
        else:
            if nonce in self.replies:
                assert message.id == self.replies[nonce], "one post made two texts"
                return
            assert valid, "a reply left without the lock"
            assert fresh, "a reply left over a text nobody had seen"
            self.replies[nonce] = message.id
            self._input()

    @rule(name=who, anyway=st.booleans())
    def replies_from_the_page(self, name: str, anyway: bool) -> None:
        fence, seen = self.tabs.get(name, (0, 0))
        self._reply(name, fence, seen, f"{self.prefix}{len(self.replies)}", anyway)

    @rule(name=who)
    def opens_looks_and_replies(self, name: str) -> None:
        self.opens(name)
        self.looks(name)
        self.replies_from_the_page(name, False)

    @rule(name=who, anyway=st.booleans())
    def replies_while_a_text_comes_in(self, name: str, anyway: bool) -> None:
        self.opens(name)
        self.text_comes_in()
        self.replies_from_the_page(name, anyway)

    @rule(name=who, back=st.integers(1, 3))
    def replies_with_an_old_or_made_up_fence(self, name: str, back: int) -> None:
        self._reply(name, self.top - back, self.newest_text, f"{self.prefix}old{len(self.replies)}", True)
        self._reply(name, self.top + back, self.newest_text, f"{self.prefix}new{len(self.replies)}", True)

    @rule(name=who)
    def replies_with_somebody_elses_fence(self, name: str) -> None:
        if self.held and self.held[0] != name:
            self._reply(name, self.held[1], self.newest_text, f"{self.prefix}theft{len(self.replies)}", True)

    @precondition(lambda self: getattr(self, "replies", None))
    @rule(name=who, data=st.data())
    def posts_again(self, name: str, data: st.DataObject) -> None:
        nonce = data.draw(st.sampled_from(sorted(self.replies)))
        fence, seen = self.tabs.get(name, (0, 0))
        self._reply(name, fence, seen, nonce, False)

    @rule(name=who)
    def looks(self, name: str) -> None:
        if name in self.tabs:
            self.tabs[name] = (self.tabs[name][0], self.newest_text)

    # -- the customer, the provider, the clock --------------------------------------------------------------------

    @rule()
    def text_comes_in(self) -> None:
        c = self._receive("hello?")
        assert c is not None and c.id == self.c.id

    @rule(data=st.data())
    def text_comes_in_again(self, data: st.DataObject) -> None:
        self._receive("hello?", data.draw(st.sampled_from(self.inbound)))

    @rule(steps=st.integers(1, 7))
    def time_passes(self, steps: int) -> None:
        clock.shift(40 * steps)

    @rule()
    def the_clock_job_runs(self) -> None:
        lapsed = self.held is not None and self._live() is None
        assert (self.c.id in Conversation.lapsed_locks()) == lapsed
        due = self._live() is not None and clock.now() >= self.prompt
        with transaction():
            assert not self.c.announce_prompt() or due
            assert self.c.announce_expiry() == lapsed
        if lapsed:
            self.held = None

    # -- sorting --------------------------------------------------------------------------------------------------

    @rule(name=who)
    def archives(self, name: str) -> None:
        with transaction():
            self.c.archive(by=self.people[name])
        self.archived = True

    @rule(name=who)
    def brings_back(self, name: str) -> None:
        with transaction():
            self.c.unarchive(by=self.people[name])
        self.archived = False

    @rule(name=who, to=st.sampled_from([*PEOPLE, None]), expected=st.sampled_from([*PEOPLE, None]))
    def assigns(self, name: str, to: str | None, expected: str | None) -> None:
        try:
            with transaction():
                self.c.assign_to(self.people[to] if to else None, by=self.people[name], expected=self.people[expected] if expected else None)
        except TakenAlready:
            assert expected != self.assignee and to != self.assignee
        else:
            assert self.assignee in (expected, to)
            self.assignee = to

    # -- what must always be true ---------------------------------------------------------------------------------

    @invariant()
    def the_database_agrees(self) -> None:
        if not hasattr(self, "c"):
            return
        anew()
        live, held = self._live(), self.c.lock_holder()
        assert (held is None) == (live is None)
        if held and live:
            assert (held.holder.id, held.fence) == (self.people[live[0]].id, live[1])
        assert db.session.get(Lock, self.c.id).fence == self.top
        stored = db.session.query(Message).filter_by(conversation_id=self.c.id)
        assert sorted(m.provider_id for m in stored.filter_by(kind="in")) == sorted(self.inbound)
        assert sorted(m.id for m in stored.filter_by(kind="out")) == sorted(self.replies.values())
        assert db.session.query(Dispatch).filter_by(conversation_id=self.c.id).count() == len(self.replies)
        assert db.session.query(Conversation).filter_by(address=self.customer).count() == 1
        assert self.c.last_inbound_id == self.newest_text and self.c.archived == self.archived
        assert self.c.assignee_id == (self.people[self.assignee].id if self.assignee else None)

    def teardown(self) -> None:
        if not hasattr(self, "c"):
            return
        anew()
        holder, top = None, 0
        for item in reversed(self.c.lock_ledger(limit=10_000)):
            if item.kind in ("lock.acquired", "lock.taken_over"):
                assert item.data["fence"] > top, "the fence did not rise"
                top = item.data["fence"]
                if item.kind == "lock.acquired":
                    assert holder is None, "two holdings overlap"
                else:
                    assert holder == item.data["from_id"]
                holder = item.actor_id
            elif item.kind == "lock.released":
                assert holder == item.actor_id
                holder = None
            elif item.kind == "lock.expired":
                assert holder == item.data["holder_id"]
                holder = None
            elif item.kind == "lock.kept":
                assert holder == item.actor_id
            elif item.kind == "lock.prompted":
                assert holder == item.data["holder_id"]
        assert top == self.top


@pytest.mark.slow
def test_a_day_of_a_conversation(world):
    with transaction():
        world.front.configure_lock(by=world.ada, lock_lease=LEASE, lock_heartbeat=15, idle_after=IDLE, idle_answer=ANSWER)
        with pytest.raises(Refused):
            world.front.configure_lock(by=world.ada, lock_lease=1)
    Day.world = world
    run_state_machine_as_test(
        Day,
        settings=settings(
            max_examples=int(os.environ.get("TEST_MACHINE_EXAMPLES", "25")), stateful_step_count=40, deadline=None, derandomize="CI" in os.environ, database=None,
            suppress_health_check=list(HealthCheck), print_blob=False,
        ),
    )
