"""The adapter's calls: against the sandbox carrier, and against servers that misbehave."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest

from inbox import channels, clock
from inbox.channels import twilio as module
from inbox.channels.base import (
    AccountProblem,
    Credentials,
    Doubtful,
    NumberTaken,
    Outgoing,
    PermanentFailure,
    Status,
    TemporaryFailure,
    Uncertain,
)
from tests.channels.conftest import Sandbox
from tests.channels.test_a2p import BRAND, CAMPAIGN

twilio = channels.get("sms")
HOOKS = ("http://127.0.0.1:9/messages", "http://127.0.0.1:9/voice", "http://127.0.0.1:9/status")
Answer = tuple[int, dict[str, str], bytes]


def outgoing(
    to: str = "+14155550101", text: str = "Hello", media: tuple[str, ...] = (), sender: str = "+14155550100"
) -> Outgoing:
    return Outgoing("ref1", sender, to, text, media, "")


@contextmanager
def carrier(
    handle: Callable[[str, str, list[tuple[str, str]]], Answer | None],
) -> Iterator[tuple[Credentials, list[Any]]]:
    """A carrier that answers what it is told to, or hangs up on None."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[Any] = []

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            method, path, _ = lines.readline().decode().split(" ", 2)
            headers = {}
            while (line := lines.readline().strip()) != b"":
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            fields = parse_qsl(lines.read(int(headers.get("content-length", "0"))).decode(), keep_blank_values=True)
            seen.append((method, path, fields, headers))
            answer = handle(method, path, fields)
            if answer is None:
                return
            status, extra, body = answer
            head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in extra.items())]
            connection.sendall("\r\n".join([*head, "", ""]).encode() + body)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):  # a client that hangs up early is what some tests want
                serve(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield Credentials("AC1", "secret", base, base, base, (base,)), seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def error(status: int, code: int | None, **headers: str) -> Answer:
    body = json.dumps({"code": code, "message": "No.", "status": status}).encode() if code else b"<html>"
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


# -- how sending can end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (error(429, 20429, Retry_After="7"), TemporaryFailure, "20429"),
        (error(429, None), TemporaryFailure, "20429"),
        (error(503, None), TemporaryFailure, "20503"),
        (error(500, 20500), Doubtful, "20500"),
        (error(500, None), Uncertain, None),
        (error(502, None), Uncertain, None),
        (error(504, None), Uncertain, None),
        (error(400, 21611), TemporaryFailure, "21611"),
        (error(400, 21610), PermanentFailure, "21610"),
        (error(400, 21211), PermanentFailure, "21211"),
        (error(400, 21614), PermanentFailure, "21614"),
        (error(400, 77777), PermanentFailure, "77777"),
        (error(400, None), PermanentFailure, "400"),
        (error(401, 20003), AccountProblem, "20003"),
        (error(401, None), AccountProblem, "20003"),
        (error(400, 21606), AccountProblem, "21606"),
        (error(307, None, Location="http://127.0.0.1:1/"), PermanentFailure, "307"),
        ((201, {}, b"null"), Uncertain, None),
        ((201, {}, b"{}"), Uncertain, None),
        ((201, {}, b'{"sid": 7}'), Uncertain, None),
        ((201, {}, b"["), Uncertain, None),
        (None, Uncertain, None),
    ],
)
def test_send_outcomes(answer: Answer | None, kind: type[Exception], code: str | None) -> None:
    with carrier(lambda *_: answer) as (credentials, seen):
        with pytest.raises(kind) as caught:
            twilio.send(credentials, outgoing())
        assert type(caught.value) is kind
        assert getattr(caught.value, "code", None) == code
        assert str(caught.value).endswith(".")
        assert len(seen) == 1
        if isinstance(caught.value, PermanentFailure):
            assert caught.value.opted_out is (code == "21610")
        if isinstance(caught.value, TemporaryFailure):
            assert caught.value.retry_after == (7.0 if answer and "Retry-After" in answer[1] else None)


