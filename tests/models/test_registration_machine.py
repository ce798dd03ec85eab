"""REG-2, REG-3 by a machine: webhooks and polls that race, repeat, come late and speak of older submissions, while people submit and write replies."""

from __future__ import annotations

import os
import random
from contextlib import nullcontext, suppress

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from inbox.channels.base import Issue, PermanentFailure, RegistrationStatus, TemporaryFailure
from inbox.channels.twilio import Twilio
from inbox.models import Draft, Event, Inbox, Message, Refused, Registration, SendRefused, db, transaction
from inbox.models import release as releases
from inbox.models.registration import NEXT, PENDING
from jobs.poll_registrations import poll_registrations
from jobs.release_drafts import release_drafts
from tests.models.helpers import anew, conversation, person
from tests.models.test_registration import FORM

BRAND = ("PENDING", "IN_REVIEW", "APPROVED", "FAILED", "SUSPENDED", "DELETION_PENDING", "NEW_WORD")
CAMPAIGN = ("PENDING", "IN_PROGRESS", "VERIFIED", "FAILED", "SUSPENDED", "EXPIRED", "NEW_WORD")
TOLD = sorted({*NEXT} - {"draft"})


class Carrier:
    """What the carrier knows; every answer may be late."""

    def __init__(self) -> None:
        self.brand = self.campaign = ""
        self.fails: Exception | None = None

    def call(self, credentials, method, url, *_, **__):
        """In place of Twilio's API: two documents that the machine moves."""
        if self.fails:
            raise self.fails
        if "Usa2p" in url and method == "GET":
            return {"sid": "QE1", "campaign_status": self.campaign} if url.endswith("QE1") else {"compliance": [{"sid": "QE1", "campaign_status": self.campaign}] if self.campaign else []}
        if "Usa2p" in url:
            self.campaign = "" if method == "DELETE" else "IN_PROGRESS"
            return {"sid": "QE1"}
        if "BrandRegistrations" in url:
            return {"sid": "BN1", "status": self.brand}
        return {"sid": "XX1", "status": "in-review"}

    def submit_brand(self, credentials, form, refs, save):
        if self.fails:
            raise self.fails
        self.brand = "PENDING" if self.brand in ("", "FAILED", "DELETION_PENDING") else self.brand
        refs["brand"] = "BN1"
        return refs


class Months(RuleBasedStateMachine):
    """One registration's life; `world`, `carrier` and `bell` are given by the test."""

    world = carrier = bell = None

    @initialize()
    def begin(self) -> None:
        anew()
        self.registration = self.world.waiting_registration
        self.c = self.world.conversation(inbox=self.world.waiting)
        with transaction():
            row = self.registration
            row.state, row.round, row.history, row.refs, row.provider_state, row.reached = "draft", 0, [], {}, "", {}
            self.world.waiting.joined_at = None
            db.session.execute(sa.delete(Draft))
        self.carrier.brand, self.carrier.campaign, self.carrier.fails = "", "", None
        self.under_way: list[tuple[RegistrationStatus, int]] = []  # answers that were given and have not come yet, or come again
        self.state, self.out = "draft", self._out()

    def _out(self) -> int:
        return db.session.scalar(sa.select(sa.func.count(Message.id)).where(Message.conversation_id == self.c.id, Message.kind == "out"))

    @precondition(lambda self: self.state in ("draft", "rejected", "expired"))
    @rule()
    def submit(self) -> None:
        with transaction():
            self.registration.write(FORM, by=self.world.dana)
            self.registration.submit(by=self.world.dana)

    @rule()
    def the_submitting_job_runs(self) -> None:
        if self.registration.state == "submitted":
            self.registration.send_to_carrier()

    @rule(brand=st.sampled_from(BRAND), campaign=st.sampled_from(CAMPAIGN))
    def the_carrier_decides(self, brand: str, campaign: str) -> None:
        self.carrier.brand = brand if self.carrier.brand else ""
        self.carrier.campaign = campaign if self.carrier.campaign else ""

    @rule(kind=st.sampled_from([None, TemporaryFailure("Busy."), PermanentFailure("No.", issues=(Issue("brand_ein", "1", "Wrong."),))]))
    def the_line_changes(self, kind: Exception | None) -> None:
        self.carrier.fails = kind

    @rule(state=st.sampled_from(TOLD), old=st.integers(0, 3))
    def an_answer_sets_out(self, state: str, old: int) -> None:
        self.under_way.append((RegistrationStatus(state, f"campaign {state}", limits={"mps": 12.0}, done=frozenset({"brand"})), self.registration.round - old))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), times=st.integers(1, 2))
    def an_answer_comes(self, data: st.DataObject, times: int) -> None:
        status, about = data.draw(st.sampled_from(self.under_way))
        before, fresh = self.registration.state, about == self.registration.round
        for _ in range(times):
            self.registration._advance(status, about)
        anew()
        moves = fresh and status.state in NEXT[before] and status.state != "submitted"  # only people submit
        assert self.registration.state == (status.state if moves else before)

    @rule(times=st.integers(1, 3))
    def webhooks_come(self, times: int) -> None:
        self.bell.rung.clear()
        for _ in range(times):
            self.registration.notice()
        for job, args in self.bell.rung:
            assert job == "poll_registrations"
            poll_registrations(*args)

    @rule()
    def a_poll_runs(self) -> None:
        self.registration.refresh()

    @rule(body=st.sampled_from(["Yes.", "It is ready."]))
    def somebody_writes(self, body: str) -> None:
        try:
            with transaction():
                releases.wait(self.c, body, by=self.world.dana, seen=self.c.last_inbound_id)
        except releases.Approved:
            assert self.registration.state == "approved"

    @rule()
    def the_releasing_job_runs(self) -> None:
        release_drafts(self.registration.id)

    @rule()
    def somebody_presses_send(self) -> None:
        try:
            with transaction():
                held = self.c.acquire(by=self.world.dana)
                self.c.reply("Hi", by=self.world.dana, fence=held.fence, seen=self.c.last_inbound_id, keep_draft=True)
        except SendRefused:
            assert self.registration.state != "approved"
        else:
            assert self.registration.state == "approved"

    @invariant()
    def only_forward_and_nothing_leaves_before(self) -> None:
        if not hasattr(self, "registration"):
            return
        anew()
        row = self.registration
        path = ["draft", *(state for state, _ in row.history)]
        assert all(after in NEXT[before] for before, after in zip(path, path[1:], strict=False)), path
        assert path[-1] == row.state
        approved, out = row.state == "approved", self._out()
        assert out == self.out or approved, f"a text left in {row.state}"
        self.state, self.out = row.state, out
        self.world.dana.forget_inboxes()
        assert (self.world.waiting in Inbox.visible_to(self.world.dana)) == approved
        if approved:
            assert self.c.gate("Hi") and row.refs.get("campaign", "QE1")
        else:
            with pytest.raises(SendRefused):
                self.c.gate("Hi")
        assert (row.next_check_at is not None) or row.state not in (*PENDING, "approved", "suspended"), "what waits is looked at again"


