"""What was merged into what, by whom, and everything that it takes to put it back (CONV-8)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id
from inbox.models.member import Member

if TYPE_CHECKING:
    from inbox.models.contact import Contact
    from inbox.models.conversation import Conversation

UNDO = timedelta(days=30)


class Busy(Refused):
    """Somebody changes one of the rows at this very moment."""

    status = 409

    def __init__(self, sentence: str = "Somebody is working in one of these at this very moment. Try again.") -> None:
        super().__init__(sentence)


class Merging(Model):
    """One merge of conversations, or of contacts. `before` is the surviving row's columns that changed, each as it was and as it became."""

    __tablename__ = "merging"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    conversation_id: Mapped[int | None] = mapped_column(sa.ForeignKey("conversation.id"))
    contact_id: Mapped[int | None] = mapped_column(sa.ForeignKey("contact.id"))
    by_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    newest_id: Mapped[int] = mapped_column(default=0)  # of all messages, or of all conversations, when it was made: what is newer came in since
    before: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    created_at: Mapped[datetime] = now_column()
    undone_at: Mapped[datetime | None] = mapped_column(Moment)
    by: Mapped[Member] = relationship()
    conversation: Mapped[Conversation | None] = relationship()
    contact: Mapped[Contact | None] = relationship()
    parts: Mapped[list[MergingPart]] = relationship(order_by="MergingPart.id", back_populates="of")

    __table_args__ = (sa.Index("ix_merging_conversation_id", "conversation_id", "id"), sa.Index("ix_merging_contact_id", "contact_id", "id"))

    @property
    def undoable(self) -> bool:
        """Whether it is young enough to be taken back, and still stands."""
        return self.undone_at is None and self.created_at > clock.now() - UNDO

    @property
    def until(self) -> datetime:
        return self.created_at + UNDO

    @staticmethod
    def of_conversation(conversation: Conversation) -> list[Merging]:
        """What was merged into it and still can come out, the newest first."""
        return Merging._standing(Merging.conversation_id == conversation.id)

    @staticmethod
    def of_contact(contact: Contact) -> list[Merging]:
        """What was merged into it and still can come out, the newest first."""
        return Merging._standing(Merging.contact_id == contact.id)

    @staticmethod
    def _standing(where: sa.ColumnElement[bool]) -> list[Merging]:
        query = sa.select(Merging).options(sa.orm.joinedload(Merging.by), sa.orm.selectinload(Merging.parts))
        return list(db.session.scalars(query.where(where, Merging.undone_at.is_(None), Merging.created_at > clock.now() - UNDO).order_by(Merging.id.desc()).limit(20)))


class MergingPart(Model):
    """One row that was merged away; it stays where it was, out of every list, and leads to the one that survived. `before` is what it looked like."""

    __tablename__ = "merging_part"
    merging_id: Mapped[int] = mapped_column(sa.ForeignKey("merging.id"))
    conversation_id: Mapped[int | None] = mapped_column(sa.ForeignKey("conversation.id"))
    contact_id: Mapped[int | None] = mapped_column(sa.ForeignKey("contact.id"))
    before: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    of: Mapped[Merging] = relationship(back_populates="parts")
    conversation: Mapped[Conversation | None] = relationship()
    contact: Mapped[Contact | None] = relationship()

    __table_args__ = (
        sa.Index("ix_merging_part_merging_id", "merging_id"),
        sa.Index("ix_merging_part_conversation_id", "conversation_id"),
        sa.Index("ix_merging_part_contact_id", "contact_id"),
    )


class MergingItem(Model):
    """One row of another table that a merge moved, by its key there (of a table without one: whose row it is), or changed: then with what it was and became."""

    __tablename__ = "merging_item"
    part_id: Mapped[int] = mapped_column(sa.ForeignKey("merging_part.id"))
    what: Mapped[str] = mapped_column(sa.String(40))
    row_id: Mapped[int] = mapped_column()
    before: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))

    __table_args__ = (sa.Index("ix_merging_item_part_id", "part_id", "what", "row_id"),)


def packed(values: dict[str, Any]) -> dict[str, Any]:
    """Columns as JSON keeps them."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def unpacked(row: type[Model], values: dict[str, Any]) -> dict[str, Any]:
    """And back."""
    moments = {c.name for c in row.__table__.columns if isinstance(c.type, Moment)}
    return {name: datetime.fromisoformat(value) if value is not None and name in moments else value for name, value in values.items()}


@contextmanager
def waiting_briefly() -> Iterator[None]:
    """Take locks inside: on a row that somebody else keeps, PostgreSQL gives up sooner than it would call two that wait for each other a deadlock. Raises Busy."""
    bounded = db.session.get_bind().dialect.name == "postgresql"
    if bounded:
        db.session.execute(sa.text("SET LOCAL lock_timeout = '700ms'"))
    try:
        yield
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") in ("55P03", "40P01"):  # waited too long; two waited for each other
            raise Busy from None
        raise
    if bounded:
        db.session.execute(sa.text("SET LOCAL lock_timeout = 0"))
