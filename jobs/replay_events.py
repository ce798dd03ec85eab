"""Apply a carrier's requests of the past once more, as models/replay.py says: a rehearsal first, then for good."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import replace

import sqlalchemy as sa
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from inbox import background, clock, origin
from inbox.channels.base import Event, Inbound, RawRequest, RegistrationNotice, Unreadable
from inbox.extensions import redis
from inbox.models import Carrier, Consent, Conversation, Inbox, Message, Replay, WebhookEvent, db
from inbox.models.conversation.receiving import keyword_of
from jobs.apply_webhook import TooEarly, apply_event, inbox_of

log = logging.getLogger(__name__)
LEASE = 60  # seconds; a worker that died is replaced after that
TURN = 30.0  # seconds of one job; then others in the queue have theirs
TRIES = 5
BREATH = 0.02  # seconds between two batches, for others who wait to write
CROSSED = frozenset({"40001", "40P01"})  # PostgreSQL: somebody else changed the same rows


def replay_events(replay_id: int) -> None:
    """Go on with a replay until it has ended, one process at a time; a long one takes several turns in the queue."""
    lock = redis.client.lock(f"inbox:replay:{replay_id}", timeout=LEASE)
    if not lock.acquire(blocking=False):
        return
    more, ends = True, time.monotonic() + TURN
    try:
        with origin.coming_from(origin.CARRIER):
            while more and time.monotonic() < ends:
                more = _step(replay_id)
                with suppress(RedisError):
                    lock.extend(LEASE, replace_ttl=True)
                time.sleep(BREATH)
    except Exception as error:
        log.exception("replay %s stopped", replay_id)
        db.session.rollback()
        Replay.fail(replay_id, f"Something went wrong on our side ({type(error).__name__}). What was applied so far stays. Start it again.")
        return
    finally:
        with suppress(RedisError):
            lock.release()
    if more:
        background.enqueue("replay_events", replay_id, on="mail")


def _step(replay_id: int) -> bool:
    for left in reversed(range(TRIES)):
        try:
            return Replay.step(replay_id, apply_again)
        except DBAPIError as error:
            if not left or getattr(error.orig, "sqlstate", "") not in CROSSED:
                raise
            time.sleep(BREATH)
    return False


def apply_again(row: WebhookEvent) -> None:
    """Apply a stored request once more, or at last: what is known already changes nothing, and nobody is answered late."""
    try:
        problem = _apply(row)
    except TooEarly as early:
        if row.applied_at is None:
            return  # its own job is still waiting for what begins it
        problem = str(early)[:500]
    if row.problem != problem:
        row.problem = problem
    if row.applied_at is None:
        row.applied_at = clock.now()


def _apply(row: WebhookEvent) -> str | None:
    carrier, asked = row.carrier, row.applied_at is not None and row.problem is None
    try:
        events = carrier.adapter.parse(RawRequest(method=row.method, url=row.url, headers=row.headers, body=row.body))
    except Unreadable as error:
        return error.reason[:500]
    problems = [_take(carrier, event, row) for event in events if not (asked and isinstance(event, RegistrationNotice))]
    return " ".join(filter(None, problems))[:500] or None


def _take(carrier: Carrier, event: Event, row: WebhookEvent) -> str | None:
    """Apply one event long after it came: a text that any inbox of the account has is known, an old START or HELP is not answered, an old STOP still counts."""
    if not isinstance(event, Inbound):
        return apply_event(carrier, event)
    inboxes = sa.select(Inbox.id).where(Inbox.account_id == carrier.account_id)
    if db.session.scalar(sa.select(Message.id).where(Message.inbox_id.in_(inboxes), Message.provider_id == event.provider_id).limit(1)):
        return None
    inbox = inbox_of(carrier, event.to)
    if inbox is None:
        return apply_event(carrier, event)
    newest = Consent.of(inbox.team_id, event.sender, inbox.id)
    stops = keyword_of(inbox, event) == "STOP" and (newest is None or newest.at < row.received_at)
    Conversation.receive(inbox, replace(event, occurred_at=event.occurred_at or row.received_at), obey=stops)
    return None
