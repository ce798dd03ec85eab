"""Whom a change is about: they see it in words of their own ("You"), so what is drawn for everybody else is not for them. Rather too many than too few."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from inbox.models import Conversation, Draft, Event, Following, Lock, LockWaiter, Mention, Message, ScheduledMessage, db
from inbox.models.conversation.reading import SHOWN


def of_rows(ids: Sequence[int]) -> set[int]:
    """The members whom the rows of these conversations name: who has them, wrote last there, replies or has begun to."""
    c = Conversation
    parts = [
        sa.select(c.assignee_id).where(c.id.in_(ids)),
        sa.select(c.preview_by_id).where(c.id.in_(ids)),
        sa.select(Lock.holder_id).where(Lock.conversation_id.in_(ids)),
        sa.select(Draft.author_id).where(Draft.conversation_id.in_(ids)),
    ]
    return {id for id in db.session.scalars(sa.union(*parts)) if id is not None}


def of_conversation(id: int, changed: Collection[int], last_message: int, last_event: int) -> set[int]:
    """The members whom an open conversation names in what is new since these ids or changed, or in its head, besides those of its row."""
    new = sa.and_(Message.conversation_id == id, sa.or_(Message.id > last_message, Message.id.in_(changed)))
    parts = [
        sa.select(LockWaiter.member_id).where(LockWaiter.conversation_id == id),
        sa.select(Following.member_id).where(Following.conversation_id == id),
        sa.select(ScheduledMessage.author_id).where(ScheduledMessage.conversation_id == id),
        sa.select(Message.author_id).where(new),
        sa.select(Mention.member_id).join(Message, Message.id == Mention.message_id).where(new),
    ]
    named: set[int | None] = set(db.session.scalars(sa.union(*parts)))
    query = sa.select(Event.actor_id, Event.data).where(Event.conversation_id == id, Event.id > last_event, Event.kind.in_(SHOWN)).limit(50)
    for actor_id, data in db.session.execute(query):
        named |= {actor_id, *(value for value in data.values() if isinstance(value, int))}
    return {each for each in named if each is not None}
