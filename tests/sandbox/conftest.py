"""A sandbox carrier on a real port, the official SDK in front of it and a small app behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit, urlunsplit

import httpx
import pytest
from flask import Flask
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response as TwilioResponse
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from werkzeug.serving import BaseWSGIServer, make_server

from inbox.sandbox import create_sandbox
from inbox.sandbox.app import close_sandbox

ACCOUNT, TOKEN = "AC" + "1" * 32, "sandbox-token"
HOSTS = {"api.twilio.com", "messaging.twilio.com", "trusthub.twilio.com", "events.twilio.com"}
ROSA = "+14155550101"


def until(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Ask again until the answer is true; the answer."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, "waited too long"
        threading.Event().wait(0.01)


class Rewriting(TwilioHttpClient):
    """The SDK's client, with the carrier's hosts led to the sandbox and every other host refused."""

    def __init__(self, base_url: str) -> None:
        super().__init__(timeout=20)
        self.base = urlsplit(base_url)

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> TwilioResponse:
        parts = urlsplit(url)
        if parts.hostname not in HOSTS and parts.netloc != self.base.netloc:
            raise AssertionError(f"unexpected host {parts.hostname}")
        return super().request(
            method, urlunsplit(parts._replace(scheme="http", netloc=self.base.netloc)), *args, **kwargs
        )


@dataclass
class Hit:
    path: str
    url: str
    params: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def __getitem__(self, name: str) -> str:
        return self.params[name][0]

    def get(self, name: str, default: str = "") -> str:
        return self.params.get(name, [default])[0]


@dataclass
class Receiver:
    """The app under the carrier: keeps every request and answers as scripted per path."""

    base: str = ""
    hits: list[Hit] = field(default_factory=list)
    answers: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)
    files: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)

    def at(self, path: str) -> list[Hit]:
        return [hit for hit in self.hits if hit.path == path]

    def answer(self, path: str, status: int, body: str = "<Response/>", content_type: str = "text/xml") -> None:
        self.answers.setdefault(path, []).append((status, body, content_type))

    def statuses(self, sid: str) -> list[str]:
        return [hit["MessageStatus"] for hit in self.hits if hit.get("MessageSid") == sid and "MessageStatus" in hit.params]


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            form = "urlencoded" in self.headers.get("Content-Type", "")
            params = parse_qs(body.decode(), keep_blank_values=True) if form else {}
            path = urlsplit(self.path).path
            receiver.hits.append(Hit(path, receiver.base + self.path, params, dict(self.headers.items()), body))
            queue = receiver.answers.get(path) or []
            status, text, content_type = queue[0] if queue else (200, "<Response/>", "text/xml")
            if len(queue) > 1:
                queue.pop(0)
            self._send(status, content_type, text.encode())

        def do_GET(self) -> None:
            self._send(*receiver.files.get(self.path, (404, "text/plain", b"nothing here")))

        def _send(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    made.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


class Sandbox:
    """One running carrier and everything a test does with it."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
        self.path, self.receiver, self._patch = path, receiver, monkeypatch
        self.app: Flask
        self.server: BaseWSGIServer | None = None
        self.start()

    def start(self) -> None:
        port = 0 if self.server is None else self.port
        self.server = make_server("127.0.0.1", port, lambda env, start: self.app(env, start), threaded=True)
        self.server.daemon_threads = True  # type: ignore[attr-defined]
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._patch.setenv("SANDBOX_URL", self.url)
        self.app = create_sandbox(str(self.path), ACCOUNT, TOKEN)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        self.control = httpx.Client(base_url=self.url + "/__sim", trust_env=False, timeout=20)
        self.client = Client(ACCOUNT, TOKEN, http_client=Rewriting(self.url))

    def stop(self) -> None:
        assert self.server is not None
        self.control.close()
        session = self.client.http_client.session
        if session is not None:
            session.close()
        close_sandbox(self.app)
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def sim(self, path: str, **data: Any) -> dict[str, Any]:
        answer = self.control.post(f"/{path}", json=data)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.control.get("/state").json()
        return found

    def log(self, event: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control.get("/log", params={"event": event, "limit": 500}).json()["log"]
        return found

    def settle(self) -> None:
        """Wait until nothing is due or in progress at this moment of the carrier's clock."""
        until(lambda: (work := self.state()["work"])["due_now"] == 0 and work["busy"] == 0)

    def freeze(self) -> None:
        self.sim("clock", freeze=True)

    def advance(self, seconds: float) -> None:
        self.sim("clock", advance=seconds)
        self.settle()

    def buy(self, number: str = "+14156662233", **fields: Any) -> Any:
        hook = self.receiver.base
        return self.client.incoming_phone_numbers.create(
            phone_number=number, sms_url=f"{hook}/sms", voice_url=f"{hook}/voice",
            status_callback=f"{hook}/call-status", **fields,
        )

    def send(self, to: str, body: str = "Hello", **fields: Any) -> Any:
        fields.setdefault("from_", "+14156662233")
        fields.setdefault("status_callback", f"{self.receiver.base}/status")
        return self.client.messages.create(to=to, body=body, **fields)

    def plain(self, path: str, **params: Any) -> httpx.Response:
        return httpx.get(self.url + path, auth=(ACCOUNT, TOKEN), params=params, trust_env=False, timeout=20)


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> Iterator[Sandbox]:
    for name in ("SANDBOX_OPEN", "SANDBOX_FAST_REVIEW", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    made = Sandbox(tmp_path / "sandbox.db", monkeypatch, receiver)
    yield made
    made.stop()


@pytest.fixture
def line(sandbox: Sandbox) -> Sandbox:
    """A sandbox with one number that may text without registration, its clock standing still."""
    sandbox.sim("settings", require_registration=False)
    sandbox.buy()
    sandbox.freeze()
    return sandbox


def signed(hit: Hit) -> bool:
    """Whether the carrier's signature is right, as the official validator sees it."""
    given = hit.headers.get("X-Twilio-Signature", "")
    if "bodySHA256" in hit.url:
        return bool(RequestValidator(TOKEN).validate(hit.url, hit.body.decode(), given))
    pairs = parse_qsl(hit.body.decode(), keep_blank_values=True)
    return bool(RequestValidator(TOKEN).validate(hit.url, dict(pairs), given))


def register(sandbox: Sandbox, business: str = "Harbor Vet Clinic", callback: str = "") -> tuple[str, str]:
    """File the profile and the trust product of a business; their ids."""
    hub = sandbox.client.trusthub.v1
    policies = {policy.friendly_name: policy.sid for policy in hub.policies.list()}
    extra = {"status_callback": callback} if callback else {}
    profile = hub.customer_profiles.create("Profile", "dana@example.com", policies["Secondary Customer Profile"], **extra)
    people: list[tuple[str, dict[str, str]]] = [
        ("customer_profile_business_information", {
            "business_name": business, "business_type": "Corporation", "business_industry": "HEALTHCARE",
            "business_registration_number": "12-3456789", "business_registration_identifier": "EIN",
        }),
        ("authorized_representative_1", {
            "first_name": "Dana", "last_name": "Whitfield", "email": "dana@example.com", "phone_number": ROSA,
        }),
    ]
    for kind, attributes in people:
        user = hub.end_users.create(kind, kind, attributes=attributes)
        hub.customer_profiles(profile.sid).customer_profiles_entity_assignments.create(user.sid)
    address = hub.supporting_documents.create("Address", "customer_profile_address", attributes={"address_sids": "AD1"})
    hub.customer_profiles(profile.sid).customer_profiles_entity_assignments.create(address.sid)
    trust = hub.trust_products.create("A2P", "dana@example.com", policies["A2P Messaging Profile"])
    company = hub.end_users.create("Company", "us_a2p_messaging_profile_information",
                                   attributes={"company_type": "private"})
    hub.trust_products(trust.sid).trust_products_entity_assignments.create(company.sid)
    hub.customer_profiles(profile.sid).update(status="pending-review")
    hub.trust_products(trust.sid).update(status="pending-review")
    return profile.sid, trust.sid


GOOD_CAMPAIGN: dict[str, Any] = {
    "description": "Staff of the clinic answer questions of pet owners who text the clinic about visits.",
    "message_flow": "Customers opt in by texting the clinic first; the number is on the website and at the desk. "
                    "Message frequency varies. Message and data rates may apply. Reply STOP to opt out.",
    "message_samples": ["Hi [name], your visit is booked for Saturday at 10. Reply STOP to opt out.",
                        "Harbor Vet: the ear drops are ready for pickup at the front desk."],
    "us_app_to_person_usecase": "CUSTOMER_CARE", "has_embedded_links": False, "has_embedded_phone": False,
}


