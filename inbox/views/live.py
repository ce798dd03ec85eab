"""The live socket: facts in, fragments out, drawn once for all who would read the same and checked again at every delivery."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, g, make_response, request
from flask_login import current_user
from flask_wtf.csrf import generate_csrf
from simple_websocket import Server

from inbox import realtime, sockets
from inbox.extensions import sock
from inbox.realtime import Fact
from inbox.views.access import signed_in
from inbox.views.frames import Frame
from inbox.views.picture import Shown
from inbox.views.rooms import SIGNED_OUT, Room

bp = Blueprint("live", __name__)
log = logging.getLogger(__name__)

SAID = 20  # things a page may say before they are taken in
AT_ONCE = 25  # of them taken in before facts are looked at again
TOGETHER = 0.005  # seconds within which the facts of one transaction arrive
RECHECK = 60.0  # seconds between two looks at the sign-in sessions of pages that are told nothing
RESTART = 1012
NOTHING = Shown()
LOCAL = {"localhost", "127.0.0.1", "::1"}


class Connection(sockets.Wire):
    """One open page, and what it shows."""

    def __init__(self, sock: socket.socket, app: Flask, session_id: int, member_id: int, account_id: int, token: str) -> None:
        super().__init__(sock)
        self.app = app
        self.session_id, self.member_id, self.account_id, self.token = session_id, member_id, account_id, token.encode()
        self.shown, self.standpoint, self.place, self.numbers = NOTHING, None, None, None
        self.said = 0  # and not taken in yet

    def tell(self, frames: Sequence[Frame]) -> None:
        """Send these frames in one go."""
        if not self.closing and frames:
            self.push(frames[0].for_browser(self.token) if len(frames) == 1 else b"".join([frame.for_browser(self.token) for frame in frames]))

    def heard(self, text: str) -> None:
        hub.hear(self, text)

    def left(self) -> None:
        hub.leave(self)


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

    def join(self, connection: Connection) -> None:
        """From now on the page is told what happens."""
        realtime.listen(self.deliver)
        realtime.on_close(self.close_all)
        app, account_id = connection.app, connection.account_id
        with self._lock:
            self.rooms.setdefault((app, account_id), Room(app, account_id)).pages.add(connection)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="live", daemon=True)
                self._thread.start()

    def leave(self, connection: Connection) -> None:
        key = (connection.app, connection.account_id)
        with self._lock:
            room = self.rooms.get(key)
            if room is not None:
                room.pages.discard(connection)
                if not room.pages:
                    del self.rooms[key]

    def deliver(self, fact: Fact) -> None:
        """Take a fact in; never waits."""
        with self._lock:
            self._facts.append(fact)
        self._wake.set()

    def hear(self, connection: Connection, text: str) -> None:
        """Take in what a page says; one that says too much at once is cut off."""
        connection.said += 1
        room = self.rooms.get((connection.app, connection.account_id))
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
            if self._wake.wait(self._patience(check)) and self._facts:
                time.sleep(TOGETHER)
            self._wake.clear()
            now = time.monotonic()
            everyone, check = now >= check, (now + RECHECK if now >= check else check)
            try:
                self._turn(everyone, now)
            except Exception:
                log.exception("a turn of live pages failed")

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
    """How many sockets this process takes."""
    return int(os.environ.get("LIVE_SOCKETS") or 1000)


@bp.before_request
def check_handshake() -> Response | None:
    """Before the socket opens: who sent the page that asks, and is there room."""
    if not _from_us(request.headers.get("Origin", "")):
        return make_response("The page that opens this socket is not one of ours.\n", 403, {"Content-Type": "text/plain"})
    if len(hub) >= limit():
        return make_response("Too many live pages. Try again in a moment.\n", 503, {"Content-Type": "text/plain", "Retry-After": "15"})
    return None


def _from_us(origin: str) -> bool:
    ours, theirs = urlsplit(current_app.config["PUBLIC_URL"]), urlsplit(origin)
    if not theirs.hostname or theirs.scheme != ours.scheme:
        return False
    if theirs.hostname in LOCAL and ours.hostname in LOCAL:
        return theirs.netloc.rpartition(":")[2] == request.host.rpartition(":")[2] or theirs.port == ours.port
    return (theirs.hostname, theirs.port) == (ours.hostname, ours.port)


@sock.route("/live", bp=bp, endpoint="socket")
@signed_in
def open_socket(ws: Server) -> None:
    """Take the connection over after its handshake; the thread that made it serves the next request."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    taken = sockets.taken_from(ws.sock)
    ws.connected = False  # it is ours now: nobody says goodbye on it
    connection = Connection(taken, app, g.login_session.id, current_user.id, current_user.account_id, generate_csrf())
    hub.join(connection)
    sockets.loop.adopt(connection)


__all__ = ["RESTART", "SIGNED_OUT", "Connection", "Hub", "Shown", "bp", "hub", "limit"]
