"""What happened with one contact, across every inbox the reader may see: conversations and calls, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from inbox.models.base import db
from inbox.models.call import Call
from inbox.models.contact import Contact
from inbox.models.conversation import Conversation
from inbox.models.conversation.filtering import unindexed
from inbox.models.conversation.listing import make_cursor, parse_cursor
from inbox.models.member import Member
from inbox.permissions import Permission

PAGE = 20
CALL, TALK = 0, 1  # of one moment, the conversation comes first


@dataclass(frozen=True)
class Entry:
    """A conversation, or a call in one."""

    at: datetime
    conversation: Conversation
    call: Call | None = None

    @property
    def key(self) -> tuple[datetime, int, int]:
        return (self.at, CALL, self.call.id) if self.call else (self.at, TALK, self.conversation.id)

    @property
    def cursor(self) -> str:
        at, rank, id = self.key
        return f"{make_cursor(at, id)}.{rank}"


def timeline(contact: Contact, member: Member, after: str = "", limit: int = PAGE) -> tuple[list[Entry], str]:
    """A page of it and the cursor of the next, empty at the end; ValueError for a cursor that is not ours."""
    if not member.can(Permission.CONVERSATIONS_VIEW):
        return [], ""
    place = None
    if after:
        rest, _, rank = after.rpartition(".")
        at, id = parse_cursor(rest)
        place = at, int(rank), id
    found = sorted([*_talks(contact, member, place, limit + 1), *_calls(contact, member, place, limit + 1)], key=lambda e: e.key, reverse=True)
    return found[:limit], found[limit - 1].cursor if len(found) > limit else ""


def _below(moment: Any, id: Any, rank: int, place: tuple[datetime, int, int] | None) -> list[Any]:
    if place is None:
        return []
    at, last_rank, last_id = place
    same = sa.true() if rank < last_rank else id < last_id if rank == last_rank else sa.false()
    return [moment <= at, sa.or_(moment < at, same)]


def _talks(contact: Contact, member: Member, place: tuple[datetime, int, int] | None, limit: int) -> list[Entry]:
    moment = Conversation.last_activity_at
    query = Conversation.scope(member).options(joinedload(Conversation.inbox), joinedload(Conversation.assignee))
    query = query.where(Conversation.contact_id == contact.id, *_below(moment, Conversation.id, TALK, place))
    return [Entry(c.last_activity_at, c) for c in db.session.scalars(query.order_by(moment.desc(), Conversation.id.desc()).limit(limit)).unique()]


def _calls(contact: Contact, member: Member, place: tuple[datetime, int, int] | None, limit: int) -> list[Entry]:
    query = sa.select(Call).join(Conversation, Conversation.id == Call.conversation_id).options(joinedload(Call.message))
    query = query.options(joinedload(Call.conversation).joinedload(Conversation.inbox), joinedload(Call.conversation).joinedload(Conversation.assignee))
    mine = (Conversation.contact_id == contact.id, unindexed("inbox_id").in_(member.readable_inbox_ids))
    query = query.where(*mine, *_below(Call.started_at, Call.id, CALL, place))
    return [Entry(call.started_at, call.conversation, call) for call in db.session.scalars(query.order_by(Call.started_at.desc(), Call.id.desc()).limit(limit)).unique()]
