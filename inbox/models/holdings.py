"""What a member holds, and handing it on when they can no longer act on it (SEAT-5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from inbox.models.base import db
from inbox.models.contact import Contact
from inbox.models.draft import Draft
from inbox.models.event import Event
from inbox.models.following import Following
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.member import Member


@dataclass(frozen=True)
class Holdings:
    """How much a member holds, each a count."""

    conversations: int  # open ones assigned to them
    drafts: int
    locks: int  # they are replying right now
    contacts: int  # they own
    scheduled: int = 0  # texts that wait for their moment

    @staticmethod
    def of(member: Member) -> Holdings:
        from inbox.models.conversation import Conversation, Lock
        from inbox.models.scheduled_message import OPEN, STILL, ScheduledMessage

        def count(column: InstrumentedAttribute[int], *conditions: sa.ColumnElement[bool]) -> int:
            return db.session.scalar(sa.select(sa.func.count(column)).where(*conditions)) or 0

        return Holdings(
            conversations=count(Conversation.id, Conversation.assignee_id == member.id, Conversation.archived_at.is_(None)),
            drafts=count(Draft.id, Draft.author_id == member.id),
            locks=count(Lock.conversation_id, Lock.holder_id == member.id),
            contacts=count(Contact.id, Contact.owner_id == member.id, Contact.merged_into_id.is_(None)),
            scheduled=count(ScheduledMessage.id, ScheduledMessage.author_id == member.id, sa.and_(STILL, OPEN)),
        )

    def __bool__(self) -> bool:
        return bool(self.conversations or self.drafts or self.locks or self.contacts or self.scheduled)


def settle(member: Member, *, by: Member, to: Member | None = None, inbox_id: int | None = None) -> None:
    """Hand on everything `member` can no longer act on: to `to` where they can, else to nobody; call after the change, in its transaction.

    Covers assigned conversations, locks, places in the line for a lock, drafts, scheduled texts and owned contacts (optionally of one inbox only).
    """
    from inbox.models.conversation import Conversation
    from inbox.models.conversation.locking import release_lost
    from inbox.models.scheduled_sending import hand_over
    from inbox.models.undo import stop_of

    member.forget_rights()
    if to is not None:
        db.session.expire(to)  # they may have lost theirs a moment ago
    stop_of(member, inbox_id)
    Conversation.hand_over_lost(member, to=to, by=by, inbox_id=inbox_id)
    release_lost(member, inbox_id)
    _drafts(member, to, inbox_id)
    hand_over(member, to=to, by=by, inbox_id=inbox_id)
    Following.settle(member)
    if not member.can(Permission.CONVERSATIONS_REPLY):
        _contacts(member, to, by)


def _drafts(member: Member, to: Member | None, inbox_id: int | None) -> None:
    """Typed text is never lost: the heir gets it, or whoever opens the conversation next."""
    from inbox.models.conversation import Conversation

    query = sa.select(Draft, Conversation).join(Conversation, Conversation.id == Draft.conversation_id).where(Draft.author_id == member.id)
    if inbox_id is not None:
        query = query.where(Conversation.inbox_id == inbox_id)
    for draft, conversation in db.session.execute(query):
        permission = Permission.CONVERSATIONS_NOTE if draft.kind == "note" else Permission.CONVERSATIONS_REPLY
        if not member.can(permission, on=conversation):
            draft.leave(member, to=to if to and to.can(permission, on=conversation) else None)
    db.session.flush()


def _contacts(member: Member, to: Member | None, by: Member) -> None:
    heir = to if to and to.can(Permission.CONVERSATIONS_REPLY) else None
    moved = db.session.execute(
        sa.update(Contact).where(Contact.owner_id == member.id).values(owner_id=heir.id if heir else None).execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    if moved:
        Event.record(
            "contact.owners_moved", account=member.account_id, by=by, count=moved, before=member.name, after=heir.name if heir else None
        )
