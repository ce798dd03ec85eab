"""The live socket: facts in, fragments out, drawn once for all who would read the same and checked again at every delivery."""

from __future__ import annotations

import logging
import os
import socket as sockets
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, g, make_response, request
from flask_login import current_user
from flask_wtf.csrf import generate_csrf
from simple_websocket import Server

from inbox import realtime
from inbox.extensions import sock
from inbox.models import db
from inbox.realtime import Fact
from inbox.views.access import signed_in
from inbox.views.frames import Frame
from inbox.views.picture import Shown
from inbox.views.rounds import SIGNED_OUT, Room

bp = Blueprint("live", __name__)
log = logging.getLogger(__name__)

QUEUE = 200  # batches a page may be behind before it is dropped; it reconnects and asks what changed
SAID = 20  # things a page may say before they are taken in
AT_ONCE = 25  # of them taken in before facts are looked at again
RECHECK = 60.0  # seconds between two looks at the sign-in sessions of pages that are told nothing
RESTART = 1012
LOCAL = {"localhost", "127.0.0.1", "::1"}


class WholeSocket:
    """A socket whose sends are complete and never interleave; the connection's own thread and its pings share it."""

    def __init__(self, raw: sockets.socket) -> None:
        self._raw = raw
        self._sending = threading.Lock()

    def send(self, data: bytes) -> int:
        with self._sending:
            self._raw.sendall(data)
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class Connection:
    """One open page: what it shows, and a bounded queue that rounds fill and the page's own thread empties."""

    def __init__(self, ws: Server, session_id: int, member_id: int, account_id: int, token: str) -> None:
        self.ws = ws
        self.session_id, self.member_id, self.account_id, self.token = session_id, member_id, account_id, token
        self.shown, self.standpoint, self.place, self.numbers = Shown(), -1, 0, None
        self.said = 0
        self.closing: int = 0
        self._out: deque[bytes] = deque()

    def tell(self, frames: Iterable[Frame]) -> None:
        """Queue these frames and wake the thread; a page that is too far behind is cut off."""
        if len(self._out) >= QUEUE:
            self.cut()
            return
        self._out.append(b"".join(frame.for_browser(self.token) for frame in frames))
        self.ws.event.set()

    def cut(self) -> None:
        with suppress(OSError):
            self.ws.sock.shutdown(sockets.SHUT_RDWR)

    def close(self, code: int) -> None:
        self.closing = code
        self.ws.event.set()

    def serve(self, app: Flask) -> None:
        """Carry what the page says to the hub and what it is told to the page, until it leaves."""
        ws = self.ws
        while ws.connected:
            ws.event.wait()
            ws.event.clear()
            while ws.input_buffer:
                hub.hear(app, self, ws.input_buffer.pop(0))
            try:
                while self._out:
                    ws.sock.send(self._out.popleft())
            except OSError:
                return
            if self.closing:
                ws.close(self.closing)
                return


