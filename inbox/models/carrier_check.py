"""What trying a carrier last showed: its credentials, our own webhook address, the addresses its numbers call."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock
from inbox.models.base import Model, Moment, db
from inbox.models.carrier import Carrier, insert_or_ignore
from inbox.models.inbox import Inbox

CREDENTIALS, WEBHOOK, NUMBERS = "credentials", "webhook", "numbers"
KINDS = (CREDENTIALS, WEBHOOK, NUMBERS)


class CarrierCheck(Model):
    """The last result of one kind of check; `details` of the numbers: one entry {inbox, wrong} for each inbox whose number is not pointed at us."""

    __tablename__ = "carrier_check"
    carrier_id: Mapped[int] = mapped_column(sa.ForeignKey("carrier.id"))
    kind: Mapped[str] = mapped_column(sa.String(12))
    at: Mapped[datetime] = mapped_column(Moment)
    well: Mapped[bool] = mapped_column()
    sentence: Mapped[str] = mapped_column(sa.String(500))
    field: Mapped[str | None] = mapped_column(sa.String(20))
    details: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON, default=list)
    carrier: Mapped[Carrier] = relationship()

    __table_args__ = (sa.UniqueConstraint("carrier_id", "kind"),)

    @staticmethod
    def put(carrier_id: int, kind: str, *, well: bool, sentence: str, field: str | None = None, details: list[dict[str, Any]] | None = None) -> None:
        """Keep what a check found in place of what the one before did."""
        values = {"at": clock.now(), "well": well, "sentence": sentence[:500], "field": field, "details": details or []}
        insert = insert_or_ignore()(CarrierCheck).values(carrier_id=carrier_id, kind=kind, **values)
        db.session.execute(insert.on_conflict_do_update(index_elements=["carrier_id", "kind"], set_=values))

    @staticmethod
    def of(account_id: int) -> dict[tuple[int, str], CarrierCheck]:
        """What is known of the account's carriers, by carrier and kind."""
        rows = db.session.scalars(sa.select(CarrierCheck).join(Carrier).where(Carrier.account_id == account_id).execution_options(populate_existing=True))
        return {(row.carrier_id, row.kind): row for row in rows}

    @staticmethod
    def inboxes_of(carrier: Carrier) -> list[Inbox]:
        """The shared inboxes that text through a carrier with a number of it, by name."""
        return list(
            db.session.scalars(
                sa.select(Inbox).where(Inbox.carrier_id == carrier.id, Inbox.owner_id.is_(None), Inbox.phone.is_not(None)).order_by(Inbox.name).limit(1000)
            )
        )
