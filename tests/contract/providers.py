"""One face for every carrier under the contract: what the suite does to it and reads from it."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx

from inbox.channels import kannel, twilio
from inbox.channels.base import Credentials, Event, Inbound, Outgoing, RawRequest, Receipt, Sent
from tests.contract.rig import Rig, until

HOOK_KEY = "contract-hook-key"
HOOKS = "/hooks/sms/contract"


class Collector:
    """Where the carrier calls us: keeps every request as it came, and hands it on when a test listens."""

    def __init__(self) -> None:
        self.requests: list[RawRequest] = []
        self.listener: Callable[[RawRequest], tuple[int, bytes]] | None = None
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                raw = RawRequest(method=self.command, url=collector.base + self.path, headers=headers, body=body)
                status, words = collector.listener(raw) if collector.listener else (200, b"")
                collector.requests.append(raw)
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(words)))
                self.end_headers()
                self.wfile.write(words)

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def at(self, kind: str) -> list[RawRequest]:
        return [raw for raw in list(self.requests) if urlsplit(raw.url).path == f"{HOOKS}/{kind}"]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class FaultProxy:
    """Stands before the carrier and breaks the next call the way it is told."""

    def __init__(self, target: str) -> None:
        self.target, self.plans, self.calls = target, [], 0  # type: ignore[var-annotated]
        self.watcher: Callable[..., None] | None = None  # hears (method, target, content type, body, status, answer)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.calls += 1
                plan = proxy.plans.pop(0) if proxy.plans else None
                if isinstance(plan, tuple):
                    self.reply(*plan)
                    return
                answer = httpx.request(
                    self.command, proxy.target + self.path, content=body, headers={k: v for k, v in self.headers.items() if k.lower() != "host"}, trust_env=False, timeout=20
                )
                if proxy.watcher is not None:
                    proxy.watcher(self.command, self.path, self.headers.get("Content-Type", ""), body, answer.status_code, answer.content)
                if callable(plan):
                    plan()
                if isinstance(plan, int):
                    self.reply(plan, b"<html>Bad gateway</html>", {"Content-Type": "text/html"})
                    return
                self.reply(answer.status_code, answer.content, {"Content-Type": answer.headers.get("content-type", "text/plain")})

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                try:
                    self.send_response(status)
                    for name, value in {**headers, "Content-Length": str(len(body))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:  # the caller has given up
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def say(self, status: int, body: bytes, **headers: str) -> None:
        """Answer the next call without the carrier ever hearing of it."""
        self.plans.append((status, body, {name.replace("_", "-"): value for name, value in headers.items()}))

    def hold(self, until_done: Callable[[], Any]) -> None:
        """Hand the next call to the carrier, and its answer back only when this has returned."""
        self.plans.append(until_done)

    def lose(self, status: int) -> None:
        """Hand the next call to the carrier, and answer with a gateway's error instead of its words."""
        self.plans.append(status)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@dataclass
class Provider:
    """A carrier and its adapter."""

    adapter: Any
    module: Any
    credentials: Credentials
    collector: Collector
    proxy: FaultProxy
    ours: str
    theirs: str
    seen: int = 0

    def outgoing(self, ref: str, words: str, **more: Any) -> Outgoing:
        fields = {
            "ref": ref, "sender": self.ours, "to": self.theirs, "text": words, "media_urls": (), "status_callback": f"{self.collector.base}{HOOKS}/status?ref={ref}",
        }
        return Outgoing(**{**fields, **more})

    def send(self, ref: str, words: str, **more: Any) -> Sent:
        return self.adapter.send(self.credentials, self.outgoing(ref, words, **more))

    def broken(self, **change: Any) -> Credentials:
        return replace(self.credentials, **change)

    def raw(self, kind: str, ref: str = "") -> list[RawRequest]:
        return [raw for raw in self.collector.at(kind)[self.seen if kind == "messages" else 0 :] if not ref or f"ref={ref}" in raw.url]

    def receipts(self, ref: str, count: int = 1) -> list[Receipt]:
        """The receipts about one of our texts, once there are as many."""
        until(lambda: len(self.raw("status", ref)) >= count)
        return [event for raw in self.raw("status", ref) for event in self.events(raw) if isinstance(event, Receipt)]

    def inbound(self) -> tuple[RawRequest, Inbound]:
        """The customer's text that just came, as the request and as what it says."""
        raw = until(lambda: self.raw("messages"))[0]
        self.seen += 1
        (event,) = self.events(raw)
        assert isinstance(event, Inbound)
        return raw, event

    def events(self, raw: RawRequest) -> list[Event]:
        assert self.adapter.verify(self.credentials, raw, raw.url), raw.url
        return list(self.adapter.parse(raw))

    def arrived(self, words: str) -> int:
        """How many times these words reached the customer's phone."""
        raise NotImplementedError

    def write(self, words: str, **more: Any) -> None:
        """The customer writes."""
        raise NotImplementedError

    def busy(self) -> None:
        """The next call is refused for now, with a time to come back."""
        raise NotImplementedError

    def ill(self) -> None:
        """The next call meets a carrier that is not available."""
        raise NotImplementedError


