"""The outbox job against the sandbox carrier: nothing lost, nothing sent twice."""

from __future__ import annotations

import random
from collections.abc import Collection

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.channels.base import Doubtful, Outgoing, PermanentFailure, Receipt, Sent, Status, TemporaryFailure, Uncertain
from inbox.channels.twilio import Twilio
from inbox.models import Consent, Dispatch, Message, ReceiptRow, SendAttempt, db, transaction
from jobs.send_message import send_message
from jobs.sweeps import sweep_outbox
from tests.conftest import Bell
from tests.world import World


class Phones:
    """Stands where the carrier's network would be: remembers every text it took."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[Outgoing] = []
        self.before: list[BaseException] = []
        self.after: list[BaseException] = []
        self.lag = False
        monkeypatch.setattr(Twilio, "send", lambda adapter, credentials, outgoing: self.send(outgoing))
        monkeypatch.setattr(Twilio, "find", lambda adapter, credentials, outgoing, since, known=(): self.find(outgoing, known))

    def send(self, outgoing: Outgoing) -> Sent:
        assert not db.session().in_transaction(), "nothing may be held while the carrier is asked"
        if self.before:
            raise self.before.pop(0)
        self.taken.append(outgoing)
        if self.after:
            raise self.after.pop(0)
        return Sent(f"SMf{len(self.taken):031x}", Status.QUEUED, 1)

    def find(self, outgoing: Outgoing, known: Collection[str]) -> Sent | None:
        ids = [f"SMf{place:031x}" for place, text in enumerate(self.taken, 1) if (text.to, text.text) == (outgoing.to, outgoing.text)]
        return next((Sent(sid, Status.SENT, 1) for sid in ids if sid not in known), None) if not self.lag else None


@pytest.fixture
def phones(monkeypatch: pytest.MonkeyPatch) -> Phones:
    return Phones(monkeypatch)


def row(message: Message) -> Dispatch:
    db.session.expire_all()
    return Dispatch.of(message)


def test_a_text_is_sent_once_however_often_the_job_runs(world: World, phones: Phones, bell: Bell) -> None:
    message = world.reply(world.conversation(), world.maya, "On our way")
    dispatch = row(message)
    for _ in range(3):
        send_message(dispatch.id)
    assert [text.text for text in phones.taken] == ["On our way"]
    assert row(message).state == "sent" and message.state == "sending" and message.provider_id == f"SMf{1:031x}"
    assert phones.taken[0].status_callback.endswith(f"?ref={message.ref}")


def test_a_crash_after_the_call_never_sends_twice(world: World, phones: Phones, bell: Bell) -> None:
    message = world.reply(world.conversation(), world.maya)
    phones.after = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        send_message(row(message).id)
    assert row(message).state == "sending"
    send_message(row(message).id)
    assert len(phones.taken) == 1, "the lease is not over"
    clock.shift(61)
    send_message(row(message).id)
    assert len(phones.taken) == 1 and row(message).state == "sent"


def test_a_crash_before_the_call_asks_a_person(world: World, phones: Phones, bell: Bell) -> None:
    message = world.reply(world.conversation(), world.maya)
    phones.before = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        send_message(row(message).id)
    clock.shift(61)
    send_message(row(message).id)
    assert row(message).state == "uncertain" and message.state == "uncertain" and not phones.taken


def test_an_unanswered_call_is_looked_up_until_the_list_shows_it(world: World, phones: Phones, bell: Bell) -> None:
    message = world.reply(world.conversation(), world.maya)
    phones.after, phones.lag = [Uncertain("No answer.")], True
    send_message(row(message).id)
    assert row(message).state == "checking"
    for _ in range(3):
        clock.shift(5)
        send_message(row(message).id)
        assert row(message).state == "checking"
    phones.lag = False
    clock.shift(5)
    send_message(row(message).id)
    assert row(message).state == "sent" and len(phones.taken) == 1


def test_an_unanswered_call_that_never_shows_up_becomes_uncertain(world: World, phones: Phones, bell: Bell) -> None:
    message = world.reply(world.conversation(), world.maya)
    phones.before = [Uncertain("No answer.")]
    send_message(row(message).id)
    for _ in range(6):
        clock.shift(5)
        send_message(row(message).id)
    assert row(message).state == "uncertain" and not phones.taken


def test_an_earlier_text_with_the_same_words_is_not_taken_for_this_one(world: World, phones: Phones, bell: Bell) -> None:
    conversation = world.conversation()
    send_message(row(world.reply(conversation, world.maya, "ok")).id)
    second = world.reply(conversation, world.maya, "ok")
    phones.before = [Uncertain("No answer.")]
    send_message(row(second).id)
    clock.shift(5)
    send_message(row(second).id)
    assert row(second).state == "checking" and second.provider_id is None


def test_MSG_5_identical_texts_are_held_apart_in_the_carriers_list(world: World, phones: Phones, bell: Bell) -> None:
    conversation = world.conversation()
    send_message(row(world.reply(conversation, world.maya, "ok")).id)
    second = world.reply(conversation, world.maya, "ok")
    phones.after = [Uncertain("No answer.")]
    send_message(row(second).id)
    clock.shift(5)
    send_message(row(second).id)
    assert row(second).state == "sent" and second.provider_id == f"SMf{2:031x}" and len(phones.taken) == 2


def test_MSG_5_two_identical_texts_of_unknown_end_wait_for_their_receipts(world: World, phones: Phones, bell: Bell) -> None:
    conversation = world.conversation()
    first, second = (world.reply(conversation, world.maya, "ok") for _ in range(2))
    phones.before = [Uncertain("No answer.")]
    send_message(row(first).id)
    clock.shift(31)
    send_message(row(first).id)
    assert row(first).state == "uncertain"
    phones.after = [Uncertain("No answer.")]
    send_message(row(second).id)
    clock.shift(5)
    send_message(row(second).id)
    assert row(second).state == "checking", "what the list shows may be the first one"
    for status in ("sent", "delivered"):
        with transaction():
            ReceiptRow.take(second.account_id, Receipt(f"SMx:{status}", "SMx", second.ref, Status(status), None, None, None))
    assert row(second).state == "sent" and second.state == "delivered" and second.provider_id == "SMx"
    assert row(first).state == "uncertain" and len(phones.taken) == 1


def test_MSG_5_a_text_whose_receipts_name_another_is_not_taken_for_this_one(world: World, phones: Phones, bell: Bell) -> None:
    message = world.reply(world.conversation(), world.maya, "ok")
    phones.after = [Uncertain("No answer.")]
    send_message(row(message).id)
    with transaction():
        ReceiptRow.take(message.account_id, Receipt("x:sent", f"SMf{1:031x}", "an-earlier-round", Status.SENT, None, None, None))
    clock.shift(5)
    send_message(row(message).id)
    assert row(message).state == "checking" and message.provider_id is None


def test_MSG_5_a_receipt_with_an_id_that_another_text_has_is_applied_all_the_same(world: World, phones: Phones, bell: Bell) -> None:
    conversation = world.conversation()
    first = world.reply(conversation, world.maya, "ok")
    send_message(row(first).id)
    second = world.reply(conversation, world.maya, "ok")
    phones.before = [Uncertain("No answer.")]
    send_message(row(second).id)
    with transaction():
        assert ReceiptRow.take(second.account_id, Receipt("x:delivered", first.provider_id or "", second.ref, Status.DELIVERED, None, None, None))
    assert row(second).state == "sent" and second.state == "delivered" and second.provider_id is None


def test_MSG_5_a_server_error_is_looked_up_before_the_text_is_sent_again(world: World, phones: Phones, bell: Bell) -> None:
    taken, refused = (world.reply(world.conversation(sender=f"+1415555{n}"), world.maya, "Hello") for n in (2001, 2002))
    phones.after = [Doubtful("Server error.", "20500")]
    send_message(row(taken).id)
    phones.before = [Doubtful("Server error.", "20500")]
    send_message(row(refused).id)
    assert row(taken).state == row(refused).state == "checking"
    for _ in range(7):
        clock.shift(5)
        send_message(row(taken).id)
        send_message(row(refused).id)
    assert row(taken).state == "sent" and taken.provider_id == f"SMf{1:031x}"
    assert row(refused).state == "sent" and [text.to for text in phones.taken] == ["+14155552001", "+14155552002"]


def test_MSG_5_a_list_that_is_refused_says_nothing(world: World, phones: Phones, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    message = world.reply(world.conversation(), world.maya)
    phones.after = [Doubtful("Server error.", "20500")]
    send_message(row(message).id)
    monkeypatch.setattr(phones, "find", lambda outgoing, known: (_ for _ in ()).throw(PermanentFailure("Not for you.", "20003")))
    for _ in range(7):
        clock.shift(5)
        send_message(row(message).id)
    assert row(message).state == "uncertain" and len(phones.taken) == 1


def test_MSG_5_a_carrier_that_only_fails_is_given_up_at_last(world: World, phones: Phones, bell: Bell) -> None:
    message = world.reply(world.conversation(), world.maya)
    for _ in range(120):
        phones.before = [Doubtful("Server error.", "20500")]
        send_message(row(message).id)
        clock.shift(5)
    assert row(message).state == "failed" and "We tried 8 times" in (message.error_text or "") and not phones.taken


def test_MSG_5_a_crash_after_a_server_error_is_not_taken_for_one(world: World, phones: Phones, bell: Bell) -> None:
    message = world.reply(world.conversation(), world.maya)
    phones.before = [Doubtful("Server error.", "20500")]
    send_message(row(message).id)
    for _ in range(6):
        clock.shift(5)
        send_message(row(message).id)
    assert row(message).state == "queued"
    phones.before = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        send_message(row(message).id)
    clock.shift(61)
    send_message(row(message).id)
    assert row(message).state == "uncertain" and not phones.taken


def test_a_busy_carrier_is_tried_again_later(world: World, phones: Phones, bell: Bell) -> None:
    message = world.reply(world.conversation(), world.maya)
    phones.before = [TemporaryFailure("Busy.", "20429", retry_after=7)]
    send_message(row(message).id)
    assert row(message).state == "queued"
    send_message(row(message).id)
    assert not phones.taken, "not before the carrier's time"
    clock.shift(8)
    send_message(row(message).id)
    assert len(phones.taken) == 1 and row(message).state == "sent"


def test_a_refusal_shows_the_reason_and_an_opt_out_is_learned(world: World, phones: Phones, bell: Bell) -> None:
    conversation = world.conversation()
    message = world.reply(conversation, world.maya)
    phones.before = [PermanentFailure("This number opted out.", "21610", opted_out=True)]
    send_message(row(message).id)
    assert row(message).state == "failed" and message.state == "failed" and message.error_code == "21610"
    consent = Consent.of(world.team.id, conversation.address)
    assert consent is not None and consent.opted_out and consent.source == "provider"


def test_MSG_1_the_gate_is_asked_again_when_the_text_leaves(world: World, phones: Phones, bell: Bell) -> None:
    conversation = world.conversation()
    message = world.reply(conversation, world.maya)
    with transaction():
        Consent.put(conversation.account_id, world.team.id, conversation.address, opted_out=True, source="text")
    send_message(row(message).id)
    assert not phones.taken and message.state == "failed" and "STOP" in (message.error_text or "")


def test_texts_of_one_conversation_leave_in_order(world: World, phones: Phones, bell: Bell) -> None:
    conversation = world.conversation()
    messages = [world.reply(conversation, world.maya, f"part {i}") for i in range(4)]
    for message in reversed(messages):
        send_message(row(message).id)
    bell.work()
    assert [text.text for text in phones.taken] == [f"part {i}" for i in range(4)]


def test_MSG_5_crashes_anywhere_lose_nothing_and_double_nothing(world: World, phones: Phones, bell: Bell) -> None:
    """Two hundred texts, a crash before or after every third call, lost rings: the sweeper brings everything to an end."""
    dice = random.Random(5)
    conversations = [world.conversation(sender=f"+1212555{i:04d}") for i in range(100, 300)]
    messages = [world.reply(conversation, world.maya, f"text {i}") for i, conversation in enumerate(conversations)]
    bell.rung.clear()
    for _ in range(40):
        clock.shift(11)
        sweep_outbox()
        rung, bell.rung = bell.rung, []
        for name, args in rung:
            if name != "send_message" or dice.random() < 0.1:
                continue
            for faults, chance in ((phones.after, 0.25), (phones.before, 0.1)):
                if dice.random() < chance:
                    faults.append(KeyboardInterrupt())
            try:
                send_message(*args)
            except KeyboardInterrupt:
                db.session.rollback()
            phones.after.clear()
            phones.before.clear()
    db.session.expire_all()
    states = [db.session.get_one(Message, m.id).state for m in messages]
    texts = [text.text for text in phones.taken]
    assert len(texts) == len(set(texts)), "a customer got a text twice"
    uncertain = states.count("uncertain")
    assert set(states) <= {"sending", "sent", "uncertain"} and len(texts) == 200 - uncertain
    assert db.session.scalar(sa.select(sa.func.count(SendAttempt.id))) > 200


