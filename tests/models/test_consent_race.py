"""MSG-2: a STOP against sixteen senders. No call to the provider starts once it is committed, on both databases, and a crash on the way loses nothing."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.channels.base import Sent, Status
from inbox.channels.twilio import Twilio
from inbox.models import Consent, Conversation, Dispatch, Door, Inbox, Message, Stopping, WebhookEvent, db, transaction
from inbox.models.consent import Allowed
from inbox.models.event import Event
from inbox.models.gate import Path
from jobs import apply_webhook as job
from jobs import send_message as sending
from jobs import sweeps
from jobs.apply_webhook import apply_webhook
from jobs.send_message import send_message
from tests.models.helpers import anew, failures

CUSTOMER = "+14155550134"
SENDERS, EACH = 16, 5


class Line:
    """A provider that takes its time: remembers when each call began and ended."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, float]] = []
        self.stop_at: float | None = None

    def send(self, adapter, credentials, outgoing):
        began = time.monotonic()
        time.sleep(0.03)
        self.calls.append((began, time.monotonic()))
        return Sent(f"SM{outgoing.ref}"[:34], Status.QUEUED, 1)

    @property
    def late(self) -> int:
        """Calls that began after the STOP was being written, that is, before its commit."""
        return sum(began >= self.stop_at for began, _ in self.calls)


@pytest.fixture
def line(monkeypatch):
    """A slow provider, workers that dawdle between claim and call, and the moment at which a STOP is written."""
    line, claim, receive = Line(), sending._claim, Conversation.receive

    def dawdle(dispatch_id):
        work = claim(dispatch_id)
        time.sleep(0.1)
        return work

    def written(inbox, inbound):
        line.stop_at = time.monotonic()
        return receive(inbox, inbound)

    monkeypatch.setattr(Twilio, "send", lambda adapter, credentials, outgoing: line.send(adapter, credentials, outgoing))
    monkeypatch.setattr(sending, "_claim", dawdle)
    monkeypatch.setattr(sending, "_its_turn", lambda dispatch_id: True)
    monkeypatch.setattr(Conversation, "receive", staticmethod(written))
    return line


def webhook(world, body="STOP", inbox=None, sid="SM1"):
    """A stored request, as the hook leaves it."""
    fields = {"MessageSid": sid, "From": CUSTOMER, "To": (inbox or world.front).phone, "Body": body, "NumMedia": "0"}
    with transaction():
        return Door.at(world.carrier.hook_token).store(
            "messages", sid, method="POST", url="http://localhost/hooks", headers={"Content-Type": "application/x-www-form-urlencoded"}, body=urlencode(fields).encode()
        )


def queued(conversation, n=1):
    """Texts in the outbox of a conversation; their outbox rows' ids in order."""
    with transaction():
        return [Dispatch.of(conversation.answer_automatically(f"text {i}", path=Path.REPLY)).id for i in range(n)]


def sixteen(world):
    """The customer talks with sixteen inboxes of the team; the outbox rows of each."""
    with transaction():
        inboxes = [world.inbox(world.team, f"Desk {i}", f"+1415555{1000 + i}", world.dana, "teal") for i in range(SENDERS)]
    return [queued(world.conversation(inbox=inbox), EACH) for inbox in inboxes]


def apply_until_done(event_id):
    """Apply a request as the sweep does: again, while texts are under way."""
    for _ in range(60):
        apply_webhook(event_id)
        done = db.session.scalar(sa.select(WebhookEvent.applied_at).where(WebhookEvent.id == event_id))
        db.session.rollback()
        if done:
            return
    raise AssertionError("the STOP was never applied")


def race(world, app, together, line):
    """Sixteen senders at work, and a STOP in the middle; how many texts left, how many were stopped."""
    boxes, event_id, went_on = sixteen(world), webhook(world), threading.Event()
    line.stop_at = None

    def work(i):
        if i == SENDERS:
            while len(line.calls) < SENDERS:  # all of them are at it
                time.sleep(0.005)
            apply_until_done(event_id)
            went_on.set()
            return
        for dispatch_id in boxes[i]:
            send_message(dispatch_id)
        went_on.wait(40)
        for dispatch_id in boxes[i]:
            send_message(dispatch_id)

    results = together(work, SENDERS + 1, app)
    assert not failures(results), results
    anew()
    return [db.session.get_one(Dispatch, d) for box in boxes for d in box]


def test_MSG_2_no_call_starts_once_a_stop_is_committed(world, app, together, line):
    rows = race(world, app, together, line)
    assert line.late == 0, f"{line.late} of {len(line.calls)} calls began after the STOP"
    assert all(ended <= line.stop_at for _, ended in line.calls)
    states = [row.state for row in rows]
    assert set(states) == {"sent", "failed"} and states.count("sent") == len(line.calls) >= SENDERS
    assert all("replied STOP" in row.message.error_text for row in rows if row.state == "failed")
    assert Consent.of(world.team.id, CUSTOMER).opted_out and db.session.query(Stopping).count() == 0
    assert db.session.query(Event).filter_by(kind="contact.opted_out").count() == 1
    confirmation = db.session.query(Message).filter_by(kind="auto", path="auto").one()
    db.session.rollback()
    send_message(Dispatch.of(confirmation).id)
    assert line.late == 1, "only the confirmation leaves afterwards"


