"""Who watches: which members of an account have pages open, what each may see, and whether any of that changed; one cheap question answers it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakValueDictionary

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, undefer

from inbox import clock, personal
from inbox.models.base import Model, db
from inbox.models.inbox import Inbox, InboxMember
from inbox.models.login_session import LoginSession
from inbox.models.member import SESSION_IDLE, SESSION_LIFE, Member
from inbox.permissions import Permission

KEPT = 1000  # changes of access; more would only be counted
PARTS = 500  # ids in one question


class AccessChange(Model):
    """The database notes here, in the same transaction, that somebody's access changed, by whatever statement (migration 0030)."""

    __tablename__ = "access_change"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))

    __table_args__ = (sa.Index("ix_access_change_account", "account_id", "id"),)

    @staticmethod
    def mark(account_id: int) -> tuple[int, int | None, int | None]:
        """Differs from an earlier one whenever a change was committed between the two, in whatever order the ids were given."""
        row = db.session.execute(
            sa.select(sa.func.count(), sa.func.min(AccessChange.id), sa.func.max(AccessChange.id)).where(AccessChange.account_id == account_id)
        ).one()
        return row[0], row[1], row[2]

    @staticmethod
    def forget_old() -> None:
        newest = sa.select(sa.func.max(AccessChange.id)).scalar_subquery()
        db.session.execute(sa.delete(AccessChange).where(AccessChange.id <= newest - KEPT).execution_options(synchronize_session=False))


@dataclass(frozen=True, eq=False)
class Standpoint:
    """All about a member that decides what they may see and how it is written: who has the same reads the same, unless it is about themselves.

    `Viewers` keeps one object for each, so that the object itself is what they have in common.
    """

    held: frozenset[tuple[int | None, frozenset[Permission]]]  # what their roles allow, by team
    roles: tuple[str, ...]  # their names, for the sentence that says why not
    seated: bool
    reach: frozenset[tuple[int, int]]  # inboxes and their teams
    readable: frozenset[int]  # inboxes
    time_zone: str
    language: str
    covered: str | None  # None: numbers and addresses are shown; else the digits of their own, which stays readable

    @property
    def key(self) -> tuple[object, ...]:
        return self.held, self.roles, self.seated, self.reach, self.readable, self.time_zone, self.language, self.covered

    @staticmethod
    def of(member: Member) -> Standpoint:
        reads = bool(member.can(Permission.CONVERSATIONS_VIEW))
        own = None if member.sees_personal else personal.digits_of(member.phone or "")[-10:]
        readable: frozenset[int] = member.readable_inbox_ids if reads else frozenset()
        return Standpoint(
            frozenset(member._held.items()), tuple(member.role_names), member.seated, frozenset(member.reach.items()), readable, member.time_zone, member.language, own
        )


@dataclass
class Viewer:
    """A signed-in browser with pages open."""

    member_id: int
    ends_at: datetime
    standpoint: Standpoint


class Viewers:
    """The signed-in browsers of one account that have pages open, as the database last said."""

    def __init__(self, account_id: int) -> None:
        self.account_id = account_id
        self._standpoints: WeakValueDictionary[tuple[object, ...], Standpoint] = WeakValueDictionary()
        self._viewers: dict[int, Viewer] = {}
        self._mark: tuple[int, int | None, int | None] | None = None

    def look(self, sessions: Iterable[int]) -> None:
        """Bring what is known of these sessions up to date, in the transaction that is open: one small question unless somebody's access changed."""
        mark, now = AccessChange.mark(self.account_id), clock.now()
        if mark != self._mark:
            self._viewers.clear()
        self._mark = mark
        known, wanted = self._viewers, set(sessions)
        unknown = sorted(id for id in wanted if id not in known or known[id].ends_at < now)
        if len(known) > 2 * len(wanted) + PARTS:  # many have left
            self._viewers = {id: viewer for id, viewer in known.items() if id in wanted}
        for start in range(0, len(unknown), PARTS):
            self._read(unknown[start : start + PARTS], now)

    def of(self, session_id: int) -> Viewer | None:
        """The browser behind a session; None when it is no longer signed in, or its member no longer active."""
        return self._viewers.get(session_id)

    def _read(self, ids: list[int], now: datetime) -> None:
        for id in ids:
            self._viewers.pop(id, None)
        query = sa.select(LoginSession.id, LoginSession.member_id, LoginSession.seen_at, LoginSession.created_at).where(LoginSession.id.in_(ids), LoginSession.revoked_at.is_(None))
        rows = db.session.execute(query).all()
        members = self._read_members({row.member_id for row in rows})
        for id, member_id, seen_at, created_at in rows:
            ends_at = min(seen_at + SESSION_IDLE, created_at + SESSION_LIFE)
            if ends_at >= now and member_id in members:
                self._viewers[id] = Viewer(member_id, ends_at, members[member_id])

    def _read_members(self, ids: set[int]) -> dict[int, Standpoint]:
        """The standpoints of those of these members who are active."""
        if not ids:
            return {}
        query = sa.select(Member).options(undefer(Member.phone)).where(Member.id.in_(ids), Member.account_id == self.account_id, Member.deactivated_at.is_(None))
        members = db.session.scalars(query.execution_options(populate_existing=True)).all()
        inboxes = db.session.execute(sa.select(Inbox.id, Inbox.team_id, Inbox.owner_id).where(Inbox.account_id == self.account_id)).all()
        inside = set(db.session.execute(sa.select(InboxMember.member_id, InboxMember.inbox_id).where(InboxMember.member_id.in_(ids))))
        found = {}
        for member in members:
            member.forget_rights()
            member.__dict__["reach"] = member.reaching((id, team, owner, (member.id, id) in inside) for id, team, owner in inboxes)
            standpoint = Standpoint.of(member)
            found[member.id] = self._standpoints.setdefault(standpoint.key, standpoint)
        return found
