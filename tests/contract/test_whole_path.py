"""The whole way, with nothing made up: a reply leaves through the outbox and a real Kannel for a phone; a customer's text comes back into its conversation."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import Client

from inbox import clock
from inbox.channels.base import RawRequest
from inbox.models import Carrier, Consent, Conversation, Dispatch, Inbox, LedgerEntry, Message, ReceiptRow, SendAttempt, WebhookEvent, db, transaction
from inbox.models import carrier as carrier_module
from inbox.models.secret import encrypt
from jobs.send_message import send_message
from tests.conftest import Bell
from tests.contract.providers import HOOK_KEY, HOOKS, Collector, KannelProvider, slowly
from tests.contract.rig import Rig, until
from tests.world import World


class Line:
    """An inbox on the gateway, and its conversation with a customer."""

    def __init__(self, world: World, kannel: KannelProvider, bell: Bell) -> None:
        self.world, self.kannel, self.bell = world, kannel, bell
        with transaction():
            self.carrier = Carrier.add(
                world.harbor, "kannel", name="Gateway", api_base=kannel.credentials.api_base, user=kannel.credentials.account_sid,
                password=kannel.credentials.auth_token, sender=kannel.ours, public_url=kannel.collector.base, by=world.dana,
            )
            self.carrier.hook_token, self.carrier.hook_key = HOOKS.rpartition("/")[2], encrypt(HOOK_KEY)
            world.front.phone = None
            db.session.flush()
            self.inbox = Inbox.create(
                world.team, name="Night line", api_code="night", hue="teal", phone=kannel.ours, number_sid=None, forward_to=None, description="", by=world.dana, carrier=self.carrier
            )
            self.inbox.add_member(world.maya, by=world.dana)
        for who in world.people:
            who.forget_inboxes()
        self.conversation = world.conversation(inbox=self.inbox, sender=kannel.theirs)
        bell.rung.clear()

    def reply(self, words: str) -> Message:
        message = self.world.reply(self.conversation, self.world.maya, words)
        db.session.commit()
        return message

    def work(self) -> None:
        """Run what was rung for, as a worker does."""
        self.bell.work()
        db.session.expire_all()

    def reaches(self, message: Message, state: str) -> bool:
        def there() -> bool:
            self.work()
            found = db.session.scalar(sa.select(Message.state).where(Message.id == message.id)) == state
            db.session.rollback()
            return found

        return bool(until(there))


def deliver(app: Flask) -> Callable[[RawRequest], tuple[int, bytes]]:
    """The product's own routes, called by Kannel over the network."""

    def take(raw: RawRequest) -> tuple[int, bytes]:
        parts = urlsplit(raw.url)
        headers = {name: value for name, value in raw.headers.items() if name not in ("host", "content-length", "connection")}
        answer = Client(app.wsgi_app).open(parts.path, query_string=parts.query, method=raw.method, headers=headers, data=raw.body, base_url="http://localhost")
        return answer.status_code, answer.get_data()

    return take


