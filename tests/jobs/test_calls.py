"""CH-3: what the carrier asks and tells about calls, from the signed request to the row; and placing a call, once."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.channels.base import PermanentFailure, Ring, TemporaryFailure, Uncertain
from inbox.channels.twilio import Twilio
from inbox.models import Attachment, Call, Event, Inbox, WebhookEvent, db, transaction
from jobs import sweeps
from jobs.place_call import UNSURE, place_call
from jobs.sweeps import sweep_calls, sweep_webhooks
from tests.conftest import SID, Bell
from tests.jobs.test_hooks import Carrier
from tests.models.test_calls import AGENT, place
from tests.world import World

CALL = "CA" + "1" * 32


@pytest.fixture
def carrier(world: World, client: Any) -> Carrier:
    return Carrier(world, client)


def tone(seconds: float = 0.2) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\x00\x10" * int(8000 * seconds))
    return held.getvalue()


def fields(world: World, status: str = "ringing", **more: str) -> dict[str, str]:
    return {"CallSid": CALL, "AccountSid": SID, "From": "+14155550134", "To": world.front.phone or "", "CallStatus": status, "Direction": "inbound", **more}


def recording(**more: str) -> dict[str, str]:
    """As the carrier sends it: without the numbers of the call."""
    url = f"http://carrier.example/2010-04-01/Accounts/{SID}/Recordings/RE1"
    return {"CallSid": CALL, "AccountSid": SID, "RecordingSid": "RE1", "RecordingUrl": url, "RecordingDuration": "32", "RecordingStatus": "completed", **more}


def setting(world: World, **values: Any) -> None:
    with transaction():
        inbox = db.session.get_one(Inbox, world.front.id)
        for name, value in values.items():
            setattr(inbox, name, value)


def only() -> Call:
    db.session.expire_all()
    return db.session.scalars(sa.select(Call)).one()


def test_CH_3_a_call_rings_the_forwarding_number_as_the_inbox_says(carrier: Carrier, world: World, bell: Bell) -> None:
    setting(world, forward_to="+14155550177", ring_seconds=35)
    answer = carrier.post("voice", fields(world)).data.decode()
    for part in ("<Number ", ">+14155550177</Number>", 'timeout="35"', 'callerId="+14155550100"', 'answerOnBridge="true"', "/dial", 'statusCallbackEvent="answered"'):
        assert part in answer
    bell.work()
    assert (only().state, only().live) == ("ringing", True)
    child = {"CallSid": "CA" + "2" * 32, "ParentCallSid": CALL, "AccountSid": SID, "From": "+14155550100", "To": "+14155550177", "CallStatus": "in-progress", "Direction": "outbound-dial"}
    assert carrier.post("call", child).status_code == 200
    bell.work()
    assert only().message.body == "On the phone"
    done = carrier.post("dial", fields(world, "in-progress", DialCallStatus="completed", DialCallDuration="61"))
    assert b"<Say>" not in done.data and b"<Record" not in done.data
    bell.work()
    assert (only().state, only().seconds, only().message.body) == ("answered", 61, "Call 1:01")


@pytest.mark.parametrize("outcome", ["no-answer", "busy", "failed"])
def test_CH_3_nobody_answering_leads_to_voicemail(carrier: Carrier, world: World, bell: Bell, outcome: str) -> None:
    setting(world, forward_to="+14155550177", greeting="Ana & Co <3: after the tone, please.")
    carrier.post("voice", fields(world))
    answer = carrier.post("dial", fields(world, "in-progress", DialCallStatus=outcome)).data.decode()
    for part in ("<Say>Ana &amp; Co &lt;3: after the tone, please.</Say>", "<Record ", 'maxLength="120"', 'playBeep="true"', "/recording", "recordingStatusCallback"):
        assert part in answer
    bell.work()
    assert only().state == "missed"


def test_CH_3_without_a_forwarding_number_voicemail_answers_at_once_unless_it_is_off(carrier: Carrier, world: World) -> None:
    assert b"<Record" in carrier.post("voice", fields(world)).data
    setting(world, voicemail=False)
    off = carrier.post("voice", fields(world)).data
    assert b"<Record" not in off and b"send a text" in off and b"Harbor Vet" in off


def test_MSG_1_a_blocked_caller_hears_a_busy_line(carrier: Carrier, world: World) -> None:
    setting(world, forward_to="+14155550177")
    with transaction():
        world.conversation().contact.blocked_at = clock.now()
    answer = carrier.post("voice", fields(world)).data
    assert b"<Reject" in answer and b"+14155550177" not in answer


def test_CH_3_a_voicemail_is_fetched_and_played_in_the_thread(carrier: Carrier, world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Twilio, "fetch_media", lambda *_: (tone(), "audio/x-wav"))
    world.app.config["MEDIA_ROOT"] = tmp_path
    carrier.post("voice", fields(world))
    for _ in range(3):
        assert carrier.post("recording", recording()).status_code == 200
    carrier.post("recording", fields(world, "in-progress", **{k: v for k, v in recording().items() if k != "RecordingStatus"}))  # the Record verb's own action
    carrier.post("status", fields(world, "completed", CallDuration="40"))
    bell.work()
    call = only()
    file = db.session.scalars(sa.select(Attachment)).one()
    assert (call.state, call.message.body, file.state, file.content_type) == ("voicemail", "Voicemail 0:32", "stored", "audio/wav")
    maya = world.app.test_client().sign_in(world.maya)
    page = maya.get(f"/c/{call.conversation.public_id}").get_data(as_text=True)
    assert f'<audio class="player" controls preload="none" src="/media/{file.public_id}"' in page and "Voicemail 0:32" in page
    part = maya.get(f"/media/{file.public_id}", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.data, part.mimetype) == (206, b"RIFF", "audio/wav")
    assert part.headers["X-Content-Type-Options"] == "nosniff" and "sandbox" in part.headers["Content-Security-Policy"] and "inline" in part.headers.get("Content-Disposition", "inline")
    assert world.app.test_client().sign_in(world.olga).get(f"/media/{file.public_id}").status_code == 404


def test_CH_3_a_recording_that_is_no_sound_is_refused(carrier: Carrier, world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Twilio, "fetch_media", lambda *_: (b"<html>hello</html>", "audio/x-wav"))
    world.app.config["MEDIA_ROOT"] = tmp_path
    carrier.post("voice", fields(world))
    carrier.post("recording", recording())
    bell.work()
    assert db.session.scalars(sa.select(Attachment)).one().state in ("refused", "held")


def test_CH_3_a_recording_before_its_call_waits(carrier: Carrier, world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "crowded", lambda queue: False)
    monkeypatch.setattr(Twilio, "fetch_media", lambda *_: (_ for _ in ()).throw(TemporaryFailure("Slow.")))
    carrier.post("recording", recording())
    bell.work()
    waiting = db.session.scalars(sa.select(WebhookEvent)).one()
    assert waiting.applied_at is None and "No call is known" in (waiting.problem or "")
    carrier.post("voice", fields(world))
    bell.work()
    clock.shift(6)
    sweep_webhooks()
    bell.work()
    assert only().state == "voicemail"


def test_CH_3_a_number_without_an_inbox_and_a_hidden_caller(carrier: Carrier, world: World, bell: Bell) -> None:
    carrier.post("voice", fields(world, To="+14155550999"))
    bell.work()
    assert db.session.scalar(sa.select(sa.func.count(Call.id))) == 0
    carrier.post("voice", fields(world, From="+266696687", CallSid="CA" + "3" * 32))
    carrier.post("status", fields(world, "completed", From="+266696687", CallSid="CA" + "3" * 32))
    bell.work()
    assert only().conversation.contact.name == "Unknown caller" and only().conversation.unread


def test_S96_calls_are_signed_like_everything_else(carrier: Carrier, world: World) -> None:
    for kind in ("voice", "dial", "recording", "call"):
        assert carrier.post(kind, fields(world), key="f" * 32).status_code == 403
    assert db.session.scalar(sa.select(sa.func.count(WebhookEvent.id))) == 0


# -- calling out --------------------------------------------------------------------------------------------------


def test_CH_3_a_call_out_is_placed_once_and_reported(carrier: Carrier, world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[Ring] = []

    def dial(adapter: Any, credentials: Any, ring: Ring) -> str:
        placed.append(ring)
        return CALL

    monkeypatch.setattr(Twilio, "place_call", dial)
    call = place(world, world.conversation())
    bell.rung = [job for job in bell.rung if job[0] == "place_call"] * 3
    bell.work()
    assert len(placed) == 1 and (placed[0].agent, placed[0].to) == (AGENT, "+14155550134")
    query = f"?ref={call.ref}"
    out = {"From": world.front.phone or "", "To": AGENT, "Direction": "outbound-api"}
    carrier.post("call", fields(world, "in-progress", **out), query=query)
    bell.work()
    assert only().joined_at is not None and only().state == "ringing"
    busy = carrier.post("dial", fields(world, "in-progress", **out, DialCallStatus="busy"), query=query)
    assert b"Nobody answered" in busy.data and b"<Record" not in busy.data
    carrier.post("call", fields(world, "completed", **out, CallDuration="9"), query=query)
    bell.work()
    assert (only().state, only().message.body, only().ended_at is not None) == ("missed", "No answer", True)
    assert [e.kind for e in db.session.scalars(sa.select(Event).where(Event.kind.like("call.%")).order_by(Event.id))] == ["call.placed", "call.ended"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(PermanentFailure("No such number."), "No such number."), (TemporaryFailure("Busy."), "Busy."), (Uncertain("?"), UNSURE)],
)
def test_CH_3_what_the_carrier_refuses_is_said_and_never_tried_again(
    world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    tries: list[int] = []

    def fails(*_: Any) -> str:
        tries.append(1)
        raise error

    monkeypatch.setattr(Twilio, "place_call", fails)
    call = place(world, world.conversation())
    place_call(call.id)
    place_call(call.id)
    assert len(tries) == 1 and (only().state, only().problem) == ("failed", sentence)


def test_CH_3_news_of_a_call_nobody_was_sure_of_says_better(carrier: Carrier, world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twilio, "place_call", lambda *_: (_ for _ in ()).throw(Uncertain("?")))
    call = place(world, world.conversation())
    place_call(call.id)
    carrier.post("dial", fields(world, "in-progress", From=world.front.phone or "", To=AGENT, DialCallStatus="completed", DialCallDuration="5"), query=f"?ref={call.ref}")
    bell.rung = [job for job in bell.rung if job[0] == "apply_webhook"]
    bell.work()
    assert (only().state, only().message.body, only().provider_id) == ("answered", "Call 0:05", None)


def test_CH_3_a_call_whose_job_was_lost_is_rung_for_again(world: World, bell: Bell) -> None:
    call = place(world, world.conversation())
    bell.rung.clear()
    sweep_calls()
    assert not bell.rung
    clock.shift(5)
    sweep_calls()
    assert bell.rung == [("place_call", (call.id,))]
