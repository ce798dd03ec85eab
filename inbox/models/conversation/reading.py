"""The thread: messages and events in order, a page at a time (CONV-4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, mapped_column

from inbox.models.base import Base, db
from inbox.models.carrier import insert_or_ignore
from inbox.models.conversation.row import ConversationRow
from inbox.models.event import Event
from inbox.models.member import Member, shown
from inbox.models.message import Message
from inbox.models.tray import TrayItem

SHOWN = (
    "conversation.assigned", "conversation.unassigned", "conversation.archived", "conversation.reopened", "lock.taken_over", "lock.expired",
    "contact.opted_out", "contact.opted_in", "contact.kept", "contact.blocked", "contact.unblocked", "consent.asked", "message.marked_sent", "call.missed", "call.forwarded",
    "conversation.tagged", "conversation.untagged", "conversation.snoozed", "conversation.unsnoozed", "conversation.woken", "conversation.stayed",
    "conversation.spam_marked", "conversation.spam_cleared", "message.dropped", "message.schedule_held",
    "conversation.merged", "conversation.unmerged",
)
PAGE = 50


def drawn() -> list[Any]:
    """What is loaded with a message that is to be drawn."""
    return [shown(Message.author), joinedload(Message.call), joinedload(Message.attachments), joinedload(Message.mentions)]


class LastRead(Base):
    """The newest message of a conversation that a member has seen; no row when they never opened it."""

    __tablename__ = "last_read"
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), primary_key=True)
    message_id: Mapped[int] = mapped_column()

    @staticmethod
    def by(member: Member, conversation_ids: sa.Select[int]) -> dict[int, int]:
        """Conversation id -> message id, of many."""
        query = sa.select(LastRead.conversation_id, LastRead.message_id).where(LastRead.member_id == member.id, LastRead.conversation_id.in_(conversation_ids))
        return dict(db.session.execute(query).all())


@dataclass(frozen=True)
class Item:
    """One thing in the thread: a message or an event."""

    at: datetime
    message: Message | None = None
    event: Event | None = None


@dataclass(frozen=True)
class Stretch:
    """A part of the thread, oldest first; `older` and `newer` are the message ids to go on from, None at that end."""

    items: list[Item]
    older: int | None
    newer: int | None = None


class Reading(ConversationRow):
    """Reading the thread."""

    __abstract__ = True

    def thread(self, *, before: int | None = None, limit: int = PAGE) -> tuple[list[Item], int | None]:
        """The newest `limit` messages older than message id `before`, with the events between them, oldest first.

        Returns the items and the message id to ask for older ones, or None at the beginning.
        """
        found = self.stretch(before=before, limit=limit)
        return found.items, found.older

    def stretch(self, *, before: int | None = None, after: int | None = None, around: int | None = None, limit: int = PAGE) -> Stretch:
        """About `limit` messages: the newest before an id, the first after one, those around one, or simply the newest; with the events between them."""
        back, ahead = (0, limit) if after is not None else (limit - limit // 2, limit // 2) if around is not None else (limit, 0)
        past: list[Message] = []
        coming: list[Message] = []
        if back:
            edge = Message.id < before if before is not None else Message.id <= around if around is not None else sa.true()
            past = self._messages(edge, Message.id.desc(), back + 1)
        if ahead:
            coming = self._messages(Message.id > (around if around is not None else after), Message.id.asc(), ahead + 1)
        messages = [*reversed(past[:back]), *coming[:ahead]]
        if not messages and (before is not None or after is not None):
            return Stretch([], None)
        older = past[back - 1].id if len(past) > back else None
        newer = coming[ahead - 1].id if len(coming) > ahead else messages[-1].id if before is not None else None
        since = messages[0].created_at if older is not None or after is not None else None
        until = coming[ahead].created_at if len(coming) > ahead else self._written_at(before) if before is not None else None
        items = [Item(m.created_at, message=m) for m in messages] + [Item(e.at, event=e) for e in self._events(since, until)]
        return Stretch(sorted(items, key=lambda i: (i.at, i.message.id if i.message else 0)), older, newer)

    def message_at(self, text: str) -> int | None:
        """The id of the message that an address names, by its public id or its row's; None when this conversation has none such."""
        named = [Message.public_id == text]
        if text.isascii() and text.isdigit() and len(text) < 19:
            named.append(Message.id == int(text))
        return db.session.scalar(sa.select(Message.id).where(Message.conversation_id == self.id, sa.or_(*named)).limit(1))

    def newest_message(self) -> tuple[int, datetime]:
        """The id of the newest message, notes and calls included, and when it was written."""
        query = sa.select(Message.id, Message.created_at).where(Message.conversation_id == self.id).order_by(Message.id.desc()).limit(1)
        found = db.session.execute(query).first()
        return (found.id, found.created_at) if found else (0, self.created_at)

    def last_read(self, member: Member) -> int | None:
        """The id of the newest message the member has seen; None when they never opened this."""
        return db.session.scalar(sa.select(LastRead.message_id).where(LastRead.conversation_id == self.id, LastRead.member_id == member.id))

    def seen_by(self, member: Member, upto: int | None = None) -> None:
        """The member has seen everything up to that message (to the newest one); never moves back."""
        newest = self.newest_message()[0]
        seen = min(upto or newest, newest)
        TrayItem.read_in(self, member, seen)  # type: ignore[arg-type]
        values = {"conversation_id": self.id, "member_id": member.id, "message_id": seen}
        statement = insert_or_ignore()(LastRead).values(**values)
        db.session.execute(
            statement.on_conflict_do_update(
                index_elements=["conversation_id", "member_id"], set_={"message_id": statement.excluded.message_id}, where=LastRead.message_id < statement.excluded.message_id
            )
        )

    def first_unread(self, member: Member, seen: int | None = None) -> int | None:
        """The id of the first message that came after what the member has seen (`seen`, when that is known) and that somebody else wrote."""
        seen = self.last_read(member) if seen is None else seen
        if seen is None:
            return None
        others = sa.or_(Message.author_id.is_(None), Message.author_id != member.id)
        return db.session.scalar(sa.select(Message.id).where(Message.conversation_id == self.id, Message.id > seen, others).order_by(Message.id).limit(1))

    def _messages(self, edge: sa.ColumnElement[bool], order: sa.ColumnElement[int], limit: int) -> list[Message]:
        return list(db.session.scalars(sa.select(Message).options(*drawn()).where(Message.conversation_id == self.id, edge).order_by(order).limit(limit)).unique())

    def _events(self, since: datetime | None, until: datetime | None) -> list[Event]:
        query = sa.select(Event).options(shown(Event.actor)).where(Event.conversation_id.in_(self._family()), Event.kind.in_(SHOWN))
        if since is not None:
            query = query.where(Event.at >= since)
        if until is not None:
            query = query.where(Event.at < until)
        return list(db.session.scalars(query.order_by(Event.id.desc()).limit(200)).unique())

    def _family(self) -> Any:
        """This conversation and those merged into it, whose events stay with them."""
        return sa.select(sa.literal(self.id)).union_all(sa.select(type(self).id).where(type(self).merged_into_id == self.id))

    def _written_at(self, message_id: int) -> datetime | None:
        return db.session.scalar(sa.select(Message.created_at).where(Message.conversation_id == self.id, Message.id == message_id))

    def messages_after(self, message_id: int) -> list[Message]:
        """Messages newer than `message_id`, oldest first, at most 200: what a page missed."""
        return list(
            db.session.scalars(
                sa.select(Message)
                .options(*drawn())
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
                .options(shown(Event.actor))
                .where(Event.conversation_id.in_(self._family()), Event.kind.like("lock.%"))
                .order_by(Event.id.desc())
                .limit(limit)
            ).unique()
        )
