"""The tray: what happened to a member, kept until they have seen it and for a month (ACC-6).

What is about a conversation comes from its `Notice`; what is about something else (a registration, an import) is put in by the thing itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship

from inbox import clock, realtime
from inbox.models.base import Model, Moment, db, now_column
from inbox.models.carrier import insert_or_ignore
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation
    from inbox.models.member import Member
    from inbox.models.message import Message
    from inbox.models.notification import Notice

PAGE = 20
CAP = 100  # counted at most, so that the bell costs the same whatever waits
KEPT = timedelta(days=30)
UNREAD = sa.text("read_at IS NULL")
SPELLS = ("followed",)  # one unread line for each conversation: it leads to where the news begins


class TrayItem(Model):
    """One line of one member's tray. `event` is a row of the matrix of wishes; `data` names what is no conversation."""

    __tablename__ = "tray_item"
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    notice_id: Mapped[int | None] = mapped_column(sa.ForeignKey("notice.id", ondelete="CASCADE"))
    conversation_id: Mapped[int | None] = mapped_column(sa.ForeignKey("conversation.id"))
    message_id: Mapped[int | None] = mapped_column(sa.ForeignKey("message.id"))
    actor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    event: Mapped[str] = mapped_column(sa.String(12))
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    created_at: Mapped[datetime] = now_column()
    read_at: Mapped[datetime | None] = mapped_column(Moment)
    conversation: Mapped[Conversation | None] = relationship(lazy="raise")
    message: Mapped[Message | None] = relationship(lazy="raise")
    actor: Mapped[Member | None] = relationship(foreign_keys=actor_id, lazy="raise")

    __table_args__ = (
        sa.UniqueConstraint("notice_id", "member_id"),
        sa.Index("ix_tray_item_member", "member_id", "id"),
        sa.Index("ix_tray_item_unread", "member_id", "conversation_id", sqlite_where=UNREAD, postgresql_where=UNREAD),
        sa.Index("ix_tray_item_conversation", "conversation_id"),
        sa.Index("ix_tray_item_created", "created_at"),
    )

    # -- in -------------------------------------------------------------------------------------------------------

    @staticmethod
    def take(notice: Notice, told: dict[int, str]) -> None:
        """Put a notice into the trays of these members (id -> event), once; read already where they have seen the message."""
        if not told:
            return
        now, seen = clock.now(), _seen(notice, told)
        for id, event in told.items():
            if event in SPELLS and _waits(id, notice.conversation_id, event):
                continue
            line: dict[str, Any] = {
                "member_id": id, "notice_id": notice.id, "conversation_id": notice.conversation_id, "message_id": notice.message_id, "actor_id": notice.actor_id,
                "event": event, "data": {"count": notice.count} if notice.count else {}, "created_at": now, "read_at": now if id in seen else None,
            }
            put = insert_or_ignore()(TrayItem).values(**line).on_conflict_do_nothing(index_elements=["notice_id", "member_id"]).returning(TrayItem.id)
            item = db.session.execute(put).scalar()
            if item is not None and id not in seen:
                _changed(notice.account_id, id, item)

    @staticmethod
    def tell(people: Iterable[Member], event: str, *, by: Member | None = None, **data: Any) -> None:
        """Put something that is about no conversation into the trays of those who want it there, but not of who did it."""
        from inbox.models.wish import Wishes

        members = [m for m in people if by is None or m.id != by.id]
        wishes = Wishes.of_all([m.id for m in members])
        for member in members:
            if wishes[member.id].wants(event, "app", None):
                item = TrayItem(member_id=member.id, actor_id=by.id if by else None, event=event, data=data).save()
                _changed(member.account_id, member.id, item.id)

    # -- out ------------------------------------------------------------------------------------------------------

    @staticmethod
    def of(member: Member, *, before: int | None = None, limit: int = PAGE) -> list[TrayItem]:
        """A page of the member's tray, newest first, with what its lines say; nothing of what they may no longer open."""
        from inbox.models.conversation import Conversation

        query = (
            sa.select(TrayItem)
            .outerjoin(TrayItem.conversation)
            .options(
                sa.orm.contains_eager(TrayItem.conversation).options(joinedload(Conversation.contact), joinedload(Conversation.inbox)),
                joinedload(TrayItem.message), joinedload(TrayItem.actor),
            )
            .where(TrayItem.member_id == member.id, open_to(member))
        )
        if before is not None:
            query = query.where(TrayItem.id < before)
        return list(db.session.scalars(query.order_by(TrayItem.id.desc()).limit(limit)).unique())

    @staticmethod
    def counting(member: Member) -> sa.Select[Any]:
        """A select of (0, "tray", the number of unread lines, at most CAP), to be read with the other numbers of the navigation."""
        from inbox.models.conversation import Conversation

        some = (
            sa.select(sa.literal(1).label("one"))
            .select_from(TrayItem).outerjoin(Conversation, Conversation.id == TrayItem.conversation_id)
            .where(TrayItem.member_id == member.id, TrayItem.read_at.is_(None), open_to(member)).limit(CAP).subquery()
        )
        columns: list[Any] = [sa.literal(0).label("inbox"), sa.literal("tray").label("view"), sa.func.count().label("n")]
        return sa.select(*columns).select_from(some)

    @staticmethod
    def unread(member: Member) -> int:
        """How many unread lines, at most CAP."""
        return int(db.session.execute(TrayItem.counting(member)).one().n)

    # -- read -----------------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Its member has seen it."""
        _read(self.member_id, TrayItem.id == self.id)

    @staticmethod
    def read_all(member: Member, upto: int) -> int:
        """Everything up to a line the member was shown; how many were unread."""
        return _read(member.id, TrayItem.id <= upto)

    @staticmethod
    def read_in(conversation: Conversation, member: Member, upto: int) -> int:
        """The member has seen the conversation itself up to that message, so what the tray says of it is no news."""
        return _read(member.id, sa.and_(TrayItem.conversation_id == conversation.id, sa.or_(TrayItem.message_id.is_(None), TrayItem.message_id <= upto)))

    @staticmethod
    def waits_in(conversation: Conversation, member: Member) -> bool:
        """Whether something unread is about this conversation."""
        return _waits(member.id, conversation.id)

    @staticmethod
    def forget_old() -> None:
        """A month is enough; what happened stands in the conversations and the audit log."""
        db.session.execute(sa.delete(TrayItem).where(TrayItem.created_at < clock.now() - KEPT).execution_options(synchronize_session=False))


