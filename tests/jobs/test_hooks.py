"""Carriers' requests: verified, stored once, answered fast, applied by a job; nothing of anybody else's."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from inbox import clock, media, media_link
from inbox.channels.base import PermanentFailure, TemporaryFailure
from inbox.channels.twilio import Twilio
from inbox.models import Attachment, Consent, Conversation, Door, Event, Inbox, Message, ReceiptRow, WebhookEvent, db, transaction
from inbox.sandbox.messages import PIXELS
from inbox.sandbox.wire import signature
from jobs import sweeps
from jobs.apply_webhook import apply_webhook
from jobs.fetch_media import fetch_media
from jobs.sweeps import sweep_webhooks
from tests.conftest import SID, TOKEN, Bell
from tests.fuzz.payloads import RECORDED, read
from tests.world import World

PAYLOADS = sorted(RECORDED.glob("*.json"))
_sids = itertools.count(1)


class Carrier:
    """Posts signed requests the way the carrier does."""

    def __init__(self, world: World, client: Any) -> None:
        self.world, self.client = world, client

    def post(self, kind: str, fields: dict[str, str], *, query: str = "", token: str = "", key: str = TOKEN, **headers: str) -> Any:
        path = f"/hooks/sms/{token or self.world.carrier.hook_token}/{kind}{query}"
        signed = signature(key, "http://localhost" + path, list(fields.items()))
        return self.client.post(
            path, data=urlencode(fields), headers={"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signed, **headers}
        )

    def text(self, body: str = "Hello", sender: str = "+14155550134", **extra: str) -> dict[str, str]:
        sid = f"SM{next(_sids):032x}"
        return {"MessageSid": sid, "AccountSid": SID, "From": sender, "To": self.world.front.phone or "", "Body": body, "NumMedia": "0", **extra}

    def receipt(self, message: Message, status: str, **extra: str) -> Any:
        fields = {"MessageSid": message.provider_id or "SM" + "e" * 32, "AccountSid": SID, "MessageStatus": status, "From": "x", "To": "y", **extra}
        return self.post("status", fields, query=f"?ref={message.ref}")


@pytest.fixture
def carrier(world: World, client: Any) -> Carrier:
    return Carrier(world, client)


def count(model: Any) -> int:
    return db.session.scalar(sa.select(sa.func.count(model.id))) or 0


def newest(model: Any) -> Any:
    db.session.expire_all()
    return db.session.scalar(sa.select(model).order_by(model.id.desc()).limit(1))


def test_a_text_is_stored_answered_and_applied(carrier: Carrier, bell: Bell) -> None:
    answer = carrier.post("messages", carrier.text("Is 2 pm free? 🐶"))
    assert answer.status_code == 200 and answer.mimetype == "text/xml" and b"<Response" in answer.data
    assert count(Message) == 0, "applying is the job's work"
    bell.work()
    message = newest(Message)
    assert message.body == "Is 2 pm free? 🐶" and message.conversation.inbox_id == carrier.world.front.id and message.conversation.unread


def test_the_same_request_twice_is_one_message(carrier: Carrier, bell: Bell) -> None:
    text = carrier.text()
    assert [carrier.post("messages", text).status_code for _ in range(3)] == [200] * 3
    bell.work()
    event = newest(WebhookEvent)
    apply_webhook(event.id)
    with transaction():
        event.applied_at = None
    apply_webhook(event.id)
    assert (count(Message), count(WebhookEvent), count(Conversation)) == (1, 1, 1)


def test_S96_what_is_not_signed_for_this_address_is_refused(carrier: Carrier, world: World) -> None:
    text = carrier.text()
    path = f"/hooks/sms/{world.carrier.hook_token}/messages"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert carrier.client.post(path, data=urlencode(text), headers=form).status_code == 403
    assert carrier.client.post(path, data=urlencode(text), headers={**form, "X-Twilio-Signature": "x"}).status_code == 403
    assert carrier.post("messages", text, key="f" * 32).status_code == 403
    good = signature(TOKEN, "http://localhost" + path, list(text.items()))
    assert carrier.client.post(path, data=urlencode({**text, "Body": "other"}), headers={**form, "X-Twilio-Signature": good}).status_code == 403
    assert carrier.client.post(path.replace("messages", "status"), data=urlencode(text), headers={**form, "X-Twilio-Signature": good}).status_code == 403
    elsewhere = path.replace(world.carrier.hook_token, world.north_carrier.hook_token)
    assert carrier.client.post(elsewhere, data=urlencode(text), headers={**form, "X-Twilio-Signature": good}).status_code == 403
    assert carrier.post("messages", {**text, "AccountSid": "AC" + "6" * 32}).status_code == 403
    assert carrier.post("messages", text, token="nobody").status_code == 404
    assert carrier.client.get(path).status_code == 405
    assert carrier.post("secrets", text).status_code == 404
    assert count(WebhookEvent) == 0


def test_a_body_over_a_megabyte_is_refused(carrier: Carrier) -> None:
    assert carrier.post("messages", carrier.text("x" * 1_000_001)).status_code == 413
    assert count(WebhookEvent) == 0


def test_a_number_of_another_account_is_not_reached(carrier: Carrier, world: World, bell: Bell) -> None:
    assert carrier.post("messages", carrier.text(To=world.reception.phone or "")).status_code == 200
    bell.work()
    assert count(Message) == 0 and "No inbox has the number" in newest(WebhookEvent).problem


def test_what_cannot_be_read_is_kept_and_answered(carrier: Carrier, bell: Bell) -> None:
    assert carrier.post("messages", {"AccountSid": SID, "Nonsense": "1"}).status_code == 200
    bell.work()
    event = newest(WebhookEvent)
    assert event.problem and event.applied_at is not None and b"Nonsense" in event.body


def test_a_database_that_does_not_take_it_makes_the_carrier_try_again(carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("insert", {}, Exception("disk full"))

    monkeypatch.setattr(Door, "store", broken)
    assert carrier.post("messages", carrier.text()).status_code == 503


def test_L04_what_the_queue_lost_is_swept_up(carrier: Carrier, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "crowded", lambda queue: False)
    carrier.post("messages", carrier.text())
    bell.rung.clear()
    sweep_webhooks()
    assert not bell.rung, "the queue gets its few seconds"
    clock.shift(6)
    sweep_webhooks()
    bell.work()
    assert count(Message) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(["sent", "delivered", "undelivered"])))
def test_L05_receipts_in_any_order_end_the_same(carrier: Carrier, world: World, bell: Bell, order: tuple[str, ...]) -> None:
    message = world.reply(world.conversation(), world.maya)
    with transaction():
        message.provider_id, message.state = "SM" + "d" * 32, "sending"
    for status in order:
        carrier.receipt(message, status, **({"ErrorCode": "30003"} if status == "undelivered" else {}))
        carrier.receipt(message, status)
    bell.work()
    db.session.expire_all()
    assert message.state == "delivered" and message.error_code == "30003" and count(ReceiptRow) == 3


def test_a_receipt_before_the_answer_finds_its_text(carrier: Carrier, world: World, bell: Bell) -> None:
    message = world.reply(world.conversation(), world.maya)
    bell.rung.clear()
    carrier.receipt(message, "delivered", MessageSid="SM" + "c" * 32)
    bell.work()
    db.session.expire_all()
    assert message.state == "delivered"


def test_S97_a_receipt_of_another_account_changes_nothing(carrier: Carrier, world: World, bell: Bell) -> None:
    message = world.reply(world.conversation("hi", inbox=world.reception), world.nina)
    bell.rung.clear()
    fields = {"MessageSid": "SM" + "b" * 32, "AccountSid": SID, "MessageStatus": "failed", "ErrorCode": "30003"}
    assert carrier.post("status", fields, query=f"?ref={message.ref}").status_code == 200
    bell.work()
    db.session.expire_all()
    assert message.state == "queued"


def test_MSG_2_stop_opts_out_once(carrier: Carrier, world: World, bell: Bell) -> None:
    carrier.post("messages", carrier.text("Stop."))
    carrier.post("messages", carrier.text("STOP"))
    bell.rung = [job for job in bell.rung if job[0] == "apply_webhook"]
    while any(name == "apply_webhook" for name, _ in bell.rung):
        jobs, bell.rung = bell.rung, []
        for name, args in jobs:
            if name == "apply_webhook":
                apply_webhook(*args)
    consent = Consent.of(world.team.id, "+14155550134")
    assert consent is not None and consent.opted_out
    assert db.session.scalar(sa.select(sa.func.count(Message.id)).where(Message.kind == "auto")) == 1


def test_a_call_is_forwarded_and_a_missed_one_is_noted(carrier: Carrier, world: World, bell: Bell) -> None:
    call = {"CallSid": "CA" + "1" * 32, "AccountSid": SID, "From": "+14155550134", "To": world.front.phone or "", "CallStatus": "ringing"}
    answer = carrier.post("voice", call)
    assert answer.status_code == 200 and b"<Say>" in answer.data and b"Harbor Vet" in answer.data
    with transaction():
        db.session.get_one(Inbox, world.front.id).forward_to = "+14155550177"
    answer = carrier.post("voice", {**call, "CallSid": "CA" + "2" * 32})
    assert b"+14155550177" in answer.data and b"/dial" in answer.data
    assert carrier.post("dial", {**call, "CallSid": "CA" + "2" * 32, "DialCallStatus": "no-answer"}).status_code == 200
    bell.work()
    assert [event.kind for event in db.session.scalars(sa.select(Event).where(Event.kind.like("call.%")))] == ["call.unanswered"]
    assert newest(Conversation).unread


def test_REG_2_a_notice_makes_us_ask(carrier: Carrier, world: World, bell: Bell) -> None:
    with transaction():
        registration = world.waiting_registration
        registration.refs = {"brand": "BN" + "1" * 32}
    event = {"type": "com.twilio.messaging.compliance.brand-registration.brand-failure", "id": "EZ1", "data": {"brandsid": "BN" + "1" * 32, "brandstatus": "FAILED"}}
    body = json.dumps([event]).encode()
    path = f"/hooks/sms/{world.carrier.hook_token}/events?bodySHA256={hashlib.sha256(body).hexdigest()}"
    headers = {"Content-Type": "application/json", "X-Twilio-Signature": signature(TOKEN, "http://localhost" + path)}
    assert carrier.client.post(path, data=body, headers=headers).status_code == 204
    assert carrier.client.post(path, data=body + b" ", headers=headers).status_code == 403
    apply_webhook(newest(WebhookEvent).id)
    assert ("poll_registrations", (registration.id,)) in bell.rung


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem[:60])
def test_recorded_requests_are_never_a_server_error(carrier: Carrier, world: World, bell: Bell, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twilio, "fetch_media", lambda adapter, credentials, url: (_ for _ in ()).throw(PermanentFailure("Gone.")))
    fields = {**dict(read(path).fields), "AccountSid": SID}
    assert carrier.post("messages", fields).status_code == 200
    bell.rung = [job for job in bell.rung if job[0] in ("apply_webhook", "fetch_media")]
    bell.work(2)
    assert newest(WebhookEvent).applied_at is not None


def test_pictures_are_fetched_made_safe_and_kept(carrier: Carrier, world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers: list[Any] = [TemporaryFailure("Slow."), (PIXELS, "image/png"), (b"%PDF-1.7 hello", "application/pdf"), (b"\x89PNG\r\n\x1a\nbroken", "image/png")]

    def fetch(adapter: Any, credentials: Any, url: str) -> tuple[bytes, str]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    monkeypatch.setattr(Twilio, "fetch_media", fetch)
    world.app.config["MEDIA_ROOT"] = tmp_path
    media_fields = {"NumMedia": "3", **{f"MediaUrl{i}": f"https://api.example/{i}" for i in range(3)}, **{f"MediaContentType{i}": "image/png" for i in range(3)}}
    carrier.post("messages", carrier.text("", **media_fields))
    bell.work()
    first, second, third = db.session.scalars(sa.select(Attachment).order_by(Attachment.id)).all()
    assert (first.state, first.attempts) == ("pending", 1)
    assert (second.state, second.content_type, third.state, third.content_type) == ("stored", "image/png", "stored", "application/pdf")
    clock.shift(10)
    fetch_media(first.id)
    db.session.expire_all()
    assert first.state == "held" and first.problem == "a picture that can’t be opened. The picture is damaged."
    with media.open_stored(tmp_path, third.sha256 or "") as file:
        assert file.read() == b"%PDF-1.7 hello"


def test_outgoing_files_need_a_signed_link(carrier: Carrier, world: World, bell: Bell, tmp_path: Path) -> None:
    world.app.config["MEDIA_ROOT"] = tmp_path
    message = world.text()
    with transaction():
        attachment = Attachment(
            account_id=world.harbor.id, message_id=message.id, content_type="image/png", sha256=media.store(tmp_path, PIXELS), state="stored", filename="a.png"
        ).save()
    sig = media_link.sign(world.app.config["SECRET_KEY"], attachment.public_id)
    path = f"/hooks/sms/{world.carrier.hook_token}/media/{attachment.public_id}"
    answer = carrier.client.get(f"{path}?sig={sig}")
    assert answer.status_code == 200 and answer.data == PIXELS and answer.mimetype == "image/png"
    answer.close()
    assert carrier.client.get(path).status_code == 403
    assert carrier.client.get(f"{path}?sig={sig}x").status_code == 403
    foreign = path.replace(world.carrier.hook_token, world.north_carrier.hook_token)
    assert carrier.client.get(f"{foreign}?sig={sig}").status_code == 404


def test_L01_L02_requests_applied_at_once_make_one_conversation_and_no_double(carrier: Carrier, world: World, bell: Bell, together: Any) -> None:
    for i in range(10):
        carrier.post("messages", carrier.text(f"part {i}", sender="+12125550142"))
    ids = list(db.session.scalars(sa.select(WebhookEvent.id)))
    db.session.commit()
    results = together(lambda i: apply_webhook(ids[i % 10]), 20, world.app)
    assert not [result for result in results if isinstance(result, Exception)]
    assert (count(Message), count(Conversation)) == (10, 1)


def test_L01_the_same_request_from_many_sides_is_stored_once(carrier: Carrier, world: World, bell: Bell, together: Any) -> None:
    text = carrier.text()
    path = f"/hooks/sms/{world.carrier.hook_token}/messages"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature(TOKEN, "http://localhost" + path, list(text.items()))}
    db.session.commit()
    results = together(lambda i: world.app.test_client().post(path, data=urlencode(text), headers=headers).status_code, 8, world.app)
    assert results == [200] * 8 and count(WebhookEvent) == 1