@pytest.fixture
def carrier(monkeypatch):
    from inbox.channels import twilio as module

    carrier = Carrier()
    monkeypatch.setattr(module, "_call", carrier.call)
    monkeypatch.setattr(Twilio, "submit_brand", lambda self, *args: carrier.submit_brand(*args))
    monkeypatch.setattr(Twilio, "subscribe_registration_events", lambda self, *args: None)
    monkeypatch.setattr(Twilio, "ensure_service", lambda self, *args: "MG1")
    return carrier


def test_REG_2_REG_3_a_life_in_any_order_only_moves_forward_and_sends_nothing_before(world, carrier, bell, monkeypatch):
    monkeypatch.setattr("jobs.poll_registrations.alone", lambda *_: nullcontext(True))
    machine = type("Months", (Months,), {"world": world, "carrier": carrier, "bell": bell})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(os.environ.get("MACHINE_EXAMPLES", "25")), stateful_step_count=40, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate],
        ),
    )


def test_REG_2_polls_webhooks_and_a_resubmission_at_once_move_it_along_one_path(world, app, together, bell):
    """Answers about the present and older rounds against people who submit: every step fits the one before, and is told of once."""
    id, dana, c = world.waiting_registration.id, world.dana.id, world.conversation(inbox=world.waiting).id
    shuffled = random.Random(7)
    with transaction():
        world.waiting_registration.write(FORM, by=world.dana)

    def act(i):
        row = db.session.get_one(Registration, id)
        if i % 4 == 0:
            with transaction(), suppress(Refused):
                row.submit(by=person(dana))
            return
        for state in shuffled.sample(TOLD, 4):
            db.session.get_one(Registration, id)._advance(RegistrationStatus(state, f"campaign {state}"), row.round - (i % 4 == 3))
            with suppress(SendRefused):
                conversation(c).gate("Hi")

    for _ in range(4):
        assert together(act, 8, app) == [None] * 8
        anew()
        row = db.session.get_one(Registration, id)
        path = ["draft", *(state for state, _ in row.history)]
        assert path[-1] == row.state and all(after in NEXT[before] for before, after in zip(path, path[1:], strict=False)), path
        assert db.session.query(Event).filter_by(kind="registration.moved").count() == len(row.history)
        assert row.round == path.count("submitted")
        if row.state != "approved":
            with pytest.raises(SendRefused):
                conversation(c).gate("Hi")


def test_REG_2_news_of_an_older_round_loses_against_a_resubmission_at_the_same_moment(world, app, together, bell):
    id, dana = world.waiting_registration.id, world.dana.id
    for _ in range(6):
        with transaction():
            row = db.session.get_one(Registration, id)
            if row.editable:
                row.write(FORM, by=person(dana))
            row.state, row.history = "rejected", []
            asked = row.round

        def act(i, asked=asked):
            row = db.session.get_one(Registration, id)
            if i:
                row._advance(RegistrationStatus("approved", "campaign verified"), asked)
                row._keep({"campaign": "QE-old"}, asked)
            else:
                with transaction():
                    row.submit(by=person(dana))

        assert together(act, 4, app) == [None] * 4
        anew()
        row = db.session.get_one(Registration, id)
        assert row.state == "submitted" and "campaign" not in row.refs, "the old campaign's approval is not the new one's"
