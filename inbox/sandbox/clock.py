"""The carrier's own time: it can run faster, stand still or jump, so that two weeks pass in a moment."""

from __future__ import annotations

import datetime as dt
import time
from email.utils import format_datetime

from .store import Store


class VirtualClock:
    """Virtual seconds since the epoch, kept in the state file."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def _line(self) -> tuple[float, float, float]:
        """(real moment, virtual moment at that time, speed)"""
        real, virtual, speed = self._store.setting("clock", (0.0, 0.0, 1.0))
        return float(real), float(virtual), float(speed)

    @property
    def speed(self) -> float:
        return self._line()[2]

    def now(self) -> float:
        real, virtual, speed = self._line()
        return virtual + (time.time() - real) * speed

    def real_seconds_until(self, moment: float) -> float | None:
        """How long to wait in real time; None when the clock stands still before that moment."""
        gap = moment - self.now()
        if gap <= 0:
            return 0.0
        return gap / self.speed if self.speed > 0 else None

    def run(self, speed: float) -> None:
        """Go on from the present moment at another speed; 0 freezes."""
        with self._store.write():
            self._store.set("clock", (time.time(), self.now(), speed))

    def advance(self, seconds: float) -> None:
        with self._store.write():
            self._store.set("clock", (time.time(), self.now() + seconds, self.speed))


def rfc2822(moment: float) -> str:
    return format_datetime(dt.datetime.fromtimestamp(int(moment), dt.UTC))


def iso(moment: float) -> str:
    return dt.datetime.fromtimestamp(int(moment), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
