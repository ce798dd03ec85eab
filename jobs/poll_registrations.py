"""Ask the carrier where registrations stand."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import sqlalchemy as sa
from redis.exceptions import LockError

from inbox import clock
from inbox.extensions import redis
from inbox.models import Registration, db, transaction

log = logging.getLogger(__name__)
LEASE = timedelta(seconds=30)


@contextmanager
def alone(registration_id: int, patience: float) -> Iterator[bool]:
    """One process at a time talks to the carrier about a registration; False when another one still does."""
    lock = redis.client.lock(f"inbox:registration:{registration_id}", timeout=110, blocking_timeout=patience)
    mine = lock.acquire(blocking=patience > 0)
    try:
        yield mine
    finally:
        if mine:
            with suppress(LockError):
                lock.release()


def poll_registrations(registration_id: int = 0) -> None:
    """Refresh one registration now, or every one whose time has come."""
    if registration_id:
        _refresh(registration_id, patience=20)
        return
    due = Registration.due()
    db.session.commit()
    for one in due:
        try:
            if _put_off(one):
                _refresh(one, patience=0)
        except Exception:  # one broken registration must not hold up the others; its next check is already set
            log.exception("registration %s was not checked", one)
            db.session.rollback()


def _put_off(registration_id: int) -> bool:
    """Set the next check ahead by one conditional statement; False when another poller was faster."""
    now = clock.now()
    with transaction():
        mine = db.session.execute(
            sa.update(Registration)
            .where(Registration.id == registration_id, Registration.next_check_at <= now)
            .values(next_check_at=now + LEASE)
            .returning(Registration.id)
            .execution_options(synchronize_session=False)
        ).scalar()
    return mine is not None


def _refresh(registration_id: int, patience: float) -> None:
    with alone(registration_id, patience) as mine:
        registration = db.session.get(Registration, registration_id) if mine else None
        if registration is not None:
            registration.refresh()
