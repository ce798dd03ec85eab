"""A real Kannel on free ports: bearerbox, smsbox, its fakesmsc, and an SMSC of ours for the outcomes that fakesmsc never has."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote_to_bytes, urlencode, urlsplit

import httpx

from tests.conftest import free_port

FAKESMSC = "/usr/lib/kannel/test/fakesmsc"
FIX = "apt-get install -y kannel kannel-extras"
_GOT = re.compile(r"Got message \d+: <(\S+) (\S+) (.*)>$", re.S)
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.M)

CONF = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = x
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-allow-ip = "127.0.0.1"
dlr-storage = internal
sms-resend-freq = 1
store-type = file
store-location = "{folder}/store"

group = smsc
smsc = fake
smsc-id = phones
host = 127.0.0.1
port = {phones}
connect-allow-ip = "127.0.0.1"
denied-prefix = "+1206"

group = smsc
smsc = fake
smsc-id = customers
host = 127.0.0.1
port = {customers}
connect-allow-ip = "127.0.0.1"
allowed-prefix = "none"

group = smsc
smsc = http
smsc-id = moody
system-type = kannel
smsc-username = moody
smsc-password = moody
port = {moody_in}
connect-allow-ip = "127.0.0.1"
send-url = "http://127.0.0.1:{moody_out}/sms"
dlr-url = "http://127.0.0.1:{moody_in}/?username=moody&password=moody"
allowed-prefix = "+1206"

group = smsbox
bearerbox-host = 127.0.0.1
smsbox-id = inbox
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
http-request-retry = 5
http-queue-delay = 1

group = smsbox-route
smsbox-id = inbox
smsc-id = "phones;customers;moody"

group = sendsms-user
username = {user}
password = {password}
max-messages = 20
concatenation = true

group = sms-service
keyword = default
catch-all = true
max-messages = 0
omit-empty = true
accept-x-kannel-headers = false
post-url = "{post_url}"
"""


