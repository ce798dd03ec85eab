"""Apply a checked contact import in batches, each one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis.exceptions import RedisError

from inbox.extensions import redis
from inbox.models import ContactImport, db, transaction

LEASE = 30  # seconds; a worker that died is replaced after that


class Lease:
    """The right to work on an import, renewed after every batch."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock

    def extend(self) -> None:
        with suppress(RedisError):
            self.lock.extend(LEASE, replace_ttl=True)


@contextmanager
def alone(import_id: int) -> Iterator[Lease | None]:
    """One process at a time works on an import; None when another one does."""
    lock = redis.client.lock(f"inbox:import:{import_id}", timeout=LEASE)
    if not lock.acquire(blocking=False):
        yield None
        return
    try:
        yield Lease(lock)
    finally:
        with suppress(RedisError):
            lock.release()


def step_by_step(import_id: int, state: str, step: Callable[[ContactImport], int]) -> None:
    """One transaction after the other while the import is in that state, by one process at a time."""
    with alone(import_id) as lease:
        if lease is None:
            return
        while True:
            with transaction():
                found = db.session.get(ContactImport, import_id, with_for_update=True)
                if found is None or found.state != state or not step(found):
                    return
            lease.extend()


def run_import(import_id: int) -> None:
    """Apply batch after batch until nothing is left or somebody canceled it; rows applied by an earlier try stay applied."""
    step_by_step(import_id, "running", ContactImport.apply_batch)
