"""The account: one company, its teams, its seats."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock
from inbox.models.base import Model, Moment, Refused, db, now_column, one_line, public_id

if TYPE_CHECKING:
    from inbox.models.member import Member

TRIAL = timedelta(days=60)


class NoSeatLeft(Refused):
    """All paid seats are in use."""


class Account(Model):
    """A company. Accounts never see each other's rows (ACC-1)."""

    __tablename__ = "account"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    name: Mapped[str] = mapped_column(sa.String(120))
    country: Mapped[str] = mapped_column(sa.String(2), default="US")
    time_zone: Mapped[str] = mapped_column(sa.String(64), default="UTC")
    created_at: Mapped[datetime] = now_column()
    trial_ends_at: Mapped[datetime] = mapped_column(Moment)
    seats_paid: Mapped[int] = mapped_column(default=1)
    seats_used: Mapped[int] = mapped_column(default=0)
    checklist_dismissed_at: Mapped[datetime | None] = mapped_column(Moment)
    teams: Mapped[list[Team]] = relationship(back_populates="account", order_by="Team.name")

    __table_args__ = (
        sa.CheckConstraint("seats_used >= 0 AND seats_used <= seats_paid", name="seats"),
    )

    @staticmethod
    def any() -> bool:
        """Whether the first run is over."""
        return db.session.scalar(sa.select(Account.id).limit(1)) is not None

    @staticmethod
    def open(
        *, name: str, owner_name: str, email: str, password: str, time_zone: str = "UTC", country: str = "US"
    ) -> tuple[Account, Member]:
        """Create an account with one team, its owner, and one seat that the owner holds (ACC-1)."""
        from inbox.models.event import Event
        from inbox.models.member import Member
        from inbox.models.role import Grant

        account = Account(
            name=one_line(name), time_zone=time_zone, country=country, trial_ends_at=clock.now() + TRIAL
        ).save()
        Team(account_id=account.id, name=account.name).save()
        owner = Member.join(account, email=email, name=owner_name, password=password)
        Grant(member_id=owner.id, role="owner").save()
        account.seat(owner, by=owner)
        Event.record("account.opened", account=account, by=owner, name=account.name)
        return account, owner

    @property
    def trial_days_left(self) -> int:
        """Whole days of trial left, 0 when it is over."""
        return max(0, (self.trial_ends_at - clock.now()).days)

    @property
    def seats_free(self) -> int:
        return self.seats_paid - self.seats_used

    @staticmethod
    def one_change_at_a_time(account_id: int, *members: Member) -> None:
        """Let changes of access in an account follow each other until the transaction ends, and let who decides by these members' access wait (`attend`).

        What was read of the members and of custom roles before counts no more. The order of locks, so that no two wait for each other: account, members by id, what they hold.
        """
        from inbox.models.member import Member
        from inbox.models.role import Role

        db.session.execute(sa.select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))
        if members:
            db.session.execute(sa.select(Member.id).where(Member.id.in_(member.id for member in members)).order_by(Member.id).with_for_update(key_share=True))
            for member in members:
                db.session.expire(member)
        db.session.flush()
        for row in list(db.session.identity_map.values()):
            if isinstance(row, Role):
                db.session.expire(row)

    def seat(self, member: Member, *, by: Member) -> None:
        """Give `member` a seat; raises NoSeatLeft when all paid seats are used (SEAT-2: one conditional statement)."""
        from inbox.models.event import Event
        from inbox.models.member import Member

        Account.one_change_at_a_time(self.id, member)
        if member.seated:
            return
        if not member.active:
            raise Refused(f"{member.name}’s access has ended, so a seat would be wasted.")
        if not member.seat_eligible:
            raise Refused(f"{member.name}’s roles only allow looking, so a seat would be wasted.")
        taken = db.session.execute(
            sa.update(Account)
            .where(Account.id == self.id, Account.seats_used < Account.seats_paid)
            .values(seats_used=Account.seats_used + 1)
            .returning(Account.seats_used)
        ).scalar()
        if taken is None:
            raise NoSeatLeft("The only seat is used. Add seats first." if self.seats_paid == 1 else f"All {self.seats_paid} seats are used. Free one, or add seats first.")
        changed = db.session.execute(
            sa.update(Member).where(Member.id == member.id, Member.seated.is_(False)).values(seated=True).returning(Member.id)
        ).scalar()
        if changed is None:  # somebody seated them a moment ago: give the place back
            db.session.execute(
                sa.update(Account).where(Account.id == self.id).values(seats_used=Account.seats_used - 1)
            )
            return
        Event.record("seat.given", account=self, by=by, member=member.id, name=member.name)

    def unseat(self, member: Member, *, by: Member, successor: Member | None = None) -> None:
        """Take the seat back and move what the member holds to `successor`, or to nobody (SEAT-5, one transaction)."""
        from inbox.models.event import Event
        from inbox.models.holdings import settle
        from inbox.models.member import Member

        Account.one_change_at_a_time(self.id, member)
        changed = db.session.execute(
            sa.update(Member).where(Member.id == member.id, Member.seated.is_(True)).values(seated=False).returning(Member.id)
        ).scalar()
        if changed is None:
            return
        db.session.execute(sa.update(Account).where(Account.id == self.id).values(seats_used=Account.seats_used - 1))
        db.session.refresh(member, ["seated"])
        settle(member, by=by, to=successor)
        Event.record("seat.taken", account=self, by=by, member=member.id, name=member.name, to=successor.name if successor else None)


class Team(Model):
    """A group inside the account with its own carrier registration."""

    __tablename__ = "team"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    consent_scope: Mapped[str] = mapped_column(sa.String(8), default="team")  # how far a STOP reaches: inbox, team or account (consent.SCOPES)
    account: Mapped[Account] = relationship(back_populates="teams")

    __table_args__ = (sa.UniqueConstraint("account_id", "name"),)
