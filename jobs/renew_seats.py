"""Book the seats of the month that began (SEAT-1)."""

from __future__ import annotations

from inbox import background
from inbox.models import Account, Subscription, db, transaction


def renew_seats(account_id: int) -> None:
    """Book one account's seats for the month that runs; doing it twice books once."""
    with transaction():
        account = db.session.get(Account, account_id)
        if account is not None:
            Subscription(account).renew()


def sweep_seats() -> None:
    """Ring for every account whose booked month is over."""
    due = Subscription.due()
    db.session.commit()
    for account_id in due:
        background.enqueue("renew_seats", account_id)
