"""Drafts: what is being typed, saved on the server per conversation, author and kind (CONV-7)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox import clock
from inbox.models.base import Model, Moment, Refused, db
from inbox.models.carrier import insert_or_ignore
from inbox.models.member import Member
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation.row import ConversationRow

MAX = 20_000


class Draft(Model):
    """Unsent text. `from_name` names the teammate it was handed over by, if any."""

    __tablename__ = "draft"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(5), default="reply")  # reply or note
    body: Mapped[str] = mapped_column(sa.Text, default="")
    from_name: Mapped[str] = mapped_column(sa.String(120), default="")
    updated_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)

    __table_args__ = (sa.UniqueConstraint("conversation_id", "author_id", "kind"),)

    @staticmethod
    def of(conversation: ConversationRow, author: Member, kind: str = "reply") -> Draft | None:
        return db.session.scalar(
            sa.select(Draft).where(Draft.conversation_id == conversation.id, Draft.author_id == author.id, Draft.kind == kind)
        )

    @staticmethod
    def put(conversation: ConversationRow, body: str, *, by: Member, kind: str = "reply") -> None:
        """Save what was typed; empty text drops the draft. Needs no lock: nobody ever loses typed text."""
        by.require(Permission.CONVERSATIONS_NOTE if kind == "note" else Permission.CONVERSATIONS_REPLY, on=conversation)  # type: ignore[arg-type]
        if kind not in ("reply", "note"):
            raise Refused("A draft is for a reply or a note.")
        if len(body) > MAX:
            raise Refused(f"Use at most {MAX:,} characters.", field="body")
        body = body.replace("\x00", "").encode("utf-8", "ignore").decode()
        if not body.strip():
            Draft.drop(conversation, by, kind)
            return
        db.session.execute(
            insert_or_ignore()(Draft)
            .values(account_id=conversation.account_id, conversation_id=conversation.id, author_id=by.id, kind=kind, body=body, from_name="", updated_at=clock.now())
            .on_conflict_do_update(index_elements=["conversation_id", "author_id", "kind"], set_={"body": body, "updated_at": clock.now()})
        )
        found = Draft.of(conversation, by, kind)
        if found:
            db.session.refresh(found)

    @staticmethod
    def drop(conversation: ConversationRow, by: Member, kind: str = "reply") -> None:
        """Remove the author's own draft, in the transaction that sends it."""
        db.session.execute(
            sa.delete(Draft).where(Draft.conversation_id == conversation.id, Draft.author_id == by.id, Draft.kind == kind)
        )

    @staticmethod
    def hand_over(conversation: ConversationRow, holder: Member, *, to: Member) -> None:
        """Copy the holder's reply draft to whoever takes over, with attribution; both keep what they had (LOCK-5)."""
        theirs = Draft.of(conversation, holder)
        if theirs is None:
            return
        mine = Draft.of(conversation, to)
        body = theirs.body if mine is None or not mine.body.strip() or mine.body == theirs.body else f"{mine.body}\n{theirs.body}"
        Draft.put(conversation, body, by=to)
        handed = Draft.of(conversation, to)
        if handed:
            handed.from_name = holder.name
            db.session.flush()