class TwilioProvider(Provider):
    """The sandbox carrier, which speaks Twilio's wire format."""

    def __init__(self, base: str, account: str, token: str, collector: Collector) -> None:
        self.direct, proxy = base, FaultProxy(base)
        credentials = Credentials(account, token, proxy.base, base, base, (proxy.base, base))
        super().__init__(twilio.Twilio(), twilio, credentials, collector, proxy, "+14155552233", "+14155550134")
        self.control("settings", require_registration=False)
        self.adapter.buy_number(credentials, self.ours, f"{collector.base}{HOOKS}/messages", f"{collector.base}{HOOKS}/voice", f"{collector.base}{HOOKS}/status")

    def control(self, path: str, **data: Any) -> Any:
        answer = httpx.post(f"{self.direct}/__sim/{path}", json=data, trust_env=False)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def arrived(self, words: str) -> int:
        auth = (self.credentials.account_sid, self.credentials.auth_token)
        rows = httpx.get(f"{self.direct}/2010-04-01/Accounts/{auth[0]}/Messages.json?PageSize=500", auth=auth, trust_env=False).json()["messages"]
        return sum(1 for row in rows if row["direction"].startswith("outbound") and row["body"] == words and row["to"] == self.theirs)

    def write(self, words: str, **more: Any) -> None:
        self.control("inbound", **{"from": self.theirs, "to": self.ours, "body": words, **more})

    def busy(self) -> None:
        self.proxy.say(429, b'{"code":20429,"message":"Too Many Requests","status":429}', Content_Type="application/json", Retry_After="7")

    def ill(self) -> None:
        self.proxy.say(503, b'{"code":20503,"message":"Service unavailable","status":503}', Content_Type="application/json")


class KannelProvider(Provider):
    """A real Kannel with its fakesmsc."""

    def __init__(self, rig: Rig, collector: Collector) -> None:
        self.rig, parts = rig, urlsplit(rig.send_url)
        proxy = FaultProxy(f"{parts.scheme}://{parts.netloc}")
        base = proxy.base + parts.path
        credentials = Credentials(rig.user, rig.password, base, "", "", (proxy.base,), hook_key=HOOK_KEY)
        super().__init__(kannel.Kannel(), kannel, credentials, collector, proxy, "+14155550100", "+14155550134", seen=len(collector.at("messages")))

    def arrived(self, words: str) -> int:
        return sum(1 for sender, to, told in self.rig.phones(self.theirs) if told == words and sender == self.ours)

    def write(self, words: str, **more: Any) -> None:
        before = len(self.collector.at("messages"))
        wide = any(ord(letter) > 126 or letter == "\n" for letter in words)
        process = self.rig.text(self.theirs, self.ours, words, wide=wide)
        until(lambda: len(self.collector.at("messages")) > before)
        self.rig.end(process)

    def busy(self) -> None:
        self.proxy.say(429, b"Too many", Content_Type="text/plain", Retry_After="7")

    def ill(self) -> None:
        self.proxy.say(503, b"Temporal failure, try again later.", Content_Type="text/plain")


def authorization(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def slowly(seconds: float) -> Callable[[], None]:
    return lambda: time.sleep(seconds)
