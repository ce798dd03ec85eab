"""Roles: the ten default ones and the custom ones of an account, and who holds which where (PERM-1..3, PERM-5)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock
from inbox.models.account import Account, Team
from inbox.models.base import Model, Moment, Refused, db, now_column, one_line, public_id
from inbox.models.event import Event
from inbox.permissions import DEFAULT_ROLES, ENTRIES, OWNERS_ONLY, TEAMED, Permission, known, with_needed

if TYPE_CHECKING:
    from inbox.models.invitation import Invitation
    from inbox.models.member import Member

EXCLUSIVE = frozenset({"agent", "supervisor"})
NAME_MAX = 60
CHANGED = "Somebody else changed {} meanwhile. Look at it again and repeat your change."


class RoleChanged(Refused):
    """Somebody else saved the role meanwhile."""

    status = 409


class RoleGone(Refused):
    """Somebody else deleted the role meanwhile."""

    status = 409


class NeedsReplacement(Refused):
    """A role in use is deleted only when its holders get another one (PERM-5)."""


@dataclass(frozen=True)
class RoleSheet:
    """A role as people see it, default or custom: `key` is what grants and forms carry, `row` is set for a custom one."""

    key: str
    name: str
    permissions: frozenset[Permission]
    row: Role | None = None

    @property
    def default(self) -> bool:
        return self.row is None

    @property
    def seated(self) -> bool:
        """Whether a holder can use a seat."""
        return any(ENTRIES[permission].seated for permission in self.permissions)


class Role(Model):
    """A custom role of an account: a named set of permissions."""

    __tablename__ = "role"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(sa.String(NAME_MAX))
    name_key: Mapped[str] = mapped_column(sa.String(NAME_MAX * 2))
    description: Mapped[str] = mapped_column(sa.String(200), default="")
    ids: Mapped[list[str]] = mapped_column("permissions", sa.JSON, default=list)
    version: Mapped[int] = mapped_column(default=0)
    created_by_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    created_at: Mapped[datetime] = now_column()
    updated_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)

    __table_args__ = (sa.UniqueConstraint("account_id", "name_key"),)

    @property
    def permissions(self) -> frozenset[Permission]:
        return known(self.ids)

    @property
    def sheet(self) -> RoleSheet:
        return RoleSheet(self.public_id, self.name, self.permissions, self)

    # -- finding --------------------------------------------------------------------------------------------------

    @staticmethod
    def custom(account_id: int) -> list[Role]:
        """The account's own roles, by name."""
        return list(db.session.scalars(sa.select(Role).where(Role.account_id == account_id).order_by(Role.name, Role.id)))

    @staticmethod
    def sheets(account_id: int) -> list[RoleSheet]:
        """Every role of the account: the default ones in their order, then the custom ones by name."""
        return [*DEFAULTS.values(), *(role.sheet for role in Role.custom(account_id))]

    @staticmethod
    def sheet_of(account_id: int, key: str) -> RoleSheet | None:
        """The role behind a key of a form, default or custom; None when the account has no such role."""
        if key in DEFAULTS:
            return DEFAULTS[key]
        row = db.session.scalar(sa.select(Role).where(Role.account_id == account_id, Role.public_id == key))
        return row.sheet if row else None

    @staticmethod
    def people(account_id: int) -> dict[str, int]:
        """How many active members hold each role: key -> people, roles nobody holds left out."""
        from inbox.models.member import Member

        query = sa.select(Grant.role, sa.func.count(sa.distinct(Grant.member_id))).join(Member, Member.id == Grant.member_id)
        return dict(db.session.execute(query.where(Member.account_id == account_id, Member.deactivated_at.is_(None)).group_by(Grant.role)).all())

    @staticmethod
    def holding(account_id: int, key: str) -> list[Member]:
        """The active members who hold the role of that key anywhere, by name."""
        from inbox.models.member import Member

        query = sa.select(Member).where(Member.account_id == account_id, Member.deactivated_at.is_(None), Member.id.in_(sa.select(Grant.member_id).where(Grant.role == key)))
        return list(db.session.scalars(query.order_by(Member.name, Member.id)))

    def holders(self) -> list[Member]:
        """The active members who hold it anywhere, by name."""
        return [member for member in holders_of([self.id]) if member.active]

    # -- making and changing --------------------------------------------------------------------------------------

    @staticmethod
    def create(account: Account, *, name: str, permissions: Iterable[Permission], by: Member, description: str = "", copied: str = "") -> Role:
        """A new role; what its permissions need is added, and `by` must hold all of it (PERM-5)."""
        by.require(Permission.ROLES_MANAGE)
        wanted = with_needed(permissions)
        _check_grantable(wanted, by)
        name = _free_name(account.id, name)
        role = Role(
            account_id=account.id, name=name, name_key=_key(name), description=one_line(description)[:200], ids=sorted(wanted), created_by_id=by.id
        )
        _store(role)
        Event.record("role.created", account=account, by=by, role=role.public_id, name=name, permissions=role.ids, copied=copied)
        return role

    def rename(self, name: str, *, by: Member, description: str | None = None) -> None:
        """Change what it is called and its description; access stays as it is."""
        by.require(Permission.ROLES_MANAGE)
        before, after = self.name, _free_name(self.account_id, name, but=self.id)
        described, text = self.description, self.description if description is None else one_line(description)[:200]
        self.name, self.name_key, self.description = after, _key(after), text
        _store(self)
        if before != after:
            Event.record("role.renamed", account=self.account_id, by=by, role=self.public_id, before=before, after=after)
        elif described != text:
            Event.record("role.described", account=self.account_id, by=by, role=self.public_id, name=after)

    def change(self, permissions: Iterable[Permission], *, by: Member, version: int) -> None:
        """Make it hold exactly `permissions` and what they need; only cells that `by` holds may change (PERM-5).

        Raises RoleChanged when somebody saved since `version`. Holders who can act no longer hand on what they hold (SEAT-5).
        """
        Role.change_all([(self, permissions, version)], by=by)

    @staticmethod
    def change_all(changes: Iterable[tuple[Role, Iterable[Permission], int]], *, by: Member) -> None:
        """`change` for several roles at once, (role, permissions, version) each: who loses in one and gains in another keeps what they have."""
        changes = list(changes)
        _in_turn(by, [role for role, _, _ in changes])
        differences = {role.id: role._write(with_needed(wanted), by, version) for role, wanted, version in changes}
        lost = any(gone for _, gone in differences.values())
        for member in holders_of(id for id, (added, gone) in differences.items() if added or gone):
            if member.active:
                member.rights_changed(by=by, lost=lost)
        _keep_out_of_lockout(by)

    def _write(self, after: frozenset[Permission], by: Member, version: int) -> tuple[frozenset[Permission], frozenset[Permission]]:
        """Store the permissions; returns what was added and what was removed."""
        if version != self.version:
            raise RoleChanged(CHANGED.format(self.name))
        before = self.permissions
        if before == after:
            return frozenset(), frozenset()
        _check_grantable(before ^ after, by)
        done = db.session.execute(
            sa.update(Role)
            .where(Role.id == self.id, Role.version == version)
            .values(ids=sorted(after), version=version + 1, updated_at=clock.now())
            .returning(Role.id)
            .execution_options(synchronize_session=False)
        ).scalar()
        if done is None:
            raise RoleChanged(CHANGED.format(self.name))
        db.session.refresh(self)
        Event.record(
            "role.edited", account=self.account_id, by=by, role=self.public_id, name=self.name, added=sorted(after - before), removed=sorted(before - after)
        )
        return after - before, before - after

    def destroy(self, *, by: Member, replacement: str = "") -> None:
        """Delete it; its holders and pending invitations get `replacement` (a role's key), asked for when it is in use (PERM-5)."""
        _in_turn(by, [self])
        _check_grantable(self.permissions, by)
        holders, invited = holders_of([self.id]), self.invitations()
        sheet = self._replacement(replacement, by, len(holders), len(invited)) if holders or invited else None
        for member in holders:
            member.swap_role(self, sheet, by=by)
        for invitation in invited:
            if sheet is not None:
                invitation.role = sheet.key
        Event.record("role.deleted", account=self.account_id, by=by, name=self.name, replacement=sheet.name if sheet else "", people=len(holders))
        db.session.delete(self)
        db.session.flush()
        _keep_out_of_lockout(by)

    def invitations(self) -> list[Invitation]:
        """Those that wait to be accepted, expired ones too: they can be sent again."""
        from inbox.models.invitation import Invitation

        open_ones = (Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None))
        return list(db.session.scalars(sa.select(Invitation).where(Invitation.account_id == self.account_id, Invitation.role == self.public_id, *open_ones)))

    def _replacement(self, key: str, by: Member, people: int, invited: int) -> RoleSheet:
        sheet = Role.sheet_of(self.account_id, key) if key and key != self.public_id else None
        if sheet is None:
            holds = "1 person holds" if people == 1 else f"{people} people hold"
            uses = f"{holds} {self.name}" if people else f"{invited} {'invitation is' if invited == 1 else 'invitations are'} for {self.name}"
            raise NeedsReplacement(f"{uses}. Choose the role they get instead.", field="replacement")
        if sheet.key == "owner":
            raise Refused("Ownership moves only by a transfer.", field="replacement")
        _check_grantable(sheet.permissions, by)
        return sheet


