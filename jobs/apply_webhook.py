"""Apply a stored provider request: texts, receipts, registration news, calls. Applying it again changes nothing."""

from __future__ import annotations

import sqlalchemy as sa

from inbox import clock
from inbox.channels.base import CallNotice, Inbound, RawRequest, Receipt, RegistrationNotice, Unreadable
from inbox.models import Carrier, Contact, Conversation, Event, Inbox, ReceiptRow, Registration, WebhookEvent, db, transaction

UNHEARD = frozenset({"no-answer", "busy", "failed", "canceled"})


def apply_webhook(event_id: int) -> None:
    """Apply one stored request in one transaction; what can't be understood is kept with the reason."""
    with transaction():
        row = db.session.scalar(sa.select(WebhookEvent).where(WebhookEvent.id == event_id, WebhookEvent.applied_at.is_(None)).with_for_update())
        if row is None:
            return
        row.problem = _apply(row)
        row.applied_at = clock.now()


def _apply(row: WebhookEvent) -> str | None:
    """Apply every event of the request; the sentence about what was wrong, if anything."""
    carrier = row.carrier
    try:
        events = carrier.adapter.parse(RawRequest(method=row.method, url=row.url, headers=row.headers, body=row.body))
    except Unreadable as error:
        return error.reason
    problems = []
    for event in events:
        if isinstance(event, Inbound):
            problems.append(_take_in(carrier, event))
        elif isinstance(event, Receipt):
            ReceiptRow.take(carrier.account_id, event)
        elif isinstance(event, RegistrationNotice):
            problems.append(_look_at_registration(carrier, event))
        elif isinstance(event, CallNotice):
            problems.append(_note_call(carrier, event))
    return " ".join(filter(None, problems))[:500] or None


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


def _note_call(carrier: Carrier, call: CallNotice) -> str | None:
    """A line in the conversation once a call is over: forwarded to somebody, or missed."""
    inbox = inbox_of(carrier, call.to)
    if inbox is None:
        return f"No inbox has the number {call.to or '(none)'}."
    forwarded = ":dial:" in call.dedupe
    missed = call.status in UNHEARD if forwarded else inbox.forward_to is None and call.status == "ringing"
    if not missed and not (forwarded and call.status in ("completed", "answered")):
        return None
    conversation = _conversation_of(inbox, call.sender) if call.sender else None
    Event.record(
        "call.missed" if missed else "call.forwarded", account=inbox.account_id, conversation=conversation, inbox=inbox.id,
        sender=call.sender, seconds=call.duration, to=None if missed else inbox.forward_to,
    )
    if conversation is not None and missed:
        if not conversation.preview:
            conversation.preview = "Missed call"
        conversation.unread, conversation.last_activity_at = True, clock.now()
        conversation.changed()
    return None


def _conversation_of(inbox: Inbox, sender: str) -> Conversation:
    return Conversation.find_or_open(inbox, Contact.at(inbox.account_id, sender), sender, archived=False)
