"""The balance of an account and the append-only ledger that explains it: the balance is always the sum of the entries (ACC-2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship

from inbox import clock
from inbox.models.account import Account
from inbox.models.base import Model, Moment, Refused, db, now_column
from inbox.models.carrier import insert_or_ignore
from inbox.models.money import dollars

if TYPE_CHECKING:
    from inbox.models.member import Member
    from inbox.models.message import Message

KINDS = {"top-up": "Funds added", "seats": "Seats", "texts": "Texts", "correction": "Corrections"}


class NotCovered(Refused):
    """The balance is smaller than the price."""


@dataclass(frozen=True)
class Standing:
    """Where an account is with its money; `balance` in micros."""

    account_id: int
    trial_ends_at: datetime
    balance: int

    @staticmethod
    def of(account_id: int) -> Standing:
        """Both in one read by key, because every text asks."""
        row = db.session.execute(
            sa.select(Account.trial_ends_at, sa.func.coalesce(Wallet.balance, 0))
            .outerjoin(Wallet, Wallet.account_id == Account.id)
            .where(Account.id == account_id)
        ).one()
        return Standing(account_id, row[0], row[1])

    @property
    def trial(self) -> bool:
        return clock.now() < self.trial_ends_at

    @property
    def may_send(self) -> bool:
        """Texts leave during the trial, and as long as there is money."""
        return self.trial or self.balance > 0

    def why_not(self) -> str:
        """The sentence of the send gate, with who can help; asked only on a refusal."""
        if self.may_send:
            return ""
        from inbox.models.member import Member
        from inbox.permissions import Permission

        names = [member.name.split()[0] for member in Member.holding(self.account_id, Permission.BILLING_MANAGE)][:3]
        return f"Your trial is over and the balance is empty. {' or '.join(names) or 'An owner'} can add funds."


class Wallet(Model):
    """The balance, one row an account, made by the first entry; `seats_until` is how far the paid seats are booked."""

    __tablename__ = "wallet"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), unique=True)
    balance: Mapped[int] = mapped_column(sa.BigInteger, default=0)  # micros; below zero when texts or seats were owed
    seats_until: Mapped[datetime | None] = mapped_column(Moment)

    @staticmethod
    def lock(account_id: int) -> None:
        """Let one booking at a time decide on this balance; always the last lock a transaction takes."""
        row = sa.select(Wallet.id).where(Wallet.account_id == account_id).with_for_update()
        if db.session.scalar(row) is None:
            db.session.execute(insert_or_ignore()(Wallet).values(account_id=account_id, balance=0).on_conflict_do_nothing(index_elements=["account_id"]))
            db.session.scalar(row)

    @staticmethod
    def seats_booked_until(account_id: int) -> datetime | None:
        return db.session.scalar(sa.select(Wallet.seats_until).where(Wallet.account_id == account_id))

    @staticmethod
    def book_seats_until(account_id: int, until: datetime) -> None:
        Wallet.lock(account_id)
        db.session.execute(
            sa.update(Wallet).where(Wallet.account_id == account_id).values(seats_until=until).execution_options(synchronize_session=False)
        )


class LedgerEntry(Model):
    """One booking. `reference` says what it is for and is unique in the account, so that nothing is booked twice."""

    __tablename__ = "ledger_entry"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    kind: Mapped[str] = mapped_column(sa.String(12))  # of KINDS
    amount: Mapped[int] = mapped_column(sa.BigInteger)  # micros, negative when it costs
    balance: Mapped[int] = mapped_column(sa.BigInteger)  # after this entry
    reference: Mapped[str] = mapped_column(sa.String(80))
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    message_id: Mapped[int | None] = mapped_column(sa.ForeignKey("message.id"))
    payment_id: Mapped[int | None] = mapped_column(sa.ForeignKey("payment.id"))
    at: Mapped[datetime] = now_column()
    by: Mapped[Member | None] = relationship(lazy="raise")

    __table_args__ = (
        sa.UniqueConstraint("account_id", "reference"),
        sa.Index("ix_ledger_entry_account", "account_id", "id"),
        sa.Index("ix_ledger_entry_kind", "account_id", "kind", "id"),
    )

    @staticmethod
    def book(account_id: int, kind: str, amount: int, *, reference: str, covered: bool = False, by: Member | None = None, **about: Any) -> LedgerEntry | None:
        """Change the balance by one conditional statement and append the entry, in the caller's transaction.

        None when `reference` was booked before. With `covered` raises NotCovered rather than let the balance fall below zero.
        """
        Wallet.lock(account_id)
        booked = sa.exists().where(LedgerEntry.account_id == account_id, LedgerEntry.reference == reference)
        enough = Wallet.balance + amount >= 0 if covered and amount < 0 else sa.true()
        balance = db.session.execute(
            sa.update(Wallet)
            .where(Wallet.account_id == account_id, ~booked, enough)
            .values(balance=Wallet.balance + amount)
            .returning(Wallet.balance)
            .execution_options(synchronize_session=False)
        ).scalar()
        if balance is None:
            if LedgerEntry.booked(account_id, reference):
                return None
            raise NotCovered(f"That costs {dollars(-amount)} and the balance is {dollars(Standing.of(account_id).balance)}. Add funds first.")
        return LedgerEntry(account_id=account_id, kind=kind, amount=amount, balance=balance, reference=reference, by_id=by.id if by else None, **about).save()

    @staticmethod
    def booked(account_id: int, reference: str) -> bool:
        return db.session.scalar(sa.select(LedgerEntry.id).where(LedgerEntry.account_id == account_id, LedgerEntry.reference == reference)) is not None

    @staticmethod
    def charge(message: Message, price: int | None = None) -> LedgerEntry | None:
        """Book what the carrier takes for a text it accepted, once for each time the text left; `price` in micros is what it said itself."""
        adapter = message.conversation.inbox.texting.adapter
        if message.state == "failed" or not adapter.caps.charged:
            return None
        segments = message.segments or 1
        if price is None:
            price = adapter.price(message.peer, segments, len(message.attachments))
        files = len(message.attachments)
        note = f"Text with {files} {'file' if files == 1 else 'files'}" if files else f"Text, {segments} {'segment' if segments == 1 else 'segments'}"
        again = LedgerEntry.booked(message.account_id, f"refund:{message.ref}")  # it was called failed, and arrived
        return LedgerEntry.book(message.account_id, "texts", -price, reference=f"{'again' if again else 'text'}:{message.ref}", note=note, message_id=message.id)

    @staticmethod
    def refund(message: Message) -> LedgerEntry | None:
        """Give back what a text cost that never left the carrier, which takes nothing for it."""
        booked = sa.select(LedgerEntry.amount).where(LedgerEntry.account_id == message.account_id, LedgerEntry.reference == f"text:{message.ref}")
        amount = db.session.scalar(booked)
        if amount is None:
            return None
        return LedgerEntry.book(
            message.account_id, "correction", -amount, reference=f"refund:{message.ref}", note="A text never left the carrier", message_id=message.id
        )

    @staticmethod
    def page(account_id: int, *, kind: str = "", before: int | None = None, limit: int = 50) -> list[LedgerEntry]:
        """Entries, newest first, older than the entry with id `before`."""
        query = sa.select(LedgerEntry).where(LedgerEntry.account_id == account_id).options(joinedload(LedgerEntry.by))
        if kind:
            query = query.where(LedgerEntry.kind == kind)
        if before is not None:
            query = query.where(LedgerEntry.id < before)
        return list(db.session.scalars(query.order_by(LedgerEntry.id.desc()).limit(limit)))


@sa.event.listens_for(LedgerEntry, "before_update")
@sa.event.listens_for(LedgerEntry, "before_delete")
def _append_only(_mapper: Any, _connection: Any, entry: LedgerEntry) -> None:
    raise RuntimeError(f"Ledger entry {entry.id} is final: book a correction.")


# The database refuses, too; the migration makes the same triggers.
GUARDS = {
    "sqlite": tuple(
        f"CREATE TRIGGER ledger_entry_no_{what} BEFORE {what.upper()} ON ledger_entry BEGIN SELECT RAISE(ABORT, 'Ledger entries are final.'); END"
        for what in ("update", "delete")
    ),
    "postgresql": (
        "CREATE FUNCTION ledger_entry_is_final() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'Ledger entries are final.'; END $$",
        "CREATE TRIGGER ledger_entry_no_change BEFORE UPDATE OR DELETE ON ledger_entry FOR EACH ROW EXECUTE FUNCTION ledger_entry_is_final()",
    ),
}
for _dialect, _statements in GUARDS.items():
    for _statement in _statements:
        sa.event.listen(LedgerEntry.__table__, "after_create", sa.DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]
