"""What the scheduler looks after: everything the queue may have lost is found in the database and rung for again."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import cast

import sqlalchemy as sa

from inbox import background, clock
from inbox.extensions import redis
from inbox.models import (
    AccessChange,
    Attachment,
    Call,
    ContactImport,
    Conversation,
    Dispatch,
    Notice,
    Notification,
    Registration,
    Replay,
    Stopping,
    WebhookEvent,
    db,
    release,
    search,
    transaction,
)
from inbox.models.importing.contact_import import MOVING
from inbox.models.message import WAITING
from jobs.send_mail import AGAIN

LONG = 500  # a queue with so much in it needs no more ringing
PATIENCE = timedelta(seconds=4)  # how long a job may wait in a healthy queue
QUARANTINE = timedelta(days=3)


def crowded(queue: str) -> bool:
    """Whether the queue is so long that ringing again would only make it longer."""
    return background.queue(queue).count > LONG


def sweep_outbox() -> None:
    """Texts whose job was lost or whose worker died."""
    now = clock.now()
    for lane in background.LANES:
        waiting = sa.select(Dispatch.id).where(WAITING, Dispatch.lane == lane, Dispatch.sweep_at <= now).limit(1)
        found = db.session.scalar(waiting)
        db.session.commit()
        if found is None or crowded(lane):
            continue
        with transaction():
            for dispatch_id in Dispatch.due(lane):
                background.enqueue("send_message", dispatch_id, on=lane)


def sweep_webhooks() -> None:
    """Provider requests that were stored but not applied: young ones every time, older ones ever more rarely."""
    if crowded("default"):
        return
    now = clock.now()
    oldest = timedelta(minutes=1)
    if redis.client.set("inbox:sweep:minute", 1, nx=True, ex=60):
        oldest = timedelta(hours=1)
        with transaction():
            Stopping.sweep()
    if redis.client.set("inbox:sweep:hour", 1, nx=True, ex=3600):
        oldest = QUARANTINE
        _quarantine()
    waiting = (
        sa.select(WebhookEvent.id)
        .where(WebhookEvent.applied_at.is_(None), WebhookEvent.received_at <= now - PATIENCE, WebhookEvent.received_at > now - oldest)
        .order_by(WebhookEvent.id)
        .limit(200)
    )
    for event_id in db.session.scalars(waiting).all():
        background.enqueue("apply_webhook", event_id)


def _quarantine() -> None:
    """Give up on what could not be applied for days; it stays readable with its reason."""
    old = clock.now() - QUARANTINE
    with transaction():
        db.session.execute(
            sa.update(WebhookEvent)
            .where(WebhookEvent.applied_at.is_(None), WebhookEvent.received_at <= old)
            .values(applied_at=clock.now(), problem="This request could not be applied for three days.")
        )


def sweep_media() -> None:
    """Files still to be fetched."""
    with transaction():
        Attachment.forget_unsent()
    if crowded("default"):
        return
    for attachment_id in Attachment.due():
        background.enqueue("fetch_media", attachment_id)


def sweep_calls() -> None:
    """Calls to place whose job was lost, and calls whose end the carrier never told."""
    forgotten = Call.forgotten()
    db.session.commit()
    for call_id in forgotten:
        with transaction():
            db.session.get_one(Call, call_id).settle()


def sweep_registrations() -> None:
    """Registrations whose next check has come, and replies that should have left on their approval."""
    if Registration.due() and not crowded("default"):
        background.enqueue("poll_registrations")
    for registration_id in release.due():
        background.enqueue("release_drafts", registration_id)


def sweep_imports() -> None:
    """Imports under way: they go on where a worker that died left them."""
    jobs = {"checking": "check_import", "running": "run_import", "undoing": "undo_import"}
    waiting = db.session.execute(sa.select(ContactImport.id, ContactImport.state).where(MOVING)).all()
    db.session.commit()
    if waiting and not crowded("mail"):
        for import_id, state in waiting:
            background.enqueue(jobs[state], import_id, on="mail")


def sweep_import_files() -> None:
    """Once an hour the files of old imports go; what was read from them stays until nobody can undo it."""
    if redis.client.set("inbox:sweep:import-files", 1, nx=True, ex=3600):
        with transaction():
            ContactImport.delete_old_files()


def sweep_replays() -> None:
    """Replays under way: they go on where a worker that died left them."""
    waiting = Replay.going_on()
    db.session.commit()
    if waiting and not crowded("mail"):
        for replay_id in waiting:
            background.enqueue("replay_events", replay_id, on="mail")


def sweep_search() -> None:
    """What was written before there was a search index, until all of it is in there."""
    waiting = search.unfinished()
    db.session.commit()
    if waiting and not crowded("mail"):
        background.enqueue("index_messages", on="mail")


def sweep_mail() -> None:
    """Mails that a mail server in trouble did not take; whoever removes the entry rings, so that each rings once."""
    due = cast("list[bytes]", redis.client.zrangebyscore(AGAIN, 0, time.time(), start=0, num=50))
    for entry in due:
        if redis.client.zrem(AGAIN, entry):
            kind, row_id, attempt, to = json.loads(entry)
            background.enqueue("send_mail", kind, row_id, attempt, to, on="mail")


def sweep_notifications() -> None:
    """Things nobody was told of because a job was lost, members for whom something is due, and once an hour what is old."""
    lost, due = Notice.lost(), Notification.due()
    db.session.commit()
    if due and not crowded("mail"):
        for member_id, way in due:
            background.enqueue("deliver_notifications", member_id, way, on="mail")
    if lost and not crowded("default"):
        for notice_id in lost:
            background.enqueue("notify_members", notice_id)
    if redis.client.set("inbox:sweep:notifications", 1, nx=True, ex=3600):
        with transaction():
            Notification.forget_old()
            AccessChange.forget_old()


def watch_clocks() -> None:
    """Announce what time has decided: locks that ended, holders to be asked."""
    lapsed, idle = Conversation.lapsed_locks(), Conversation.idle_locks()
    db.session.commit()
    for conversation_id in lapsed:
        with transaction():
            db.session.get_one(Conversation, conversation_id).announce_expiry()
    for conversation_id in idle:
        with transaction():
            db.session.get_one(Conversation, conversation_id).announce_prompt()