def test_a_timeout_after_the_carrier_took_it_is_uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_TIMEOUT", 0.3)
    stop = threading.Event()

    def silent(*_: Any) -> None:
        stop.wait(5)

    with carrier(silent) as (credentials, seen):
        with pytest.raises(Uncertain):
            twilio.send(credentials, outgoing())
        stop.set()
        assert len(seen) == 1


def test_a_refused_connection_is_temporary() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(TemporaryFailure):
        twilio.send(Credentials("AC1", "x", base, base, base, (base,)), outgoing())


def test_a_private_carrier_that_is_not_trusted_is_never_asked() -> None:
    with carrier(lambda *_: None) as (credentials, seen):
        base = credentials.api_base
        with pytest.raises(PermanentFailure):
            twilio.send(Credentials("AC1", "x", base, base, base), outgoing())
        assert seen == []


def test_what_send_posts() -> None:
    row = {"sid": "SM1", "status": "accepted", "num_segments": "0"}
    with carrier(lambda *_: (201, {}, json.dumps(row).encode())) as (credentials, seen):
        text = Outgoing(
            "r",
            "+14155550100",
            "+14155550101",
            "Hi + bye & é 😀",
            ("https://a.b/1", "https://a.b/2"),
            "https://a.b/s?m=r",
        )
        sent = twilio.send(credentials, text)
        assert (sent.provider_id, sent.status, sent.segments) == ("SM1", Status.QUEUED, None)
        method, path, fields, headers = seen[0]
        assert (method, path) == ("POST", "/2010-04-01/Accounts/AC1/Messages.json")
        assert fields == [
            ("To", "+14155550101"),
            ("From", "+14155550100"),
            ("Body", "Hi + bye & é 😀"),
            ("MediaUrl", "https://a.b/1"),
            ("MediaUrl", "https://a.b/2"),
            ("StatusCallback", "https://a.b/s?m=r"),
        ]
        assert headers["authorization"].startswith("Basic ")


def test_lookups_that_fail_are_temporary() -> None:
    for answer in (error(500, None), (200, {}, b"["), (200, {}, b"null"), None):
        with carrier(lambda *_, answer=answer: answer) as (credentials, _), pytest.raises(TemporaryFailure):
            twilio.find(credentials, outgoing(), clock.now())


def test_media_comes_only_from_the_own_account() -> None:
    with carrier(lambda *_: (200, {"Content-Type": "image/png; x=y"}, b"png")) as (credentials, seen):
        own = f"{credentials.api_base}/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1"
        assert twilio.fetch_media(credentials, own) == (b"png", "image/png")
        for url in (
            own.replace("AC1", "AC2"),
            own.replace("127.0.0.1", "localhost"),
            own.replace("AC1/", "AC1/../AC2/"),
            "https://example.com/2010-04-01/Accounts/AC1/x",
            "file:///etc/passwd",
            "nonsense",
            "http://[::1",
        ):
            with pytest.raises(PermanentFailure):
                twilio.fetch_media(credentials, url)
        assert len(seen) == 1
    for answer, kind in (
        (error(404, 20404), PermanentFailure),
        (error(503, None), TemporaryFailure),
        ((200, {}, b"x" * (module.MEDIA_BYTES + 1)), PermanentFailure),
        (error(302, None, Location="http://127.0.0.1:9/"), PermanentFailure),
        (None, TemporaryFailure),
    ):
        with carrier(lambda *_, answer=answer: answer) as (credentials, _), pytest.raises(kind):
            twilio.fetch_media(credentials, f"{credentials.api_base}/2010-04-01/Accounts/AC1/Media/ME1")


