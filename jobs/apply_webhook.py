"""Apply a stored provider request: texts, receipts, registration news, calls. Applying it again changes nothing."""

from __future__ import annotations

import time
from datetime import timedelta

import sqlalchemy as sa

from inbox import clock, origin
from inbox.channels.base import CallNotice, Event, Inbound, RawRequest, RegistrationNotice, Unreadable
from inbox.models import Call, Carrier, Conversation, Inbox, ReceiptRow, Registration, Stopping, WebhookEvent, db, transaction
from inbox.models.consent import LONGEST_WAIT, hold_still
from inbox.models.conversation.receiving import keyword_of

LONGEST_NUMBER = 20  # characters, as contacts keep it
WAIT_HERE = 1.0  # seconds a worker stands still for a STOP
LOOK_EVERY = 0.05  # seconds between two looks at the texts that a STOP overtakes
PATIENCE = timedelta(minutes=30)  # how long news of a call may wait for the news that begins it


class TooEarly(Exception):
    """The request is about something an earlier request, not applied yet, begins."""


def apply_webhook(event_id: int) -> None:
    """Apply one stored request in one transaction, after a STOP has overtaken the texts under way; what can't be understood is kept with the reason."""
    with origin.coming_from(origin.CARRIER):
        stops, deadline = _mark_stops(event_id), time.monotonic() + WAIT_HERE
        while not _apply_now(event_id, stops):
            if time.monotonic() >= deadline:
                return  # others need this worker; the mark holds, and the sweep rings again
            while time.monotonic() < deadline and any(Stopping.under_way(inbox, address) for inbox, address in stops):
                db.session.commit()
                time.sleep(LOOK_EVERY)


def _mark_stops(event_id: int) -> list[tuple[Inbox, str]]:
    """Where the request opts somebody out, marked and committed: from here on nobody claims a text to them (models/consent.py)."""
    row = db.session.scalar(sa.select(WebhookEvent).where(WebhookEvent.id == event_id, WebhookEvent.applied_at.is_(None)))
    if row is None or row.kind != "messages":
        return []
    try:
        events = _parsed(row)
    except Unreadable:
        return []
    texts = [(inbox, event) for event in events if isinstance(event, Inbound) for inbox in [inbox_of(row.carrier, event.to)] if inbox]
    stops = [(inbox, text.sender) for inbox, text in texts if keyword_of(inbox, text) == "STOP"]
    if stops:
        with transaction():
            for inbox, address in stops:
                hold_still(inbox.account_id, address, alone=True)
            if db.session.scalar(sa.select(WebhookEvent.applied_at).where(WebhookEvent.id == event_id)) is not None:
                return []  # another worker did it while we waited
            for inbox, address in stops:
                Stopping.mark(inbox, address)
    return stops


def _apply_now(event_id: int, stops: list[tuple[Inbox, str]]) -> bool:
    """Apply it, unless a text is still on its way to somebody who opts out here; False then, and nothing is written."""
    with transaction():
        row = db.session.scalar(sa.select(WebhookEvent).where(WebhookEvent.id == event_id, WebhookEvent.applied_at.is_(None)).with_for_update())
        if row is None:
            return True
        anyway = clock.now() - row.received_at >= timedelta(seconds=LONGEST_WAIT)
        for inbox, address in stops:
            hold_still(inbox.account_id, address, alone=True)
            if not anyway and Stopping.under_way(inbox, address):
                return False
            Stopping.done(inbox, address)
        try:
            row.problem = _apply(row)
        except TooEarly as early:
            row.problem = str(early)[:500]
            if clock.now() - row.received_at < PATIENCE:
                return True  # the sweep rings again
        row.applied_at = clock.now()
        return True


def _parsed(row: WebhookEvent) -> list[Event]:
    """What the request says; raises Unreadable."""
    return list(row.carrier.adapter.parse(RawRequest(method=row.method, url=row.url, headers=row.headers, body=row.body)))


def _apply(row: WebhookEvent) -> str | None:
    """Apply every event of the request; the sentence about what was wrong, if anything."""
    carrier = row.carrier
    try:
        events = _parsed(row)
    except Unreadable as error:
        return error.reason
    return " ".join(filter(None, [apply_event(carrier, event) for event in events]))[:500] or None


def apply_event(carrier: Carrier, event: Event) -> str | None:
    """Apply one event; the sentence about what was wrong, if anything."""
    if isinstance(event, Inbound | CallNotice) and len(event.sender) > LONGEST_NUMBER:
        return "The sender is longer than any number that texts or calls."
    if isinstance(event, Inbound):
        return _take_in(carrier, event)
    if isinstance(event, RegistrationNotice):
        return _look_at_registration(carrier, event)
    if isinstance(event, CallNotice):
        return _note_call(carrier, event)
    ReceiptRow.take(carrier.account_id, event)
    return None


def inbox_of(carrier: Carrier, number: str) -> Inbox | None:
    """The account's inbox with that number; another account's is never meant."""
    return db.session.scalar(sa.select(Inbox).where(Inbox.account_id == carrier.account_id, Inbox.phone == number))


def _take_in(carrier: Carrier, inbound: Inbound) -> str | None:
    inbox = inbox_of(carrier, inbound.to)
    if inbox is None:
        return f"No inbox has the number {inbound.to or '(none)'}."
    Conversation.receive(inbox, inbound)
    return None


def _look_at_registration(carrier: Carrier, notice: RegistrationNotice) -> str | None:
    registration = Registration.by_ref(carrier.account_id, notice.ref_sid)
    if registration is None:
        return f"No registration knows {notice.ref_sid}."
    registration.notice()
    return None


def _note_call(carrier: Carrier, notice: CallNotice) -> str | None:
    if Call.take(carrier.account_id, notice) is not None:
        return None
    if notice.recording or notice.ref or not notice.to:
        raise TooEarly(f"No call is known as {notice.call_sid}.")
    return f"No inbox that takes calls has the number {notice.to}."
