"""The lock: one holder, a lease that dies without a heartbeat, an idle prompt, a fence that every send carries (LOCK-1..7).

Every change is one conditional statement on the conversation's lock row; the row is the truth on both databases. A lock is live while its lease
(`expires_at`) and its idle deadline (`dies_at`) both lie ahead: expiry is a predicate on time, the clock job only announces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, lazyload, mapped_column

from inbox import clock, realtime
from inbox.models.base import Base, Moment, Refused, db, now_column, one_line
from inbox.models.carrier import insert_or_ignore
from inbox.models.conversation.row import ConversationRow
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.notification import Notice
from inbox.models.rights import attend
from inbox.permissions import Permission


class LockLost(Refused):
    """The lock is no longer yours; what you typed is kept."""

    status = 409


class Lock(Base):
    """One row per conversation, made with it. `fence` rises with every new holding."""

    __tablename__ = "conversation_lock"
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"), primary_key=True)
    holder_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"), index=True)
    fence: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    acquired_at: Mapped[datetime | None] = mapped_column(Moment)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    last_input_at: Mapped[datetime | None] = mapped_column(Moment)
    prompt_at: Mapped[datetime | None] = mapped_column(Moment)
    dies_at: Mapped[datetime | None] = mapped_column(Moment)
    prompted_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (
        sa.Index("ix_conversation_lock_held", "expires_at", sqlite_where=sa.text("holder_id IS NOT NULL"), postgresql_where=sa.text("holder_id IS NOT NULL")),
    )


class LockWaiter(Base):
    """Somebody asked to be told when a conversation is free (LOCK-5)."""

    __tablename__ = "lock_waiter"
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), primary_key=True)
    asked_at: Mapped[datetime] = now_column()


@dataclass(frozen=True)
class Held:
    """A live lock, as pages show it. Times are aware UTC."""

    holder: Member
    fence: int
    acquired_at: datetime
    expires_at: datetime
    prompt_at: datetime
    dies_at: datetime

    @property
    def prompting(self) -> bool:
        """Whether the holder is being asked "are you still working on this?"."""
        return clock.now() >= self.prompt_at


def _live(now: datetime) -> Any:
    return sa.and_(Lock.holder_id.is_not(None), Lock.expires_at > now, Lock.dies_at > now)


class Locking(ConversationRow):
    """Taking, keeping, giving back and taking over the lock."""

    __abstract__ = True

    def lock_holder(self) -> Held | None:
        """The live lock, or None when the conversation is free."""
        row = db.session.execute(
            sa.select(Lock, Member)
            .join(Member, Member.id == Lock.holder_id)
            .options(lazyload(Member.grants))
            .where(Lock.conversation_id == self.id, _live(clock.now()))
            .execution_options(populate_existing=True)
        ).first()
        return _held(*row) if row else None

    def locked_for(self, member: Member) -> Held | None:
        """The lock of somebody else, or None when `member` may write."""
        held = self.lock_holder()
        return held if held and held.holder.id != member.id else None

    def acquire(self, *, by: Member) -> Held | None:
        """Take the lock if it is free, or keep it if it is already `by`'s; None when somebody else holds it (LOCK-1)."""
        attend(by)
        by.require(Permission.CONVERSATIONS_REPLY, on=self)  # type: ignore[arg-type]
        now = clock.now()
        before = db.session.get(Lock, self.id, populate_existing=True, with_for_update=True)  # for the ledger; the statement below decides
        same = sa.and_(Lock.holder_id == by.id, Lock.expires_at > now, Lock.dies_at > now)
        fence = db.session.execute(
            sa.update(Lock)
            .where(Lock.conversation_id == self.id, sa.or_(~_live(now), Lock.holder_id.is_(None), Lock.holder_id == by.id))
            .values(
                fence=Lock.fence + sa.case((same, 0), else_=1),
                acquired_at=sa.case((same, Lock.acquired_at), else_=sa.literal(now, Moment)),
                holder_id=by.id,
                **self._deadlines(now),
            )
            .returning(Lock.fence)
            .execution_options(synchronize_session=False)
        ).scalar()
        if fence is None:
            return None
        old = (before.holder_id, before.fence, before.expires_at) if before else (None, 0, None)
        if old[1] != fence:
            if old[0] is not None:
                self._record_lapse(old[0], old[2])
            Event.record("lock.acquired", account=self.account_id, by=by, conversation=self, fence=fence)  # type: ignore[arg-type]
            self._unwait(by)
            self.changed("lock")
        return self.lock_holder()

    def renew_lock(self, *, by: Member, fence: int, active: bool) -> Held:
        """A heartbeat; `active` says there was input since the last one. Raises LockLost when it is no longer theirs."""
        now = clock.now()
        values: dict[str, Any] = {"expires_at": now + timedelta(seconds=self.inbox.lock_lease)}
        answered = False
        if active:
            values = self._deadlines(now)
            answered = (
                db.session.scalar(sa.select(Lock.prompted_at).where(Lock.conversation_id == self.id, Lock.fence == fence)) is not None
            )
        renewed = db.session.execute(
            sa.update(Lock)
            .where(Lock.conversation_id == self.id, Lock.holder_id == by.id, Lock.fence == fence, _live(now))
            .values(**values)
            .returning(Lock.fence)
            .execution_options(synchronize_session=False)
        ).scalar()
        held = self.lock_holder()
        if renewed is None or held is None:
            raise LockLost(self._lost_sentence(by, held))
        if answered:
            Event.record("lock.kept", account=self.account_id, by=by, conversation=self, fence=fence)  # type: ignore[arg-type]
            self.changed("lock")
        return held

    def hold(self, *, by: Member, fence: int) -> None:
        """Inside a send's transaction: prove that the lock is `by`'s with this fence, and renew it (LOCK-4)."""
        self.renew_lock(by=by, fence=fence, active=True)

    def release(self, *, by: Member, fence: int | None = None) -> bool:
        """Give the lock back (LOCK-2); False when it was not theirs any more."""
        where = [Lock.conversation_id == self.id, Lock.holder_id == by.id]
        if fence is not None:
            where.append(Lock.fence == fence)
        gone = db.session.execute(
            sa.update(Lock).where(*where).values(holder_id=None, expires_at=None, dies_at=None, prompt_at=None, prompted_at=None).returning(Lock.fence)
            .execution_options(synchronize_session=False)
        ).scalar()
        if gone is None:
            return False
        Event.record("lock.released", account=self.account_id, by=by, conversation=self, fence=gone)  # type: ignore[arg-type]
        self._freed()
        return True

    def take_over(self, *, by: Member, reason: str) -> Held:
        """Move the lock to `by` with a reason, hand over the draft, tell the previous holder (LOCK-5)."""
        from inbox.models.draft import Draft

        attend(by)
        by.require(Permission.CONVERSATIONS_TAKEOVER, on=self)  # type: ignore[arg-type]
        reason = one_line(reason)
        if not reason:
            raise Refused("Say why, so that your teammate knows.", field="reason")
        if len(reason) > 200:
            raise Refused("Use at most 200 characters.", field="reason")
        held = self.lock_holder()
        if held is None or held.holder.id == by.id:
            mine = self.acquire(by=by)
            if mine is None:
                raise LockLost("Somebody else took it a moment ago.")
            return mine
        now = clock.now()
        taken = db.session.execute(
            sa.update(Lock)
            .where(Lock.conversation_id == self.id, Lock.fence == held.fence)
            .values(holder_id=by.id, fence=Lock.fence + 1, acquired_at=now, **self._deadlines(now))
            .returning(Lock.fence)
            .execution_options(synchronize_session=False)
        ).scalar()
        if taken is None:
            raise LockLost("The lock changed hands a moment ago. Look again.")
        Draft.hand_over(self, held.holder, to=by)
        Event.record(
            "lock.taken_over", account=self.account_id, by=by, conversation=self, fence=taken, from_id=held.holder.id, from_name=held.holder.name,  # type: ignore[arg-type]
            reason=reason,
        )
        self._unwait(by)
        self.changed("lock", taken_from=held.holder.id, by=by.id)
        Notice.give("taken_over", self, to=held.holder, by=by)  # type: ignore[arg-type]
        mine = self.lock_holder()
        assert mine is not None  # noqa: S101 - written a line above in this transaction
        return mine

    def wait_for_lock(self, *, by: Member) -> None:
        """"Tell me when it is free" (LOCK-5)."""
        attend(by)
        by.require(Permission.CONVERSATIONS_REPLY, on=self)  # type: ignore[arg-type]
        db.session.execute(
            insert_or_ignore()(LockWaiter)
            .values(conversation_id=self.id, member_id=by.id, asked_at=clock.now())
            .on_conflict_do_nothing(index_elements=["conversation_id", "member_id"])
        )

    def waits(self, member: Member) -> bool:
        return db.session.get(LockWaiter, (self.id, member.id)) is not None

    def _unwait(self, member: Member) -> None:
        db.session.execute(sa.delete(LockWaiter).where(LockWaiter.conversation_id == self.id, LockWaiter.member_id == member.id))

    def _freed(self) -> None:
        waiting = list(
            db.session.scalars(
                sa.delete(LockWaiter).where(LockWaiter.conversation_id == self.id).returning(LockWaiter.member_id)
            )
        )
        self.changed("lock", waiting=waiting)
        for member_id in waiting:
            Notice.give("free", self, to=member_id)  # type: ignore[arg-type]

    def _deadlines(self, now: datetime) -> dict[str, Any]:
        inbox = self.inbox
        prompt = now + timedelta(seconds=inbox.idle_after)
        return {
            "expires_at": now + timedelta(seconds=inbox.lock_lease),
            "last_input_at": now,
            "prompt_at": prompt,
            "dies_at": prompt + timedelta(seconds=inbox.idle_answer),
            "prompted_at": None,
        }

    def _lost_sentence(self, by: Member, held: Held | None) -> str:
        if held is None:
            return "Your hold on this conversation ended. Your text is kept; resume to send it."
        if held.holder.id == by.id:
            return "You hold this conversation in another window. Reload to go on here."
        return f"{held.holder.name} is replying now. Your text is kept as a draft."

    def _record_lapse(self, holder_id: int, expired_at: datetime | None) -> None:
        holder = db.session.get(Member, holder_id)
        Event.record(
            "lock.expired", account=self.account_id, conversation=self, holder_id=holder_id, holder=holder.name if holder else "",  # type: ignore[arg-type]
            why="idle" if expired_at and expired_at > clock.now() else "gone",
        )

    # -- the clock's part: announcing what time has already decided --------------------------------------------

    def announce_expiry(self) -> bool:
        """Clear a dead lock and say so; False when it is alive again or already cleared."""
        now = clock.now()
        before = db.session.get(Lock, self.id, populate_existing=True, with_for_update=True)  # for the ledger; the statement below decides
        if before is None or before.holder_id is None:
            return False
        holder_id, expires_at = before.holder_id, before.expires_at
        cleared = db.session.execute(
            sa.update(Lock)
            .where(Lock.conversation_id == self.id, Lock.holder_id == holder_id, Lock.fence == before.fence, ~_live(now))
            .values(holder_id=None, expires_at=None, dies_at=None, prompt_at=None, prompted_at=None)
            .returning(Lock.fence)
            .execution_options(synchronize_session=False)
        ).scalar()
        if cleared is None:
            return False
        self._record_lapse(holder_id, expires_at)
        self._freed()
        return True

    def announce_prompt(self) -> bool:
        """Note that the holder is being asked; once per idle spell (LOCK-3)."""
        now = clock.now()
        asked = db.session.execute(
            sa.update(Lock)
            .where(Lock.conversation_id == self.id, _live(now), Lock.prompt_at <= now, Lock.prompted_at.is_(None))
            .values(prompted_at=now)
            .returning(Lock.holder_id)
            .execution_options(synchronize_session=False)
        ).scalar()
        if asked is None:
            return False
        Event.record("lock.prompted", account=self.account_id, conversation=self, holder_id=asked)  # type: ignore[arg-type]
        self.changed("lock")
        return True

    @staticmethod
    def lapsed_locks() -> list[int]:
        """Ids of conversations whose lock is dead but still shown as held."""
        now = clock.now()
        return list(db.session.scalars(sa.select(Lock.conversation_id).where(Lock.holder_id.is_not(None), ~_live(now)).limit(200)))

    @staticmethod
    def idle_locks() -> list[int]:
        """Ids of conversations whose holder must be asked."""
        now = clock.now()
        return list(
            db.session.scalars(
                sa.select(Lock.conversation_id).where(Lock.holder_id.is_not(None), _live(now), Lock.prompt_at <= now, Lock.prompted_at.is_(None)).limit(200)
            )
        )


