"""CONV-8 and LOCK-4 at the model: a reply waits for its author's seconds, and either leaves or comes back, never both."""

from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from inbox import clock
from inbox.channels.base import Sent, Status
from inbox.channels.twilio import Twilio
from inbox.models import Attachment, Consent, Conversation, Denied, Dispatch, Draft, LockLost, Message, NoSeat, Notice, SendRefused, Stale, db, transaction, undo
from inbox.models.gate import Path
from inbox.models.profile import UNDO_CHOICES
from jobs.send_message import send_message
from jobs.sweeps import sweep_outbox
from tests.models.helpers import anew, failures, person

WORDS = "Yes, it is ready. Come by any time."


class Still(datetime):
    """A clock that stands where a test puts it."""

    at = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)

    @classmethod
    def now(cls, tz=None):
        return cls.at


@pytest.fixture
def still(monkeypatch, world):
    monkeypatch.setattr(clock, "datetime", Still)
    monkeypatch.setattr(Still, "at", datetime.now(UTC))
    return Still


@pytest.fixture
def taken(monkeypatch):
    """What the carrier took."""
    texts: list[str] = []

    def send(adapter, credentials, outgoing):
        texts.append(outgoing.text)
        return Sent(f"SM{outgoing.ref}"[:34], Status.QUEUED, 1)

    monkeypatch.setattr(Twilio, "send", send)
    return texts


@pytest.fixture
def unhurried(world):
    with transaction():
        world.maya.undo_seconds = 5
    return world


def write(world, c, body=WORDS, by=None, **kwargs):
    with transaction():
        by = by or world.maya
        fence = c.acquire(by=by).fence
        return c.reply(body, by=by, fence=fence, seen=c.last_inbound_id, **kwargs)


def at_once(world, c, body):
    """A later text that does not wait itself."""
    with transaction():
        world.maya.undo_seconds = 0
    return write(world, c, body)


def take_back(message, by, **kwargs):
    with transaction():
        return undo.undo(message, by=by, **kwargs)


def row(message):
    anew()
    return Dispatch.of(message)


def test_CONV_8_a_reply_waits_for_its_authors_seconds_and_then_leaves_once(unhurried, still, bell, taken):
    message = write(unhurried, unhurried.conversation())
    dispatch = row(message)
    until = still.at + timedelta(seconds=5)
    assert (dispatch.undo_until, dispatch.next_at, message.undo_until, message.undo_left) == (until, until, until, 5000)
    assert ("send_message", (dispatch.id,)) not in bell.rung
    for early in (4.0, 0.999):
        still.at += timedelta(seconds=early)
        sweep_outbox()
        send_message(dispatch.id)
    assert taken == [] and ("send_message", (dispatch.id,)) not in bell.rung
    still.at = until
    sweep_outbox()
    assert bell.rung.count(("send_message", (dispatch.id,))) == 1
    for _ in range(3):
        send_message(dispatch.id)
    assert taken == [WORDS] and row(message).state == "sent"
    with pytest.raises(undo.TooLate):
        take_back(message, unhurried.maya)


@pytest.mark.parametrize("seconds", UNDO_CHOICES)
def test_CONV_8_everybody_chooses_their_own_time(world, still, bell, seconds):
    with transaction():
        world.theo.undo_seconds = seconds
    message = write(world, world.conversation(), by=world.theo)
    assert row(message).next_at == still.at + timedelta(seconds=seconds)
    assert (("send_message", (Dispatch.of(message).id,)) in bell.rung) is (seconds == 0)


@pytest.mark.parametrize("path", [p for p in Path if p not in (Path.REPLY, Path.COMPOSE)])
def test_CONV_8_what_no_person_sends_by_hand_does_not_wait(unhurried, path):
    message = write(unhurried, unhurried.conversation(), path=path)
    assert message.undo_until is None and row(message).undo_until is None


