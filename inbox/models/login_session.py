"""Signed-in browsers: revocable, renewed when rights change, and asked again before changes that matter (ACC-7)."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship

from inbox import clock, realtime
from inbox.models.base import Model, Moment, db, now_column
from inbox.models.member import SESSION_IDLE, SESSION_LIFE, Member, digest

CONFIRMED_FOR = timedelta(minutes=15)  # how long "it is me" holds for changes that matter
GRACE = timedelta(seconds=10)  # how long the token before a renewal still reads, for pages that are loading


class LoginSession(Model):
    """A signed-in browser; the cookie holds a random token, the row its digest, so that it can be revoked (ACC-7)."""

    __tablename__ = "login_session"
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), index=True)
    token_digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    previous_digest: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    created_at: Mapped[datetime] = now_column()
    seen_at: Mapped[datetime] = now_column()
    confirmed_at: Mapped[datetime | None] = mapped_column(Moment)  # when the person last proved who they are
    renewed_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    renewal_due: Mapped[bool] = mapped_column(default=False)  # the next request gets a new token
    setup_due: Mapped[bool] = mapped_column(default=False)  # the account wants a second factor and this person has none
    ip: Mapped[str] = mapped_column(sa.String(45), default="")
    user_agent: Mapped[str] = mapped_column(sa.String(300), default="")
    member: Mapped[Member] = relationship()

    @staticmethod
    def start(member: Member, *, ip: str, user_agent: str, setup_due: bool = False) -> str:
        """Open a session of somebody who has just proved who they are; returns its token (once: only the digest is kept)."""
        token = _token()
        member.last_seen_at = clock.now()
        LoginSession(member_id=member.id, token_digest=digest(token), ip=ip[:45], user_agent=user_agent[:300], confirmed_at=clock.now(), setup_due=setup_due).save()
        return token

    @staticmethod
    def find(token: str, *, reading: bool = False) -> LoginSession | None:
        """The live session with that token; None when unknown, revoked, idle for 14 days or 30 days old.

        `reading` (a GET or the live socket) also accepts the token before a renewal, for ten seconds.
        """
        if not token:
            return None
        mark = digest(token)
        here = LoginSession.token_digest == mark
        if reading:
            here = sa.or_(here, sa.and_(LoginSession.previous_digest == mark, LoginSession.renewed_at > clock.now() - GRACE))
        return _live(here)

    @staticmethod
    def of_socket(row_id: int) -> LoginSession | None:
        """The session a socket was opened with, whatever its token is by now."""
        return _live(LoginSession.id == row_id)

    @staticmethod
    def living(member: Member) -> list[LoginSession]:
        """The browsers in which a member is signed in, the last used first."""
        now = clock.now()
        query = _with_member().where(
            LoginSession.member_id == member.id, LoginSession.revoked_at.is_(None), LoginSession.seen_at > now - SESSION_IDLE, LoginSession.created_at > now - SESSION_LIFE
        )
        return list(db.session.scalars(query.order_by(LoginSession.seen_at.desc(), LoginSession.id.desc())))

    @property
    def live(self) -> bool:
        now = clock.now()
        return not self.revoked_at and now - self.seen_at <= SESSION_IDLE and now - self.created_at <= SESSION_LIFE and self.member.active

    @property
    def confirmed(self) -> bool:
        """Whether the person proved who they are within the last 15 minutes."""
        return self.confirmed_at is not None and clock.now() - self.confirmed_at < CONFIRMED_FOR

    def revoke(self) -> None:
        self.revoked_at = clock.now()
        realtime.publish("access", account=self.member.account_id, member=self.member_id)  # open pages of it close at once (SECURITY S62)

    @staticmethod
    def end_all(member: Member, *, but: LoginSession | None = None) -> None:
        """Sign a member out everywhere, or everywhere else."""
        query = sa.update(LoginSession).where(LoginSession.member_id == member.id, LoginSession.revoked_at.is_(None))
        db.session.execute((query.where(LoginSession.id != but.id) if but else query).values(revoked_at=clock.now()))
        realtime.publish("access", account=member.account_id, member=member.id)

    # -- a new token for the same browser (SECURITY S43) ------------------------------------------------------

    @staticmethod
    def rotate_all(member: Member) -> None:
        """After a change of rights: the next request of each browser gets a new token and the one before dies."""
        db.session.execute(sa.update(LoginSession).where(LoginSession.member_id == member.id, LoginSession.revoked_at.is_(None)).values(renewal_due=True))

    def renew(self, *, confirmed: bool = False) -> str | None:
        """Give the session a new token and return it; None when a request that ran beside this one was first."""
        token, now = _token(), clock.now()
        values = {"token_digest": digest(token), "previous_digest": self.token_digest, "renewed_at": now, "renewal_due": False}
        query = sa.update(LoginSession).where(LoginSession.id == self.id, LoginSession.token_digest == self.token_digest, LoginSession.revoked_at.is_(None))
        won = db.session.execute(query.values(**values, **({"confirmed_at": now} if confirmed else {})).returning(LoginSession.id)).scalar()
        db.session.refresh(self)
        return token if won else None


def _token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def _live(here: sa.ColumnElement[bool]) -> LoginSession | None:
    """The session there, with all that says who it is and what they may: one query for every request."""
    query = _with_member().options(joinedload(LoginSession.member).joinedload(Member.grants))
    row = next(iter(db.session.scalars(query.where(here)).unique().all()), None)
    return row if row and row.live else None


def _with_member() -> sa.Select[LoginSession]:
    return sa.select(LoginSession).options(joinedload(LoginSession.member).joinedload(Member.account))