class Grant(Model):
    """A role held by a member, for the whole account or for one team. `role` is a default role's key or the custom role's public id."""

    __tablename__ = "grant"
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), index=True)
    role: Mapped[str] = mapped_column(sa.String(60))
    role_id: Mapped[int | None] = mapped_column(sa.ForeignKey("role.id"), index=True)
    team_id: Mapped[int | None] = mapped_column(sa.ForeignKey("team.id"))
    custom: Mapped[Role | None] = relationship(lazy="joined")
    team: Mapped[Team | None] = relationship(lazy="joined")
    member: Mapped[Member] = relationship(back_populates="grants")

    __table_args__ = (
        sa.UniqueConstraint("member_id", "role", "team_id"),
        sa.Index("uq_grant_account_wide", "member_id", "role", unique=True, sqlite_where=sa.text("team_id IS NULL"), postgresql_where=sa.text("team_id IS NULL")),
    )

    @property
    def permissions(self) -> frozenset[Permission]:
        """What it allows where it counts: for one team, only what can be held for a team."""
        return self.allows({})

    def allows(self, changed: Mapping[int, frozenset[Permission]]) -> frozenset[Permission]:
        """`permissions`, if the custom roles (by row id) held what `changed` says."""
        held = self.custom.permissions if self.custom else DEFAULT_ROLES[self.role][1] if self.role in DEFAULT_ROLES else frozenset()
        if self.role_id is not None:
            held = changed.get(self.role_id, held)
        return held if self.team_id is None else held & TEAMED

    @property
    def name(self) -> str:
        """The role's name, with the team when it is held for one team only."""
        name = self.custom.name if self.custom else DEFAULT_ROLES[self.role][0] if self.role in DEFAULT_ROLES else self.role
        return f"{name} ({self.team.name})" if self.team else name