def test_CONV_8_a_first_text_waits_too(unhurried, taken):
    with transaction():
        message = Conversation.compose(unhurried.front, "+14155550177", "Your order is here", by=unhurried.maya)
    assert message.undo_left > 0
    take_back(message, unhurried.maya)
    assert Draft.of(message.conversation, unhurried.maya).body == "Your order is here", "without what was added to it"


def test_CONV_8_undo_gives_words_files_and_lock_back(unhurried, bell, taken):
    w = unhurried
    with transaction():
        w.front.sign_texts = True
        upload = Attachment(account_id=w.harbor.id, member_id=w.maya.id, state="stored", content_type="image/png", filename="a.png", size=9).save()
    c = w.conversation()
    message = write(w, c, uploads=[upload])
    with transaction():
        c.release(by=w.maya)
    assert message.body == f"{WORDS} - Maya"
    held = take_back(message, w.maya, typed="And one more thing")
    anew()
    draft = Draft.of(c, w.maya)
    assert draft.body == f"{WORDS}\nAnd one more thing" and draft.files == [upload.public_id]
    assert undo.files_of(draft, w.maya) == [upload] and upload.message_id is None and message.attachments == []
    assert held.holder.id == w.maya.id and c.lock_holder().fence == held.fence
    assert message.state == "canceled" and Dispatch.of(message).state == "canceled"
    with pytest.raises(undo.TooLate, match="already"):
        take_back(message, w.maya)
    clock.shift(60)
    send_message(Dispatch.of(message).id)
    assert taken == [] and Draft.of(c, w.maya).body == f"{WORDS}\nAnd one more thing", "given back once"
    again = write(w, c, body=draft.body, uploads=undo.files_of(draft, w.maya))
    assert [a.public_id for a in again.attachments] == [upload.public_id]


def test_CONV_8_undo_is_for_the_author_and_who_may_take_over(unhurried):
    w = unhurried
    c = w.conversation()
    with transaction():
        w.maya.undo_seconds = 20
    for who, error in ((w.vera, Denied), (w.uma, NoSeat), (w.olga, Denied), (w.nina, Denied)):
        message = write(w, c)
        with pytest.raises(error):
            take_back(message, who)
        assert row(message).state == "queued"
    with transaction():
        c.release(by=w.maya)
        assert c.acquire(by=w.ada)
    assert take_back(message, w.dana) is None, "somebody else has the lock"
    draft = Draft.of(c, w.dana)
    assert (draft.body, draft.from_name) == (WORDS, "Maya Chen") and c.lock_holder().holder.id == w.ada.id


def test_CONV_8_undoing_what_was_sent_and_archived_brings_the_conversation_back(unhurried):
    c = unhurried.conversation()
    with transaction():
        message = c.reply(WORDS, by=unhurried.maya, fence=c.acquire(by=unhurried.maya).fence, seen=c.last_inbound_id)
        c.archive(by=unhurried.maya)
    take_back(message, unhurried.maya)
    anew()
    assert not c.archived


def test_CONV_8_texts_of_a_conversation_still_leave_in_order(unhurried, taken):
    c = unhurried.conversation()
    first, second = write(unhurried, c, "One"), at_once(unhurried, c, "Two")
    send_message(Dispatch.of(second).id)
    assert taken == [] and row(second).state == "queued"
    clock.shift(6)
    for message in (second, first, second):
        send_message(row(message).id)
    assert taken == ["One", "Two"]


def test_CONV_8_a_text_taken_back_lets_the_next_one_go(unhurried, taken, bell):
    c = unhurried.conversation()
    first, second = write(unhurried, c, "One"), at_once(unhurried, c, "Two")
    bell.rung.clear()
    take_back(first, unhurried.maya)
    assert ("send_message", (row(second).id,)) in bell.rung
    send_message(row(second).id)
    assert taken == ["Two"]


