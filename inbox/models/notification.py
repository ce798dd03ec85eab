"""Notifications: what happened is noted with it, a job works out whom to tell, and what is still true is told after a short while (ACC-6).

A `Notice` is written in the transaction of the thing itself. `fan_out` makes one `Notification` for each member and way that may want it. When the
first of a member's is due, all that wait are claimed together, looked at again, and told in one mail. The queue is only a doorbell.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, aliased, joinedload, mapped_column, relationship

from inbox import background, clock
from inbox.models import wish
from inbox.models.base import Model, Moment, db, now_column
from inbox.models.carrier import insert_or_ignore
from inbox.models.following import Following
from inbox.models.member import Member
from inbox.models.push import PushSubscription
from inbox.models.tray import TrayItem
from inbox.models.wish import WAYS, Wishes
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation
    from inbox.models.message import Message

WINDOW = timedelta(seconds=60)  # how long a mail waits for what else happens, and for somebody to read it
SWEEP_AFTER = timedelta(seconds=4)
LEASE = timedelta(minutes=10)  # longer than a mail server may take
GIVE_UP = 8  # attempts
KEPT = timedelta(days=30)
_NEW = sa.text("fanned_at IS NULL")
_TOLD = sa.text("fanned_at IS NOT NULL")
_OPEN = sa.text("state IN ('waiting','claimed')")


class Notice(Model):
    """Something happened that somebody may want to hear of. `kind`: message, or an event of the matrix such as assigned or free, which is for `member_id`."""

    __tablename__ = "notice"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    kind: Mapped[str] = mapped_column(sa.String(12))
    message_id: Mapped[int | None] = mapped_column(sa.ForeignKey("message.id"))
    member_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    actor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    created_at: Mapped[datetime] = now_column()
    fanned_at: Mapped[datetime | None] = mapped_column(Moment)
    count: Mapped[int | None] = mapped_column()  # of conversations that were changed at once, of which this one is the newest; empty for one alone
    conversation: Mapped[Conversation] = relationship()
    message: Mapped[Message | None] = relationship(lazy="raise")
    actor: Mapped[Member | None] = relationship(foreign_keys=actor_id, lazy="raise")

    __table_args__ = (
        sa.Index("ix_notice_new", "created_at", sqlite_where=_NEW, postgresql_where=_NEW),
        sa.Index("ix_notice_told", "created_at", sqlite_where=_TOLD, postgresql_where=_TOLD),
    )

    @staticmethod
    def give(
        kind: str, conversation: Conversation, *, message: Message | None = None, to: Member | int | None = None, by: Member | None = None, count: int | None = None
    ) -> None:
        """Note it in the transaction in which it happens, and ring after the commit; nothing for the one who did it, and nothing when nobody could want it."""
        member_id = to if isinstance(to, int) or to is None else to.id
        if (by is not None and by.id == member_id) or (kind != "message" and member_id is None):
            return
        if member_id is None and not _somebody(conversation.account_id):
            return
        notice = Notice(
            account_id=conversation.account_id, conversation_id=conversation.id, kind=kind, message_id=message.id if message else None, member_id=member_id,
            actor_id=by.id if by else None, count=count,
        ).save()
        background.enqueue("notify_members", notice.id)

    def fan_out(self) -> None:
        """Make the rows of everyone who may want to hear of it, once; push is rung for at once, mail waits for its window."""
        now = clock.now()
        mine = db.session.execute(
            sa.update(Notice).where(Notice.id == self.id, Notice.fanned_at.is_(None)).values(fanned_at=now).returning(Notice.id)
            .execution_options(synchronize_session=False)
        ).scalar()
        if mine is None:
            return
        members = self._candidates()
        wishes, pushed = Wishes.of_all([m.id for m in members]), PushSubscription.holders([m.id for m in members])
        followers = {m.id for m in Following.of(self.conversation)} if self.kind == "message" else set()
        TrayItem.take(self, {m.id: event for m in members for event in [self._wanted(m, "app", wishes[m.id], followers)] if event})
        told = [
            (m.id, event, way)
            for m in members
            for way in WAYS
            if way == "mail" or m.id in pushed
            for event in [self._wanted(m, way, wishes[m.id], followers)]
            if event
        ]
        rows = [
            {
                "notice_id": self.id, "member_id": member_id, "conversation_id": self.conversation_id, "event": event, "way": way, "created_at": now,
                "due_at": now if way == "push" else now + WINDOW, "state": "waiting", "reason": "", "attempts": 0,
            }
            for member_id, event, way in told
        ]
        if rows:
            db.session.execute(insert_or_ignore()(Notification).on_conflict_do_nothing(index_elements=["notice_id", "member_id", "way"]), rows)
        for member_id, _, way in told:
            if way == "push":
                background.enqueue("deliver_notifications", member_id, way, on="mail")

    def _wanted(self, member: Member, way: str, wishes: Wishes, followers: set[int]) -> str:
        """As what the member wants to hear of it by that way; empty when they do not. Following adds to what a text is to them anyway."""
        events = (self.event_for(member), "followed") if member.id in followers else (self.event_for(member),)
        return next((event for event in events if wishes.wants(event, way, self.conversation.inbox_id)), "")

    def event_for(self, member: Member) -> str:
        """What it is to that member, as the matrix names it: a new text depends on whose the conversation is now."""
        if self.kind != "message":
            return self.kind
        assignee = self.conversation.assignee_id
        return "unassigned" if assignee is None else "mine" if assignee == member.id else "others"

    def _candidates(self) -> list[Member]:
        """Who may see it, without who did it and who is writing there just now."""
        held = self.conversation.lock_holder()
        busy = {self.actor_id, held.holder.id if held else None}
        if self.member_id is not None:
            to = db.session.get(Member, self.member_id)
            people = [to] if to else []
        else:
            people = Member.with_reach(self.account_id)
        return [m for m in people if m.id not in busy and m.can(Permission.CONVERSATIONS_VIEW, on=self.conversation)]

    @staticmethod
    def lost() -> list[int]:
        """Notices whose job did not come."""
        return list(db.session.scalars(sa.select(Notice.id).where(_NEW, Notice.created_at <= clock.now() - SWEEP_AFTER).order_by(Notice.created_at).limit(200)))


class Notification(Model):
    """One notice for one member by one way. `state`: waiting, claimed, sent, dropped (with the reason)."""

    __tablename__ = "notification"
    notice_id: Mapped[int] = mapped_column(sa.ForeignKey("notice.id", ondelete="CASCADE"))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    event: Mapped[str] = mapped_column(sa.String(12))
    way: Mapped[str] = mapped_column(sa.String(4))
    created_at: Mapped[datetime] = now_column()
    due_at: Mapped[datetime] = mapped_column(Moment)
    state: Mapped[str] = mapped_column(sa.String(8), default="waiting")
    reason: Mapped[str] = mapped_column(sa.String(80), default="")
    claim: Mapped[str | None] = mapped_column(sa.String(36))
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    attempts: Mapped[int] = mapped_column(default=0)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    notice: Mapped[Notice] = relationship()

    __table_args__ = (
        sa.UniqueConstraint("notice_id", "member_id", "way"),
        sa.Index("ix_notification_due", "due_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index("ix_notification_open", "member_id", "way", sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index("ix_notification_claim", "claim"),
        sa.Index("ix_notification_ended", "ended_at"),
    )

    # -- the owner's switch, for the list of collaborators ---------------------------------------------------------

    @staticmethod
    def allow(member: Member, allowed: bool, *, by: Member) -> None:
        """The owner's switch for one collaborator (ACC-4)."""
        wish.allow(member, allowed, by=by)

    @staticmethod
    def allowed(member: Member) -> bool:
        """Whether the owner allows notifications for this member."""
        return Wishes.of(member).allowed

    @staticmethod
    def not_allowed(account_id: int) -> frozenset[int]:
        """The ids of the members the owner does not allow them for."""
        return wish.not_allowed(account_id)

    # -- from waiting to told -----------------------------------------------------------------------------------------

    @staticmethod
    def claim_for(member_id: int, way: str) -> str | None:
        """Claim everything that waits for a member by one way as soon as one is due; the claim, or None when there is nothing or a worker has it."""
        now, claim = clock.now(), str(uuid.uuid4())
        db.session.execute(sa.select(Member.id).where(Member.id == member_id).with_for_update(key_share=True))  # two workers, one after the other
        first = aliased(Notification)
        due = sa.exists().where(first.member_id == member_id, first.way == way, _free(first, now), first.due_at <= now)
        claimed = db.session.execute(
            sa.update(Notification)
            .where(Notification.member_id == member_id, Notification.way == way, _free(Notification, now), due)
            .values(state="claimed", claim=claim, lease_until=now + LEASE, attempts=Notification.attempts + 1)
            .returning(Notification.id)
            .execution_options(synchronize_session=False)
        ).all()
        return claim if claimed else None

    @staticmethod
    def claimed(claim: str) -> list[Notification]:
        """The rows of a claim, oldest first, with what they are about."""
        query = (
            sa.select(Notification)
            .options(joinedload(Notification.notice).options(joinedload(Notice.message), joinedload(Notice.actor)))
            .where(Notification.claim == claim, Notification.state == "claimed")
            .order_by(Notification.notice_id)
            .execution_options(populate_existing=True)
        )
        return list(db.session.scalars(query).unique())

    @staticmethod
    def drop(ids: list[int], reason: str) -> None:
        """Say nothing of these, and remember why."""
        _end(Notification.id.in_(ids), state="dropped", reason=reason)

    @staticmethod
    def told(claim: str) -> None:
        """What is left of a claim has been told."""
        _end(Notification.claim == claim, state="sent")

    @staticmethod
    def refused(claim: str, reason: str) -> None:
        """What is left of a claim cannot be told at all."""
        _end(Notification.claim == claim, state="dropped", reason=reason)

    @staticmethod
    def later(claim: str, reason: str) -> None:
        """It could not be told now: again in a while, and give up after some tries."""
        now = clock.now()
        _end(sa.and_(Notification.claim == claim, Notification.attempts >= GIVE_UP), state="dropped", reason=reason)
        tries = db.session.scalar(sa.select(sa.func.max(Notification.attempts)).where(Notification.claim == claim, Notification.state == "claimed")) or 1
        db.session.execute(
            sa.update(Notification)
            .where(Notification.claim == claim, Notification.state == "claimed")
            .values(state="waiting", claim=None, lease_until=None, reason=reason[:80], due_at=now + timedelta(seconds=min(3600, 30 * 3 ** (tries - 1))))
            .execution_options(synchronize_session=False)
        )

    @staticmethod
    def due() -> list[tuple[int, str]]:
        """Members and ways for whom something is due."""
        now = clock.now()
        query = sa.select(Notification.member_id, Notification.way).where(_OPEN, _free(Notification, now), Notification.due_at <= now).distinct().limit(200)
        return [(member_id, way) for member_id, way in db.session.execute(query)]

    @staticmethod
    def forget_old() -> None:
        """Rows are kept for a month, to see why somebody was or was not told."""
        before = clock.now() - KEPT
        db.session.execute(sa.delete(Notification).where(Notification.ended_at < before))
        TrayItem.forget_old()
        told = sa.exists().where(Notification.notice_id == Notice.id)
        db.session.execute(sa.delete(Notice).where(Notice.created_at < before, Notice.fanned_at.is_not(None), ~told).execution_options(synchronize_session=False))


def _free(row: type[Notification], now: datetime) -> sa.ColumnElement[bool]:
    """Waiting, or left behind by a worker that died."""
    open_ = row.state.in_(sa.literal_column(f"'{state}'") for state in ("waiting", "claimed"))  # written out, as the partial indexes say it, or SQLite does not use them
    return sa.and_(open_, sa.or_(row.state == "waiting", sa.and_(row.state == "claimed", row.lease_until < now)))


def _end(which: sa.ColumnElement[bool], **values: str) -> None:
    db.session.execute(
        sa.update(Notification)
        .where(which, Notification.state == "claimed")
        .values(ended_at=clock.now(), lease_until=None, **values)
        .execution_options(synchronize_session=False)
    )


def _somebody(account_id: int) -> bool:
    """Whether anyone of the account may be told of anything."""
    silent = sa.exists().where(wish.NotificationSetting.member_id == Member.id, wish.NotificationSetting.allowed.is_(False))
    return db.session.scalar(sa.select(Member.id).where(Member.account_id == account_id, Member.deactivated_at.is_(None), ~silent).limit(1)) is not None
