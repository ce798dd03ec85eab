"""Magic numbers, faults, calls, restarts and the control plane."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import httpx
import pytest
from twilio.base.exceptions import TwilioRestException

from inbox.sandbox import create_sandbox
from inbox.sandbox.app import close_sandbox
from inbox.sandbox.wire import signature

from .conftest import ACCOUNT, ROSA, TOKEN, Sandbox, signed, until


@pytest.mark.parametrize(("digits", "code"), [
    ("50", 30003), ("51", 30004), ("52", 30005), ("53", 30006), ("54", 30007), ("55", 30008)])
def test_magic_numbers_that_fail(line: Sandbox, digits: str, code: int) -> None:
    sent = line.send(f"+141555501{digits}")
    line.advance(5)
    done = line.client.messages(sent.sid).fetch()
    assert (done.status, done.error_code) == ("undelivered", code) and done.error_message
    assert line.receiver.at("/status")[-1]["ErrorCode"] == str(code)


@pytest.mark.parametrize("digits", ["00", "07", "49"])
def test_magic_numbers_that_deliver(line: Sandbox, digits: str) -> None:
    sent = line.send(f"+141555501{digits}")
    line.advance(5)
    assert line.client.messages(sent.sid).fetch().status == "delivered"


@pytest.mark.parametrize(("digits", "statuses"), [
    ("56", ["sending", "sent"]), ("59", ["sending", "delivered", "sent"]),
    ("58", ["sending", "sending", "sent", "sent", "delivered", "delivered"]),
])
def test_magic_numbers_with_odd_receipts(line: Sandbox, digits: str, statuses: list[str]) -> None:
    sent = line.send(f"+141555501{digits}")
    line.advance(10)
    assert line.receiver.statuses(sent.sid) == statuses
    if digits == "58":
        tokens = [hit.headers["I-Twilio-Idempotency-Token"] for hit in line.receiver.at("/status")]
        assert tokens[0] == tokens[1] and len(set(tokens)) == 3
    if digits == "59":
        assert line.client.messages(sent.sid).fetch().status == "delivered"


def test_magic_numbers_that_take_their_time(line: Sandbox) -> None:
    late, slow = line.send("+14155550157"), line.send("+14155550170")
    line.advance(20)
    assert line.client.messages(late.sid).fetch().status == "sent"
    assert line.client.messages(slow.sid).fetch().status == "queued"
    line.advance(20)
    assert line.client.messages(slow.sid).fetch().status == "delivered"
    line.advance(7200)
    assert line.client.messages(late.sid).fetch().status == "delivered"


@pytest.mark.parametrize(("digits", "bodies"), [
    ("60", ["Thanks!"]), ("61", ["STOP"]), ("62", ["Here is a picture"]), ("64", ["👍🏽👨‍👩‍👧‍👦 نعم، شكراً لكم ✨"])])
def test_magic_numbers_that_answer(line: Sandbox, digits: str, bodies: list[str]) -> None:
    line.send(f"+141555501{digits}")
    line.advance(10)
    assert [hit["Body"] for hit in line.receiver.at("/sms")] == bodies
    assert all(signed(hit) for hit in line.receiver.at("/sms"))
    if digits == "62":
        assert line.receiver.at("/sms")[0]["NumMedia"] == "1"
    line.send(f"+141555501{digits}", "an answer by a machine")
    line.advance(10)
    assert len(line.receiver.at("/sms")) == 1  # two machines do not talk for ever


def test_a_magic_number_that_answers_in_parts(line: Sandbox) -> None:
    line.send("+14155550163")
    line.advance(10)
    assert len(line.receiver.at("/sms")) == 3
    assert line.receiver.at("/sms")[0]["Body"].startswith("First")


@pytest.mark.parametrize(("outcome", "status", "code"), [
    ("delivered", "delivered", None), ("undelivered", "undelivered", 30003), ("filtered", "undelivered", 30007)])
def test_a_phone_decides_its_outcome(line: Sandbox, outcome: str, status: str, code: int | None) -> None:
    line.sim("outcome", phone="+14155550150", outcome=outcome)
    sent = line.send("+14155550150")
    line.advance(5)
    done = line.client.messages(sent.sid).fetch()
    assert (done.status, done.error_code) == (status, code)


def test_a_phone_may_be_slow_or_opted_out(line: Sandbox) -> None:
    line.sim("outcome", phone=ROSA, outcome="slow")
    sent = line.send(ROSA)
    line.advance(50)
    assert line.client.messages(sent.sid).fetch().status == "queued"
    line.advance(15)
    assert line.client.messages(sent.sid).fetch().status == "delivered"
    line.sim("outcome", phone=ROSA, outcome="opted_out")
    with pytest.raises(TwilioRestException) as refused:
        line.send(ROSA)
    assert refused.value.code == 21610


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("kind", "status", "code"), [("429", 429, 20429), ("500", 500, 20500)])
def test_requests_fail_by_count(line: Sandbox, kind: str, status: int, code: int) -> None:
    line.sim("fault", kind=kind, count=2, match="Messages")
    assert line.client.incoming_phone_numbers.list()
    for _ in range(2):
        with pytest.raises(TwilioRestException) as refused:
            line.send(ROSA)
        assert (refused.value.status, refused.value.code) == (status, code)
    assert line.send(ROSA).sid
    assert line.state()["faults"] == []


def test_requests_fail_by_probability_the_same_way_every_time(line: Sandbox) -> None:
    def round_of() -> list[int]:
        line.sim("settings", seed=7)
        return [line.plain("/v1/Services").status_code for _ in range(20)]

    line.sim("fault", kind="429", probability=0.5)
    first = round_of()
    assert {200, 429} == set(first) and round_of() == first
    assert line.control.delete("/fault").json() == {"faults": []}
    assert set(round_of()) == {200}


def test_latency_holds_an_answer_back(line: Sandbox) -> None:
    line.sim("fault", kind="latency", seconds=0.3, count=1)
    begin = time.monotonic()
    line.plain("/v1/Services")
    assert time.monotonic() - begin >= 0.3


def test_a_request_may_be_accepted_without_an_answer(line: Sandbox) -> None:
    line.sim("fault", kind="timeout", count=1, seconds=0.5)
    form = {"To": ROSA, "From": "+14156662233", "Body": "Maybe"}
    with pytest.raises(httpx.TransportError):
        httpx.post(f"{line.url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json", data=form, auth=(ACCOUNT, TOKEN),
                   timeout=0.2, trust_env=False)
    assert [text.body for text in line.client.messages.list(to=ROSA)] == ["Maybe"]


def test_a_connection_may_drop_before_anything_happened(line: Sandbox) -> None:
    line.sim("fault", kind="drop", count=1)
    form = {"To": ROSA, "From": "+14156662233", "Body": "Never"}
    with pytest.raises(httpx.TransportError):
        httpx.post(f"{line.url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json", data=form, auth=(ACCOUNT, TOKEN),
                   timeout=5, trust_env=False)
    assert line.client.messages.list() == []


def test_any_refusal_can_be_scripted(line: Sandbox) -> None:
    line.sim("fault", kind="api_error", count=1, code=21408, status=400, message="Region not enabled")
    with pytest.raises(TwilioRestException) as refused:
        line.send(ROSA)
    assert refused.value.code == 21408
    line.sim("fault", kind="carrier_error", count=1, code=30023)
    sent = line.send(ROSA)
    line.advance(5)
    assert line.client.messages(sent.sid).fetch().error_code == 30023
    line.sim("fault", kind="number_taken", count=1)
    with pytest.raises(TwilioRestException) as taken:
        line.buy("+15106662233")
    assert taken.value.code == 21422
    assert line.buy("+15106662233").sid


def test_webhooks_can_go_wrong(line: Sandbox) -> None:
    say = {"from": ROSA, "to": "+14156662233", "body": "Hi"}
    for kind in ("duplicate_webhook", "wrong_signature", "extra_params"):
        line.sim("fault", kind=kind, count=1)
        line.sim("inbound", **say)
        line.settle()
    first, second, wrong, extra = line.receiver.at("/sms")
    assert first["MessageSid"] == second["MessageSid"]
    assert first.headers["I-Twilio-Idempotency-Token"] == second.headers["I-Twilio-Idempotency-Token"]
    assert not signed(wrong)
    assert signed(extra) and extra["SandboxExtra"] == "unannounced"


def test_receipts_can_go_missing_or_come_in_the_wrong_order(line: Sandbox) -> None:
    line.sim("fault", kind="missing_receipt", count=1, match="message.delivered")
    lost = line.send(ROSA)
    line.advance(5)
    assert line.receiver.statuses(lost.sid) == ["sending", "sent"]
    assert line.client.messages(lost.sid).fetch().status == "delivered"
    line.sim("fault", kind="out_of_order", count=1)
    odd = line.send(ROSA)
    line.advance(5)
    assert line.receiver.statuses(odd.sid) == ["sending", "delivered", "sent"]


def test_a_receipt_may_come_before_the_answer(sandbox: Sandbox) -> None:
    sandbox.sim("settings", require_registration=False)
    sandbox.buy()
    sandbox.sim("fault", kind="early_receipt", count=1)
    sent = sandbox.send(ROSA)
    assert sandbox.receiver.statuses(sent.sid) == ["sending", "sent", "delivered"]


def test_media_can_be_missing_huge_or_mislabeled(line: Sandbox) -> None:
    line.sim("inbound", **{"from": ROSA, "to": "+14156662233", "media": [{}]})
    line.settle()
    path = line.receiver.at("/sms")[0]["MediaUrl0"].removeprefix(line.url)
    line.sim("fault", kind="media_404", count=1)
    assert line.plain(path).status_code == 404
    line.sim("fault", kind="media_huge", count=1, bytes=6_000_000)
    assert len(line.plain(path).content) == 6_000_000
    line.sim("fault", kind="media_type", count=1, content_type="text/html")
    assert line.plain(path).headers["content-type"].startswith("text/html")
    assert line.plain(path).headers["content-type"] == "image/png"


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────

DIAL = ('<Response><Dial action="/dialed" timeout="20"><Number>+15105550104</Number></Dial></Response>')


@pytest.mark.parametrize("outcome", ["completed", "no-answer", "busy"])
def test_a_call_is_forwarded_and_its_end_reported(line: Sandbox, outcome: str) -> None:
    line.receiver.answer("/voice", 200, DIAL)
    call = line.sim("call", **{"from": ROSA, "to": "+14156662233", "outcome": outcome})
    line.settle()
    (first,), (dialed,), (end,) = (line.receiver.at(path) for path in ("/voice", "/dialed", "/call-status"))
    assert signed(first) and signed(dialed) and signed(end)
    assert (first["CallStatus"], first["Direction"], first["From"]) == ("ringing", "inbound", ROSA)
    assert dialed["DialCallStatus"] == outcome and dialed["DialCallSid"].startswith("CA")
    assert dialed.get("DialCallDuration") == ("42" if outcome == "completed" else "")
    assert line.client.calls(call["sid"]).fetch().status == ("completed" if outcome == "completed" else "no-answer")
    story = line.control.get(f"/handset/{ROSA}").json()["calls"][0]["story"]
    assert "Forwarded to +15105550104" in story[0]


def test_a_missed_call_may_leave_a_voicemail(line: Sandbox) -> None:
    line.receiver.answer("/voice", 200, DIAL)
    line.receiver.answer("/dialed", 200, '<Response><Say>Leave a message</Say><Record action="/recorded"/></Response>')
    line.sim("call", **{"from": ROSA, "to": "+14156662233", "outcome": "no-answer"})
    line.settle()
    (recorded,) = line.receiver.at("/recorded")
    assert recorded["RecordingDuration"] == "1" and signed(recorded)
    sound = httpx.get(recorded["RecordingUrl"], auth=(ACCOUNT, TOKEN), trust_env=False)
    assert sound.content.startswith(b"RIFF")


def test_broken_voice_answers_end_the_call(line: Sandbox) -> None:
    line.receiver.answer("/voice", 500)
    call = line.sim("call", **{"from": ROSA, "to": "+14156662233"})
    line.settle()
    assert line.client.calls(call["sid"]).fetch().status == "failed"
    line.receiver.answers.clear()
    line.receiver.answer("/voice", 200, "<Response><Redirect>/voice</Redirect></Response>")
    loop = line.sim("call", **{"from": ROSA, "to": "+14156662233"})
    line.settle()
    assert line.client.calls(loop["sid"]).fetch().status in ("completed", "no-answer")


def test_outbound_calls_carry_out_their_instructions(line: Sandbox) -> None:
    call = line.client.calls.create(to=ROSA, from_="+14156662233", twiml="<Response><Say>Hi</Say></Response>")
    assert call.status == "queued"
    line.settle()
    assert call.fetch().status == "completed"
    assert len(line.client.calls.list(to=ROSA)) == 1


# ── restarts, races, control ─────────────────────────────────────────────────────────────────────────────────────


def test_a_restart_in_the_middle_loses_nothing(line: Sandbox) -> None:
    sent = line.send(ROSA)
    late = line.send("+14155550157")
    line.advance(0.4)
    line.restart()
    assert line.state()["clock"]["speed"] == 0
    line.advance(5)
    line.advance(7200)
    assert line.client.messages(sent.sid).fetch().status == "delivered"
    assert line.client.messages(late.sid).fetch().status == "delivered"
    assert line.receiver.statuses(sent.sid) == ["sending", "sent", "delivered"]
    assert [number.phone_number for number in line.client.incoming_phone_numbers.list()] == ["+14156662233"]


def test_noted_work_goes_on_without_a_request_after_a_restart(line: Sandbox) -> None:
    line.send(ROSA)
    line.sim("clock", speed=1)
    line.stop()
    before = len(line.receiver.hits)
    app = create_sandbox(str(line.path), ACCOUNT, TOKEN)
    until(lambda: len(line.receiver.hits) > before or line.receiver.hits)
    until(lambda: line.receiver.at("/status")[-1]["MessageStatus"] == "delivered")
    close_sandbox(app)
    line.start()


def test_many_texts_at_once_are_all_delivered_once(sandbox: Sandbox) -> None:
    sandbox.sim("settings", require_registration=False, sent_after=0.01, delivered_after=0.02)
    sandbox.buy()
    sids: list[str] = []

    def send(place: int) -> None:
        form = {"To": ROSA, "From": "+14156662233", "Body": f"Text {place}",
                "StatusCallback": sandbox.receiver.base + "/status"}
        for _ in range(5):
            answer = httpx.post(f"{sandbox.url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json", data=form,
                                auth=(ACCOUNT, TOKEN), trust_env=False, timeout=30)
            sids.append(answer.json()["sid"])

    threads = [threading.Thread(target=send, args=(place,)) for place in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: sandbox.state()["work"]["noted"] == 0, 30)
    assert len(set(sids)) == 60
    for sid in sids:
        assert sandbox.receiver.statuses(sid) == ["sending", "sent", "delivered"]


def test_the_control_plane_refuses_strangers_and_other_sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SANDBOX_OPEN", raising=False)
    monkeypatch.setenv("SANDBOX_URL", "http://sandbox.test:9")
    app = create_sandbox(str(tmp_path / "s.db"), ACCOUNT, TOKEN)
    client = app.test_client()
    far = {"REMOTE_ADDR": "10.0.0.9"}
    assert client.get("/__sim/state").status_code == 200
    assert client.get("/", headers={"Host": "sandbox.test:9"}).status_code == 200
    for path in ("/", "/live", "/__sim/state", "/__sim/log"):
        assert client.get(path, environ_base=far).status_code == 403
        assert client.get(path, headers={"Host": "evil.test"}).status_code == 403
    for headers in ({"Origin": "http://evil.test"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/__sim/reset", json={}, headers=headers).status_code == 403
        assert client.post("/time", data={"advance": "60"}, headers=headers).status_code == 403
    monkeypatch.setenv("SANDBOX_OPEN", "1")
    assert client.get("/", environ_base=far).status_code == 200
    close_sandbox(app)


@pytest.mark.parametrize(("path", "data"), [
    ("inbound", {"from": "x", "to": ROSA, "body": "Hi"}), ("inbound", {"from": ROSA, "to": ROSA}),
    ("inbound", {"from": ROSA, "to": ROSA, "media": [{"data": "%%"}]}), ("clock", {"advance": "soon"}),
    ("clock", {"advance": -5}), ("fault", {"kind": "nonsense"}), ("fault", {"kind": "429", "probability": 2}),
    ("settings", {"nothing": 1}), ("settings", {"review": "never"}), ("outcome", {"phone": ROSA, "outcome": "lost"}),
    ("call", {"from": ROSA, "to": ROSA, "outcome": "maybe"}), ("phones", {"name": ""}),
    ("phones", {"name": "A", "area": "01"}),
])
def test_bad_control_requests_are_refused_in_words(sandbox: Sandbox, path: str, data: dict[str, object]) -> None:
    answer = sandbox.control.post(f"/{path}", json=data)
    assert answer.status_code == 400 and len(answer.json()["message"]) > 10
    assert sandbox.control.post(f"/{path}", content=b"not json").status_code == 400


def test_reset_forgets_everything(line: Sandbox) -> None:
    line.send(ROSA)
    line.sim("reset")
    state = line.state()
    assert state["numbers"] == [] and state["counts"] == {} and state["clock"]["speed"] == 1.0
    assert [phone["name"] for phone in state["phones"]][0] == "Rosa Delgado"


def test_unknown_paths_answer_in_the_carriers_words(sandbox: Sandbox) -> None:
    answer = sandbox.plain("/v1/Nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)
    assert httpx.get(sandbox.url + "/v1/Nothing", trust_env=False).status_code == 401


def test_signatures_match_the_published_vectors() -> None:
    call = [("CallSid", "CA1234567890ABCDE"), ("Caller", "+14158675309"), ("Digits", "1234"), ("From", "+14158675309"),
            ("To", "+18005551212")]
    assert signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", call) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    assert signature("12345", "https://a.b/c", [("X", "2"), ("X", "1"), ("X", "2")]) == "km2aN9ozNjNJHtipvfG96qDzBHw="


@pytest.mark.parametrize(("value", "review"), [("", "minutes"), ("1", "fast")])
def test_the_environment_chooses_fast_reviews(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, review: str
) -> None:
    monkeypatch.setenv("SANDBOX_FAST_REVIEW", value)
    monkeypatch.setenv("INBOX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    app = create_sandbox()
    assert (tmp_path / "data" / "sandbox.db").exists()
    assert app.test_client().get("/__sim/state").json["settings"]["review"] == review
    assert app.test_client().get(f"/2010-04-01/Accounts/{ACCOUNT}.json", auth=(ACCOUNT, TOKEN)).status_code == 200
    close_sandbox(app)


def test_threads_that_end_give_their_connection_back(line: Sandbox) -> None:
    store = line.app.extensions["sandbox"].store
    for _ in range(60):
        line.plain("/v1/Services")
    until(lambda: len(store._open) < 40)
