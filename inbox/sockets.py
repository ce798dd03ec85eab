"""The open websockets of a process: one thread watches them all, whoever has news writes at once, and nobody waits for a slow reader."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import ProtocolError

log = logging.getLogger(__name__)

PING_EVERY = 20.0  # seconds; who has not answered the one before is gone
LONGEST = 16_384  # characters of what a page says
QUEUE, BEHIND = 200, 1 << 20  # pieces, and bytes, that a reader may be behind before it is cut off
GOODBYE = 2.0  # seconds for the other side to confirm the end
TEXT, CLOSE, PING = 1, 8, 9
GONE, TOO_BIG = 1008, 1009


class Unstarted:
    """Stands for the thread that simple-websocket would start for each socket after the handshake."""

    name = ""

    def __init__(self, target: Any) -> None: ...

    def start(self) -> None: ...


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole message of a server in one unmasked frame (RFC 6455, section 5.2)."""
    first, length = 0x80 | opcode, len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return bytes((first, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload


def taken_from(theirs: socket.socket) -> socket.socket:
    """The connection behind a web server's socket, which is left with one that leads nowhere and may be closed by it."""
    ours = theirs.dup()
    nowhere, end = socket.socketpair()
    end.close()
    with nowhere:
        os.dup2(nowhere.fileno(), theirs.fileno(), inheritable=False)
    return ours


class Wire:
    """One open websocket after its handshake. `heard` and `left` are called by the watching thread."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._protocol = Connection(ConnectionType.SERVER)
        self._writing = threading.Lock()
        self._backlog: deque[bytes] | None = None  # while the reader is behind
        self._part: list[str] = []
        self.ping_at, self.answered = time.monotonic() + PING_EVERY, True
        self.closing = 0.0  # until when the other side may confirm

    def heard(self, text: str) -> None:
        """A whole message has come."""

    def left(self) -> None:
        """The connection has ended."""

    def push(self, data: bytes) -> None:
        """Send whole frames: at once what the connection takes, the rest as it is read; who is too far behind is cut off."""
        with self._writing:
            if self._backlog is None:
                try:
                    sent = self.sock.send(data)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    return  # the watching thread sees it too
                if sent == len(data):
                    return
                self._backlog = deque()
                data = data[sent:]
                loop.watch_writing(self, True)
            self._backlog.append(data)
            if len(self._backlog) > QUEUE or sum(map(len, self._backlog)) > BEHIND:
                self.cut()

    def flush(self) -> None:
        """Send on what is left, now that there is room."""
        with self._writing:
            while self._backlog:
                try:
                    sent = self.sock.send(self._backlog[0])
                except BlockingIOError:
                    return
                except OSError:
                    self._backlog.clear()
                    break
                if sent < len(self._backlog[0]):
                    self._backlog[0] = self._backlog[0][sent:]
                    return
                self._backlog.popleft()
            self._backlog = None
            loop.watch_writing(self, False)

    def close(self, code: int) -> None:
        """Say goodbye; the connection ends when the other side confirms, or soon."""
        if not self.closing:
            self.closing = time.monotonic() + GOODBYE
            self.push(frame(code.to_bytes(2, "big"), CLOSE))

    def cut(self) -> None:
        """End it without a word; the watching thread does the rest."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def receive(self) -> bool:
        """Take in what has come; False when it was the last."""
        try:
            data = self.sock.recv(8192)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        try:
            self._protocol.receive_data(data)
            going_on = [self._take(event) for event in self._protocol.events()]  # every one of them, also after a goodbye
            return False not in going_on
        except ProtocolError:
            return False

    def _take(self, event: Any) -> bool:
        if isinstance(event, TextMessage | BytesMessage):
            self._part.append(event.data if isinstance(event, TextMessage) else event.data.decode(errors="replace"))
            if sum(map(len, self._part)) > LONGEST:
                self._part.clear()
                self.close(TOO_BIG)
            elif event.message_finished:
                text, self._part = "".join(self._part), []
                if not self.closing:
                    self.heard(text)
        elif isinstance(event, Ping):
            self.push(self._protocol.send(event.response()))
        elif isinstance(event, Pong):
            self.answered = True
        elif isinstance(event, CloseConnection):
            if not self.closing:
                self.push(self._protocol.send(event.response()))
            return False
        return True


class Loop:
    """The thread that watches every wire: reads, writes on what was left over, asks for signs of life."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._pinged: deque[Wire] = deque()  # in the order of their next pings
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def adopt(self, wire: Wire) -> None:
        """Watch a connection from now on."""
        with self._lock:
            self._pinged.append(wire)
            behind = wire._backlog is not None  # it was told something before it was watched
            self._selector.register(wire.sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if behind else 0), wire)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="sockets", daemon=True)
                self._thread.start()

    def watch_writing(self, wire: Wire, wanted: bool) -> None:
        """Whether to be told when the connection takes more."""
        with suppress(KeyError, ValueError, OSError), self._lock:
            self._selector.modify(wire.sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0), wire)

    def _run(self) -> None:
        tick = time.monotonic()
        while True:
            for key, mask in self._selector.select(1.0):
                wire: Wire = key.data
                try:
                    if mask & selectors.EVENT_WRITE:
                        wire.flush()
                    if mask & selectors.EVENT_READ and not wire.receive():
                        self._end(wire)
                except Exception:
                    log.exception("a socket failed")
                    self._end(wire)
            now = time.monotonic()
            if now - tick >= 1.0:
                tick = now
                try:
                    self._look_after(now)
                except Exception:
                    log.exception("sockets could not be looked after")

    def _look_after(self, now: float) -> None:
        """Ping who is due; end who did not answer the last one, and who has had time to confirm the end."""
        while self._pinged and self._pinged[0].ping_at <= now:
            with self._lock:
                wire = self._pinged.popleft()
            if wire.sock.fileno() < 0:
                continue
            if not wire.answered:
                wire.close(GONE)
            else:
                wire.answered = False
                wire.push(frame(b"", PING))
            wire.ping_at = now + PING_EVERY
            with self._lock:
                self._pinged.append(wire)
        with self._lock:
            ending = [key.data for key in self._selector.get_map().values() if key.data.closing and key.data.closing < now]
        for wire in ending:
            self._end(wire)

    def _end(self, wire: Wire) -> None:
        with suppress(KeyError, ValueError, OSError), self._lock:
            self._selector.unregister(wire.sock)
        with wire._writing:  # nobody may be writing to a number that the next connection gets
            wire.sock.close()
        wire.left()


loop = Loop()
