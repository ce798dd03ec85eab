"""The thread: messages and events in order, a page at a time (CONV-4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from inbox.models.base import db
from inbox.models.conversation.row import ConversationRow
from inbox.models.event import Event
from inbox.models.message import Message

SHOWN = (
    "conversation.assigned", "conversation.unassigned", "conversation.archived", "conversation.reopened", "lock.taken_over", "lock.expired",
    "contact.opted_out", "contact.opted_in", "contact.kept", "contact.blocked", "contact.unblocked", "consent.asked", "message.marked_sent", "call.missed", "call.forwarded",
)
PAGE = 50


@dataclass(frozen=True)
class Item:
    """One thing in the thread: a message or an event."""

    at: datetime
    message: Message | None = None
    event: Event | None = None


class Reading(ConversationRow):
    """Reading the thread."""

    __abstract__ = True

    def thread(self, *, before: int | None = None, limit: int = PAGE) -> tuple[list[Item], int | None]:
        """The newest `limit` messages older than message id `before`, with the events between them, oldest first.

        Returns the items and the message id to ask for older ones, or None at the beginning.
        """
        query = (
            sa.select(Message)
            .options(joinedload(Message.author), joinedload(Message.call))
            .where(Message.conversation_id == self.id)
            .order_by(Message.id.desc())
            .limit(limit + 1)
        )
        if before is not None:
            query = query.where(Message.id < before)
        messages = list(db.session.scalars(query).unique())
        more = messages[limit - 1].id if len(messages) > limit else None
        messages = messages[:limit]
        window = sa.select(Event).options(joinedload(Event.actor)).where(Event.conversation_id == self.id, Event.kind.in_(SHOWN))
        if more is not None:
            window = window.where(Event.at >= messages[-1].created_at)
        if before is not None:
            newer = db.session.scalar(sa.select(Message.created_at).where(Message.conversation_id == self.id, Message.id == before))
            if newer:
                window = window.where(Event.at < newer)
        events = db.session.scalars(window.order_by(Event.id.desc()).limit(200)).unique()
        items = [Item(m.created_at, message=m) for m in messages] + [Item(e.at, event=e) for e in events]
        return sorted(items, key=lambda i: (i.at, i.message.id if i.message else 0)), more

    def messages_after(self, message_id: int) -> list[Message]:
        """Messages newer than `message_id`, oldest first, at most 200: what a page missed."""
        return list(
            db.session.scalars(
                sa.select(Message)
                .options(joinedload(Message.author), joinedload(Message.call))
                .where(Message.conversation_id == self.id, Message.id > message_id)
                .order_by(Message.id)
                .limit(200)
            ).unique()
        )

    def lock_ledger(self, limit: int = 50) -> list[Event]:
        """Every acquire, prompt, answer, expiry, release and take-over, newest first (LOCK-6)."""
        return list(
            db.session.scalars(
                sa.select(Event)
                .options(joinedload(Event.actor))
                .where(Event.conversation_id == self.id, Event.kind.like("lock.%"))
                .order_by(Event.id.desc())
                .limit(limit)
            ).unique()
        )
