"""Runs all parts together: starts them in order, restarts what dies, stops them in order."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import IO
from urllib.parse import urlsplit

from inbox.config import Settings
from inbox.supervisor.part import (
    TOO_MANY_DEATHS,
    Part,
    adopt_orphans,
    kill_children,
    reap_adopted,
    say,
)
from inbox.supervisor.prepare import StartError, write_pids

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what to ask when the pages are served on all
READY_PATIENCE = 60.0  # seconds until we say what is missing
STOP_ORDER = (("web", 5.5), ("scheduler worker-1 worker-2", 2.5), ("sandbox", 1.0), ("valkey", 1.0))  # ten seconds


class Signals:
    """Counts the requests to stop and wakes whoever waits, for those and for the death of a child."""

    def __init__(self) -> None:
        self.stops = 0
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stops += 1

    def wait(self, seconds: float) -> bool:
        """Sleep until a signal comes or the time is over; True when it was a signal."""
        ready, _, _ = select.select([self._read], [], [], max(0.0, seconds))
        if ready:
            os.read(self._read, 512)
        return bool(ready)


class House:
    """The parts of one running system."""

    def __init__(self, signals: Signals, lock: IO[str]) -> None:
        self.signals = signals
        self.lock = lock
        self.parts: list[Part] = []
        adopt_orphans()

    def start(self, parts: Sequence[Part]) -> None:
        """Start more parts; they are watched from now on."""
        for part in parts:
            part.start()
            self.parts.append(part)
        write_pids(self.lock, self.parts)

    def await_part(self, part: Part, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until a part that the others need is ready."""
        deadline = time.monotonic() + seconds
        while not ready() and not self.signals.stops:
            if part.died or time.monotonic() > deadline:
                part.drain()
                raise StartError(f"{part.name} did not start: {part.last_words()}")
            self.signals.wait(0.02)

    def run_errand(self, part: Part) -> int | None:
        """Run a command to its end, watching the others meanwhile; None when the system is being stopped or gave up."""
        part.start()
        while part.running and not self.signals.stops:
            if not self.tend():
                break
            self.signals.wait(0.5)
        if part.running:
            part.terminate()
            if not part.wait(8):
                part.kill()
            return None
        part.drain()
        return part.process.returncode if part.process else None

    def tend(self) -> bool:
        """Restart parts that died; False when one dies again and again."""
        now = time.monotonic()
        for part in self.parts:
            if part.died:
                how = part.note_death(now)
                if part.hopeless(now):
                    self._explain(part)
                    return False
                say(f"stopped {how}; it is started again.", part.name)
            if part.due and now >= part.due:
                part.start()
                write_pids(self.lock, self.parts)
        return True

    def watch(self, healthy: Callable[[], str | None], on_ready: Callable[[], None]) -> int:
        """Keep everything running until asked to stop; the exit code."""
        waiting, deadline = True, time.monotonic() + READY_PATIENCE
        while not self.signals.stops:
            if not self.tend():
                return 1
            if waiting:
                missing = healthy()
                if missing is None:
                    waiting = False
                    on_ready()
                    continue
                if time.monotonic() > deadline:
                    say(f"Not ready after {READY_PATIENCE:.0f} seconds: {missing}. Still waiting.")
                    deadline = float("inf")
            pause = min([part.due - time.monotonic() for part in self.parts if part.due] + [0.1 if waiting else 30.0])
            if self.signals.wait(pause):
                reap_adopted({part.pid for part in self.parts if part.pid})
        return 0

    def stop(self) -> None:
        """Stop all parts in order; one more request to stop kills what is left."""
        first = self.signals.stops
        for names, seconds in STOP_ORDER:
            group = [part for part in self.parts if part.name in names.split()]
            for part in group:
                part.terminate()
            deadline = time.monotonic() + seconds
            while any(part.running for part in group) and time.monotonic() < deadline:
                if self.signals.stops > max(first, 1):
                    break
                self.signals.wait(0.1)
            for part in group:
                part.kill()
        for part in self.parts:
            part.kill()
        kill_children()

    def _explain(self, part: Part) -> None:
        if part.quiet:
            for line in part.tail:
                say(line, part.name)
        say(f"{part.name} stopped {TOO_MANY_DEATHS} times within a minute, so everything is stopped. Its last line: "
            f"{part.last_words()}")  # fmt: skip


def health_check(settings: Settings) -> Callable[[], str | None]:
    """A function that asks the web part for /healthz and says what is missing, or None when all is well."""
    host = ANY_ADDRESS.get(settings.host, settings.host)
    headers = {"Host": urlsplit(settings.public_url).netloc}

    def check() -> str | None:
        connection = http.client.HTTPConnection(host, settings.port, timeout=3)
        try:
            connection.request("GET", "/healthz", headers=headers)
            answer = connection.getresponse()
            body = answer.read(4096).decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return "the web part does not answer"
        finally:
            connection.close()
        return None if answer.status == 200 else _missing(answer.status, body)

    return check


def _missing(status: int, body: str) -> str:
    try:
        return "health says " + json.dumps(json.loads(body), separators=(",", ":"))
    except ValueError:
        return f"/healthz answers {status}"
