"""Channel health: what a check finds is named with the setting at fault; errors in words; what waits; a replay from the form to the result."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from werkzeug.serving import make_server

from inbox import channels, clock, heartbeat, refusals, vitals
from inbox.channels.base import Receipt, Status
from inbox.models import Carrier, CarrierCheck, Conversation, Dispatch, Event, Inbox, Message, ReceiptRow, Replay, WebhookEvent, db, transaction, trouble
from inbox.models.secret import encrypt
from inbox.permissions import Permission
from inbox.sandbox.wire import signature
from jobs import replay_events as job
from tests.conftest import SID, TOKEN, free_port
from tests.world import World

PAGE = "/settings/health"


# this folder has an older set of fixtures; the cast of the whole suite is used here
@pytest.fixture
def app(suite_app: Flask) -> Flask:
    return suite_app


@pytest.fixture
def dana(app: Flask, world: World) -> Any:
    return app.test_client().sign_in(world.dana)  # type: ignore[attr-defined]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose parts all live and have nothing to do."""
    monkeypatch.setattr(vitals, "parts", list)


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace(" .", ".")


def url(world: World, what: str, carrier: Carrier | None = None) -> str:
    return f"{PAGE}/{(carrier or world.carrier).public_id}/{what}"


def check(world: World, kind: str, carrier: Carrier | None = None) -> CarrierCheck:
    db.session.expire_all()
    return CarrierCheck.of(world.harbor.id)[(carrier or world.carrier).id, kind]


def tell(world: World, **settings: str) -> None:
    with transaction():
        for name, value in settings.items():
            setattr(world.carrier, name, value)


@contextmanager
def serving(server: Any) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


def answering(status: int, body: bytes = b"hello", **headers: str) -> ThreadingHTTPServer:
    """A server that always answers the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None: ...

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


# -- credentials -------------------------------------------------------------------------------------------------


def test_CH_1_good_credentials_are_said_to_be_good(world: World, dana: Any, sandbox_app: Any) -> None:
    answer = dana.send(url(world, "credentials"), htmx=True)
    assert answer.status_code == 200 and "accepts the credentials" in answer.text and answer.text.lstrip().startswith("<li")
    found = check(world, "credentials")
    assert found.well and found.field is None and abs((clock.now() - found.at).total_seconds()) < 60
    assert dana.send(url(world, "credentials")).status_code == 303, "without htmx: back to the page"
    assert "accepts the credentials" in dana.get(PAGE).text


@pytest.mark.parametrize(
    ("settings", "field", "word"),
    [
        ({"account_sid": "XX" + "5" * 32}, "account_sid", "starts with AC"),
        ({"auth_token": "f" * 32}, "auth_token", "does not accept the auth token"),
        ({"api_base": "http://127.0.0.1:9"}, "api_base", "can&#39;t be reached"),
    ],
)
def test_CH_1_the_wrong_field_is_named(world: World, dana: Any, sandbox_app: Any, settings: dict[str, str], field: str, word: str) -> None:
    tell(world, **{name: encrypt(value) if name == "auth_token" else value for name, value in settings.items()})
    answer = dana.send(url(world, "credentials"), htmx=True).text
    found = check(world, "credentials")
    assert not found.well and found.field == field and word in answer and "TWILIO_" in answer or field == "api_base"


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("status", "body", "field", "word"),
    [
        (200, b'{"sid": "%s", "status": "suspended"}' % SID.encode(), None, "suspended"), (401, b'{"code": 20005}', None, "not active"), (404, b"{}", "account_sid", "does not know"),
        (200, b'{"sid": "AC%s", "status": "active"}' % (b"9" * 32), "account_sid", "another account"), (200, b"<h1>Hi</h1>", "api_base", "status 200"),
        (503, b"", "api_base", "too busy"),
    ],
)
def test_CH_1_what_the_carrier_says_of_the_account_is_told(world: World, dana: Any, status: int, body: bytes, field: str | None, word: str) -> None:
    with serving(answering(status, body)) as base:
        tell(world, api_base=base, messaging_base=base, trusthub_base=base)
        assert word in dana.send(url(world, "credentials"), htmx=True).text
    found = check(world, "credentials")
    assert not found.well and found.field == field


@pytest.mark.one_database
def test_CH_1_a_silent_carrier_is_given_five_seconds_and_no_transaction(world: World, dana: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def request(*args: Any, **kwargs: Any) -> Any:
        seen.update(timeout=kwargs["timeout"], held=db.session.registry().in_transaction())
        raise channels.twilio.net.Unknown("No complete answer came back (ReadTimeout).")

    monkeypatch.setattr(channels.twilio.net, "request", request)
    assert "did not answer" in dana.send(url(world, "credentials"), htmx=True).text
    assert seen == {"timeout": 5.0, "held": False}


# -- our own webhook ---------------------------------------------------------------------------------------------


@pytest.fixture
def front_door(app: Flask, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The app on a real port, which is its public address."""
    with serving(make_server("127.0.0.1", 0, app, threaded=True)) as base:
        monkeypatch.setitem(app.config, "PUBLIC_URL", base)
        tell(world, public_url=base)
        yield base


