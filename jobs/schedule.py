"""The scheduler: `python -m jobs.schedule`. Everything that recurs, on one screen; two of them at once do no harm."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from inbox import create_app, heartbeat, origin
from inbox.extensions import db
from jobs import sweeps
from jobs.renew_seats import sweep_seats
from jobs.run_bulk import sweep_bulk
from jobs.send_scheduled import sweep_scheduled
from jobs.wake_conversations import sweep_snoozes

log = logging.getLogger(__name__)
LONGEST_PAUSE = 30.0  # seconds, while the database or Redis is away


@dataclass
class Task:
    """Something done every few seconds; after a failure the pause grows until it works again."""

    run: Callable[[], None]
    every: float
    due: float = 0.0
    failures: int = 0

    def attempt(self) -> None:
        """Do it once, whatever happens, and set the next time."""
        try:
            with origin.coming_from(origin.JOB):
                self.run()
            self.failures = 0
        except Exception as error:
            self.failures += 1
            log.warning("%s failed (%s: %s)", self.run.__name__, type(error).__name__, str(error).splitlines()[0] if str(error) else "")
            log.debug("the whole error", exc_info=True)
        finally:
            db.session.remove()
        self.due = time.monotonic() + min(LONGEST_PAUSE, self.every * 2**self.failures)


def beat() -> None:
    """Let /healthz know."""
    heartbeat.beat("scheduler")


def tasks() -> list[Task]:
    return [
        Task(beat, 3.0),
        Task(sweeps.watch_clocks, 1.0),
        Task(sweeps.sweep_outbox, 1.0),
        Task(sweeps.sweep_registrations, 2.0),
        Task(sweeps.sweep_webhooks, 5.0),
        Task(sweeps.sweep_media, 5.0),
        Task(sweeps.sweep_calls, 5.0),
        Task(sweeps.sweep_imports, 5.0),
        Task(sweeps.sweep_import_files, 60.0),
        Task(sweeps.sweep_replays, 5.0),
        Task(sweep_snoozes, 2.0),
        Task(sweep_scheduled, 1.0),
        Task(sweep_bulk, 5.0),
        Task(sweeps.sweep_mail, 5.0),
        Task(sweep_seats, 30.0),
        Task(sweeps.sweep_search, 30.0),
        Task(sweeps.sweep_notifications, 5.0),
    ]


def run(stop: threading.Event, todo: list[Task]) -> None:
    """Do what is due until told to stop."""
    while not stop.is_set():
        now = time.monotonic()
        for task in todo:
            if task.due <= now and not stop.is_set():
                task.attempt()
        stop.wait(max(0.05, min(task.due for task in todo) - time.monotonic()))


def main() -> None:
    """Run until SIGTERM or Ctrl-C; what is being done is finished first."""
    stop = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    app = create_app()
    with app.app_context():
        run(stop, tasks())
        try:
            heartbeat.leave("scheduler")
        except Exception:
            log.debug("redis is already gone")


if __name__ == "__main__":
    main()
