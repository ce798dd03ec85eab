"""Signatures and webhook bodies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from inbox import channels
from inbox.channels.base import (
    CallNotice,
    Credentials,
    Inbound,
    RawRequest,
    Receipt,
    RegistrationNotice,
    Status,
    Unreadable,
)

DATA = Path(__file__).parent.parent / "data"
SIGNATURES = json.loads((DATA / "twilio_signatures.json").read_text(encoding="utf-8"))
WEBHOOKS = sorted((DATA / "twilio_webhooks").glob("*.json"))
FORM = "application/x-www-form-urlencoded"
TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
twilio = channels.get("sms")


def credentials(token: str = TOKEN) -> Credentials:
    return Credentials(
        "AC1", token, "https://api.twilio.com", "https://messaging.twilio.com", "https://trusthub.twilio.com"
    )


def form(fields: Any, url: str = URL, **headers: str) -> RawRequest:
    pairs = list(fields.items()) if isinstance(fields, dict) else [tuple(pair) for pair in fields]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return RawRequest("POST", url, {"content-type": FORM, **named}, urlencode(pairs).encode())


def sign(url: str, fields: dict[str, str], token: str = TOKEN) -> str:
    return str(RequestValidator(token).compute_signature(url, fields))


@pytest.mark.parametrize("case", SIGNATURES, ids=lambda case: case["name"])
def test_S96_published_signatures(case: dict[str, Any]) -> None:
    headers = {} if case["signature"] is None else {"x-twilio-signature": case["signature"]}
    if case.get("body"):
        request = RawRequest(
            "POST", case["url"], {"content-type": "application/json", **headers}, case["body"].encode()
        )
    else:
        request = form(case["params"] or {}, case["url"])
        request = RawRequest("POST", case["url"], {**request.headers, **headers}, request.body)
    assert twilio.verify(credentials(case["token"]), request, case["url"]) is case["valid"]


def test_the_sha256_variant() -> None:
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    request = form(fields, x_twilio_signature="033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s=")
    assert not twilio.verify(credentials(), request, URL)
    settings = {**request.headers, "x-twilio-webhooks-signature-settings": "key=abc,algorithm=HMAC_SHA256"}
    assert twilio.verify(credentials(), RawRequest("POST", URL, settings, request.body), URL)
    odd = {**settings, "x-twilio-webhooks-signature-settings": "key=abc,algorithm=NONE"}
    assert not twilio.verify(credentials(), RawRequest("POST", URL, odd, request.body), URL)


def test_S96_what_a_signature_does_not_cover_is_refused() -> None:
    fields = {"MessageSid": "SM1", "From": "+14155550101", "Body": "Hi"}
    good = sign(URL, fields)
    assert twilio.verify(credentials(), form(fields, x_twilio_signature=good), URL)
    wrong = [
        (form({**fields, "Body": "Ho"}, x_twilio_signature=good), URL, TOKEN),
        (form([*fields.items(), ("Body", "Ho")], x_twilio_signature=good), URL, TOKEN),
        (form({**fields, "New": ""}, x_twilio_signature=good), URL, TOKEN),
        (form(fields, x_twilio_signature=good), URL.replace("bar=2", "bar=3"), TOKEN),
        (form(fields, x_twilio_signature=good), URL.replace("https", "http"), TOKEN),
        (form(fields, x_twilio_signature=good), URL.replace("mycompany", "other"), TOKEN),
        (form(fields, x_twilio_signature=good), URL, "54321"),
        (form(fields, x_twilio_signature=good), "https://[::1", TOKEN),
        (form(fields, x_twilio_signature=good), "https://a:99999999/", TOKEN),
        (form(fields, x_twilio_signature=""), URL, TOKEN),
        (form(fields, x_twilio_signature="é\udcff"), URL, TOKEN),
        (form(fields, x_twilio_signature=sign(URL, fields, "")), URL, ""),
        (form(fields), URL, TOKEN),
    ]
    for request, url, token in wrong:
        assert twilio.verify(credentials(token), request, url) is False
    # the signature of a bare address is not one for any body of another kind
    bare = sign(URL, {})
    assert twilio.verify(credentials(), RawRequest("GET", URL, {"x-twilio-signature": bare}, b""), URL)
    for kind in ("application/json", "text/plain", ""):
        request = RawRequest("POST", URL, {"content-type": kind, "x-twilio-signature": bare}, b'[{"id": 1}]')
        assert not twilio.verify(credentials(), request, URL)


def test_signatures_agree_with_the_carriers_own_library() -> None:
    bodies = ["", " ", "é", "👨‍👩‍👧‍👦", "a&b=c+d%20", "\n\r\t", "\u202eabc", "x" * 5000, "ナ", "\x00"]
    for body in bodies:
        for url in ("https://a.b/c", "https://a.b:8443/c/?x=%20&y=", "http://a.b/%C3%A9", "https://u:p@a.b:443/c#frag"):
            fields = {"Body": body, "MessageSid": "SM1", "a": "1", "Z": ""}
            signature = sign(url.partition("#")[0], fields)
            assert twilio.verify(credentials(), form(fields, url, x_twilio_signature=signature), url)


@pytest.mark.parametrize("path", WEBHOOKS, ids=lambda path: path.stem)
def test_collected_webhooks(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    fields, expected = record["request"]["body_parsed"], record.get("expected", {})
    events = twilio.parse(form(fields))
    if expected.get("kind") == "transcription":
        assert events == []
        return
    [event] = events
    if "CallSid" in fields:
        assert isinstance(event, CallNotice)
        assert event.status == (expected.get("status") or fields.get("DialCallStatus") or fields["CallStatus"])
        assert event.call_sid == fields["CallSid"]
        assert event.sender == ("" if fields["From"] == "+266696687" else fields["From"])
    elif fields.get("MessageStatus"):
        assert isinstance(event, Receipt)
        assert event.status == Status(fields["MessageStatus"])
        assert event.provider_id == fields["MessageSid"]
        assert event.error_code == fields.get("ErrorCode")
        assert bool(event.error_text) is bool(event.error_code)
    else:
        assert isinstance(event, Inbound)
        assert event.text == fields.get("Body", "") == expected.get("text", event.text)
        assert event.sender == fields["From"]
        assert event.sender.removeprefix("whatsapp:") == expected.get("sender", event.sender)
        assert len(event.media) == len([name for name in fields if name.startswith("MediaUrl")])
        assert event.dedupe == fields.get("MessageSid", fields["SmsSid"])
        assert event.raw == fields


def test_the_receipt_names_our_own_message() -> None:
    url = "https://x.y/hooks/sms/t/status?m=abc123&h=1"
    [receipt] = twilio.parse(form({"MessageSid": "SM1", "MessageStatus": "delivered", "ErrorCode": "0"}, url))
    assert isinstance(receipt, Receipt)
    assert (receipt.ref, receipt.dedupe, receipt.error_code) == ("abc123", "SM1:delivered", None)
    [odd] = twilio.parse(form({"MessageSid": "SM1", "MessageStatus": "levitating"}))
    assert isinstance(odd, Receipt)
    assert (odd.status, odd.ref) == (Status.UNKNOWN, None)


def test_texts_carry_keywords_and_no_nul() -> None:
    text = {"MessageSid": "SM1", "From": "+14155550101", "To": "+14155550100"}
    for body, told, keyword in (
        ("Stop.", "", "STOP"),
        ("hi", "START", "START"),
        ("hi", "odd", None),
        ("info", "", "HELP"),
    ):
        [event] = twilio.parse(form({**text, "Body": body, "OptOutType": told}))
        assert isinstance(event, Inbound)
        assert event.keyword == keyword
    [event] = twilio.parse(form({**text, "Body": "a\x00b", "X\x00": "\x00"}))
    assert isinstance(event, Inbound)
    assert event.text == "a\ufffdb"
    assert "\x00" not in str(event.raw)


def test_a_dial_outcome_and_the_end_of_its_call_are_two_notices() -> None:
    call = {"CallSid": "CA1", "From": "+14155550101", "To": "+14155550100", "CallStatus": "completed"}
    [ended] = twilio.parse(form({**call, "CallDuration": "12"}))
    [missed] = twilio.parse(form({**call, "DialCallStatus": "no-answer", "DialCallDuration": "x"}))
    assert isinstance(ended, CallNotice)
    assert isinstance(missed, CallNotice)
    assert (ended.status, ended.duration, missed.status, missed.duration) == ("completed", 12, "no-answer", None)
    assert ended.dedupe != missed.dedupe


def test_CH_3_news_of_a_leg_is_about_the_call_it_belongs_to_and_hides_its_numbers() -> None:
    leg = {"CallSid": "CA2", "ParentCallSid": "CA1", "From": "+14155550100", "To": "+14155550199", "CallStatus": "in-progress", "Direction": "outbound-dial"}
    [notice] = twilio.parse(form(leg))
    assert isinstance(notice, CallNotice)
    assert (notice.call_sid, notice.sender, notice.to, notice.forward, notice.outgoing) == ("CA1", "", "", True, False)
    out = {"CallSid": "CA3", "From": "+14155550100", "To": "+14155550199", "CallStatus": "completed", "Direction": "outbound-api"}
    [notice] = twilio.parse(form(out, "https://x.y/hooks/sms/t/call?ref=r1"))
    assert isinstance(notice, CallNotice)
    assert (notice.outgoing, notice.ref, notice.forward) == (True, "r1", False)


def test_CH_3_a_recording_counts_once_it_is_there_and_holds_something() -> None:
    base = {"CallSid": "CA1", "RecordingSid": "RE1", "RecordingUrl": "https://api.twilio.com/RE1", "RecordingDuration": "7", "RecordingStatus": "completed"}
    [notice] = twilio.parse(form(base))
    assert isinstance(notice, CallNotice)
    assert notice.recording is not None and (notice.recording.sid, notice.recording.seconds) == ("RE1", 7)
    for change in ({"RecordingStatus": "absent"}, {"RecordingStatus": ""}, {"RecordingDuration": "0"}, {"RecordingDuration": "x"}, {"RecordingUrl": ""}):
        assert twilio.parse(form({**base, **change})) == []


def test_CH_3_the_words_and_addresses_of_calls_are_escaped() -> None:
    twiml = twilio.voicemail_twiml("Ana & Co <3", 'https://a.b/r?x=1&y="><Hangup/>', 90).decode()
    assert "<Say>Ana &amp; Co &lt;3</Say>" in twiml and 'maxLength="90"' in twiml and twiml.count("<Hangup/>") == 1
    assert "<Reject" in twilio.reject_twiml().decode()


def test_registration_events_come_in_batches_and_one_odd_event_loses_nothing() -> None:
    kind = "com.twilio.messaging.compliance."
    events = [
        {
            "id": "EZ1",
            "type": f"{kind}brand-registration.brand-failure",
            "data": {"brandsid": "BN1", "brandstatus": "registration_failed"},
        },
        {"id": "EZ2", "type": "com.twilio.eventstreams.test-event", "data": {}},
        {"id": "EZ3", "type": f"{kind}number-registration.successful", "data": None},
        {
            "id": "EZ4",
            "type": f"{kind}campaign-registration.campaign-approved",
            "data": {"campaignsid": "CM1", "messagingservicesid": "MG1", "campaignregistrationstatus": "approved"},
        },
    ]
    headers = {"content-type": "application/json"}
    parsed = twilio.parse(RawRequest("POST", URL, headers, json.dumps(events).encode()))
    assert parsed == [
        RegistrationNotice("EZ1", "BN1", "brand", "registration_failed"),
        RegistrationNotice("EZ4", "MG1", "campaign", "approved"),
    ]
    assert twilio.parse(RawRequest("POST", URL, headers, json.dumps(events[0]).encode())) == parsed[:1]
    joined = f"{URL}&bodySHA256={hashlib.sha256(json.dumps(events).encode()).hexdigest()}"
    made = base64.b64encode(hmac.new(TOKEN.encode(), joined.encode(), hashlib.sha1).digest()).decode()
    request = RawRequest("POST", joined, {**headers, "x-twilio-signature": made}, json.dumps(events).encode())
    assert twilio.verify(credentials(), request, joined)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM, b""),
        (FORM, b"&&&"),
        (FORM, b"hello"),
        (FORM, b"MessageSid="),
        (FORM, b"MessageSid=SM1&Body=hi"),
        (FORM, b"CallSid=CA1"),
        (FORM, b"\xff\xfe\x00"),
        ("application/json", b"[1, 2]"),
        ("application/json", b"[{"),
        ("application/json", b"{" * 100_000),
        ("application/json", b"[" * 100_000),
        ("application/json", b"[\xff]"),
        ("", b""),
    ],
)
def test_bodies_without_sense_are_unreadable(kind: str, body: bytes) -> None:
    with pytest.raises(Unreadable, match=r"\.$"):
        twilio.parse(RawRequest("POST", URL, {"content-type": kind}, body))


def test_answers() -> None:
    for kind in ("messages", "status", "voice", "dial"):
        status, content_type, body = twilio.ack(kind)
        assert (status, content_type.partition(";")[0]) == (200, "text/xml")
        assert body.endswith(b"<Response/>")
    assert twilio.ack("events")[0] == 204


def test_twiml_is_escaped() -> None:
    dial = twilio.forward_twiml("+14155550199", "+14155550100", 'https://a.b/dial?x=1&y="><Say>no</Say>').decode()
    assert "<Number>+14155550199</Number>" in dial
    assert "<Say>" not in dial
    assert 'answerOnBridge="true"' in dial
    assert "<Say>Ana &amp; Co &lt;3</Say>" in twilio.greeting_twiml("Ana & Co <3").decode()


def test_every_code_is_explained() -> None:
    for code in ("20003", "21408", "21610", "30003", "30007", "30034", "63016", "30897"):
        assert code not in twilio.explain(code)
        assert twilio.explain(code).endswith(".")
    assert "99999" in twilio.explain("99999")
    assert twilio.explain(None).endswith(".")


def test_S97_half_a_pair_in_a_notice_can_be_kept() -> None:
    body = b'[{"type":"com.twilio.messaging.compliance.brand-registration.brand-failure","id":"a\\ud800","data":{"brandsid":"\\udfff\\u0000","brandstatus":"\\ud83d"}}]'
    (notice,) = twilio.parse(RawRequest("POST", URL, {"content-type": "application/json"}, body))
    assert isinstance(notice, RegistrationNotice)
    assert (notice.dedupe, notice.ref_sid, notice.status) == ("a?", "?\ufffd", "?")