DEFAULTS = {key: RoleSheet(key, name, held) for key, (name, held) in DEFAULT_ROLES.items()}


def holders_of(role_ids: Iterable[int]) -> list[Member]:
    """Everybody who holds one of these custom roles anywhere, by name; those whose access has ended too."""
    from inbox.models.member import Member

    holding = sa.select(Grant.member_id).where(Grant.role_id.in_(list(role_ids)))
    return list(db.session.scalars(sa.select(Member).where(Member.id.in_(holding)).order_by(Member.name, Member.id)))


def grantable(by: Member) -> frozenset[Permission]:
    """What `by` may tick and untick: what they hold for the whole account and what does not stay with the owner (PERM-5)."""
    return by.permissions_everywhere - OWNERS_ONLY if by.can(Permission.ROLES_MANAGE) else frozenset()


def copyable(sheet: RoleSheet, by: Member) -> frozenset[Permission]:
    """As much of a role as `by` may give to a copy of it."""
    mine = grantable(by)
    return frozenset(permission for permission in sheet.permissions if with_needed({permission}) <= mine)


def _in_turn(by: Member, roles: list[Role]) -> None:
    """One change of access at a time in the account: what was read of the roles and of `by` before counts no more."""
    db.session.flush()
    ids = {int((sa.inspect(role).identity or [0])[0]) for role in roles}  # even of a row that is gone
    Account.one_change_at_a_time(by.account_id)
    Account.one_change_at_a_time(by.account_id, by, *(member for member in holders_of(ids) if member.id != by.id))
    by.require(Permission.ROLES_MANAGE)
    if len(list(db.session.scalars(sa.select(Role).where(Role.id.in_(ids), Role.account_id == by.account_id).execution_options(populate_existing=True)))) < len(ids):
        raise RoleGone("A role was deleted a moment ago. Look at the roles again.")


def _store(role: Role) -> None:
    """Write it; of two that take one name at the same moment one is told."""
    name = role.name
    try:
        with db.session.begin_nested():
            role.save()
    except sa.exc.IntegrityError:
        raise Refused(f"There is a role called {name} already.", field="name") from None


def _keep_out_of_lockout(by: Member) -> None:
    by.forget_rights()
    if not by.can(Permission.ROLES_MANAGE):
        raise Refused(f"You would lose “{ENTRIES[Permission.ROLES_MANAGE].title}” yourself. Somebody else has to change that.")


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _free_name(account_id: int, name: str, but: int | None = None) -> str:
    name = one_line(name)
    if not name:
        raise Refused("Give the role a name.", field="name")
    if len(name) > NAME_MAX:
        raise Refused(f"Use at most {NAME_MAX} characters.", field="name")
    taken = db.session.scalar(sa.select(Role.id).where(Role.account_id == account_id, Role.name_key == _key(name), Role.id != (but or 0)))
    if taken or _key(name) in {_key(sheet.name) for sheet in DEFAULTS.values()}:
        raise Refused(f"There is a role called {name} already.", field="name")
    return name


def _check_grantable(permissions: Iterable[Permission], by: Member) -> None:
    """Nobody gives what they lack, and the owner's rights stay with the owner."""
    from inbox.models.rights import Denied

    lacking = sorted(set(permissions) - by.permissions_everywhere, key=list(ENTRIES).index)
    if lacking:
        raise Denied(f"You cannot give or take “{ENTRIES[lacking[0]].title}”: your own role does not allow it.")
    owned = sorted(set(permissions) & OWNERS_ONLY, key=list(ENTRIES).index)
    if owned:
        raise Denied(f"“{ENTRIES[owned[0]].title}” stays with the owner.")