def tried(world: World, dana: Any, carrier: Carrier | None = None) -> tuple[bool, str]:
    assert dana.send(url(world, "webhook", carrier), htmx=True).status_code == 200
    found = check(world, "webhook", carrier)
    return found.well, found.sentence


def test_CH_1_the_webhook_is_tried_from_the_outside_and_leaves_nothing(world: World, dana: Any, front_door: str) -> None:
    well, sentence = tried(world, dana)
    assert well and re.search(r"accepted, in \d+ ms", sentence), sentence
    assert db.session.scalar(sa.select(sa.func.count(WebhookEvent.id))) == 0
    with transaction():
        gateway = Carrier.add(
            world.harbor, channels.gateway().kind, name="SMPP", api_base="https://sms.example.com/send", user="u", password="p", sender="+14155550188",
            public_url=front_door, by=world.dana,
        )
    well, sentence = tried(world, dana, gateway)
    assert well, sentence


def test_S96_the_test_address_is_as_closed_as_the_others(world: World, client: Any) -> None:
    path = f"/hooks/sms/{world.carrier.hook_token}/test"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post(path, data="a=b", headers=form).status_code == 403
    assert client.get(path).status_code == 405
    good = signature(TOKEN, "http://localhost" + path, [("a", "b")])
    one, two = (client.post(path, data=f"a={value}", headers={**form, "X-Twilio-Signature": good}) for value in "bc")
    assert one.status_code == 200 and two.status_code == 403
    assert client.post(path.replace(world.carrier.hook_token, "nobody"), data="a=b", headers={**form, "X-Twilio-Signature": good}).status_code == 404
    real = client.post(path.replace("/test", "/messages"), data="a=b", headers={**form, "X-Twilio-Signature": good})
    assert real.status_code == 403, "its signature opens no other address"


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("server", "word"),
    [
        (lambda: answering(301, Location="https://inbox.example.com/hooks/x"), "redirects to inbox.example.com"), (lambda: answering(403), "signature was refused"),
        (lambda: answering(404), "does not know this carrier"), (lambda: answering(400), "does not answer to that host name"), (lambda: answering(502), "status 502"),
        (lambda: answering(200), "Another server answers"), (lambda: answering(401), "asks for a password"),
    ],
)
def test_CH_1_what_stands_before_the_webhook_is_named(world: World, dana: Any, server: Callable[[], Any], word: str) -> None:
    with serving(server()) as base:
        tell(world, public_url=base)
        well, sentence = tried(world, dana)
    assert not well and word in sentence, sentence


@pytest.mark.one_database
def test_CH_1_name_connection_and_certificate_are_told_apart(world: World, dana: Any, tmp_path: Path) -> None:
    tell(world, public_url="https://nowhere.invalid")
    assert "The name nowhere.invalid can’t be found" in tried(world, dana)[1]
    tell(world, public_url=f"http://127.0.0.1:{free_port()}")
    assert "connection was refused" in tried(world, dana)[1]
    with serving(answering(200)) as base:
        tell(world, public_url=base.replace("http:", "https:"))
        assert "does not speak TLS" in tried(world, dana)[1]
    server = answering(200)
    server.socket = _tls(tmp_path).wrap_socket(server.socket, server_side=True)
    with serving(server) as base:
        tell(world, public_url=base.replace("http:", "https:"))
        assert "certificate of 127.0.0.1 is not valid: self-signed certificate" in tried(world, dana)[1]


