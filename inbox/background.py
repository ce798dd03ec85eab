"""Work for the workers: enqueue a job by name, after the transaction has committed.

Jobs carry row ids only (JSON). The queue is a doorbell: the row is the truth, and sweepers ring again for what was
lost, so a queue that cannot be reached never fails a request.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rq import Queue
from rq.serializers import JSONSerializer

from inbox.extensions import after_commit, redis

log = logging.getLogger(__name__)
LANES = ("send", "auto", "bulk")  # of texts going out: a person's own, automatic ones, one text to many
QUEUES = ("send", "auto", "default", "mail", "bulk")  # what a single worker looks at first, first


def queue(name: str) -> Queue:
    """The RQ queue of that name; raises ValueError for a name no worker listens to."""
    if name not in QUEUES:
        raise ValueError(f"No worker listens to the queue {name!r}.")
    return Queue(name, connection=redis.client, serializer=JSONSerializer)


def enqueue(job: str, *args: int | str, on: str = "default") -> None:
    """Run `jobs.<job>.<job>(*args)` in a worker once the current transaction has committed."""
    after_commit(lambda: _ring(job, args, on))


def _ring(job: str, args: Sequence[int | str], on: str) -> None:
    try:
        with redis.client.pipeline() as pipe:  # the queue's name and the job in one go
            queue(on).enqueue_call(f"jobs.{job}.{job}", args=tuple(args), timeout=120, result_ttl=0, failure_ttl=7 * 86400, pipeline=pipe)
            pipe.execute()
    except Exception:  # the row is committed; a sweeper will find it
        log.warning("could not ring for %s%s", job, tuple(args), exc_info=log.isEnabledFor(logging.DEBUG))
