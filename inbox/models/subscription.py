"""What an account pays for its seats: the plan, the free seats in it, more seats, and the month they are booked for (SEAT-1)."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from inbox import background, clock
from inbox.models.account import Account
from inbox.models.base import Refused, db, one_line
from inbox.models.event import Event
from inbox.models.ledger import LedgerEntry, Wallet
from inbox.models.member import Member
from inbox.models.money import CENT, DOLLAR, dollars
from inbox.permissions import Permission

MOST_SEATS = 1_000


@dataclass(frozen=True)
class Plan:
    """What an account gets without buying seats; `seat_price` in micros a seat and month."""

    name: str
    included: int
    seat_price: int


# The prices are the operator's to set; no carrier charges for seats. Members without a seat cost nothing in either plan.
PLANS = {
    "trial": Plan("Free trial", included=1, seat_price=0),
    "standard": Plan("Standard", included=1, seat_price=15 * DOLLAR),
}
STANDARD = PLANS["standard"]


class Changed(Refused):
    """The number of seats or the price is not what the person saw; nothing was booked."""

    status = 409


class Subscription:
    """The seats of one account and what they cost."""

    def __init__(self, account: Account) -> None:
        self.account = account

    @property
    def trial(self) -> bool:
        return clock.now() < self.account.trial_ends_at

    @property
    def plan(self) -> Plan:
        return PLANS["trial"] if self.trial else STANDARD

    @property
    def price(self) -> int:
        """What one more seat costs a month once the trial is over, in micros."""
        return STANDARD.seat_price

    @property
    def least(self) -> int:
        """The fewest seats the account can go down to: those in use, and those that are free anyway."""
        return max(self.account.seats_used, self.plan.included)

    def billable(self, seats: int | None = None) -> int:
        """How many seats are paid for each month, once the trial is over."""
        return max(0, (self.account.seats_paid if seats is None else seats) - STANDARD.included)

    def monthly(self, seats: int | None = None) -> int:
        """What the seats cost a month after the trial, in micros."""
        return self.billable(seats) * STANDARD.seat_price

    def month(self) -> tuple[datetime, datetime]:
        """The month that runs now; months are counted from the end of the trial."""
        anchor, now = self.account.trial_ends_at, clock.now()
        count = (now.year - anchor.year) * 12 + now.month - anchor.month
        if _later(anchor, count) > now:
            count -= 1
        return _later(anchor, count), _later(anchor, count + 1)

    @property
    def next_booking(self) -> datetime:
        """When seats are booked next."""
        return self.account.trial_ends_at if self.trial else self.month()[1]

    def cost(self, wanted: int) -> int:
        """What changing to `wanted` seats costs now: nothing in the trial, else the rest of the month, rounded down to a cent."""
        more = self.billable(wanted) - self.billable()
        if self.trial or more <= 0:
            return 0
        start, end = self.month()
        left, whole = int((end - clock.now()).total_seconds()), int((end - start).total_seconds())
        return more * STANDARD.seat_price * left // whole // CENT * CENT

    def change(self, wanted: int, *, seen: int, quote: int, nonce: str, by: Member) -> bool:
        """Buy seats or give them back, in one transaction with the booking; False when this very form was posted before.

        `seen` is the number of seats and `quote` the price in micros that the person was shown. Raises Refused, Changed or NotCovered.
        """
        by.require(Permission.BILLING_MANAGE)
        nonce = one_line(nonce)[:40]
        if not nonce:
            raise Refused("Reload the page and try again.")
        self._hold()
        if LedgerEntry.booked(self.account.id, f"change:{nonce}"):
            return False
        if not self.trial:
            self.renew()
        self.check(wanted)
        cost = self.cost(wanted)
        if self.account.seats_paid != seen:
            raise Changed(f"A teammate changed the seats meanwhile: there are {self.account.seats_paid} now. Nothing was booked.")
        if cost > quote:
            raise Changed(f"The price is {dollars(cost)} now. Nothing was booked; look again and confirm.")
        self._put(wanted, seen)
        LedgerEntry.book(self.account.id, "seats", -cost, reference=f"change:{nonce}", covered=True, by=by, note=self._note(wanted - seen))
        if not self.trial and wanted > seen:
            Wallet.book_seats_until(self.account.id, self.month()[1])
        Event.record("seats.changed", account=self.account, by=by, before=seen, after=wanted, cost=cost)
        return True

    def check(self, wanted: int) -> None:
        """Raise Refused unless the account may have that many seats."""
        if wanted > MOST_SEATS:
            raise Refused(f"An account can have at most {MOST_SEATS:,} seats.", field="seats")
        if wanted < self.account.seats_used:
            used = "One seat is" if self.account.seats_used == 1 else f"{self.account.seats_used} seats are"
            raise Refused(f"{used} in use. Take seats away from people first.", field="seats")
        if wanted < self.plan.included:
            raise Refused(f"The plan includes {self.plan.included} free; there is nothing to give back below that.", field="seats")

    def renew(self) -> LedgerEntry | None:
        """Book the seats of the month that runs, once; the balance may fall below zero, then sending pauses and admins are told."""
        self._hold()
        until = Wallet.seats_booked_until(self.account.id)
        if self.trial or not self.billable() or (until is not None and until > clock.now()):
            return None
        start, end = self.month()
        seats = self.billable()
        entry = LedgerEntry.book(
            self.account.id, "seats", -self.monthly(), reference=f"month:{start:%Y-%m-%d}", note=f"{seats} {'seat' if seats == 1 else 'seats'} until {_day(end)}"
        )
        Wallet.book_seats_until(self.account.id, end)
        if entry is not None:
            Event.record("seats.renewed", account=self.account, seats=seats, cost=-entry.amount)
            if entry.balance <= 0:
                background.enqueue("send_mail", "balance", entry.id, on="mail")
        return entry

    @staticmethod
    def due() -> list[int]:
        """The accounts whose seats are to be booked for another month."""
        now = clock.now()
        query = (
            sa.select(Account.id)
            .outerjoin(Wallet, Wallet.account_id == Account.id)
            .where(Account.seats_paid > STANDARD.included, sa.func.coalesce(Wallet.seats_until, Account.trial_ends_at) <= now, Account.trial_ends_at <= now)
        )
        return list(db.session.scalars(query.limit(200)))

    def _hold(self) -> None:
        """Let one change at a time decide, and read the seats anew; before the wallet, in the order of `Account.seat`."""
        db.session.refresh(self.account, with_for_update={"key_share": True})

    def _put(self, wanted: int, seen: int) -> None:
        """The conditional statement: never fewer seats than in use, whatever happened meanwhile."""
        changed = db.session.execute(
            sa.update(Account)
            .where(Account.id == self.account.id, Account.seats_paid == seen, Account.seats_used <= wanted)
            .values(seats_paid=wanted)
            .returning(Account.id)
            .execution_options(synchronize_session=False)
        ).scalar()
        if changed is None:
            raise Changed("The seats changed meanwhile. Nothing was booked; look again and confirm.")
        db.session.refresh(self.account)

    def _note(self, more: int) -> str:
        seats = f"{abs(more)} {'seat' if abs(more) == 1 else 'seats'}"
        if more < 0:
            return f"{seats} given back"
        return f"{seats} added, free in the trial" if self.trial else f"{seats} added, until {_day(self.month()[1])}"


def _later(anchor: datetime, months: int) -> datetime:
    """The same day some months later, or the last day of a shorter month."""
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    return anchor.replace(year=year, month=month + 1, day=min(anchor.day, calendar.monthrange(year, month + 1)[1]))


def _day(at: datetime) -> str:
    return at.strftime("%b %d, %Y").replace(" 0", " ")
