"""Money that comes in: a payment is pending until its provider says how it ended, and is booked once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock, payments
from inbox.models.account import Account
from inbox.models.base import Model, Moment, Refused, db, now_column, one_line, public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.event import Event
from inbox.models.ledger import LedgerEntry
from inbox.models.money import CURRENCY, DOLLAR, dollars
from inbox.payments.base import Charge, Outcome, Provider
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.member import Member

LEAST, MOST = DOLLAR, 100_000 * DOLLAR  # a typing error should not make a millionaire


class Payment(Model):
    """A top-up. States: pending, confirmed, failed; both ends are final. `nonce` makes a repeated post harmless."""

    __tablename__ = "payment"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    provider: Mapped[str] = mapped_column(sa.String(20), default=payments.DEFAULT)
    provider_id: Mapped[str] = mapped_column(sa.String(120), default="")
    state: Mapped[str] = mapped_column(sa.String(10), default="pending")
    amount: Mapped[int] = mapped_column(sa.BigInteger)  # micros
    note: Mapped[str] = mapped_column(sa.String(120))  # what the bank statement or the invoice says
    problem: Mapped[str] = mapped_column(sa.String(300), default="")
    nonce: Mapped[str] = mapped_column(sa.String(40))
    by_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    created_at: Mapped[datetime] = now_column()
    settled_at: Mapped[datetime | None] = mapped_column(Moment)
    account: Mapped[Account] = relationship(lazy="select")
    by: Mapped[Member] = relationship(lazy="joined")

    __table_args__ = (
        sa.UniqueConstraint("account_id", "nonce"),
        sa.Index("ix_payment_pending", "account_id", "id", sqlite_where=sa.text("state = 'pending'"), postgresql_where=sa.text("state = 'pending'")),
    )

    @staticmethod
    def start(account: Account, amount: int, *, note: str, nonce: str, by: Member) -> Payment:
        """Write down a top-up that is on its way; the same nonce gives the same payment. Raises Refused for odd amounts."""
        by.require(Permission.BILLING_MANAGE)
        note, nonce = one_line(note)[:120], one_line(nonce)[:40]
        if not nonce:
            raise Refused("Reload the page and try again.")
        if not LEAST <= amount <= MOST:
            raise Refused(f"Enter an amount between {dollars(LEAST)} and {dollars(MOST)}.", field="amount")
        if not note:
            raise Refused("Say how the money came, for example the number of the bank transfer.", field="note")
        made = db.session.execute(
            insert_or_ignore()(Payment)
            .values(account_id=account.id, amount=amount, note=note, nonce=nonce, by_id=by.id)
            .on_conflict_do_nothing(index_elements=["account_id", "nonce"])
            .returning(Payment.id)
        ).scalar()
        payment = db.session.scalars(sa.select(Payment).where(Payment.account_id == account.id, Payment.nonce == nonce)).one()
        if made is None and (payment.amount, payment.note) != (amount, note):
            raise Refused("This form was posted before with another amount. Reload the page.")
        if made is not None:
            Event.record("payment.started", account=account, by=by, payment=payment.public_id, amount=amount, note=note)
        return payment

    @staticmethod
    def pending(account_id: int) -> list[Payment]:
        """Payments that somebody still has to confirm, newest first."""
        query = sa.select(Payment).where(Payment.account_id == account_id, Payment.state == "pending").order_by(Payment.id.desc())
        return list(db.session.scalars(query.limit(20)))

    @property
    def adapter(self) -> Provider:
        return payments.get(self.provider)

    @property
    def charge(self) -> Charge:
        """What the provider is asked for; the same each time."""
        return Charge(ref=self.public_id, amount=self.amount, currency=CURRENCY, note=self.note)

    def settle(self, outcome: Outcome, *, by: Member) -> bool:
        """Write down how it ended and book it, by one conditional statement; False when that was known before or is still open."""
        by.require(Permission.BILLING_MANAGE)
        if outcome.state == "pending":
            return False
        settled = db.session.execute(
            sa.update(Payment)
            .where(Payment.id == self.id, Payment.state == "pending")
            .values(state=outcome.state, provider_id=outcome.provider_id[:120], problem=outcome.problem[:300], settled_at=clock.now())
            .returning(Payment.id)
            .execution_options(synchronize_session=False)
        ).scalar()
        db.session.refresh(self)
        if settled is None:
            return False
        kind = "payment.confirmed" if outcome.state == "confirmed" else "payment.failed"
        Event.record(kind, account=self.account_id, by=by, payment=self.public_id, amount=self.amount, note=self.note)
        if outcome.state == "confirmed":
            LedgerEntry.book(self.account_id, "top-up", self.amount, reference=f"payment:{self.public_id}", note=self.note, by=by, payment_id=self.id)
        return True

    def cancel(self, *, by: Member) -> bool:
        """The money did not come; False when the payment had ended already."""
        return self.settle(Outcome("failed", self.provider_id, f"{by.name} cancelled it."), by=by)