# -- the customer spoke first ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "held"), [(-1, True), (0, True), (1, False)])
def test_LOCK_4_a_text_from_the_customer_inside_the_window_holds_the_reply(unhurried, still, taken, offset, held):
    c = unhurried.conversation()
    message = write(unhurried, c)
    still.at = message.undo_until + timedelta(milliseconds=offset)
    unhurried.text("Wait, which one?")
    assert row(message).state == ("held" if held else "queued") and message.state == ("held" if held else "queued")
    still.at += timedelta(hours=1)
    sweep_outbox()
    send_message(Dispatch.of(message).id)
    assert taken == ([] if held else [WORDS])


def test_LOCK_4_the_worker_looks_again_when_it_claims(unhurried, still, taken, monkeypatch):
    message = write(unhurried, unhurried.conversation())
    still.at += timedelta(seconds=2)
    with monkeypatch.context() as blind:
        blind.setattr(undo, "hold_back", lambda conversation: None)
        unhurried.text("Wait!")
    still.at += timedelta(seconds=9)
    send_message(row(message).id)
    dispatch = row(message)
    assert (taken, dispatch.state, dispatch.attempt, message.state) == ([], "held", 0, "held")


def test_LOCK_4_send_anyway_needs_that_the_newest_text_was_seen(unhurried, taken, bell):
    w, c = unhurried, unhurried.conversation()
    message = write(w, c)
    first = w.text("Wait!").id
    w.text("Which one?")
    anew()
    with pytest.raises(Stale), transaction():
        undo.send_anyway(message, by=w.maya, seen=first)
    assert row(message).state == "held"
    with pytest.raises(Denied), transaction():
        undo.send_anyway(message, by=w.vera, seen=c.last_inbound_id)
    with transaction():
        undo.send_anyway(message, by=w.maya, seen=c.last_inbound_id)
    assert ("send_message", (row(message).id,)) in bell.rung
    send_message(row(message).id)
    assert taken == [WORDS]
    with pytest.raises(undo.TooLate), transaction():
        undo.send_anyway(message, by=w.maya, seen=c.last_inbound_id)


def test_LOCK_4_send_anyway_respects_the_lock_and_the_gate(unhurried, taken):
    w, c = unhurried, unhurried.conversation()
    message = write(w, c)
    w.text("Wait!")
    with transaction():
        c.release(by=w.maya)
        c.acquire(by=w.theo)
    with pytest.raises(LockLost, match="Theo"), transaction():
        undo.send_anyway(message, by=w.maya, seen=c.last_inbound_id)
    with transaction():
        c.release(by=w.theo)
        c.contact.blocked_at = clock.now()
    with pytest.raises(SendRefused, match="blocked"), transaction():
        undo.send_anyway(message, by=w.maya, seen=c.last_inbound_id)
    assert row(message).state == "held" and taken == []
    assert take_back(message, w.maya) and Draft.of(c, w.maya).body == WORDS


# -- a rule stops it ---------------------------------------------------------------------------------------------------


def stop(world, c):
    world.text("STOP", sender=c.address)


def by_hand(world, c):
    with transaction():
        Consent.put(world.harbor.id, world.team.id, c.address, opted_out=True, source="hand", evidence="on the phone", inbox_id=world.front.id)


def block(world, c):
    with transaction():
        c.contact.block(by=world.dana, conversation=c)


@pytest.mark.parametrize("ends", [stop, by_hand, block])
def test_CONV_8_an_end_of_consent_stops_a_waiting_text_and_gives_it_back(unhurried, taken, bell, ends):
    c = unhurried.conversation()
    message = write(unhurried, c)
    ends(unhurried, c)
    anew()
    assert row(message).state == "canceled" and message.state == "canceled" and message.error_text
    draft = Draft.of(c, unhurried.maya)
    assert draft.body == WORDS and draft.author_id == unhurried.maya.id and draft.released_why == message.error_text
    assert db.session.scalars(sa.select(Notice.member_id).where(Notice.kind == "failed")).all() == [unhurried.maya.id]
    clock.shift(60)
    send_message(Dispatch.of(message).id)
    assert WORDS not in taken