def open_to(member: Member) -> sa.ColumnElement[bool]:
    from inbox.models.conversation import Conversation

    if not member.can(Permission.CONVERSATIONS_VIEW):
        return TrayItem.conversation_id.is_(None)
    return sa.or_(TrayItem.conversation_id.is_(None), Conversation.inbox_id.in_(member.readable_inbox_ids))


def _seen(notice: Notice, told: dict[int, str]) -> set[int]:
    from inbox.models.conversation.reading import LastRead

    if notice.message_id is None or notice.kind == "failed":
        return set()
    query = sa.select(LastRead.member_id).where(
        LastRead.conversation_id == notice.conversation_id, LastRead.member_id.in_(told), LastRead.message_id >= notice.message_id
    )
    return set(db.session.scalars(query))


def _waits(member_id: int, conversation_id: int, event: str = "") -> bool:
    query = sa.select(TrayItem.id).where(TrayItem.member_id == member_id, TrayItem.conversation_id == conversation_id, TrayItem.read_at.is_(None))
    return db.session.scalar((query.where(TrayItem.event == event) if event else query).limit(1)) is not None


def _read(member_id: int, which: sa.ColumnElement[bool]) -> int:
    from inbox.models.member import Member

    done = db.session.scalars(
        sa.update(TrayItem)
        .where(TrayItem.member_id == member_id, TrayItem.read_at.is_(None), which)
        .values(read_at=clock.now())
        .returning(TrayItem.id)
        .execution_options(synchronize_session=False)
    ).all()
    if done:
        _changed(db.session.get_one(Member, member_id).account_id, member_id, None)
    return len(done)


def _changed(account_id: int, member_id: int, item: int | None) -> None:
    """Ring at the member's open pages; `item` is what is new."""
    realtime.publish("tray", account=account_id, only=member_id, item=item)