def _held(lock: Lock, holder: Member) -> Held:
    assert lock.acquired_at and lock.expires_at and lock.prompt_at and lock.dies_at  # noqa: S101 - all set while held
    return Held(holder, lock.fence, lock.acquired_at, lock.expires_at, lock.prompt_at, lock.dies_at)


def release_lost(member: Member, inbox_id: int | None = None) -> None:
    """Free the locks of a member where they may no longer reply (optionally of one inbox), and their places in line for one."""
    from inbox.models.conversation import Conversation

    def mine(query: sa.Select[Any]) -> list[Conversation]:
        query = query.options(joinedload(Conversation.inbox))
        found = db.session.scalars(query.where(Conversation.inbox_id == inbox_id) if inbox_id is not None else query)
        return [conversation for conversation in found if not member.can(Permission.CONVERSATIONS_REPLY, on=conversation)]

    for conversation in mine(sa.select(Conversation).join(Lock, Lock.conversation_id == Conversation.id).where(Lock.holder_id == member.id)):
        conversation.release(by=member)
    lost = [c.id for c in mine(sa.select(Conversation).join(LockWaiter, LockWaiter.conversation_id == Conversation.id).where(LockWaiter.member_id == member.id))]
    if lost:
        db.session.execute(sa.delete(LockWaiter).where(LockWaiter.member_id == member.id, LockWaiter.conversation_id.in_(lost)))
    realtime.publish("access", account=member.account_id, member=member.id)