def test_CONV_8_what_may_not_leave_at_the_claim_comes_back_as_well(unhurried, taken):
    c = unhurried.conversation()
    message = write(unhurried, c)
    with transaction():
        c.contact.blocked_at = clock.now()
    clock.shift(6)
    send_message(row(message).id)
    assert (taken, row(message).state, message.state) == ([], "canceled", "canceled")
    assert Draft.of(c, unhurried.maya).body == WORDS


def lose_seat(world):
    world.harbor.unseat(world.maya, by=world.dana)


def lose_inbox(world):
    world.front.remove_member(world.maya, by=world.dana)


def lose_access(world):
    world.maya.deactivate(by=world.dana)


@pytest.mark.parametrize("ends", [lose_seat, lose_inbox, lose_access])
def test_CONV_8_a_text_does_not_outlive_its_authors_access(unhurried, taken, ends):
    c = unhurried.conversation()
    message = write(unhurried, c)
    with transaction():
        ends(unhurried)
    anew()
    assert row(message).state == "canceled"
    draft = Draft.of(c, unhurried.theo)
    assert (draft.body, draft.author_id, draft.from_name) == (WORDS, None, "Maya Chen"), "it waits for whoever comes next"
    clock.shift(60)
    send_message(Dispatch.of(message).id)
    assert taken == []


# -- races -------------------------------------------------------------------------------------------------------------


def test_CONV_8_undo_and_send_never_both_win_in_200_rounds(unhurried, app, together, taken):
    world, rounds = unhurried, 200
    c = world.conversation()
    with transaction():
        fence = c.acquire(by=world.maya).fence
        ids = [c.reply(f"<{n}>", by=world.maya, fence=fence, seen=c.last_inbound_id).id for n in range(rounds)]
        boxes = dict(db.session.execute(sa.select(Dispatch.message_id, Dispatch.id)).all())
    clock.shift(6)
    maya_id, gate, undone = world.maya.id, threading.Barrier(2), []

    def side(i, some):
        for message_id in some:
            gate.wait(60)
            if i:
                send_message(boxes[message_id])
            else:
                try:
                    with transaction():
                        undo.undo(db.session.get(Message, message_id), by=person(maya_id))
                    undone.append(message_id)
                except undo.TooLate:
                    pass
            db.session.remove()

    for start in range(0, rounds, 10):
        results = together(lambda i, some=ids[start : start + 10]: side(i, some), 2, app)
        assert not failures(results), results
    anew()
    back = [f"<{ids.index(id)}>" for id in undone]
    assert len(taken) == len(set(taken)) and not set(taken) & set(back)
    assert sorted(taken + back) == sorted(f"<{n}>" for n in range(rounds)), "each either left or came back"
    draft = Draft.of(c, world.maya)
    assert sorted(draft.body.split("\n") if draft else []) == sorted(back), "and came back once"


def test_LOCK_4_undo_and_send_anyway_never_both_win(unhurried, app, together, taken):
    world, rounds = unhurried, 30
    c = world.conversation()
    messages = [write(world, c, f"<{n}>").id for n in range(rounds)]
    world.text("Wait!")
    anew()
    maya_id, seen, gate, won = world.maya.id, c.last_inbound_id, threading.Barrier(2), []

    def side(i, some):
        for message_id in some:
            gate.wait(60)
            try:
                with transaction():
                    message, by = db.session.get(Message, message_id), person(maya_id)
                    undo.send_anyway(message, by=by, seen=seen) if i else undo.undo(message, by=by)
                won.append((message_id, i))
            except undo.TooLate:
                pass
            db.session.remove()

    for start in range(0, rounds, 10):
        results = together(lambda i, some=messages[start : start + 10]: side(i, some), 2, app)
        assert not failures(results), results
    anew()
    won_ids = [message_id for message_id, _ in won]
    sent_again = {m for m, i in won if i}
    assert set(won_ids) == set(messages)
    for message_id in messages:
        message = db.session.get(Message, message_id)
        assert message.state == ("canceled" if (message_id, 0) in won else "queued")
        send_message(Dispatch.of(message).id)
    assert set(taken) <= {f"<{messages.index(m)}>" for m in sent_again}
    assert not {f"<{messages.index(m)}>" for m, i in won if not i} & set(taken)


