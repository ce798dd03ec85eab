"""Following: members who want to hear of a conversation without answering for it (ASG-3)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock
from inbox.models.base import Base, Refused, db, now_column
from inbox.models.carrier import insert_or_ignore
from inbox.models.event import Event
from inbox.models.member import Member, shown
from inbox.models.mention import Span
from inbox.models.rights import attend
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation
    from inbox.models.message import Message

ABOUT = 1000  # characters of a question
MOST = 50  # followers of one conversation: each is told of everything


class Following(Base):
    """One member follows one conversation."""

    __tablename__ = "following"
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), primary_key=True)
    created_at: Mapped[datetime] = now_column()
    member: Mapped[Member] = relationship(lazy="raise")

    __table_args__ = (sa.Index("ix_following_member", "member_id", "conversation_id"),)

    @staticmethod
    def add(conversation: Conversation, member: Member, *, by: Member) -> bool:
        """Have `member` follow; False when they do already. Refused for somebody who may not read it."""
        attend(by, member)
        by.require(Permission.CONVERSATIONS_NOTE, on=conversation)
        if member.account_id != conversation.account_id or not member.can(Permission.CONVERSATIONS_VIEW, on=conversation):
            raise Refused(f"{member.name} cannot read this inbox, so they cannot follow here.", field="to")
        if (db.session.scalar(sa.select(sa.func.count()).where(Following.conversation_id == conversation.id)) or 0) >= MOST:
            raise Refused(f"At most {MOST} people can follow a conversation.", field="to")
        new = db.session.execute(
            insert_or_ignore()(Following)
            .values(conversation_id=conversation.id, member_id=member.id, created_at=clock.now())
            .on_conflict_do_nothing(index_elements=["conversation_id", "member_id"])
            .returning(Following.member_id)
        ).scalar()
        if new is not None:
            _changed(conversation, member, by, "conversation.followed")
        return new is not None

    @staticmethod
    def end(conversation: Conversation, member: Member, *, by: Member) -> bool:
        """Take a follower off: oneself, or somebody else as who may write notes here; False when they did not follow."""
        by.require(Permission.CONVERSATIONS_NOTE, on=conversation)
        gone = db.session.execute(
            sa.delete(Following)
            .where(Following.conversation_id == conversation.id, Following.member_id == member.id)
            .returning(Following.member_id)
            .execution_options(synchronize_session=False)
        ).scalar()
        if gone is not None:
            _changed(conversation, member, by, "conversation.unfollowed")
        return gone is not None

    @staticmethod
    def ask_for_help(conversation: Conversation, to: Member, about: str, *, by: Member, nonce: str | None = None) -> Message:
        """Ask a teammate without handing over: they follow from now on, and a note names them and says what about."""
        by.require(Permission.CONVERSATIONS_NOTE, on=conversation)
        about = " ".join(about.split())
        if to.id == by.id:
            raise Refused("Choose a teammate: this asks somebody else.", field="to")
        if not about:
            raise Refused("Say what you need help with.", field="about")
        if len(about) > ABOUT:
            raise Refused(f"Use at most {ABOUT:,} characters.", field="about")
        Following.add(conversation, to, by=by)
        start, name = f"{by.name.split(' ')[0]} asked ", f"@{to.name}"
        return conversation.note(f"{start}{name} for help: {about}", by=by, nonce=nonce, named=[Span(to, len(start), len(name))])

    @staticmethod
    def of(conversation: Conversation) -> list[Member]:
        """Who follows, by name."""
        query = sa.select(Following).options(shown(Following.member)).where(Following.conversation_id == conversation.id)
        return sorted((row.member for row in db.session.scalars(query)), key=lambda m: (m.name.casefold(), m.id))

    @staticmethod
    def is_by(conversation: Conversation, member: Member) -> bool:
        """Whether that member follows."""
        query = sa.select(Following.member_id).where(Following.conversation_id == conversation.id, Following.member_id == member.id)
        return db.session.scalar(query) is not None

    @staticmethod
    def ids_of(member: Member) -> sa.Select[int]:
        """The ids of everything a member follows, for a list: `Conversation.id.in_(Following.ids_of(member))`."""
        return sa.select(Following.conversation_id).where(Following.member_id == member.id)

    @staticmethod
    def settle(member: Member) -> None:
        """End what the member can no longer read."""
        from inbox.models.conversation import Conversation

        db.session.execute(
            sa.delete(Following)
            .where(Following.member_id == member.id, ~Conversation.opens(member, Following.conversation_id))
            .execution_options(synchronize_session=False)
        )


def _changed(conversation: Conversation, member: Member, by: Member, kind: str) -> None:
    Event.record(kind, account=conversation.account_id, by=by, conversation=conversation, member=member.id, name=member.name)
    conversation.changed("following")
