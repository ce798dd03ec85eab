"""A worker: `python -m jobs.worker send default mail` does jobs of these queues, the first named first."""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import FrameType

from inbox import config, create_app

app = create_app(config.load())  # sets RQ_KEY_PREFIX, which RQ reads when it is imported

from redis import Redis  # noqa: E402
from rq import Queue, Worker  # noqa: E402
from rq.executions import Execution  # noqa: E402
from rq.job import Job  # noqa: E402
from rq.serializers import JSONSerializer  # noqa: E402
from rq.worker.base import WorkerStatus  # noqa: E402

from inbox import background, heartbeat, origin  # noqa: E402
from inbox.extensions import db, redis  # noqa: E402

log = logging.getLogger("jobs.worker")

# Customers' files and members' uploads are read in a process of their own: one that eats all memory takes nothing else with it.
APART = frozenset({"jobs.fetch_media.fetch_media", "jobs.check_import.check_import", "jobs.run_import.run_import"})
BEAT = 3.0  # seconds


class InboxWorker(Worker):
    """Does quick jobs itself and risky ones in a child; a job that once took a worker down counts as risky."""

    told_to_stop = False

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Do one job, here or in a child."""
        mark = f"inbox:down:{job.func_name}:{job.args}"
        if job.func_name in APART or not self.connection.set(mark, 1, nx=True, ex=3600):
            db.session.remove()
            db.engine.dispose()  # the child must not share connections with us
            super().execute_job(job, queue)
            return
        execution = self.prepare_execution(job)
        self.perform_job(job, queue, execution)
        self.connection.delete(mark)
        self.set_state(WorkerStatus.IDLE)

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        """Do the job with a database session of its own."""
        try:
            with origin.coming_from(origin.JOB):
                return bool(super().perform_job(job, queue, execution))
        finally:
            db.session.remove()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Finish the job at hand, then stop."""
        self.told_to_stop = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


def work(queues: list[str]) -> None:
    """Work until told to stop; a Redis that goes away is waited for."""
    pause = 0.5
    while True:
        connection = Redis.from_url(redis.url, socket_connect_timeout=2)
        worker: InboxWorker | None = None
        began = time.monotonic()
        try:
            listening = [Queue(name, connection=connection, serializer=JSONSerializer) for name in queues]
            worker = InboxWorker(listening, connection=connection, serializer=JSONSerializer, log_job_description=False, default_result_ttl=0)
            worker.work(logging_level=app.config["SETTINGS"].log_level)
        except Exception as error:
            log.warning("the worker lost its queue (%s); it goes on when Redis is back", type(error).__name__)
        finally:
            connection.close()
        if worker is not None and worker.told_to_stop:
            return
        pause = 0.5 if time.monotonic() - began > 60 else min(8.0, pause * 2)
        time.sleep(pause)


def keep_beating(stop: threading.Event) -> None:
    """Let /healthz know that this worker lives."""
    while not stop.is_set():
        try:
            heartbeat.beat("worker")
        except Exception:
            log.debug("redis is away")
        stop.wait(BEAT)


def main(queues: list[str]) -> int:
    """Check the names, then work."""
    unknown = [name for name in queues if name not in background.QUEUES]
    if unknown or not queues:
        sys.stderr.write(f"Name the queues to work on: {', '.join(background.QUEUES)}.\n")
        return 2
    stop = threading.Event()
    beating = threading.Thread(target=keep_beating, args=(stop,), name="heartbeat", daemon=True)
    beating.start()
    with app.app_context():
        work(queues)
    stop.set()
    beating.join(2)
    try:
        heartbeat.leave("worker")
    except Exception:
        log.debug("redis is already gone")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
