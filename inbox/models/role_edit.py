"""Editing roles in the matrix: what the reader changed, and who would gain or lose what by it (PERM-5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa

from inbox.models.account import Team
from inbox.models.base import db
from inbox.models.conversation import Conversation
from inbox.models.inbox import Inbox, InboxMember
from inbox.models.member import Member
from inbox.models.role import Role, holders_of
from inbox.permissions import ENTRIES, Permission, needed, with_needed

Held = dict[int | None, frozenset[Permission]]  # for the whole account (None) and for single teams
Row = tuple[int, int, int | None, bool]  # inbox id, team id, owner id, is the member in it


def settled(seen: frozenset[Permission], ticked: frozenset[Permission], fixed: frozenset[Permission]) -> frozenset[Permission]:
    """The ticks with their dependencies: what an added one needs comes along, what needs a removed one goes, `fixed` ones never move."""
    stays = with_needed(fixed & seen)
    added = with_needed(ticked - seen - fixed)
    removed = seen - ticked - added - stays
    return stays | added | {permission for permission in ticked & seen if not needed(permission) & removed}


@dataclass(frozen=True)
class RoleEdit:
    """One edited column: the role, the version and the ticks the reader started from, and the ticks they want; `free` are the cells they may change."""

    role: Role
    version: int
    seen: frozenset[Permission]
    ticked: frozenset[Permission]
    free: frozenset[Permission]

    @cached_property
    def wanted(self) -> frozenset[Permission]:
        fixed = frozenset(Permission) - self.free
        return settled(self.seen, (self.ticked & self.free) | (self.seen & fixed), fixed)

    @property
    def added(self) -> list[Permission]:
        return in_order(self.wanted - self.seen)

    @property
    def removed(self) -> list[Permission]:
        return in_order(self.seen - self.wanted)

    @property
    def changed(self) -> bool:
        return self.wanted != self.seen

    @property
    def kept(self) -> list[Permission]:
        """Unticked by the reader, but something they want needs it."""
        return in_order((self.seen & self.wanted & self.free) - self.ticked)

    @property
    def stale(self) -> bool:
        """Whether somebody saved the role since the reader looked at it."""
        return self.version != self.role.version or self.seen != self.role.permissions

    def rebased(self) -> RoleEdit:
        """The same change on top of the role as it is now."""
        now = self.role.permissions
        return RoleEdit(self.role, self.role.version, now, (now | (self.wanted - self.seen)) - (self.seen - self.wanted), self.free)


@dataclass(frozen=True)
class Effect:
    """What a change of roles does to one person: titles of permissions, with the team when it is for one team only."""

    member: Member
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    conversations: int  # open ones that go back to unassigned
    unseated: bool  # the seat becomes useless and is given back

    def __bool__(self) -> bool:
        return bool(self.gained or self.lost or self.conversations or self.unseated)


def effects(account_id: int, after: Mapping[int, frozenset[Permission]]) -> list[Effect]:
    """Who would gain or lose what if the custom roles (by row id) held `after`; other roles of theirs count. Writes nothing."""
    people = [member for member in holders_of(after) if member.active] if after else []
    if not people:
        return []
    teams = dict(db.session.execute(sa.select(Team.id, Team.name).where(Team.account_id == account_id)).all())
    inboxes = {inbox.id: inbox for inbox in db.session.scalars(sa.select(Inbox).where(Inbox.account_id == account_id))}
    ids = [member.id for member in people]
    inside = set(db.session.execute(sa.select(InboxMember.member_id, InboxMember.inbox_id).where(InboxMember.member_id.in_(ids))))
    assigned = _assigned(ids)
    found = []
    for member in people:
        rows = [(inbox.id, inbox.team_id, inbox.owner_id, (member.id, inbox.id) in inside) for inbox in inboxes.values()]
        before, then = member.held_with({}), member.held_with(after)
        lost = _difference(before, then, teams)
        with _supposing(member, then, rows):
            unseated = member.seated and not member.seat_eligible
            gone = [n for inbox_id, n in assigned.get(member.id, []) if unseated or not member.may_receive(inboxes[inbox_id])] if lost else []
        found.append(Effect(member, _difference(then, before, teams), lost, sum(gone), unseated))
    return [effect for effect in found if effect]


def _assigned(member_ids: list[int]) -> dict[int, list[tuple[int, int]]]:
    """Member id -> (inbox id, open conversations assigned to them)."""
    query = sa.select(Conversation.assignee_id, Conversation.inbox_id, sa.func.count()).where(
        Conversation.assignee_id.in_(member_ids), Conversation.archived_at.is_(None)
    )
    found: dict[int, list[tuple[int, int]]] = {}
    for member_id, inbox_id, count in db.session.execute(query.group_by(Conversation.assignee_id, Conversation.inbox_id)):
        if member_id is not None:
            found.setdefault(member_id, []).append((inbox_id, count))
    return found


def _difference(more: Held, less: Held, teams: Mapping[int, str]) -> tuple[str, ...]:
    """What `more` allows beyond `less`."""
    everywhere = more[None] - less[None]
    words = [ENTRIES[permission].title for permission in in_order(everywhere - frozenset().union(*less.values()))]
    limited = everywhere & frozenset().union(*less.values())
    words += [f"{ENTRIES[permission].title} (in every team)" for permission in in_order(limited)]
    for team_id in sorted(team_id for team_id in more.keys() | less.keys() if team_id is not None):
        only = (more[None] | more.get(team_id, frozenset())) - (less[None] | less.get(team_id, frozenset())) - everywhere
        words += [f"{ENTRIES[permission].title} ({teams.get(team_id, '')})" for permission in in_order(only)]
    return tuple(words)


@contextmanager
def _supposing(member: Member, held: Held, inboxes: Iterable[Row]) -> Iterator[None]:
    """Ask `member.can` as if the roles held something else."""
    member.forget_rights()
    member.__dict__["_held"] = held
    member.__dict__["reach"] = member.reaching(inboxes)
    try:
        yield
    finally:
        member.forget_rights()


def in_order(permissions: Iterable[Permission]) -> list[Permission]:
    """As the matrix lists them."""
    wanted = set(permissions)
    return [permission for permission in ENTRIES if permission in wanted] if wanted else []
