"""Counters of tries that all processes share: guesses slow down, real people are not locked out (SECURITY S42, S48)."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox import clock
from inbox.models.base import Model, Moment, db, now_column
from inbox.models.carrier import insert_or_ignore
from inbox.models.member import normalize_email

FREE_TRIES = 5
WAITS = (2, 4, 8, 16, 30)  # seconds to wait after the 5th, 6th ... failure; the last one stays
FORGET_AFTER = timedelta(minutes=15)


class Attempt(Model):
    """How often something was tried lately. The key is a digest: the table tells nobody who was tried."""

    __tablename__ = "attempt"
    key: Mapped[str] = mapped_column(sa.String(64), unique=True)
    count: Mapped[int] = mapped_column(default=0)
    first_at: Mapped[datetime] = now_column()
    last_at: Mapped[datetime] = mapped_column(Moment, nullable=False, default=clock.now, index=True)

    @staticmethod
    def take(*key: object, limit: int, within: timedelta) -> bool:
        """Count one try if fewer than `limit` were made in the window; one statement, so that parallel tries cannot slip through."""
        now = clock.now()
        over = Attempt.first_at <= now - within
        return _count(key, now, over, sa.or_(over, Attempt.count < limit))

    @staticmethod
    def slowly(*key: object) -> bool:
        """Count one try unless it comes too early: five are free, then each waits longer, at most 30 seconds."""
        now = clock.now()
        over = Attempt.last_at <= now - FORGET_AFTER
        waited = [(Attempt.count == FREE_TRIES + i, Attempt.last_at <= now - timedelta(seconds=wait)) for i, wait in enumerate(WAITS[:-1])]
        return _count(key, now, over, sa.or_(over, Attempt.count < FREE_TRIES, sa.case(*waited, else_=Attempt.last_at <= now - timedelta(seconds=WAITS[-1]))))

    @staticmethod
    def wait(*key: object) -> int:
        """Seconds until the next try of `slowly` counts."""
        row = db.session.scalar(sa.select(Attempt).where(Attempt.key == _digest(key)).execution_options(populate_existing=True))
        now = clock.now()
        if row is None or row.count < FREE_TRIES or row.last_at <= now - FORGET_AFTER:
            return 0
        left = (row.last_at - now).total_seconds() + WAITS[min(row.count - FREE_TRIES, len(WAITS) - 1)]
        return max(0, int(left + 0.999))

    @staticmethod
    def forget(*key: object) -> None:
        """It was really them."""
        db.session.execute(sa.delete(Attempt).where(Attempt.key == _digest(key)))

    @staticmethod
    def sweep() -> None:
        """Drop counters nobody needs any more."""
        db.session.execute(sa.delete(Attempt).where(Attempt.last_at < clock.now() - timedelta(days=1)))


def mailbox(email: str) -> str:
    """The mailbox behind the spellings of an address: case, dots and +tags make no difference to a counter."""
    local, _, domain = normalize_email(email).rpartition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{domain}"


def _digest(key: tuple[object, ...]) -> str:
    return hashlib.sha256("\n".join(map(str, key)).encode()).hexdigest()


def _count(key: tuple[object, ...], now: datetime, over: sa.ColumnElement[bool], allowed: sa.ColumnElement[bool]) -> bool:
    insert = insert_or_ignore()(Attempt).values(key=_digest(key), count=1, first_at=now, last_at=now)
    values = {"count": sa.case((over, 1), else_=Attempt.count + 1), "first_at": sa.case((over, now), else_=Attempt.first_at), "last_at": now}
    query = insert.on_conflict_do_update(index_elements=["key"], set_=values, where=allowed)
    return db.session.execute(query.returning(Attempt.id)).scalar() is not None