def _tls(folder: Path) -> ssl.SSLContext:
    """A server's side with a certificate nobody signed but itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1).not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1)).add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


def test_CH_1_a_public_address_that_changed_is_named_and_taken_over(app: Flask, world: World, dana: Any, front_door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "PUBLIC_URL", front_door.replace("127.0.0.1", "localhost"))
    well, sentence = tried(world, dana)
    assert not well and "PUBLIC_URL is http://localhost" in sentence
    assert "was told" in dana.get(PAGE).text
    assert dana.send(url(world, "address")).status_code == 303
    db.session.expire_all()
    assert world.carrier.public_url.startswith("http://localhost:") and tried(world, dana)[0]
    assert db.session.scalar(sa.select(Event).where(Event.kind == "carrier.changed")).data["after"] == {"public_url": world.carrier.public_url}
    assert "was told" not in dana.get(PAGE).text


def test_CH_1_refused_signatures_are_counted(world: World, dana: Any, client: Any, monkeypatch: pytest.MonkeyPatch, quiet: None) -> None:
    noted: list[int] = []
    monkeypatch.setattr(refusals, "note", noted.append)
    monkeypatch.setattr(refusals, "counts", lambda ids: {each: noted.count(each) for each in ids if each in noted})
    for kind in ("messages", "messages", "status"):
        assert client.post(f"/hooks/sms/{world.carrier.hook_token}/{kind}", data={"a": "b"}).status_code == 403
    assert noted == [world.carrier.id] * 3
    assert "3 requests were refused in the last 7 days" in words(dana.get(PAGE).text)


# -- numbers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def bought(world: World, sandbox_app: Any) -> Iterator[dict[str, str]]:
    """Front Desk's number at the carrier, pointed elsewhere; the pharmacy's is not there. Returns number -> id."""
    adapter, given = world.carrier.adapter, world.carrier.credentials
    for each in adapter.number_addresses(given):
        adapter.release_number(given, each.sid)
    owned = adapter.buy_number(given, "+14155550100", "https://old.example.com/sms", "", world.carrier.hook("status"))
    with transaction():
        world.front.number_sid = owned.sid
    yield {"+14155550100": owned.sid}
    adapter.release_number(given, owned.sid)


def test_CH_1_numbers_that_call_elsewhere_are_named_and_fixed(world: World, dana: Any, bought: dict[str, str]) -> None:
    answer = words(dana.send(url(world, "numbers"), htmx=True).text)
    assert "of 3 numbers do not call this server" in answer and "Front Desk" in answer and "Texts go to old.example.com. Calls go nowhere." in answer
    assert "The carrier account does not have this number." in answer and world.carrier.hook_token not in answer
    assert [each["inbox"] for each in check(world, "numbers").details] == [world.waiting.id, world.front.id, world.pharmacy.id]
    assert dana.send(url(world, f"numbers/{world.front.public_id}")).status_code == 303
    assert [each["inbox"] for each in check(world, "numbers").details] == [world.waiting.id, world.pharmacy.id]
    now = world.carrier.adapter.number_addresses(world.carrier.credentials)
    assert [(each.sms_url, each.voice_url) for each in now] == [(world.carrier.hook("messages"), world.carrier.hook("voice"))]
    event = db.session.scalar(sa.select(Event).where(Event.kind == "inbox.number_pointed"))
    assert event.inbox_id == world.front.id and event.actor_id == world.dana.id


def test_CH_1_an_application_in_place_of_our_address_is_seen_and_removed(world: World, dana: Any, bought: dict[str, str]) -> None:
    from inbox.channels.twilio import _account, _call

    given = world.carrier.credentials
    _call(given, "POST", _account(given, f"IncomingPhoneNumbers/{bought['+14155550100']}.json"), [("SmsUrl", world.carrier.hook("messages")), ("SmsApplicationSid", "AP" + "1" * 32)])
    assert "Texts go nowhere" in dana.send(url(world, "numbers"), htmx=True).text
    dana.send(url(world, f"numbers/{world.front.public_id}"))
    assert world.front.id not in [each["inbox"] for each in check(world, "numbers").details]


def test_CH_1_a_gateway_hides_what_it_has_not(world: World, dana: Any, quiet: None) -> None:
    with transaction():
        gateway = Carrier.add(
            world.harbor, channels.gateway().kind, name="SMPP", api_base="http://127.0.0.1:9/send", user="u", password="p", sender="+14155550188", public_url="http://localhost",
            by=world.dana,
        )
    html = dana.get(PAGE).text
    assert url(world, "credentials", gateway) in html and url(world, "webhook", gateway) in html and url(world, "numbers", gateway) not in html
    assert dana.send(url(world, "numbers", gateway)).status_code == 404
    assert dana.send(url(world, f"numbers/{world.front.public_id}", gateway)).status_code == 404
    dana.send(url(world, "credentials", gateway))
    found = check(world, "credentials", gateway)
    assert found.field == "api_base" and not found.well and f"/settings/carriers/{gateway.public_id}" in dana.get(PAGE).text
    with transaction():
        gateway.remove(by=world.dana)
    assert CarrierCheck.of(world.harbor.id) == {}


# -- what goes wrong, in words -----------------------------------------------------------------------------------


def fail(world: World, conversation: Conversation, code: str, by: Any = None) -> Message:
    message = world.reply(conversation, by or world.maya)
    with transaction():
        ReceiptRow.take(conversation.account_id, Receipt(f"{message.id}:x", f"SM{message.id}", message.ref, Status.UNDELIVERED, code, "x", None))
    return message


def test_MSG_5_failed_texts_are_grouped_explained_and_linked_for_who_may_open_them(app: Flask, world: World, dana: Any, quiet: None) -> None:
    here, there = world.conversation(), world.conversation("CANARY", sender="+14155550166", inbox=world.pharmacy)
    for _ in range(2):
        fail(world, here, "30003")
    fail(world, there, "30005", world.dana)
    fail(world, world.conversation("x", sender="+12065550134", inbox=world.reception), "30007", world.nina)
    html = dana.get(PAGE).text
    assert "The phone was off or out of reach. Try once more later." in html and "30007" not in html
    assert f"/c/{here.public_id}" in html and f"/c/{there.public_id}" in html
    groups = {group.code: group for group in trouble.failed(world.dana)}
    assert groups["30003"].count == 2 and groups["30005"].inbox == "Pharmacy"
    other = app.test_client().sign_in(world.ada).get(PAGE).text  # type: ignore[attr-defined]
    assert f"/c/{here.public_id}" in other and f"/c/{there.public_id}" not in other, "Ada is not in the pharmacy"
    clock.shift(8 * 86400)
    assert trouble.failed(world.dana) == []


def test_MSG_5_a_personal_inbox_s_failures_are_nobody_else_s_business(world: World) -> None:
    conversation = world.conversation()
    fail(world, conversation, "30003")
    with transaction():
        world.front.owner_id = world.maya.id
    assert trouble.failed(world.dana) == []


def post(world: World, client: Any, fields: dict[str, str]) -> None:
    path = f"/hooks/sms/{world.carrier.hook_token}/messages"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature(TOKEN, "http://localhost" + path, list(fields.items()))}
    assert client.post(path, data=urlencode(fields), headers=headers).status_code == 200


def test_CH_1_requests_that_could_not_be_used_are_told_and_lead_to_their_replay(world: World, dana: Any, client: Any, bell: Any, quiet: None) -> None:
    for n in range(3):
        post(world, client, {"MessageSid": f"SM{n:032x}", "AccountSid": SID, "From": "+14155550134", "To": "+14155559999", "Body": "CANARY"})
    bell.work()
    html = dana.get(PAGE).text
    assert "No inbox has the number +14155559999." in html and "CANARY" not in html
    link = re.search(r'href="(/settings/health/replays\?[^"]+)"', html)
    assert link and "kind=messages" in link[1]
    form = dana.get(link[1].replace("&amp;", "&")).text
    assert re.search(r'<option selected value="messages">', form)


def test_REG_2_a_registration_in_trouble_is_told(world: World, dana: Any, quiet: None) -> None:
    with transaction():
        world.waiting_registration.state, world.waiting_registration.problem = "rejected", "The carrier did not answer."
    html = words(dana.get(PAGE).text)
    assert "Annex" in html and "The carriers turned it down." in html and "The carrier did not answer." in html


# -- what waits --------------------------------------------------------------------------------------------------


def test_L04_what_waits_turns_amber_then_red_and_held_texts_are_not_late(app: Flask, world: World, dana: Any, client: Any, quiet: None) -> None:
    assert "Everything moves" in dana.get(PAGE).text
    conversation = world.conversation()
    message = world.reply(conversation, world.maya)
    post(world, client, {"MessageSid": "SM" + "9" * 32, "AccountSid": SID, "From": "+14155550134", "To": world.front.phone or "", "Body": "Hi"})
    part = dana.part(f"{PAGE}/queues").text
    assert "Everything moves" in part and "1 text waits, the first for" in part and 'hx-trigger="every 10s"' in part and "<html" not in part
    clock.shift(90)
    assert "Something is late" in dana.part(f"{PAGE}/queues").text
    clock.shift(900)
    part = dana.part(f"{PAGE}/queues").text
    assert "Something is stuck" in part and "the first for 16 minutes" in part
    with transaction():
        db.session.execute(sa.update(WebhookEvent).values(applied_at=clock.now()))
        Dispatch.of(message).held_until = clock.now() + dt.timedelta(hours=9)
    assert "Everything moves" in dana.part(f"{PAGE}/queues").text
    assert app.test_client().sign_in(world.nina).part(f"{PAGE}/queues").text.count("nothing waits") == 2  # type: ignore[attr-defined]
    assert dana.get(f"{PAGE}/queues").status_code == 303, "a person who follows it gets the page"


@pytest.mark.one_database
def test_L04_parts_and_queues_are_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Queue:
        def __init__(self, name: str) -> None:
            self.count = 3 if name == "send" else 0

        def get_jobs(self, *_: int) -> list[Any]:
            return [type("Job", (), {"enqueued_at": dt.datetime.fromtimestamp(time.time() - 120, dt.UTC)})()]

    monkeypatch.setattr(heartbeat, "alive", lambda part: 2 if part == "worker" else 0)
    monkeypatch.setattr(vitals.background, "queue", Queue)
    found = {signal.name: signal for signal in vitals.parts()}
    assert (found["Workers"].level, found["Workers"].words) == ("ok", "2 at work")
    assert found["Scheduler"].level == "bad" and found["Replies"].level == "warn" and found["Replies"].words == "the first waits for 2 minutes"
    assert vitals.worst(list(found.values())) == "bad"
    assert [vitals.lasted(n) for n in (1, 59, 119, 120, 7199, 7200, 90000, 200000)] == [
        "1 second", "59 seconds", "119 seconds", "2 minutes", "119 minutes", "2 hours", "1 day", "2 days",
    ]


# -- replay ------------------------------------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = type("Lock", (), {"acquire": lambda *_, **__: True, "extend": lambda *_, **__: True, "release": lambda *_: None})
    client = type("Client", (), {"lock": lambda *_, **__: lock()})()
    monkeypatch.setattr(job, "redis", type("Handle", (), {"client": client}))


def test_API_2_a_replay_from_the_form_to_the_result(app: Flask, world: World, dana: Any, client: Any, bell: Any, alone: None, quiet: None) -> None:
    post(world, client, {"MessageSid": "SM" + "8" * 32, "AccountSid": SID, "From": "+14155550134", "To": "+14155559999", "Body": "CANARY words"})
    bell.work()
    with transaction():
        world.pharmacy.phone = "+14155559999"
    today = clock.now().date()
    days = {"carrier": world.carrier.public_id, "since": str(today - dt.timedelta(days=1)), "until": str(today + dt.timedelta(days=1)), "kind": "", "inbox": ""}
    for wrong, word in (({"since": "soon"}, "Enter a day"), ({"until": "2020-01-01"}, "not before the first"), ({"since": ""}, "Choose the first day"), ({"kind": "events"}, "sent nothing")):
        answer = dana.send(f"{PAGE}/replays", **{**days, **wrong})
        assert answer.status_code == 422 and word in answer.text and f'value="{wrong.get("until", days["until"])}"' in answer.text
    answer = dana.send(f"{PAGE}/replays", **days)
    assert answer.status_code == 303
    where = answer.location
    assert "Trying what would change" in dana.get(where).text and "0 of 1" in words(dana.part(f"{where}/progress").text)
    db.session.rollback()
    with app.app_context():
        bell.work()
    page = words(dana.get(where).text)
    assert "What would change" in page and "1 text would be added" in page and "1 request with a problem would be put right" in page and "CANARY" not in page
    assert "Pharmacy" in page and "(415) 555-0134" in page
    assert dana.part(f"{where}/progress").headers["HX-Redirect"] == where
    others = words(app.test_client().sign_in(world.ada).get(where).text)  # type: ignore[attr-defined]
    assert "Pharmacy" in others and "555-0134" not in others, "Ada may not open the pharmacy's conversations"
    assert dana.send(f"{where}/run").status_code == 303
    db.session.rollback()
    with app.app_context():
        bell.work()
    page = words(dana.get(where).text)
    assert "What changed" in page and "1 text was added" in page
    assert db.session.scalar(sa.select(Message.body).where(Message.inbox_id == world.pharmacy.id)) == "CANARY words"
    assert dana.send(f"{where}/run").status_code == 422 and dana.send(f"{where}/cancel").status_code == 422
    assert "No inbox has the number" not in dana.get(PAGE).text
    assert "Done" in words(dana.get(f"{PAGE}/replays").text)


def test_PERM_7_health_is_for_who_manages_all_inboxes_of_the_account(app: Flask, world: World, quiet: None) -> None:
    with transaction():
        theirs = Replay(account_id=world.north.id, carrier_id=world.north_carrier.id, member_id=world.nina.id, since=clock.now(), until=clock.now(), state="checked").save()
        CarrierCheck.put(world.north_carrier.id, "credentials", well=False, sentence="CANARY")
    for name, status in {"dana": 200, "ada": 200, "maya": 403, "sven": 403, "vera": 403}.items():
        who = app.test_client().sign_in(getattr(world, name))  # type: ignore[attr-defined]
        for path in (PAGE, f"{PAGE}/replays"):
            answer = who.get(path)
            assert answer.status_code == status and "CANARY" not in answer.text, (name, path)
        for what in ("credentials", "webhook", "numbers", "address"):
            assert who.send(url(world, what, world.north_carrier)).status_code == (404 if status == 200 else 403)
        for method, path in (("GET", ""), ("GET", "/progress"), ("POST", "/run"), ("POST", "/cancel")):
            where = f"{PAGE}/replays/{theirs.public_id}{path}"
            answer = who.get(where) if method == "GET" else who.send(where)
            assert answer.status_code == (404 if status == 200 else 403)
    assert "Channel health" in app.test_client().sign_in(world.dana).get(PAGE).text  # type: ignore[attr-defined]
    scoped = _of_one_team(world)
    assert app.test_client().sign_in(scoped).get(PAGE).status_code == 403  # type: ignore[attr-defined]


def _of_one_team(world: World) -> Any:
    """Somebody who manages the inboxes of one team only."""
    from inbox.models import Grant, Member, Role

    with transaction():
        role = Role.create(world.harbor, name="Team inboxes", permissions={Permission.INBOXES_MANAGE}, by=world.dana)
        who = Member.join(world.harbor, email="team@harbor.example", name="Tina Team", password="correct horse battery")
        Grant(member_id=who.id, role=role.public_id, team_id=world.team.id).save()
        db.session.refresh(who)
    return who


@pytest.mark.one_database
def test_the_page_asks_the_database_no_more_for_more_rows(app: Flask, world: World, dana: Any, client: Any, bell: Any, quiet: None) -> None:
    def queries() -> int:
        seen: list[str] = []
        listen = lambda *args: seen.append(args[2])  # noqa: E731
        sa.event.listen(db.engine, "before_cursor_execute", listen)
        try:
            assert dana.get(PAGE).status_code == 200
        finally:
            sa.event.remove(db.engine, "before_cursor_execute", listen)
        return len(seen)

    fail(world, world.conversation(), "30003")
    post(world, client, {"MessageSid": "SM" + "1" * 32, "AccountSid": SID, "From": "+14155550134", "To": "+14155559999", "Body": "x"})
    bell.work()
    few = queries()
    for n, code in enumerate(("30004", "30005", "30006", "30007", "30008")):
        fail(world, world.conversation("Hi", sender=f"+1415555015{n}"), code)
        post(world, client, {"MessageSid": f"SM{n:032x}", "AccountSid": SID, "From": "+14155550134", "To": f"+1415555888{n}", "Body": "x"})
    bell.work()
    assert queries() <= few + 1
    assert db.session.scalar(sa.select(sa.func.count(Inbox.id))) == 4