def test_MSG_2_a_crash_between_mark_and_change_loses_nothing(world, line, bell, monkeypatch):
    c = world.conversation()
    [dispatch_id] = queued(c)
    event_id = webhook(world)
    received = Conversation.receive

    def crash(inbox, inbound):
        raise KeyboardInterrupt

    monkeypatch.setattr(Conversation, "receive", staticmethod(crash))
    with pytest.raises(KeyboardInterrupt):
        apply_webhook(event_id)
    anew()
    assert db.session.query(Stopping).count() == 1 and Consent.of(world.team.id, CUSTOMER) is None
    db.session.rollback()
    send_message(dispatch_id)
    anew()
    assert db.session.get_one(Dispatch, dispatch_id).state == "failed" and not line.calls, "the mark holds already"
    monkeypatch.setattr(Conversation, "receive", staticmethod(received))
    monkeypatch.setattr(sweeps, "crowded", lambda queue: False)
    bell.rung.clear()
    clock.shift(6)
    sweeps.sweep_webhooks()
    assert ("apply_webhook", (event_id,)) in bell.rung
    apply_webhook(event_id)
    anew()
    assert Consent.of(world.team.id, CUSTOMER).opted_out and db.session.query(Stopping).count() == 0


def test_MSG_2_a_mark_whose_stop_never_comes_is_harmless_after_a_minute(world, line, monkeypatch):
    c = world.conversation()
    [dispatch_id] = queued(c)
    with transaction():
        Stopping.mark(world.front, CUSTOMER)
    assert Allowed.read(world.front, CUSTOMER).stopping
    clock.shift(61)
    db.session.rollback()
    send_message(dispatch_id)
    assert len(line.calls) == 1


def under_way(world, inbox=None):
    """A text that a worker has claimed and not finished."""
    [dispatch_id] = queued(world.conversation(inbox=inbox))
    with transaction():
        assert db.session.get_one(Dispatch, dispatch_id).claim_it()
    return dispatch_id


def test_MSG_2_a_stop_waits_for_the_text_under_way(world, app, line):
    dispatch_id, event_id = under_way(world), webhook(world)

    def apply():
        with app.app_context():
            apply_until_done(event_id)
            db.session.remove()

    thread = threading.Thread(target=apply)
    thread.start()
    time.sleep(0.4)
    anew()
    assert Consent.of(world.team.id, CUSTOMER) is None and Allowed.read(world.front, CUSTOMER).opted_out
    with transaction():
        dispatch = db.session.get_one(Dispatch, dispatch_id)
        dispatch.accepted(dispatch.claim, "SMX", "queued", 1)
    thread.join(20)
    anew()
    assert Consent.of(world.team.id, CUSTOMER).opted_out


def test_MSG_2_a_stop_waits_only_so_long_and_not_for_a_dead_worker(world, line, monkeypatch):
    monkeypatch.setattr(job, "LONGEST_WAIT", 0.3)
    under_way(world)
    began = time.monotonic()
    apply_webhook(webhook(world))
    assert time.monotonic() - began >= 0.3 and Allowed.read(world.front, CUSTOMER).opted_out
    monkeypatch.setattr(job, "LONGEST_WAIT", 30)
    under_way(world, world.reception)
    clock.shift(61)
    began = time.monotonic()
    north = webhook(world, inbox=world.reception, sid="SM2")
    with transaction():
        db.session.get_one(WebhookEvent, north).carrier_id = world.north_carrier.id
    apply_webhook(north)
    assert time.monotonic() - began < 10 and Allowed.read(world.reception, CUSTOMER).opted_out


def test_MSG_2_a_worker_stands_still_for_a_stop_for_a_second_only_and_the_mark_holds(world, line, monkeypatch):
    monkeypatch.setattr(job, "WAIT_HERE", 0.1)
    under_way(world)
    event_id = webhook(world)
    apply_webhook(event_id)
    anew()
    assert db.session.get_one(WebhookEvent, event_id).applied_at is None, "the sweep rings again"
    assert Consent.of(world.team.id, CUSTOMER) is None and Allowed.read(world.front, CUSTOMER).opted_out


def test_MSG_2_a_late_ring_of_an_applied_stop_leaves_no_mark(world, line):
    event_id = webhook(world)
    apply_webhook(event_id)
    apply_webhook(event_id)
    anew()
    assert Consent.of(world.team.id, CUSTOMER).opted_out and db.session.query(Stopping).count() == 0


def test_MSG_2_a_stop_waits_for_its_own_reach_only(world, line):
    with transaction():
        world.front.set_consent_scope("inbox", by=world.dana)
    world.conversation()
    under_way(world, world.pharmacy)
    apply_webhook(webhook(world))
    anew()
    assert Allowed.read(world.front, CUSTOMER).opted_out and not Allowed.read(world.pharmacy, CUSTOMER).opted_out


@pytest.mark.parametrize("body", ["START", "HELP", "Hello", "please stop texting me"])
def test_MSG_2_other_texts_mark_nothing_and_wait_for_nobody(world, line, monkeypatch, body):
    monkeypatch.setattr(Stopping, "mark", lambda *a: pytest.fail("a mark"))
    under_way(world)
    apply_webhook(webhook(world, body))
    assert db.session.query(Message).filter_by(body=body).count() == 1


def test_MSG_2_a_stop_in_an_inboxs_own_words_is_marked_too(world, line, monkeypatch):
    marked = []
    with transaction():
        db.session.get_one(Inbox, world.front.id).stop_words = "Basta"
    mark = Stopping.mark
    monkeypatch.setattr(Stopping, "mark", staticmethod(lambda inbox, address: (marked.append(address), mark(inbox, address))))
    apply_webhook(webhook(world, "basta!"))
    assert marked == [CUSTOMER] and Allowed.read(world.front, CUSTOMER).opted_out
