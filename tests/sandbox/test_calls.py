"""Calls with a person at the other end: recordings as long as what was said, reports, phones answered by hand, and the page that does it."""

from __future__ import annotations

import io
import threading
import wave
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from .conftest import ACCOUNT, ROSA, TOKEN, Sandbox, signed, until

INBOX, TOM = "+14156662233", "+15105550104"
RECORD = '<Response><Say>Leave a message</Say><Record action="/recorded" recordingStatusCallback="/recording" maxLength="20"/><Hangup/></Response>'
DIAL = f'<Response><Dial action="/dialed" callerId="{INBOX}" timeout="5"><Number statusCallback="/leg" statusCallbackEvent="answered">{TOM}</Number></Dial></Response>'


def sound(url: str) -> float:
    """The length of a recording in seconds."""
    answer = httpx.get(url, auth=(ACCOUNT, TOKEN), trust_env=False)
    assert answer.headers["content-type"] == "audio/x-wav"
    with wave.open(io.BytesIO(answer.content)) as file:
        return file.getnframes() / file.getframerate()


@pytest.mark.parametrize(("said", "kept"), [(3, 3), (60, 20)])
def test_a_message_is_as_long_as_what_was_said_and_as_the_app_allows(line: Sandbox, said: int, kept: int) -> None:
    line.receiver.answer("/voice", 200, RECORD)
    line.sim("call", **{"from": ROSA, "to": INBOX, "message": said})
    line.settle()
    (told,), (recorded,) = line.receiver.at("/recording"), line.receiver.at("/recorded")
    assert signed(told) and (told["RecordingStatus"], told["RecordingDuration"]) == ("completed", str(kept))
    assert told.get("From") == "" and told["CallSid"] == recorded["CallSid"], "the report names the call, but not its numbers"
    assert sound(told["RecordingUrl"]) == kept
    assert httpx.get(told["RecordingUrl"], trust_env=False).status_code == 401


def test_who_hangs_up_at_the_tone_leaves_nothing(line: Sandbox) -> None:
    line.receiver.answer("/voice", 200, RECORD)
    call = line.sim("call", **{"from": ROSA, "to": INBOX, "message": 0})
    line.settle()
    assert not line.receiver.at("/recording") and not line.receiver.at("/recorded")
    (end,) = line.receiver.at("/call-status")
    assert (end["CallSid"], end["CallStatus"]) == (call["sid"], "completed")


def test_the_answer_of_a_dialled_number_is_reported_with_its_parent(line: Sandbox) -> None:
    line.receiver.answer("/voice", 200, DIAL)
    call = line.sim("call", **{"from": ROSA, "to": INBOX})
    line.settle()
    (leg,), (dialed,) = line.receiver.at("/leg"), line.receiver.at("/dialed")
    assert signed(leg) and (leg["ParentCallSid"], leg["CallStatus"], leg["Direction"]) == (call["sid"], "in-progress", "outbound-dial")
    assert leg["CallSid"] == dialed["DialCallSid"] != call["sid"]


def test_a_call_placed_by_the_app_reports_what_it_asked_for(line: Sandbox) -> None:
    url = line.receiver.base + "/out?ref=x"
    call = line.client.calls.create(to=TOM, from_=INBOX, twiml=f"<Response><Dial callerId='{INBOX}'>{ROSA}</Dial></Response>", status_callback=url,
                                    status_callback_event=["answered", "completed"])
    line.settle()
    assert [hit["CallStatus"] for hit in line.receiver.at("/out")] == ["in-progress", "completed"]
    assert all(signed(hit) and hit["CallSid"] == call.sid for hit in line.receiver.at("/out"))
    line.sim("settings", call_outcome="busy")
    line.client.calls.create(to=TOM, from_=INBOX, twiml="<Response/>", status_callback=url)
    line.settle()
    assert line.receiver.at("/out")[-1]["CallStatus"] == "busy"


@pytest.mark.parametrize("fields", [{"Twiml": f"<Response>{'x' * 4000}</Response>"}, {"Twiml": "<Response/>", "StatusCallback": "nowhere"}, {}])
def test_calls_that_make_no_sense_are_refused(line: Sandbox, fields: dict[str, str]) -> None:
    answer = httpx.post(f"{line.url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json", data={"To": TOM, "From": INBOX, **fields}, auth=(ACCOUNT, TOKEN), trust_env=False)
    assert answer.status_code == 400 and answer.json()["code"]


@pytest.mark.parametrize(("answers", "outcome"), [(True, "completed"), (False, "busy"), (None, "no-answer")])
def test_a_phone_answered_by_hand(line: Sandbox, answers: bool | None, outcome: str) -> None:
    line.sim("settings", answer_by_hand=True)
    line.receiver.answer("/voice", 200, DIAL.replace('timeout="5"', 'timeout="1"') if answers is None else DIAL)
    line.sim("call", **{"from": ROSA, "to": INBOX, "outcome": "failed"})
    page = httpx.Client(base_url=line.url, trust_env=False)
    rings = {"phone": TOM, "number": INBOX}
    until(lambda: "is calling" in page.get("/", params=rings).text)
    shown = page.get("/", params=rings).text
    assert "(415) 666-2233" in shown
    assert page.post("/__sim/pick-up", json={"phone": ROSA, "answer": True}).status_code == 404, "only who is called"
    if answers is not None:
        assert page.post("/__sim/pick-up", json={"phone": TOM, "answer": answers}).status_code == 200
    until(lambda: line.receiver.at("/dialed"))
    assert line.receiver.at("/dialed")[0]["DialCallStatus"] == outcome
    assert "is calling" not in page.get("/", params={"phone": TOM}).text
    line.settle()


@pytest.mark.browser
def test_the_page_rings_answers_and_leaves_messages(line: Sandbox, browser: Any) -> None:
    line.receiver.answer("/voice", 200, DIAL)
    with browser.new_context() as context:
        tab: Any = context.new_page()
        tab.goto(f"{line.url}/?phone=%2B15105550104&number=%2B14156662233")
        tab.get_by_label("Answer calls to these phones by hand").check()
        until(lambda: line.state()["settings"]["answer_by_hand"])
        threading.Thread(target=lambda: line.sim("call", **{"from": ROSA, "to": INBOX})).start()
        tab.get_by_role("button", name="Answer").click()
        expect(tab.get_by_role("button", name="Decline")).to_have_count(0)
        until(lambda: line.receiver.at("/dialed"))
        line.receiver.answers.clear()
        line.receiver.answer("/voice", 200, RECORD)
        tab.goto(f"{line.url}/?phone=%2B14155550101&number=%2B14156662233")
        tab.get_by_label("What the caller says after the tone").select_option("12")
        tab.get_by_role("button", name="Call", exact=True).click()
        expect(tab.locator(".thread")).to_contain_text("Left a voicemail of 12 seconds")
    assert line.receiver.at("/dialed")[0]["DialCallStatus"] == "completed"
    assert line.receiver.at("/recording")[0]["RecordingDuration"] == "12"