def until(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Ask again until the answer is true; the answer."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, "waited too long"
        threading.Event().wait(0.02)


def missing() -> str:
    """Why there is no Kannel here, with the command that helps; empty when there is one."""
    if shutil.which("bearerbox", path="/usr/sbin:/usr/bin") and shutil.which("smsbox", path="/usr/sbin:/usr/bin") and Path(FAKESMSC).exists():
        return ""
    return f"Kannel is missing: {FIX}"


@dataclass
class Moody:
    """An SMSC behind Kannel's HTTP driver: takes or refuses a text, and reports what the test says."""

    server: ThreadingHTTPServer | None = None
    taken: list[dict[str, str]] = field(default_factory=list)
    status: int = 202

    def start(self) -> int:
        moody = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                moody.taken.append({name: values[0] for name, values in parse_qs(urlsplit(self.path).query, encoding="utf-8").items()})
                body = b"0: Accepted for delivery" if moody.status == 202 else b"No."
                self.send_response(moody.status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return int(self.server.server_port)


class Rig:
    """The running gateway. `phones()` is what arrived on handsets, `text()` is a customer writing."""

    user, password = "inbox", "Gateway-pass-1"

    def __init__(self, folder: Path, post_url: str) -> None:
        self.folder, self.moody = folder, Moody()
        self.ports = {name: free_port() for name in ("admin", "boxes", "phones", "customers", "moody_in", "sendsms")}
        self.ports["moody_out"] = self.moody.start()
        self.send_url = f"http://127.0.0.1:{self.ports['sendsms']}/cgi-bin/sendsms"
        (folder / "kannel.conf").write_text(CONF.format(folder=folder, user=self.user, password=self.password, post_url=post_url, **self.ports))
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._run("bearerbox", "/usr/sbin/bearerbox", "-v", "0", "kannel.conf")
        until(lambda: self._answers(f"http://127.0.0.1:{self.ports['admin']}/status.txt?password=x"))
        self._run("smsbox", "/usr/sbin/smsbox", "-v", "0", "kannel.conf")
        until(lambda: self._answers(self.send_url))
        self._run("phones", FAKESMSC, "-H", "127.0.0.1", "-r", str(self.ports["phones"]), "-m", "0", "1 2 text none")
        until(lambda: re.search(r"phones.*\(online", httpx.get(f"http://127.0.0.1:{self.ports['admin']}/status.txt?password=x", trust_env=False).text))

    def stop(self) -> None:
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        if self.moody.server:
            self.moody.server.shutdown()
            self.moody.server.server_close()

    def _run(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.running.append(process)
        return process

    def _answers(self, url: str) -> bool:
        assert all(process.poll() is None for process in self.running), f"Kannel ended: see {self.folder}"
        try:
            return bool(httpx.get(url, trust_env=False).status_code)
        except httpx.HTTPError:
            return False

    def phones(self, to: str = "") -> list[tuple[str, str, str]]:
        """(from, to, words) of what reached handsets so far, long texts put together."""
        log = (self.folder / "phones.log").read_text("utf-8", "replace")
        found: list[tuple[str, str, str]] = []
        parts: dict[tuple[str, str, bytes], dict[int, bytes]] = {}
        for entry in _STAMP.split(log):
            got = _GOT.search(entry.rstrip("\n"))
            if got is None or (to and got[2] != to):
                continue
            header, words = _decoded(got[3])
            if header is None:
                found.append((got[1], got[2], _words(words)))
                continue
            pieces = parts.setdefault((got[1], got[2], header[:-1]), {})
            pieces[header[-1]] = words
            if len(pieces) == header[-2]:
                found.append((got[1], got[2], _words(b"".join(pieces[place] for place in sorted(pieces)))))
                del parts[(got[1], got[2], header[:-1])]
        return found

    def text(self, sender: str, to: str, words: str, *, wide: bool = False) -> subprocess.Popen[bytes]:
        """A customer's text, through a fakesmsc of its own; `wide` sends it as UCS-2. Terminate it once the text was seen."""
        kind, payload = ("ucs2", quote(words.encode("utf-16-be"), safe="")) if wide else ("text", words)
        return self._fake(f"{sender} {to} {kind} {payload}")

    def parts(self, sender: str, to: str, pieces: list[str]) -> list[subprocess.Popen[bytes]]:
        """A long text in its parts, as a network brings them."""
        started = []
        for place, piece in enumerate(pieces, 1):
            udh = f"%05%00%03%2A%{len(pieces):02x}%{place:02x}"
            started.append(self._fake(f"{sender} {to} udh {udh} {quote(piece)}"))
            until(lambda: b"sent message" in (self.folder / "customer.log").read_bytes())
            self.end(started[-1])
        return started

    def _fake(self, message: str) -> subprocess.Popen[bytes]:
        (self.folder / "customer.log").write_bytes(b"")
        return self._run("customer", FAKESMSC, "-H", "127.0.0.1", "-r", str(self.ports["customers"]), "-i", "0", "-m", "1", message)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        process.wait(5)
        self.running.remove(process)

    def report(self, taken: dict[str, str], kind: int) -> None:
        """What the moody SMSC says became of a text it took: 1 delivered, 2 failed, 4 buffered."""
        mid = taken["dlr-url"].rpartition("dlr-mid=")[2]
        query = urlencode({"username": "moody", "password": "moody", "dlr-mid": mid, "dlr-mask": kind})
        answer = httpx.get(f"http://127.0.0.1:{self.ports['moody_in']}/?{query}", trust_env=False)
        assert answer.status_code < 300, answer.text


def _words(payload: bytes) -> str:
    """fakesmsc does not tell the alphabet of a part: low control bytes occur in UTF-16 only."""
    return payload.decode("utf-16-be" if any(byte < 9 for byte in payload) else "utf-8", "replace")


def _decoded(message: str) -> tuple[bytes | None, bytes]:
    """The header of a part (None for a whole text) and the words, of a line as fakesmsc shows it."""
    header = None
    kind, _, rest = message.partition(" ")
    if kind == "udh":
        shown, _, rest = rest.partition(" ")
        header = unquote_to_bytes(shown.replace("+", " "))
        kind, _, rest = rest.partition(" ")
    return header, rest.encode() if kind == "text" else unquote_to_bytes(rest.replace("+", " "))