def test_a_brand_goes_on_where_it_broke() -> None:
    """Every step fails once; each made piece is made once."""
    made: list[str] = []
    failed: set[str] = set()

    def handle(method: str, path: str, fields: list[tuple[str, str]]) -> Answer:
        place = path.partition("?")[0]
        if method == "GET":
            return 200, {}, b'{"results": [], "data": []}'
        key = f"{place} {dict(fields).get('Type') or dict(fields).get('ObjectSid') or dict(fields).get('Status') or ''}"
        if key not in failed:
            failed.add(key)
            return error(503, None)
        made.append(key)
        return 201, {}, json.dumps({"sid": f"XX{len(made)}", "status": "compliant"}).encode()

    with carrier(handle) as (credentials, _):
        sids: dict[str, str] = {}
        saved: list[dict[str, str]] = []
        for _ in range(40):
            try:
                assert twilio.submit_brand(credentials, BRAND, sids, saved.append) is sids
                break
            except TemporaryFailure:
                sids = dict(saved[-1]) if saved else sids
        assert "brand" in sids
        assert [key for key in made if "Evaluations" not in key] == sorted(
            {key for key in made if "Evaluations" not in key}, key=made.index
        )
        assert made[-1].startswith("/v1/a2p/BrandRegistrations")


@pytest.mark.parametrize("answer", [{"status": "BRAND_NEW_STATE"}, {"status": None}, {}])
def test_unknown_states_are_in_review(answer: dict[str, Any]) -> None:
    with carrier(lambda *_: (200, {}, json.dumps(answer).encode())) as (credentials, _):
        assert twilio.registration_status(credentials, {"brand": "BN1"}).state == "in_review"


def test_errors_land_at_our_fields() -> None:
    def handle(method: str, path: str, fields: Any) -> Answer:
        if "BrandRegistrations" in path:
            return 200, {}, b'{"status": "APPROVED"}'
        errors = [
            {"error_code": 30897, "fields": ["MESSAGE_FLOW", "MESSAGE_SAMPLES"], "description": "x"},
            {"error_code": 99999, "fields": [], "description": "Something new."},
            "odd",
        ]
        return 200, {}, json.dumps({"campaign_status": "FAILED", "errors": errors}).encode()

    with carrier(handle) as (credentials, _):
        status = twilio.registration_status(credentials, {"brand": "BN1", "service": "MG1", "campaign": "QE1"})
        assert (status.state, status.provider_state) == ("rejected", "campaign failed")
        assert [(issue.field, issue.code) for issue in status.issues] == [
            ("message_flow", "30897"),
            ("sample_1", "30897"),
            (None, "99999"),
        ]
        assert status.issues[2].message == "Something new."


# -- against the sandbox carrier ---------------------------------------------------------------------------------


def own_number(sandbox: Sandbox) -> str:
    """A number of the account that may text: its registration is not what is tested."""
    sandbox.control("settings", {"require_registration": False})
    [offer, *_] = twilio.search_numbers(sandbox.credentials, "415", "")
    return twilio.buy_number(sandbox.credentials, offer.e164, *HOOKS).e164


def test_numbers_are_found_bought_configured_and_released(sandbox: Sandbox) -> None:
    credentials = sandbox.credentials
    exchange = twilio.search_numbers(credentials, "415")[0].e164[5:8]
    first = twilio.search_numbers(credentials, "415", exchange, limit=3)
    second = twilio.search_numbers(credentials, "415", exchange, limit=3, page=1)
    assert len(first) == len(second) == 3
    assert not {number.e164 for number in first} & {number.e164 for number in second}
    assert all(number.e164.startswith(f"+1415{exchange}") and number.sms for number in first)
    owned = twilio.buy_number(credentials, first[0].e164, *HOOKS)
    assert owned.e164 == first[0].e164
    assert twilio.owned_number(credentials, owned.e164) == owned
    with pytest.raises(PermanentFailure):
        twilio.buy_number(credentials, first[0].e164, *HOOKS)
    sandbox.fault("number_taken", match=first[1].e164)
    with pytest.raises(NumberTaken):
        twilio.buy_number(credentials, first[1].e164, *HOOKS)
    twilio.configure_number(credentials, owned.sid, *(url.replace(":9", ":8") for url in HOOKS))
    twilio.release_number(credentials, owned.sid)
    twilio.release_number(credentials, owned.sid)
    assert twilio.owned_number(credentials, owned.e164) is None
    for area_code, prefix in (("41", ""), ("", ""), ("abc", ""), ("415", "55x"), ("415", "12345678")):
        with pytest.raises(PermanentFailure):
            twilio.search_numbers(credentials, area_code, prefix)


