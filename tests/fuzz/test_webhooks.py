"""Carriers' requests, mutated: a short run of the fuzzer on both databases, and the adapters' parsing on its own."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbox import channels
from inbox.channels.base import CallNotice, Inbound, RawRequest, Receipt, RegistrationNotice, Unreadable
from tests.conftest import Bell
from tests.fuzz.webhooks import Attack

COUNT = 500  # of each account's requests, on each database


@pytest.mark.parametrize("swapped", [False, True], ids=["harbor", "north"])
def test_S96_S97_mutated_requests_do_no_harm(app: Flask, bell: Bell, swapped: bool) -> None:
    attack = Attack(app, lambda: bell.rung, f"short {swapped}", swapped=swapped)
    report = attack.run(COUNT)
    assert not report.findings, "\n\n".join(report.findings)
    assert report.sent == COUNT and report.stored > COUNT / 5 and report.problems > 10 and report.statuses[403] > COUNT / 20, report


NAMES = st.sampled_from(
    ["MessageSid", "SmsSid", "From", "To", "Body", "NumMedia", "MediaUrl0", "MediaContentType0", "MessageStatus", "SmsStatus", "ErrorCode", "CallSid", "CallStatus", "DialCallStatus", "CallDuration", "OptOutType", "ref", "m", "from", "to", "at", "coding", "smsc", "foreign", "id", "type", "answer", "sig"]
)
VALUES = st.one_of(st.text(max_size=40), st.sampled_from(["received", "delivered", "sent", "+14155550134", "STOP", "9" * 30, "\x00", "1", "16"]))
FIELDS = st.lists(st.tuples(st.one_of(NAMES, st.text(max_size=8)), VALUES), max_size=12)
JSONS = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)), lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=4)), max_leaves=12)
TYPES = st.sampled_from(["application/x-www-form-urlencoded", "application/json", "text/plain", 'text/plain; charset="UTF-16BE"', "", "\xff"])


@pytest.mark.parametrize("kind", ["twilio", "kannel"])
@pytest.mark.parametrize("name", ["sender", "provider id", "ref", "error code", "call sid"])
def test_S97_a_number_or_an_id_longer_than_any_real_one_is_unreadable(kind: str, name: str) -> None:
    long = "9" * 90
    bodies = {
        "sender": {"MessageSid": "SM1", "From": long}, "provider id": {"MessageSid": long, "From": "+14155550134"}, "ref": {"MessageSid": "SM1", "MessageStatus": "sent"},
        "error code": {"MessageSid": "SM1", "MessageStatus": "failed", "ErrorCode": long}, "call sid": {"CallSid": long, "CallStatus": "ringing", "From": "+14155550134"},
    }
    queries = {"sender": f"from={long}&to=1", "provider id": f"ref={long}&type=1", "ref": f"ref={long[:60]}&type=1"}
    if kind == "kannel" and name not in queries:
        return
    query = f"ref={long}" if kind == "twilio" and name == "ref" else queries[name] if kind == "kannel" else ""
    raw = RawRequest("POST", f"https://x.example/hooks/sms/t/messages?{query}", {"content-type": "application/x-www-form-urlencoded"}, encoded(list(bodies[name].items())))
    with pytest.raises(Unreadable, match=name):
        channels.of_kind(kind).parse(raw)


def encoded(fields: list[tuple[str, str]]) -> bytes:
    return "&".join(f"{quote(name, errors='replace')}={quote(value, errors='replace')}" for name, value in fields).encode()


def notices(data: object, broken: bool) -> bytes:
    import json

    event = {"type": "com.twilio.messaging.compliance.brand-registration.brand-failure", "id": data, "data": {"brandsid": data, "brandstatus": data}}
    return json.dumps([event, data]).encode()[: -1 if broken else None]


@st.composite
def requests(draw: st.DrawFn) -> RawRequest:
    body = draw(st.one_of(st.binary(max_size=200), FIELDS.map(encoded), st.builds(notices, JSONS | st.text(st.characters(categories=["Cs", "L"]), max_size=3), st.booleans())))
    query = draw(st.one_of(st.just(""), FIELDS.map(lambda fields: "?" + encoded(fields).decode()), st.text(st.characters(max_codepoint=255), max_size=60).map(lambda text: "?" + text)))
    headers = draw(st.fixed_dictionaries({"content-type": TYPES}, optional={"x-twilio-signature": st.text(max_size=40), "x-twilio-webhooks-signature-settings": st.text(max_size=40)}))
    return RawRequest(draw(st.sampled_from(["POST", "GET"])), f"https://x.example/hooks/sms/t/messages{query}", headers, body)


@pytest.mark.parametrize("kind", ["twilio", "kannel"])
@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(raw=requests())
def test_S97_any_request_is_read_or_unreadable(kind: str, raw: RawRequest) -> None:
    adapter = channels.of_kind(kind)
    try:
        events = adapter.parse(raw)
    except Unreadable as error:
        assert error.reason.endswith(".")
        return
    assert events == adapter.parse(raw)
    for event in events:
        assert isinstance(event, Inbound | Receipt | RegistrationNotice | CallNotice) and event.dedupe
        assert "\x00" not in repr(event).replace("\\x00", "\x00"), "no database keeps a NUL"
        repr(vars(event)).encode()
        for value in vars(event).values():
            if isinstance(value, str):
                value.encode()  # nor half a pair