# -- any order of events -----------------------------------------------------------------------------------------------

_numbers = itertools.count(1)


class Window(RuleBasedStateMachine):
    """A text leaves at most once, never after a STOP was committed, never after a successful undo, and never unread words of the customer in the window."""

    world = None
    taken: list[str] = []

    @initialize()
    def open(self) -> None:
        self.number = f"+1415557{next(_numbers):04}"
        self.c = self.world.conversation(sender=self.number)
        self.taken.clear()
        self.written: dict[str, Message] = {}
        self.dead: set[str] = set()
        self.stopped = False

    @rule()
    def write(self) -> None:
        body = f"<{len(self.written)}>"
        try:
            with transaction():
                held = self.c.acquire(by=self.world.maya)
                if held:
                    self.written[body] = self.c.reply(body, by=self.world.maya, fence=held.fence, seen=self.c.last_inbound_id)
        except SendRefused:
            assert self.stopped

    @rule(who=st.sampled_from(("maya", "dana")), pick=st.integers(0, 9))
    def undoes(self, who: str, pick: int) -> None:
        if not self.written:
            return
        body = sorted(self.written)[pick % len(self.written)]
        try:
            take_back(self.written[body], getattr(self.world, who))
        except undo.TooLate:
            return
        assert body not in self.taken, "it had left"
        assert body in Draft.of(self.c, getattr(self.world, who)).body, "it came back nowhere"
        self.dead.add(body)

    @rule(pick=st.integers(0, 9))
    def anyway(self, pick: int) -> None:
        if not self.written:
            return
        anew()
        try:
            with transaction():
                undo.send_anyway(self.written[sorted(self.written)[pick % len(self.written)]], by=self.world.maya, seen=self.c.last_inbound_id)
        except (undo.TooLate, LockLost, SendRefused):
            return
        assert not self.stopped

    @rule()
    def stop(self) -> None:
        self.world.text("STOP", sender=self.number)
        self.stopped = True
        self.dead |= set(self.written) - set(self.taken)

    @rule()
    def start(self) -> None:
        self.world.text("START", sender=self.number)
        self.stopped = False

    @rule()
    def inbound(self) -> None:
        self.world.text("Hello?", sender=self.number)

    @rule()
    def takes_over(self) -> None:
        with transaction():
            self.c.take_over(by=self.world.dana, reason="Shift change")
            self.c.release(by=self.world.dana)

    @rule(seconds=st.sampled_from((1, 4, 6)))
    def tick(self, seconds: int) -> None:
        clock.shift(seconds)
        for id in db.session.scalars(sa.select(Dispatch.id).where(Dispatch.conversation_id == self.c.id).order_by(Dispatch.id)).all():
            db.session.rollback()
            send_message(id)

    @invariant()
    def holds(self) -> None:
        if self.world is None or not hasattr(self, "written"):
            return
        anew()
        texts = [text for text in self.taken if text in self.written]
        assert len(texts) == len(set(texts)), "it left twice"
        assert not self.dead & set(texts), "it left after it was taken back or stopped"


def test_CONV_8_any_order_of_events_keeps_the_promises(unhurried, taken, monkeypatch):
    monkeypatch.setattr(Window, "world", unhurried)
    monkeypatch.setattr(Window, "taken", taken)
    run_state_machine_as_test(Window, settings=settings(max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), database=None))
