"""How long work waits: the queues and the parts that nobody can connect to, as signals in words."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from redis.exceptions import RedisError

from inbox import background, heartbeat

Level = Literal["ok", "warn", "bad"]
RANK: dict[Level, int] = {"ok": 0, "warn": 1, "bad": 2}
LABELS = {"send": "Replies", "auto": "Automatic texts", "default": "Incoming and files", "mail": "Mail, imports, replays", "bulk": "Texts to many"}
LATE, STUCK = 30.0, 300.0  # seconds a job may wait


@dataclass(frozen=True)
class Signal:
    """One thing that waits or lives, how it stands, and what to do when it does not stand well."""

    name: str
    level: Level
    words: str
    advice: str = ""


def worst(signals: list[Signal]) -> Level:
    return max((signal.level for signal in signals), key=RANK.__getitem__, default="ok")


def level(seconds: float, late: float = LATE, stuck: float = STUCK) -> Level:
    return "bad" if seconds >= stuck else "warn" if seconds >= late else "ok"


def lasted(seconds: float) -> str:
    """12 seconds, 3 minutes, 2 hours, 4 days: whole ones, in the largest unit that fills two, or one of days."""
    for unit, size, least in (("day", 86400, 1), ("hour", 3600, 2), ("minute", 60, 2)):
        if seconds >= size * least:
            n = int(seconds // size)
            return f"{n} {unit}{'s' * (n != 1)}"
    n = max(0, int(seconds))
    return f"{n} second{'s' * (n != 1)}"


def parts() -> list[Signal]:
    """Workers, scheduler and queues of this server, which all accounts share."""
    try:
        workers, schedulers = heartbeat.alive("worker"), heartbeat.alive("scheduler")
        queues = [_queue(name, LABELS.get(name, name)) for name in background.QUEUES]
    except RedisError:
        return [Signal("Redis", "bad", "does not answer", "Nothing is lost: work waits in the database until Redis is back. The operator must start it.")]
    working = Signal("Workers", "ok", f"{workers} at work") if workers else Signal("Workers", "bad", "none is running", "Nothing is sent or taken in. The operator must start one.")
    planning = Signal("Scheduler", "ok", "running")
    if not schedulers:
        planning = Signal("Scheduler", "bad", "not running", "What the queue loses is not found again. The operator must start it.")
    return [working, planning, *queues]


def _queue(name: str, label: str) -> Signal:
    queue = background.queue(name)
    if not queue.count:
        return Signal(label, "ok", "nothing waits")
    first = next(iter(queue.get_jobs(0, 1)), None)
    waited = max(0.0, time.time() - first.enqueued_at.timestamp()) if first is not None and first.enqueued_at is not None else 0.0
    state = level(waited)
    words = f"the first waits for {lasted(waited)}"  # how many is nobody's business but the operator's: accounts share the queue
    return Signal(label, state, words, "" if state == "ok" else "The workers can’t keep up. The operator can start more of them.")