@pytest.fixture
def line(app: Flask, world: World, rig: Rig, collector: Collector, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    collector.requests.clear()
    rig.moody.status = 202
    kannel = KannelProvider(rig, collector)
    monkeypatch.setattr(carrier_module, "_private", [kannel.proxy.base])
    made = Line(world, kannel, bell)
    collector.listener = deliver(app)
    yield made
    collector.listener = None
    kannel.proxy.close()


def test_a_reply_reaches_the_phone_once_and_is_delivered(line: Line) -> None:
    words = f"Your order 😀 is ready {secrets.token_hex(4)}"
    message = line.reply(words)
    assert line.reaches(message, "delivered")
    assert line.kannel.rig.phones(line.kannel.theirs).count((line.kannel.ours, line.kannel.theirs, words)) == 1
    row = Dispatch.of(message)
    assert (row.state, message.provider_id, message.segments) == ("sent", message.ref, 1)
    kinds = db.session.scalars(sa.select(ReceiptRow.status).where(ReceiptRow.message_id == message.id)).all()
    assert set(kinds) == {"sent", "delivered"}
    assert db.session.scalar(sa.select(LedgerEntry.id).where(LedgerEntry.message_id == message.id)) is None, "the network bills it, not we"


def test_a_customers_text_comes_into_its_conversation_and_is_answered_by_nobody(line: Line) -> None:
    phones = len(line.kannel.rig.phones())
    line.kannel.write("Grüße 😀 мир")
    line.work()
    texts = db.session.scalars(sa.select(Message).where(Message.conversation_id == line.conversation.id, Message.kind == "in").order_by(Message.id)).all()
    assert [each.body for each in texts][-1] == "Grüße 😀 мир" and len(texts) == 2
    assert texts[-1].occurred_at is not None and abs((texts[-1].occurred_at - clock.now()).total_seconds()) < 120
    assert len(line.kannel.rig.phones()) == phones, "Kannel sends no words of ours back"


def test_the_same_request_again_changes_nothing(line: Line) -> None:
    line.kannel.write("Only once")
    line.work()
    raw = line.kannel.collector.at("messages")[-1]
    assert line.kannel.collector.listener is not None
    assert line.kannel.collector.listener(raw)[0] == 200
    line.work()
    assert len(db.session.scalars(sa.select(Message).where(Message.body == "Only once")).all()) == 1
    assert len(db.session.scalars(sa.select(WebhookEvent).where(WebhookEvent.kind == "messages")).all()) == 1


def test_a_forged_call_is_refused_and_nothing_is_kept(line: Line) -> None:
    line.kannel.write("Real")
    line.work()
    raw, listener = line.kannel.collector.at("messages")[-1], line.kannel.collector.listener
    kept = len(db.session.scalars(sa.select(WebhookEvent.id)).all())
    db.session.rollback()
    assert listener is not None
    assert listener(replace(raw, url=raw.url.replace("sig=", "sig=x")))[0] == 403
    assert listener(replace(raw, url=raw.url.replace("/contract/", "/other/")))[0] == 404
    assert listener(replace(raw, method="GET"))[0] == 405
    assert listener(replace(raw, url=raw.url.replace("/messages", "/voice")))[0] == 404
    words = f"AccountSid=AC{'9' * 32}".encode()
    assert listener(replace(raw, body=words))[0] == 200, "a customer may write anything"
    line.work()
    assert len(db.session.scalars(sa.select(WebhookEvent.id)).all()) == kept + 1


def test_MSG_5_no_answer_is_settled_by_the_receipt_and_never_sent_twice(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line.kannel.module, "SEND_TIMEOUT", 1.0)
    line.kannel.proxy.hold(slowly(2.5))
    words = f"Did it leave? {secrets.token_hex(4)}"
    message = line.reply(words)
    assert line.reaches(message, "delivered")
    assert Dispatch.of(message).state == "sent"
    assert sum(1 for each in line.kannel.rig.phones(line.kannel.theirs) if each[2] == words) == 1


def test_MSG_5_no_answer_and_no_receipt_asks_a_person(line: Line) -> None:
    line.kannel.proxy.say(502, b"Bad gateway")
    message = line.reply("Nobody knows")
    for _ in range(7):
        send_message(Dispatch.of(message).id)
        clock.shift(5)
    db.session.expire_all()
    assert Dispatch.of(message).state == "uncertain" and message.state == "uncertain"
    assert "keeps no list" in (db.session.scalars(sa.select(SendAttempt.detail).where(SendAttempt.outcome == "uncertain")).one())


def test_a_busy_gateway_is_tried_again_later(line: Line) -> None:
    line.kannel.ill()
    words = "A little later"
    message = line.reply(words)
    line.work()
    assert Dispatch.of(message).state == "queued" and message.error_code == "smpp:busy"
    clock.shift(30)
    send_message(Dispatch.of(message).id)
    assert line.reaches(message, "delivered")


def test_what_the_network_refuses_is_told_in_words(line: Line, client: Any) -> None:
    line.kannel.rig.moody.status = 400
    conversation = line.world.conversation(inbox=line.inbox, sender="+12065550134")
    message = line.world.reply(conversation, line.world.maya, "To a far network")
    db.session.commit()
    assert line.reaches(message, "failed")
    client.sign_in(line.world.maya)
    text = client.get(f"/c/{conversation.public_id}").get_data(as_text=True)
    assert "The network refused the text before it left" in text


def test_STOP_works_and_its_confirmation_goes_out(line: Line) -> None:
    line.kannel.write("STOP")
    line.work()
    until(lambda: any("unsubscribed" in words for _, _, words in line.kannel.rig.phones(line.kannel.theirs)))
    consent = Consent.of(line.inbox.team_id, line.kannel.theirs)
    assert consent is not None and consent.opted_out


def test_an_unknown_number_is_kept_and_told(line: Line) -> None:
    with transaction():
        db.session.get_one(Inbox, line.inbox.id).phone = "+14155550199"
    line.kannel.write("To whom?")
    line.work()
    row = db.session.scalars(sa.select(WebhookEvent).order_by(WebhookEvent.id.desc()).limit(1)).one()
    assert row.applied_at is not None and "No inbox has the number" in (row.problem or "")
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Conversation).where(Conversation.inbox_id == line.inbox.id)) == 1
