"""What every part of the sandbox shares: state, clock, faults, work to come and the log."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import Any

from .clock import VirtualClock
from .store import Doc, Store

DEFAULTS: dict[str, Any] = {
    "review": "minutes",  # fast | minutes | real
    "auto_opt_out": False,  # the carrier answers STOP/START/HELP itself and keeps its own list
    "require_registration": True,  # unregistered long codes fail with 30034
    "media_redirect": False,  # media answers with a redirect to storage
    "sent_after": 0.3,
    "delivered_after": 1.0,
    "call_outcome": "completed",
    "answer_by_hand": False,  # phones of the simulator ring until somebody answers there
    "seed": 1,
}
REVIEW_SECONDS: dict[str, dict[str, float]] = {
    "fast": {"profile": 1, "brand": 2, "campaign": 4, "tollfree": 2},
    "minutes": {"profile": 3, "brand": 10, "campaign": 20, "tollfree": 10},
    "real": {"profile": 7_200, "brand": 600, "campaign": 1_036_800, "tollfree": 345_600},
}
CUSTOMERS = (
    ("+14155550101", "Rosa Delgado", "pink"),
    ("+14155550102", "Marcus Chen", "blue"),
    ("+16285550103", "Priya Nair", "violet"),
    ("+15105550104", "Tom Becker", "orange"),
)


class Carrier:
    """One account at the carrier."""

    def __init__(self, store: Store, account_sid: str, auth_token: str, base_url: str, review: str) -> None:
        self.store = store
        self.clock = VirtualClock(store)
        self.account_sid = account_sid
        self.auth_token = auth_token
        self.base_url = base_url
        self.default_review = review
        self.wake = threading.Event()  # set when the worker should look again
        self.stopping = threading.Event()
        self._random = random.Random(self.setting("seed"))  # noqa: S311 - repeatable, not secret
        if store.setting("clock") is None:
            self._start_afresh()

    def _start_afresh(self) -> None:
        with self.store.write() as db:
            now = time.time()
            self.store.set("clock", (now, now, 1.0))
            db.executemany("INSERT OR IGNORE INTO phone (number, name, hue) VALUES (?, ?, ?)", CUSTOMERS)
            self._random = random.Random(self.setting("seed"))  # noqa: S311 - repeatable, not secret

    def reset(self) -> None:
        self.store.clear(keep_settings=("credentials",))
        self._start_afresh()
        self.wake.set()

    def setting(self, key: str) -> Any:
        default = self.default_review if key == "review" else DEFAULTS[key]
        return self.store.setting(f"option.{key}", default)

    def settings(self) -> dict[str, Any]:
        return {key: self.setting(key) for key in DEFAULTS}

    def set_setting(self, key: str, value: Any) -> None:
        self.store.set(f"option.{key}", value)
        if key == "seed":
            self._random = random.Random(value)  # noqa: S311

    def schedule(self, job: str, lane: str, at: float | None = None, **args: Any) -> None:
        """Note work for later; what shares a lane is done one after the other."""
        with self.store.write() as db:
            db.execute(
                "INSERT INTO due (at, lane, job, args) VALUES (?, ?, ?, ?)",
                (self.clock.now() if at is None else at, lane, job, json.dumps(args)),
            )
        self.wake.set()

    def log(self, event: str, sid: str, **data: Any) -> None:
        with self.store.write() as db:
            db.execute(
                "INSERT INTO log (at, event, sid, data) VALUES (?, ?, ?, ?)",
                (self.clock.now(), event, sid, json.dumps(data)),
            )

    def log_rows(self, limit: int = 50, after: int = 0, event: str = "") -> list[Doc]:
        """The log, newest first."""
        rows = self.store.rows(
            "SELECT * FROM log WHERE id > ? AND event LIKE ? || '%' ORDER BY id DESC LIMIT ?", after, event, limit
        )
        return [
            {"id": row["id"], "at": row["at"], "event": row["event"], "sid": row["sid"], **json.loads(row["data"])}
            for row in rows
        ]

    def fault(self, kind: str, target: str = "") -> dict[str, Any] | None:
        """The options of a fault that strikes now (using up one of its count), or None."""
        with self.store.write() as db:
            for row in db.execute("SELECT * FROM fault WHERE kind = ? ORDER BY id", (kind,)).fetchall():
                options: dict[str, Any] = json.loads(row["options"])
                if options.get("match") and options["match"] not in target:
                    continue
                if row["probability"] < 1 and self._random.random() >= row["probability"]:
                    continue
                if row["remaining"] is not None:
                    if row["remaining"] <= 1:
                        db.execute("DELETE FROM fault WHERE id = ?", (row["id"],))
                    else:
                        db.execute("UPDATE fault SET remaining = remaining - 1 WHERE id = ?", (row["id"],))
                return {"kind": kind, **options}
        return None

    def add_fault(self, kind: str, count: int | None, probability: float, options: dict[str, Any]) -> None:
        with self.store.write() as db:
            db.execute(
                "INSERT INTO fault (kind, remaining, probability, options) VALUES (?, ?, ?, ?)",
                (kind, count, probability, json.dumps(options)),
            )

    def faults(self) -> list[Doc]:
        return [
            {"id": row["id"], "kind": row["kind"], "count": row["remaining"], "probability": row["probability"],
             **json.loads(row["options"])}
            for row in self.store.rows("SELECT * FROM fault ORDER BY id")
        ]

    def clear_faults(self) -> None:
        with self.store.write() as db:
            db.execute("DELETE FROM fault")

    def pause(self, seconds: float) -> None:
        """Wait in real time, but never longer than the carrier lives."""
        self.stopping.wait(seconds)

    def review_seconds(self, what: str) -> float:
        return REVIEW_SECONDS.get(self.setting("review"), REVIEW_SECONDS["minutes"])[what]
