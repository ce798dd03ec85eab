"""Does the carrier's work when its time has come: deliveries, webhooks, reviews, calls."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from .carrier import Carrier

log = logging.getLogger(__name__)
Job = Callable[..., None]
JOBS: dict[str, Job] = {}
THREADS = 12


def job(function: Job) -> Job:
    """Make a function known as a job; it is called with the carrier, the due moment and its arguments."""
    JOBS[function.__name__] = function
    return function


class Worker:
    """One thread that hands due rows to a few others; only one worker at a time serves a state file."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self._pid: int | None = None
        self._thread: threading.Thread | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._busy_ids: set[int] = set()
        self._busy_lanes: set[str] = set()
        self._guard = threading.Lock()

    def start(self) -> None:
        """Start the thread when this process has none yet."""
        if self._pid == os.getpid() or self.carrier.stopping.is_set():
            return
        with self._guard:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sandbox-work")
            self._thread = threading.Thread(target=self._run, name="sandbox-worker", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self.carrier.stopping.set()
        self.carrier.wake.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(timeout=20)
        if self._pool is not None and self._pid == os.getpid():
            self._pool.shutdown(wait=True, cancel_futures=True)

    def counts(self) -> dict[str, int]:
        """Work due now or in progress, and all work noted."""
        with self._guard:
            busy = len(self._busy_ids)
        store = self.carrier.store
        due_now = store.row("SELECT count(*) AS n FROM due WHERE at <= ?", self.carrier.clock.now())
        noted = store.row("SELECT count(*) AS n FROM due")
        return {"due_now": due_now["n"] if due_now else 0, "busy": busy, "noted": noted["n"] if noted else 0}

    def _run(self) -> None:
        with open(self.carrier.store.path + ".worker", "a", encoding="ascii") as lock_file:
            if not self._wait_for_lock(lock_file):
                return
            while not self.carrier.stopping.is_set():
                self.carrier.wake.clear()
                try:
                    pause = self._hand_out()
                except Exception:  # noqa: BLE001 - the thread must outlive one bad row
                    log.exception("sandbox worker")
                    pause = 0.5
                self.carrier.wake.wait(pause)

    def _wait_for_lock(self, lock_file: IO[str]) -> bool:
        while not self.carrier.stopping.is_set():
            with contextlib.suppress(OSError):
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            self.carrier.stopping.wait(0.1)
        return False

    def _hand_out(self) -> float:
        """Give every due row whose lane is free to the pool; the seconds until the next look."""
        now = self.carrier.clock.now()
        rows = self.carrier.store.rows("SELECT * FROM due WHERE at <= ? ORDER BY at, id LIMIT 500", now)
        for row in rows:
            with self._guard:
                if row["id"] in self._busy_ids or row["lane"] in self._busy_lanes or self._pool is None:
                    continue
                # the row may have been finished between the query and this moment
                if self.carrier.store.row("SELECT 1 FROM due WHERE id = ?", row["id"]) is None:
                    continue
                self._busy_ids.add(row["id"])
                self._busy_lanes.add(row["lane"])
            try:
                self._pool.submit(self._work, row["id"], row["lane"], row["job"], row["at"], row["args"])
            except RuntimeError:  # the process is ending; the row stays for the next one
                self.carrier.stopping.set()
                return 0.0
        upcoming = self.carrier.store.row("SELECT min(at) AS at FROM due WHERE at > ?", now)
        wait = None if upcoming is None or upcoming["at"] is None else self.carrier.clock.real_seconds_until(
            upcoming["at"]
        )
        return 0.5 if wait is None else min(0.5, max(0.005, wait))

    def _work(self, row_id: int, lane: str, name: str, at: float, args: str) -> None:
        try:
            JOBS[name](self.carrier, at, **json.loads(args))
        except Exception as error:  # noqa: BLE001 - a failing job is logged, not repeated for ever
            log.exception("sandbox job %s", name)
            with contextlib.suppress(Exception):
                self.carrier.log("sandbox.error", "", job=name, error=str(error))
        finally:
            with contextlib.suppress(Exception), self.carrier.store.write() as db:
                db.execute("DELETE FROM due WHERE id = ?", (row_id,))
            with self._guard:
                self._busy_ids.discard(row_id)
                self._busy_lanes.discard(lane)
            self.carrier.wake.set()
