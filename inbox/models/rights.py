"""May they? One function answers it for routes, templates, sockets, jobs and the API alike, and can say why (PERM-6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import sqlalchemy as sa

from inbox.models.account import Team
from inbox.models.base import Model, Refused, db
from inbox.permissions import INBOXED, LABELS, SEATED, TEAMED, Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation
    from inbox.models.inbox import Inbox
    from inbox.models.member import Member
    from inbox.models.registration import Registration
    from inbox.models.role import Grant

    On: TypeAlias = Conversation | Inbox | Registration | Team | None


READING = frozenset({Permission.CONVERSATIONS_VIEW, Permission.CONTACTS_VIEW})


class NoSeat(Refused):
    """The member may look but not act."""

    status = 403


class Denied(Refused):
    """A permission is missing; the sentence says which and who can give it."""

    status = 403


class Step(NamedTuple):
    """One of the conditions of a right: whether it is met, and the fact in the third person."""

    met: bool
    words: str


@dataclass(frozen=True)
class Verdict:
    """The answer to "may they?". `code` is empty when allowed, else ended, role, seat or inbox; the sentences are made only when read."""

    allowed: bool
    code: str = ""
    member: Member | None = None
    permission: Permission | None = None
    on: Any = None

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def why(self) -> str:
        """Why not, to the member: names the missing thing and who can give it; empty when allowed."""
        return self._sentence("Your role", "You hold no role that allows you", "allows you", "you have", "give you one", "You are", "add you", "Your access")

    @property
    def told(self) -> str:
        """Why not, about the member: the same in the third person."""
        name = self.member.name if self.member else ""
        return self._sentence(f"{name}’s role", f"{name} holds no role that allows them", "allows them", "they have", "give one", f"{name} is", "add them", f"{name}’s access")

    def _sentence(self, role: str, none: str, allows: str, has: str, give: str, are: str, add: str, access: str) -> str:
        if self.allowed or self.member is None or self.permission is None:
            return ""
        label, who = LABELS[self.permission], self.member
        if self.code == "ended":
            return f"{access} to this account has ended."
        if self.code == "role":
            names = " and ".join(who.role_names)
            fixers = f"{who.fixers(Permission.ROLES_ASSIGN)} can change that."
            return f"{role} {names} does not allow {allows.split()[1]} to {label}. {fixers}" if names else f"{none} to {label}. {fixers}"
        if self.code == "seat":
            names = " and ".join(grant.name for grant in who.grants if self.permission in grant.permissions)
            return f"{role} {names} {allows} to {label}, but {has} no seat. {who.fixers(Permission.SEATS_MANAGE)} can {give}."
        return f"{are} not in this inbox. {who.fixers(Permission.INBOXES_MEMBERS)} can {add}."

    def steps(self) -> list[Step]:
        """Every condition in order, met or not, for "who has what" (PERM-6)."""
        who, permission = self.member, self.permission
        if who is None or permission is None:
            return []
        steps = [] if who.active else [Step(False, f"{who.name}’s access to this account has ended.")]
        team = who.team_of(self.on)
        giving = [grant.name for grant in who.grants if permission in grant.permissions and (self.on is None or grant.team_id in (None, team))]
        elsewhere = [grant.name for grant in who.grants if permission in grant.permissions and grant.team_id not in (None, team)] if self.on is not None else []
        label = LABELS[permission]
        if giving:
            steps.append(Step(True, f"{_roles(giving)} allows to {label}."))
        elif elsewhere:
            steps.append(Step(False, f"{_roles(elsewhere)} allows to {label}, but not for this team."))
        else:
            names = " and ".join(who.role_names)
            steps.append(Step(False, f"{_roles(who.role_names)} does not allow to {label}." if names else "There is no role."))
        if permission in SEATED:
            steps.append(Step(who.seated, f"{who.name} has a seat." if who.seated else f"{who.name} has no seat."))
        if permission in INBOXED and self.on is not None:
            steps.append(who.membership(self.on))
        return steps


def _roles(names: list[str]) -> str:
    return f"The role {names[0]}" if len(names) == 1 else f"The roles {' and '.join(names)}"


class Rights(Model):
    """What a member may do: role permission AND seat (unless view-only) AND membership of that inbox (PERM-6)."""

    __abstract__ = True

    if TYPE_CHECKING:
        account_id: Any
        name: Any
        seated: Any
        grants: Any

        @property
        def active(self) -> bool: ...

    # -- what the roles hold ------------------------------------------------------------------------------------------

    @cached_property
    def _held(self) -> dict[int | None, frozenset[Permission]]:
        return self.held_with({})

    def held_with(self, changed: Mapping[int, frozenset[Permission]]) -> dict[int | None, frozenset[Permission]]:
        """The union of the roles' permissions (PERM-3), for the whole account (None) and for single teams; custom roles (by row id) hold what `changed` says."""
        held: dict[int | None, frozenset[Permission]] = {None: frozenset()}
        grants: list[Grant] = self.grants
        for grant in grants:
            held[grant.team_id] = held.get(grant.team_id, frozenset()) | grant.allows(changed)
        return held

    @property
    def permissions_everywhere(self) -> frozenset[Permission]:
        """Held for the whole account."""
        return self._held[None]

    @cached_property
    def permissions(self) -> frozenset[Permission]:
        """Held somewhere: for the whole account or for some team."""
        return frozenset().union(*self._held.values())

    def permissions_in(self, team_id: int | None) -> frozenset[Permission]:
        """Held for that team: what is held everywhere and what is held for it alone."""
        return self._held[None] | self._held.get(team_id, frozenset())

    def covers(self, other: Rights) -> bool:
        """Whether this member holds everything that `other` holds, wherever they hold it."""
        return all(held <= self.permissions_in(team) for team, held in other._held.items())

    def may_grant(self, permissions: frozenset[Permission]) -> bool:
        """Whether these are held together in some place, so that a role with them could be given there."""
        return any(permissions <= self.permissions_in(team) for team in self._held)

    def teams_with(self, permission: Permission) -> frozenset[int] | None:
        """The teams it is held for; None when it is held for the whole account."""
        if permission in self.permissions_everywhere:
            return None
        return frozenset(team for team, held in self._held.items() if team is not None and permission in held)

    @property
    def seat_eligible(self) -> bool:
        return bool(self.permissions & SEATED)

    @property
    def sees_all(self) -> bool:
        """Owner and Supervisor see every shared inbox (PERM-6)."""
        return Permission.CONVERSATIONS_ALL in self.permissions_everywhere

    @property
    def sees_personal(self) -> bool:
        """Whether customers' numbers and addresses are shown: only who may see them wherever they read customers at all."""
        places = [self.permissions_in(team) for team in self._held]
        return Permission.CONTACTS_PII in self.permissions and all(Permission.CONTACTS_PII in held for held in places if held & READING)

    # -- where ----------------------------------------------------------------------------------------------------------

    @cached_property
    def reach(self) -> dict[int, int]:
        """Inbox id -> team id of the inboxes this member is in: added, one's own, or all for those who manage every conversation."""
        from inbox.models.inbox import Inbox, InboxMember

        here = sa.and_(InboxMember.inbox_id == Inbox.id, InboxMember.member_id == self.id)
        query = sa.select(Inbox.id, Inbox.team_id, Inbox.owner_id, InboxMember.id.is_not(None)).outerjoin(InboxMember, here).where(Inbox.account_id == self.account_id)
        return self.reaching((id, team, owner, added) for id, team, owner, added in db.session.execute(query))

    def reaching(self, inboxes: Iterable[tuple[int, int, int | None, bool]]) -> dict[int, int]:
        """`reach` from rows of (inbox id, team id, owner id, was the member added)."""
        every = Permission.CONVERSATIONS_ALL
        return {
            id: team for id, team, owner, added in inboxes if owner == self.id or (owner is None and (added or every in self.permissions_in(team)))
        }

    @property
    def inbox_ids(self) -> frozenset[int]:
        """The inboxes this member belongs to."""
        return frozenset(self.reach)

    @cached_property
    def readable_inbox_ids(self) -> frozenset[int]:
        """The inboxes whose conversations the member may read: in them, and a role that counts there allows reading."""
        return frozenset(id for id, team in self.reach.items() if Permission.CONVERSATIONS_VIEW in self.permissions_in(team))

    def team_of(self, on: On) -> int | None:
        """The team that decides which roles count for `on`; None for what belongs to no team the member reaches."""
        if on is None:
            return None
        if isinstance(on, Team):
            return on.id
        team = getattr(on, "team_id", None)
        return team if team is not None else self.reach.get(on.inbox_id)  # type: ignore[union-attr]

    def membership(self, on: Any) -> Step:
        """Whether the member is in the inbox of `on`, as a fact to read."""
        inbox_id = getattr(on, "inbox_id", None) or on.id
        if inbox_id not in self.reach or on.account_id != self.account_id:
            return Step(False, f"{self.name} is not in this inbox.")
        every = Permission.CONVERSATIONS_ALL in self.permissions_in(self.reach[inbox_id])
        return Step(True, f"{self.name} sees every inbox by role." if every else f"{self.name} is in this inbox.")

    # -- the one function -------------------------------------------------------------------------------------------------

    def can(self, permission: Permission, on: On = None) -> Verdict:
        """Whether this member may use `permission` on a conversation, inbox, registration or team, or at all (`on=None`).

        Costs no query but one for the member's inboxes, made at most once in a transaction.
        """
        held = self.permissions if on is None else self.permissions_in(self.team_of(on))
        code = ""
        if not self.active:
            code = "ended"
        elif permission not in (held if permission in TEAMED else self.permissions_everywhere):
            reachable = on is None or permission not in INBOXED or self._in(on)
            code = "role" if reachable or permission not in self.permissions else "inbox"
        elif permission in SEATED and not self.seated:
            code = "seat"
        elif on is not None and (not self._in(on) if permission in INBOXED else on.account_id != self.account_id):
            code = "inbox"
        return Verdict(not code, code, self, permission, on)  # type: ignore[arg-type]

    def require(self, permission: Permission, on: On = None) -> None:
        """Raise Denied or NoSeat with the reason unless `can`."""
        verdict = self.can(permission, on)
        if not verdict:
            raise refusal(verdict)

    def _in(self, on: Any) -> bool:
        inbox_id = getattr(on, "inbox_id", None) or on.id
        return on.account_id == self.account_id and inbox_id in self.reach

    def may_receive(self, inbox: Inbox) -> bool:
        """Whether conversations of that inbox may be assigned to this member (SEAT-3)."""
        return bool(self.can(Permission.CONVERSATIONS_REPLY, on=inbox))

    def fixers(self, permission: Permission) -> str:
        """Who can help: "Ana or Bo" (asked only when a refusal is read)."""
        from inbox.models.member import Member

        found: dict[Permission, str] = self.__dict__.setdefault("_fixers", {})
        if permission not in found:
            names = [m.name for m in Member.holding(self.account_id, permission) if m.id != self.id][:3]
            found[permission] = " or ".join(names) or "An owner"
        return found[permission]

    def forget_rights(self) -> None:
        """Work out roles and inboxes anew (after they changed in this session)."""
        for name in ("_held", "permissions", "reach", "readable_inbox_ids", "_fixers"):
            self.__dict__.pop(name, None)

    forget_inboxes = forget_rights


def attend(*members: Rights | None) -> None:
    """Read the access of these members anew, and let nobody take it until the transaction ends (SEAT-5).

    For what must not end up with somebody who loses it at the same moment. One indexed query, and no writer waits for a reader of another member;
    it comes before everything else the transaction locks.
    """
    from inbox.models.member import Member

    found = {member.id: member for member in members if member is not None}
    if not found:
        return
    db.session.execute(sa.select(Member.id).where(Member.id.in_(sorted(found))).order_by(Member.id).with_for_update(read=True))
    for member in found.values():
        db.session.expire(member)


def refusal(verdict: Verdict) -> Refused:
    """The exception for a verdict that is not allowed."""
    return (NoSeat if verdict.code == "seat" else Denied)(verdict.why)
