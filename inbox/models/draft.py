"""Drafts: what is being typed, saved on the server per conversation, author and kind (CONV-7)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, aliased, mapped_column, relationship

from inbox import clock
from inbox.models.base import Model, Moment, Refused, db
from inbox.models.carrier import insert_or_ignore
from inbox.models.member import Member, shown
from inbox.models.rights import attend
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation.row import ConversationRow

MAX = 20_000


class Drafts(NamedTuple):
    """What is begun in a conversation: the reader's reply and note, the newest replies of teammates, and whether the reader's reply leaves by itself."""

    reply: Draft | None
    note: Draft | None
    others: list[Draft]
    leaves: bool


class Draft(Model):
    """Unsent text. `from_name` names the teammate it was handed over by, if any; without an author it waits for whoever opens the conversation next."""

    __tablename__ = "draft"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    author_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(5), default="reply")  # reply or note
    body: Mapped[str] = mapped_column(sa.Text, default="")
    from_name: Mapped[str] = mapped_column(sa.String(120), default="")
    updated_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)
    release: Mapped[bool] = mapped_column(default=False)  # leaves by itself once the inbox's registration is approved
    seen: Mapped[int] = mapped_column(default=0)  # id of the newest text from the customer that its author saw
    released_why: Mapped[str] = mapped_column(sa.Text, default="")  # why it could not leave by itself
    files: Mapped[list[str]] = mapped_column(sa.JSON, default=list, server_default="[]")  # public ids of the files of a text that came back

    author: Mapped[Member | None] = relationship(lazy="raise")

    __table_args__ = (
        sa.UniqueConstraint("conversation_id", "author_id", "kind"),
        sa.Index("ix_draft_release", "conversation_id", sqlite_where=sa.text("release"), postgresql_where=sa.text("release")),
    )

    @staticmethod
    def of(conversation: ConversationRow, author: Member, kind: str = "reply") -> Draft | None:
        """The author's draft, else one that was left for whoever comes next."""
        return db.session.scalar(
            sa.select(Draft)
            .where(Draft.conversation_id == conversation.id, sa.or_(Draft.author_id == author.id, Draft.author_id.is_(None)), Draft.kind == kind)
            .order_by(Draft.author_id.is_(None), Draft.id)
            .limit(1)
        )

    @staticmethod
    def around(conversation: ConversationRow, reader: Member, limit: int = 3) -> Drafts:
        """All that is begun and not sent here, the newest of teammates first, in one query."""
        query = sa.select(Draft).options(shown(Draft.author)).where(Draft.conversation_id == conversation.id)
        rows = list(db.session.scalars(query.order_by(Draft.author_id.is_(None), Draft.id)))
        mine = {row.kind: row for row in reversed(rows) if row.author_id in (reader.id, None)}
        theirs = sorted((row for row in rows if row.kind == "reply" and row.author_id not in (reader.id, None)), key=lambda row: row.updated_at, reverse=True)
        return Drafts(mine.get("reply"), mine.get("note"), theirs[:limit], any(row.release and row.author_id == reader.id for row in rows))

    @staticmethod
    def put(conversation: ConversationRow, body: str, *, by: Member, kind: str = "reply") -> None:
        """Save what was typed; empty text drops the draft. Needs no lock: nobody ever loses typed text. Other words than before no longer leave by themselves."""
        attend(by)
        by.require(Permission.CONVERSATIONS_NOTE if kind == "note" else Permission.CONVERSATIONS_REPLY, on=conversation)  # type: ignore[arg-type]
        if kind not in ("reply", "note"):
            raise Refused("A draft is for a reply or a note.")
        if len(body) > MAX:
            raise Refused(f"Use at most {MAX:,} characters.", field="body")
        body = body.replace("\r\n", "\n").replace("\x00", "").encode("utf-8", "ignore").decode()
        conversation = conversation.standing()
        flagged = kind == "reply" and Draft.waits(conversation, by)
        if not body.strip():
            Draft.drop(conversation, by, kind)
            if flagged:
                conversation.changed("lock")
            return
        left = Draft._adopt(conversation, by, kind)
        db.session.execute(
            insert_or_ignore()(Draft)
            .values(account_id=conversation.account_id, conversation_id=conversation.id, author_id=by.id, kind=kind, body=body, from_name=left, updated_at=clock.now())
            .on_conflict_do_update(index_elements=["conversation_id", "author_id", "kind"], set_={
                "body": body, "updated_at": clock.now(), "release": sa.and_(Draft.release, Draft.body == body),
                "released_why": sa.case((Draft.body == body, Draft.released_why), else_=""),
            })
        )
        found = Draft.of(conversation, by, kind)
        if found:
            db.session.refresh(found)
            if flagged and not found.release:
                conversation.changed("lock")

    @staticmethod
    def waits(conversation: ConversationRow, by: Member) -> bool:
        """Whether the author's reply leaves by itself once the carriers approve the inbox."""
        return db.session.scalar(sa.select(Draft.id).where(Draft.conversation_id == conversation.id, Draft.author_id == by.id, Draft.release)) is not None

    @staticmethod
    def keep(conversation: ConversationRow, *, by: Member) -> None:
        """The author's reply no longer leaves by itself."""
        kept = db.session.execute(
            sa.update(Draft).where(Draft.conversation_id == conversation.id, Draft.author_id == by.id, Draft.release).values(release=False).returning(Draft.id)
            .execution_options(synchronize_session=False)
        ).all()
        if kept:
            conversation.changed("lock")

    @staticmethod
    def drop(conversation: ConversationRow, by: Member, kind: str = "reply") -> None:
        """Remove the author's own draft, or the one they found there, in the transaction that sends it."""
        Draft._adopt(conversation, by, kind)
        db.session.execute(
            sa.delete(Draft).where(Draft.conversation_id == conversation.id, Draft.author_id == by.id, Draft.kind == kind)
        )

    @staticmethod
    def _adopt(conversation: ConversationRow, by: Member, kind: str) -> str:
        """Remove a draft without author that `by` was shown because they had none of their own; returns who had left it."""
        own = aliased(Draft)
        has_own = sa.exists().where(own.conversation_id == conversation.id, own.author_id == by.id, own.kind == kind)
        left = db.session.execute(
            sa.delete(Draft)
            .where(Draft.conversation_id == conversation.id, Draft.author_id.is_(None), Draft.kind == kind, ~has_own)
            .returning(Draft.from_name)
            .execution_options(synchronize_session=False)
        ).scalars().first()
        return left or ""

    def leave(self, author: Member, *, to: Member | None) -> None:
        """The author's access ended: hand the text to `to`, below what they have, or keep it as one text for whoever opens the conversation next (SEAT-5)."""
        theirs = Draft.author_id == to.id if to else Draft.author_id.is_(None)
        mine = db.session.scalar(
            sa.select(Draft)
            .where(Draft.conversation_id == self.conversation_id, theirs, Draft.kind == self.kind, Draft.id != self.id)
            .order_by(Draft.id)
            .limit(1)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if mine is not None:
            mine.body, mine.from_name, mine.release = f"{mine.body}\n{self.body}"[:MAX], author.name, False
            db.session.delete(self)
            return
        self.author_id, self.from_name, self.release = (to.id if to else None), author.name, False

    @staticmethod
    def give_back(conversation: ConversationRow, body: str, *, to: Member | None, from_name: str = "", files: list[str] | None = None, why: str = "") -> None:
        """Make a text that did not leave a draft again, above what they have typed since; without `to` it waits for whoever opens the conversation next."""
        body, now = body[:MAX], clock.now()
        values = {
            "account_id": conversation.account_id, "conversation_id": conversation.id, "author_id": to.id if to else None, "kind": "reply", "body": body,
            "from_name": from_name, "updated_at": now, "released_why": why, "files": files or [], "release": False, "seen": 0,
        }
        if to is None:
            left = db.session.scalar(
                sa.select(Draft).where(Draft.conversation_id == conversation.id, Draft.author_id.is_(None), Draft.kind == "reply").order_by(Draft.id).limit(1).with_for_update()
            )
            if left is None:
                db.session.execute(sa.insert(Draft).values(**values))
            else:
                left.body, left.from_name = f"{body}\n{left.body}"[:MAX], from_name
                db.session.flush()
            return
        fresh = {name: values[name] for name in ("from_name", "updated_at", "released_why", "files", "release")}
        typed = sa.func.substr(sa.literal(f"{body}\n").concat(Draft.body), 1, MAX)
        db.session.execute(
            insert_or_ignore()(Draft).values(**values).on_conflict_do_update(
                index_elements=["conversation_id", "author_id", "kind"], set_={"body": typed, **fresh}
            )
        )
        mine = Draft.of(conversation, to)
        if mine is not None:
            db.session.refresh(mine)

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