def test_a_number_bought_without_an_answer_is_found(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_TIMEOUT", 0.5)
    [offer, *_] = twilio.search_numbers(sandbox.credentials, "415", "")
    sandbox.fault("timeout", match="IncomingPhoneNumbers", seconds=1)
    assert twilio.buy_number(sandbox.credentials, offer.e164, *HOOKS).e164 == offer.e164


def test_texts_and_the_lookup_of_a_lost_answer(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials, number = sandbox.credentials, own_number(sandbox)
    sent = twilio.send(credentials, outgoing(text="Hello é", sender=number))
    assert sent.provider_id.startswith("SM")
    assert sent.segments == 1
    monkeypatch.setattr(module, "SEND_TIMEOUT", 0.5)
    since, lost = clock.now(), outgoing(text="Was it sent?", sender=number)
    assert twilio.find(credentials, lost, since) is None
    sandbox.fault("timeout", match="Messages.json", seconds=1)
    with pytest.raises(Uncertain):
        twilio.send(credentials, lost)
    found = twilio.find(credentials, lost, since)
    assert found is not None
    assert twilio.find(credentials, lost, since, {found.provider_id}) is None
    sandbox.fault("list_lag", seconds=60)
    assert twilio.find(credentials, lost, since) is None, "the list may lag behind"
    assert twilio.find(credentials, lost, since) == found
    assert twilio.find(credentials, lost, clock.now() + timedelta(minutes=5)) is None
    assert twilio.find(credentials, outgoing(text="Other", sender=number), since) is None
    assert twilio.find(credentials, outgoing("+14155550102", "Was it sent?", sender=number), since) is None


@pytest.mark.parametrize(
    ("kind", "options", "failure"),
    [
        ("429", {}, TemporaryFailure),
        ("500", {}, Doubtful),
        ("500_after", {}, Doubtful),
        ("drop", {}, Uncertain),
        ("api_error", {"status": 400, "code": 21610, "message": "unsubscribed"}, PermanentFailure),
        ("api_error", {"status": 400, "code": 21408, "message": "region"}, PermanentFailure),
        ("api_error", {"status": 401, "code": 20003, "message": "denied"}, AccountProblem),
    ],
)
def test_faults_of_the_sandbox(sandbox: Sandbox, kind: str, options: dict[str, Any], failure: type[Exception]) -> None:
    number = own_number(sandbox)
    sandbox.fault(kind, match="Messages.json", **options)
    with pytest.raises(failure) as caught:
        twilio.send(sandbox.credentials, outgoing(sender=number))
    assert type(caught.value) is failure
    assert twilio.send(sandbox.credentials, outgoing(sender=number)).provider_id


@pytest.mark.parametrize(
    ("digits", "status", "code"),
    [
        ("00", "delivered", None),
        ("50", "undelivered", 30003),
        ("51", "undelivered", 30004),
        ("52", "undelivered", 30005),
    ]
    + [("53", "undelivered", 30006), ("54", "undelivered", 30007), ("55", "undelivered", 30008)],
)
def test_magic_numbers_end_as_their_codes_say(sandbox: Sandbox, digits: str, status: str, code: int | None) -> None:
    number = own_number(sandbox)
    sent = twilio.send(sandbox.credentials, outgoing(f"+141555501{digits}", sender=number))
    path = f"/2010-04-01/Accounts/{sandbox.credentials.account_sid}/Messages/{sent.provider_id}.json"
    deadline = time.monotonic() + 10
    while (row := sandbox.api(path))["status"] not in ("delivered", "undelivered", "failed"):
        assert time.monotonic() < deadline, row
    assert (row["status"], row["error_code"]) == (status, code)
    assert str(code) not in twilio.explain(str(code) if code else None)


def test_a_landline_is_refused_at_once(sandbox: Sandbox) -> None:
    with pytest.raises(PermanentFailure) as caught:
        twilio.send(sandbox.credentials, outgoing("+14155550165", sender=own_number(sandbox)))
    assert caught.value.code == "21614"


def test_wrong_credentials_are_an_account_problem(sandbox: Sandbox) -> None:
    base = sandbox.base
    with pytest.raises(AccountProblem):
        twilio.search_numbers(Credentials("AC" + "1" * 32, "wrong", base, base, base, (base,)), "415", "")


def test_services_are_made_once_and_numbers_join_once(sandbox: Sandbox) -> None:
    credentials = sandbox.credentials
    service = twilio.ensure_service(credentials, "Support", HOOKS[0], HOOKS[2])
    assert twilio.ensure_service(credentials, "Support", HOOKS[0], HOOKS[2]) == service
    assert twilio.ensure_service(credentials, "Sales", HOOKS[0], HOOKS[2]) != service
    [offer, *_] = twilio.search_numbers(credentials, "415", "")
    owned = twilio.buy_number(credentials, offer.e164, *HOOKS)
    twilio.attach_number(credentials, service, owned.sid)
    twilio.attach_number(credentials, service, owned.sid)
    sink = twilio.subscribe_registration_events(credentials, "http://127.0.0.1:9/events")
    assert twilio.subscribe_registration_events(credentials, "http://127.0.0.1:9/events") == sink


def wait(sandbox: Sandbox, refs: dict[str, str], *states: str) -> Any:
    deadline = time.monotonic() + 20
    while True:
        status = twilio.registration_status(sandbox.credentials, refs)
        if status.provider_state in states:
            return status
        assert time.monotonic() < deadline, status
        sandbox.control("clock", {"advance": 5})


def test_a_registration_from_form_to_approval(sandbox: Sandbox) -> None:
    credentials = sandbox.credentials
    refs = {"service": twilio.ensure_service(credentials, "Support", HOOKS[0], HOOKS[2])}
    refs |= twilio.submit_brand(credentials, BRAND, dict(refs))
    assert refs["brand"].startswith("BN")
    assert twilio.submit_brand(credentials, BRAND, dict(refs)) == refs
    assert wait(sandbox, refs, "brand approved").state == "in_review"
    refs["campaign"] = twilio.submit_campaign(credentials, refs["service"], refs["brand"], CAMPAIGN)
    assert refs["campaign"].startswith("QE")
    assert twilio.submit_campaign(credentials, refs["service"], refs["brand"], CAMPAIGN) == refs["campaign"]
    assert wait(sandbox, refs, "campaign verified").state == "approved"


def test_a_registration_that_is_turned_down_is_corrected(sandbox: Sandbox) -> None:
    credentials = sandbox.credentials
    refs = {"service": twilio.ensure_service(credentials, "Support", HOOKS[0], HOOKS[2])}
    wrong = {**BRAND, "brand_legal_name": "Mismatch Bakery"}
    refs |= twilio.submit_brand(credentials, wrong, dict(refs))
    status = wait(sandbox, refs, "brand failed")
    assert status.state == "rejected"
    assert {issue.field for issue in status.issues} == {"brand_ein", "brand_legal_name"}
    brand = refs["brand"]
    refs |= twilio.submit_brand(credentials, BRAND, dict(refs))
    assert refs["brand"] == brand
    wait(sandbox, refs, "brand approved")
    bad = {**CAMPAIGN, "description": "Bluebird Bakery sends its customers casino and betting news every day."}
    refs["campaign"] = twilio.submit_campaign(credentials, refs["service"], refs["brand"], bad)
    status = wait(sandbox, refs, "campaign failed")
    assert status.state == "rejected"
    assert status.issues
    again = twilio.submit_campaign(credentials, refs["service"], refs["brand"], CAMPAIGN)
    assert again == refs["campaign"]
    assert wait(sandbox, refs, "campaign verified").state == "approved"