class Hub:
    """Every open page of this process, and the one thread that brings them up to date, a batch of facts at a time."""

    def __init__(self) -> None:
        self.rooms: dict[tuple[Flask, int], Room] = {}
        self._facts: list[Fact] = []
        self._said: deque[tuple[Connection, Room, str]] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return sum(len(room.pages) for room in list(self.rooms.values()))

    @property
    def pages(self) -> list[Connection]:
        with self._lock:
            return [page for room in self.rooms.values() for page in room.pages]

    def join(self, app: Flask, connection: Connection) -> None:
        """From now on the page is told what happens."""
        realtime.listen(self.deliver)
        realtime.on_close(self.close_all)
        with self._lock:
            self.rooms.setdefault((app, connection.account_id), Room(app, connection.account_id)).pages.add(connection)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="live", daemon=True)
                self._thread.start()

    def leave(self, app: Flask, connection: Connection) -> None:
        with self._lock:
            room = self.rooms.get((app, connection.account_id))
            if room is not None:
                room.pages.discard(connection)
                if not room.pages:
                    del self.rooms[app, connection.account_id]

    @contextmanager
    def joined(self, app: Flask, connection: Connection) -> Iterator[None]:
        self.join(app, connection)
        try:
            yield
        finally:
            self.leave(app, connection)

    def deliver(self, fact: Fact) -> None:
        """Take a fact in; never waits."""
        with self._lock:
            self._facts.append(fact)
        self._wake.set()

    def hear(self, app: Flask, connection: Connection, text: str) -> None:
        """Take in what a page says; one that says too much at once is cut off."""
        connection.said += 1
        room = self.rooms.get((app, connection.account_id))
        if connection.said > SAID or room is None:
            connection.cut()
            return
        self._said.append((connection, room, text))
        self._wake.set()

    def close_all(self) -> None:
        """Tell every page to come back: this process stops."""
        for connection in self.pages:
            connection.close(RESTART)

    def _run(self) -> None:
        check = time.monotonic() + RECHECK
        while True:
            self._wake.wait(self._patience(check))
            self._wake.clear()
            now = time.monotonic()
            everyone, check = now >= check, (now + RECHECK if now >= check else check)
            self._turn(everyone, now)

    def _patience(self, check: float) -> float:
        """Seconds until something has to be looked at without being called."""
        now = time.monotonic()
        with self._lock:
            due = [at for room in self.rooms.values() if (at := room.due(now)) is not None]
        return max(0.0, min([check, *due]) - now)

    def _turn(self, everyone: bool, now: float) -> None:
        """One round for each room that something is to be done in."""
        with self._lock:
            facts, self._facts = self._facts, []
            rooms = list(self.rooms.values())
        said: dict[Room, list[tuple[Connection, str]]] = {}
        for _ in range(min(AT_ONCE, len(self._said))):
            connection, room, text = self._said.popleft()
            connection.said -= 1
            said.setdefault(room, []).append((connection, text))
        if self._said:
            self._wake.set()
        for room in rooms:
            ours = [fact for fact in facts if fact.get("account") in (None, room.account_id)]
            due = room.due(now)
            if ours or everyone or room in said or (due is not None and due <= now):
                room.round(ours, said.get(room, []))


hub = Hub()


def limit() -> int:
    """How many sockets this process takes; the other threads answer pages."""
    return int(os.environ.get("LIVE_SOCKETS") or 80)


@bp.before_request
def check_handshake() -> Response | None:
    """Before the socket opens: who sent the page that asks, is there room, and a socket that sends whole frames."""
    if not _from_us(request.headers.get("Origin", "")):
        return make_response("The page that opens this socket is not one of ours.\n", 403, {"Content-Type": "text/plain"})
    if len(hub) >= limit():
        return make_response("Too many live pages. Try again in a moment.\n", 503, {"Content-Type": "text/plain", "Retry-After": "15"})
    for name in ("werkzeug.socket", "gunicorn.socket"):
        if name in request.environ:
            request.environ[name] = WholeSocket(request.environ[name])
    return None


def _from_us(origin: str) -> bool:
    ours, theirs = urlsplit(current_app.config["PUBLIC_URL"]), urlsplit(origin)
    if not theirs.hostname or theirs.scheme != ours.scheme:
        return False
    if theirs.hostname in LOCAL and ours.hostname in LOCAL:
        return theirs.netloc.rpartition(":")[2] == request.host.rpartition(":")[2] or theirs.port == ours.port
    return (theirs.hostname, theirs.port) == (ours.hostname, ours.port)


@sock.route("/live", bp=bp)
@signed_in
def socket(ws: Server) -> None:
    """Serve one page until it leaves."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    connection = Connection(ws, g.login_session.id, current_user.id, current_user.account_id, generate_csrf())
    db.session.remove()
    with hub.joined(app, connection):
        connection.serve(app)


__all__ = ["RESTART", "SIGNED_OUT", "Connection", "Hub", "Shown", "bp", "hub", "limit"]
