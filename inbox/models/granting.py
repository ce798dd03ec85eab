"""Giving and taking access: roles, seats lost with them, the end of a membership, and who owns the account (PERM-2, PERM-3, PERM-5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from inbox import background, clock, realtime
from inbox.models.account import Account, Team
from inbox.models.base import Refused, db
from inbox.models.event import Event
from inbox.models.rights import Denied, Rights
from inbox.models.role import EXCLUSIVE, Grant, Role, RoleSheet
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.member import Member

TRANSFER = "Ownership moves only by a transfer."
OWN = "Someone else has to change your own roles."
Place = tuple[str, int | None]  # a role's key and the team it is for, None for the whole account


class Granting(Rights):
    """What others do to a member's access."""

    __abstract__ = True

    if TYPE_CHECKING:
        account: Any
        deactivated_at: Any
        removed_at: Any
        email: Any
        public_id: Any
        roles: Any

    # -- roles --------------------------------------------------------------------------------------------------------

    def give_role(self, role: str, *, by: Member, team: Team | None = None) -> None:
        """Add a role to those held."""
        self.set_roles([*((grant.role, grant.team_id) for grant in self.grants), (role, team.id if team else None)], by=by)

    def change_role(self, role: str, *, by: Member, to: Member | None = None) -> None:
        """Make `role`, for the whole account, the only one."""
        self.set_roles([(role, None)], by=by, to=to)

    def set_roles(self, wanted: Iterable[Place], *, by: Member, to: Member | None = None) -> None:
        """Make the roles exactly `wanted`; what the member can no longer act on goes to `to`, or to nobody (SEAT-5).

        Nobody changes their own, gives or takes what they lack, or touches ownership; Agent and Supervisor exclude each other.
        """
        self._lock(by)
        by.require(Permission.ROLES_ASSIGN)
        before: dict[Place, Grant] = {(grant.role, grant.team_id): grant for grant in self.grants}
        after = dict.fromkeys(wanted)
        if set(after) == set(before):
            return
        if ("owner", None) in before:
            raise Refused(TRANSFER, field="role")
        if by.id == self.id:
            raise Refused(OWN)
        sheets = {place: self._sheet(place, by) for place in after}
        for place in set(after) ^ set(before):
            self._check_giving(place, sheets[place].permissions if place in sheets else before[place].permissions, by)
        if {role for role, _ in after} >= EXCLUSIVE:
            raise Refused("Agent and Supervisor cannot be held together: Supervisor already contains Agent.", field="role")
        names = [grant.name for grant in self.grants]
        for place in set(before) - set(after):
            self.grants.remove(before[place])
        for place in after:
            if place not in before:
                self._grant(sheets[place], place[1])
        db.session.flush()
        Event.record(
            "role.changed", account=self.account_id, by=by, member=self.id, name=self.name, before=names, after=[grant.name for grant in self.grants]
        )
        self.rights_changed(by=by, to=to)

    def swap_role(self, old: Role, new: RoleSheet | None, *, by: Member) -> None:
        """Replace a role that is deleted by another, where it was held; `new` is None when nobody active loses by it."""
        places = [(grant.role, grant.team_id) for grant in self.grants]
        gone = [grant for grant in self.grants if grant.role_id == old.id]
        if new and {new.key, *(role for role, _ in places if role != old.public_id)} >= EXCLUSIVE:
            raise Refused(f"{self.name} holds {'Supervisor' if new.key == 'agent' else 'Agent'} too, and Agent and Supervisor cannot be held together.", field="replacement")
        names = [grant.name for grant in self.grants]
        for grant in gone:
            self.grants.remove(grant)
            if new and (new.key, grant.team_id) not in places:
                self._grant(new, grant.team_id)
        db.session.flush()
        Event.record(
            "role.changed", account=self.account_id, by=by, member=self.id, name=self.name, before=names, after=[grant.name for grant in self.grants]
        )
        self.rights_changed(by=by)

    def rights_changed(self, *, by: Member, to: Member | None = None, lost: bool = True) -> None:
        """After roles changed: give back a useless seat, hand on what is out of reach, tell open pages and sessions."""
        from inbox.models.login_session import LoginSession

        self.forget_rights()
        LoginSession.rotate_all(self)  # type: ignore[arg-type]
        if lost and self.seated and not self.seat_eligible:
            self.account.unseat(self, by=by, successor=to)
        elif lost:
            from inbox.models.holdings import settle

            settle(self, by=by, to=to)  # type: ignore[arg-type]
        realtime.publish("access", account=self.account_id, member=self.id)

    def _lock(self, by: Member) -> None:
        """One change of access at a time in the account, and who decides by this member's waits; what was read of both before counts no more."""
        Account.one_change_at_a_time(self.account_id, self, by)  # type: ignore[arg-type]

    def _grant(self, sheet: RoleSheet, team_id: int | None) -> None:
        grant = Grant(member_id=self.id, role=sheet.key, role_id=sheet.row.id if sheet.row else None, team_id=team_id)
        grant.custom = sheet.row
        grant.team = db.session.get(Team, team_id) if team_id else None
        self.grants.append(grant)

    def _sheet(self, place: Place, by: Member) -> RoleSheet:
        role, team_id = place
        sheet = Role.sheet_of(self.account_id, role)
        if sheet is None or role == "owner" or by.account_id != self.account_id:
            raise Refused(TRANSFER if role == "owner" else "Choose one of the roles in the list.", field="role")
        if team_id is not None:
            team = db.session.get(Team, team_id)
            if team is None or team.account_id != self.account_id:
                raise Refused("Choose one of the teams in the list.", field="team")
        return sheet

    def _check_giving(self, place: Place, permissions: frozenset[Permission], by: Member) -> None:
        if not permissions <= by.permissions_in(place[1]):
            sheet = Role.sheet_of(self.account_id, place[0])
            raise Denied(f"You cannot give or take {sheet.name if sheet else place[0]}: it allows things your own role does not.")

    # -- coming and going ---------------------------------------------------------------------------------------------

    def deactivate(self, *, by: Member, to: Member | None = None) -> None:
        """End the access at once: sessions close, the seat is free, what they hold goes to `to` or to nobody (SEAT-5). Can be undone."""
        from inbox.models.login_session import LoginSession

        self._check_ending(by)
        if self.deactivated_at is not None:
            return
        self.deactivated_at = clock.now()
        db.session.flush()
        LoginSession.end_all(self)  # type: ignore[arg-type]
        self.account.unseat(self, by=by, successor=to)
        Event.record("member.deactivated", account=self.account_id, by=by, member=self.id, name=self.name)
        self.rights_changed(by=by, to=to)

    def reactivate(self, *, by: Member) -> None:
        """Let them sign in again, with the roles and inboxes they had, without a seat."""
        self._lock(by)
        by.require(Permission.MEMBERS_END)
        if self.removed_at is not None:
            raise Refused(f"{self.name} was removed. Send a new invitation instead.")
        if self.deactivated_at is None:
            return
        if not by.covers(self):
            raise Denied(f"{self.name} holds a role that allows things your own role does not.")
        self.deactivated_at = None
        Event.record("member.reactivated", account=self.account_id, by=by, member=self.id, name=self.name)
        self.forget_rights()

    def remove(self, *, by: Member, to: Member | None = None) -> None:
        """Take them out of the team for good: roles and inboxes go, the address is free again; the name stays on what they wrote."""
        from inbox.models.inbox import InboxMember

        self.deactivate(by=by, to=to)
        if self.removed_at is not None:
            return
        self.grants.clear()
        self.removed_at, self.email = clock.now(), f"removed-{self.public_id}@invalid"
        db.session.execute(sa.delete(InboxMember).where(InboxMember.member_id == self.id))
        db.session.flush()
        Event.record("member.removed", account=self.account_id, by=by, member=self.id, name=self.name)
        self.rights_changed(by=by, to=to)

    def _check_ending(self, by: Member) -> None:
        self._lock(by)
        if by.id != self.id:
            by.require(Permission.MEMBERS_END)
        if "owner" in self.roles:
            raise Refused("The owner cannot leave. Transfer the ownership first.")
        if by.id != self.id and not by.covers(self):
            raise Denied(f"{self.name} holds a role that allows things your own role does not.")

    # -- ownership ----------------------------------------------------------------------------------------------------

    def take_ownership(self, *, by: Member) -> None:
        """Move the account from its owner `by` to this member; the former owner becomes an Admin (PERM-2).

        Of two transfers at once one wins: the owner's grant is deleted by one conditional statement.
        """
        self._lock(by)
        by.require(Permission.OWNERSHIP_TRANSFER)
        if by.id == self.id or by.account_id != self.account_id or not self.active:
            raise Refused("Choose an active member of this account.", field="member")
        gone = db.session.execute(
            sa.delete(Grant).where(Grant.member_id == by.id, Grant.role == "owner").returning(Grant.id).execution_options(synchronize_session=False)
        ).scalar()
        if gone is None:
            raise Refused("The ownership was transferred a moment ago.")
        db.session.expire(by, ["grants"])
        self.grants.clear()
        db.session.flush()
        for who, role in ((self, "owner"), (by, "admin")):
            if role not in [grant.role for grant in who.grants]:
                who.grants.append(Grant(member_id=who.id, role=role))
        db.session.flush()
        event = Event.record("account.ownership_transferred", account=self.account_id, by=by, before=by.name, after=self.name, member=self.id)
        background.enqueue("send_mail", "ownership", event.id, on="mail")
        for who in (self, by):
            who.rights_changed(by=by)
