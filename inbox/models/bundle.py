"""What one member is told at once: the waiting notifications that are still true at this very moment, one line for each conversation (ACC-6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from inbox import clock
from inbox.models.base import db
from inbox.models.event import Event
from inbox.models.following import Following
from inbox.models.member import Member
from inbox.models.message import Message
from inbox.models.notification import Notification
from inbox.models.wish import Wishes

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation

UNDELIVERED = ("failed", "undelivered")
SEEN = ("lock.acquired", "message.sent", "conversation.archived")  # what only somebody does who has looked


@dataclass
class Line:
    """One conversation and what is new there."""

    conversation: Conversation
    texts: int = 0
    others: list[str] = field(default_factory=list)  # sentences without the texts' words
    preview: str = ""

    @property
    def name(self) -> str:
        return self.conversation.contact.name

    @property
    def news(self) -> str:
        """What happened, in a few words, without the words of any text."""
        counted = [f"{self.texts} new texts" if self.texts > 1 else "New text"] if self.texts else []
        return ". ".join([*self.others, *counted])

    def add(self, row: Notification) -> None:
        from inbox.models.conversation.replying import summary

        notice = row.notice
        by = notice.actor.name if notice.actor else "A teammate"
        if notice.kind == "message":
            self.texts += 1
        else:
            many = f"{notice.count} conversations, with this one," if notice.count else "it"
            failed = "Your text was not delivered" if notice.message_id else "Your text could not leave by itself"
            words = {
                "assigned": f"{by} assigned {many} to you", "taken_over": f"{by} took over from you", "failed": failed,
                "mentioned": f"{by} mentioned you in a note", "followed": f"{by} wrote a note", "back": "Back from your snooze", "scheduled": "Your scheduled text did not leave",
                "free": "Nobody replies there any more",
            }
            self.others.append(words[notice.kind])
        if notice.message is not None:
            self.preview = summary(notice.message)[:120]


@dataclass
class Bundle:
    """A claim and what to say: `lines` is never empty."""

    claim: str
    member: Member
    way: str
    wishes: Wishes
    lines: list[Line]

    @staticmethod
    def take(member_id: int, way: str) -> Bundle | None:
        """Claim what waits for the member and drop what is no longer so; None when nothing is left to tell."""
        claim = Notification.claim_for(member_id, way)
        if claim is None:
            return None
        member = db.session.get_one(Member, member_id, populate_existing=True)
        member.forget_inboxes()
        rows, now = Notification.claimed(claim), _Now.of(member, claim)
        lines: dict[int, Line] = {}
        dropped: dict[str, list[int]] = {}
        for row in rows:
            reason = now.reason(row)
            if reason:
                dropped.setdefault(reason, []).append(row.id)
            else:
                lines.setdefault(row.conversation_id, Line(now.conversations[row.conversation_id])).add(row)
        for reason, ids in dropped.items():
            Notification.drop(ids, reason)
        return Bundle(claim, member, way, now.wishes, list(lines.values())) if lines else None


@dataclass
class _Now:
    """How things stand, read in a fixed number of queries."""

    member: Member
    wishes: Wishes
    conversations: dict[int, Conversation]  # those the member may open now
    held: set[int]  # conversations the member is writing in
    answered: dict[int, int]  # conversation id -> its newest text out by a person
    seen: dict[int, datetime]  # conversation id -> when the member last did something there
    read: dict[int, int]  # conversation id -> the newest message the member has seen
    followed: set[int]

    @staticmethod
    def of(member: Member, claim: str) -> _Now:
        from inbox.models.conversation import Conversation, Lock
        from inbox.models.conversation.reading import LastRead

        ids = sa.select(Notification.conversation_id).where(Notification.claim == claim)
        query = Conversation.scope(member).where(Conversation.id.in_(ids)).options(joinedload(Conversation.contact), joinedload(Conversation.inbox))
        now = clock.now()
        held = sa.select(Lock.conversation_id).where(Lock.holder_id == member.id, Lock.expires_at > now, Lock.dies_at > now)
        answers = (
            sa.select(Message.conversation_id, sa.func.max(Message.id)).where(Message.conversation_id.in_(ids), Message.kind == "out").group_by(Message.conversation_id)
        )
        acts = (
            sa.select(Event.conversation_id, sa.func.max(Event.at))
            .where(Event.conversation_id.in_(ids), Event.actor_id == member.id, Event.kind.in_(SEEN))
            .group_by(Event.conversation_id)
        )
        return _Now(
            member, Wishes.of(member), {c.id: c for c in db.session.scalars(query.execution_options(populate_existing=True)).unique()},
            set(db.session.scalars(held)),
            {row[0]: row[1] for row in db.session.execute(answers)}, {id: at for id, at in db.session.execute(acts) if id is not None},
            LastRead.by(member, ids), set(db.session.scalars(Following.ids_of(member).where(Following.conversation_id.in_(ids)))),
        )

    def reason(self, row: Notification) -> str:
        """Why this is not to be told; empty when it is still true."""
        conversation = self.conversations.get(row.conversation_id)
        if conversation is None:
            return "may not see it" if self.member.active else "access ended"
        notice = row.notice
        event = self._event(row, conversation)
        if not self.wishes.allowed:
            return "not allowed"
        if not self.wishes.wants(event, row.way, conversation.inbox_id):
            return "not wanted"
        if notice.kind == "followed" and conversation.id not in self.followed:
            return "no longer follows"
        if notice.kind != "mentioned" and conversation.archived_at is not None and conversation.archived_at >= notice.created_at:
            return "archived"
        if conversation.id in self.held:
            return "working on it"
        return self._settled(row, conversation)

    def _settled(self, row: Notification, conversation: Conversation) -> str:
        notice = row.notice
        follows = row.event == "followed" and conversation.id in self.followed
        if (follows or notice.kind == "mentioned") and self.read.get(conversation.id, 0) >= (notice.message_id or 0):
            return "read"
        if notice.kind == "message" and follows:
            return ""
        if notice.kind == "message":
            if not conversation.unread:
                return "read"
            return "answered" if self.answered.get(conversation.id, 0) > (notice.message_id or 0) else ""
        if notice.kind == "failed" and notice.message_id:
            return "" if notice.message is not None and notice.message.state in UNDELIVERED else "delivered or tried again"
        if notice.kind == "assigned" and conversation.assignee_id != self.member.id:
            return "assigned to somebody else"
        if notice.kind == "free" and conversation.lock_holder() is not None:
            return "no longer free"
        seen = self.seen.get(conversation.id)
        return "seen" if seen is not None and seen > notice.created_at else ""

    def _event(self, row: Notification, conversation: Conversation) -> str:
        if row.notice.kind != "message":
            return row.event
        if row.event == "followed" and conversation.id in self.followed:
            return "followed"
        assignee = conversation.assignee_id
        return "unassigned" if assignee is None else "mine" if assignee == self.member.id else "others"
