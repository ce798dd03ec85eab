"""How much of a campaign's day has gone out: the carriers' daily cap, counted in segments (MSG-1)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox import clock
from inbox.models.base import Model, db
from inbox.models.carrier import insert_or_ignore

if TYPE_CHECKING:
    from inbox.models.registration import Registration

PACIFIC = ZoneInfo("America/Los_Angeles")  # caps begin anew at midnight there
NEARLY = 0.8


def today(at: datetime | None = None) -> date:
    """The carriers' day."""
    return (at or clock.now()).astimezone(PACIFIC).date()


def next_day(at: datetime | None = None) -> datetime:
    """When the carriers' next day begins."""
    return datetime.combine(today(at) + timedelta(days=1), datetime.min.time(), PACIFIC).astimezone(clock.now().tzinfo)


def daily_cap(registration: Registration | None) -> int | None:
    """Segments a day that the carriers take from a campaign; None when nobody said."""
    cap = (registration.limits or {}).get("daily_cap") if registration else None
    return cap if isinstance(cap, int) and cap > 0 else None


class UsageDay(Model):
    """The segments of a registration's texts that left on one Pacific day."""

    __tablename__ = "usage_day"
    registration_id: Mapped[int] = mapped_column(sa.ForeignKey("registration.id"))
    day: Mapped[date] = mapped_column(sa.Date)
    segments: Mapped[int] = mapped_column(default=0)

    __table_args__ = (sa.UniqueConstraint("registration_id", "day"),)

    @staticmethod
    def used(registration_id: int, day: date | None = None) -> int:
        """Segments counted on a day, today when none is named."""
        query = sa.select(UsageDay.segments).where(UsageDay.registration_id == registration_id, UsageDay.day == (day or today()))
        return db.session.scalar(query) or 0

    @staticmethod
    def take(registration_id: int, segments: int, cap: int, day: date | None = None) -> bool:
        """Count segments by one conditional statement; False when they would go over the cap, and then nothing is counted."""
        if segments > cap:
            return False
        insert = insert_or_ignore()(UsageDay).values(registration_id=registration_id, day=day or today(), segments=segments)
        taken = db.session.execute(
            insert.on_conflict_do_update(
                index_elements=["registration_id", "day"],
                set_={"segments": UsageDay.segments + insert.excluded.segments},
                where=UsageDay.segments + insert.excluded.segments <= cap,
            ).returning(UsageDay.id)
        ).scalar()
        return taken is not None

    @staticmethod
    def fill(registration_id: int, cap: int) -> None:
        """The carrier says that today's cap is reached, by texts we did not count as well."""
        insert = insert_or_ignore()(UsageDay).values(registration_id=registration_id, day=today(), segments=cap)
        db.session.execute(
            insert.on_conflict_do_update(
                index_elements=["registration_id", "day"], set_={"segments": insert.excluded.segments}, where=UsageDay.segments < insert.excluded.segments
            )
        )


def nearly_full(registration: Registration) -> tuple[int, int] | None:
    """(used, cap) of today from four fifths on; None below, and without a cap."""
    cap = daily_cap(registration)
    if cap is None:
        return None
    used = UsageDay.used(registration.id)
    return (used, cap) if used >= NEARLY * cap else None
