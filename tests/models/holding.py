"""What must hold after every change of access: nothing with somebody who cannot act on it, seats counted right, one owner (SEAT-5, PERM-2, PERM-3)."""

from __future__ import annotations

import sqlalchemy as sa

from inbox.models import Account, Contact, Conversation, Draft, Grant, Inbox, InboxMember, Member, Role, db
from inbox.models.conversation import Lock, LockWaiter
from inbox.permissions import DEFAULT_ROLES, TEAMED, Permission
from tests.models.helpers import anew

P = Permission


class Facts:
    """The rights of an account worked out from its rows alone, without `Member.can`: role AND seat AND membership (PERM-6)."""

    def __init__(self, account_id: int) -> None:
        anew()
        self.account = db.session.get_one(Account, account_id)
        self.members = {m.id: m for m in db.session.scalars(sa.select(Member).where(Member.account_id == account_id))}
        self.inboxes = {i.id: i for i in db.session.scalars(sa.select(Inbox).where(Inbox.account_id == account_id))}
        self.inside = {(member, inbox) for member, inbox in db.session.execute(sa.select(InboxMember.member_id, InboxMember.inbox_id))}
        custom = {r.id: frozenset(r.ids) for r in db.session.scalars(sa.select(Role).where(Role.account_id == account_id))}
        self.roles: dict[int, list[tuple[str, int | None, frozenset[str]]]] = {id: [] for id in self.members}
        for member_id, key, role_id, team_id in db.session.execute(sa.select(Grant.member_id, Grant.role, Grant.role_id, Grant.team_id)):
            if member_id in self.roles:
                held = custom[role_id] if role_id else frozenset(DEFAULT_ROLES[key][1])
                self.roles[member_id].append((key, team_id, frozenset(held & TEAMED) if team_id else frozenset(held)))

    def held(self, member_id: int, team_id: int | None = None) -> frozenset[str]:
        """What the member's roles allow for the whole account, and for the team if one is given."""
        return frozenset().union(*(held for _, team, held in self.roles[member_id] if team is None or team == team_id))

    def anywhere(self, member_id: int) -> frozenset[str]:
        return frozenset().union(*(held for _, _, held in self.roles[member_id]))

    def may(self, member_id: int, permission: Permission, inbox_id: int) -> bool:
        """A permission that needs a seat, on an inbox."""
        member, inbox = self.members[member_id], self.inboxes[inbox_id]
        held = self.held(member_id, inbox.team_id)
        inside = inbox.owner_id == member_id or (inbox.owner_id is None and ((member_id, inbox_id) in self.inside or P.CONVERSATIONS_ALL in held))
        return member.deactivated_at is None and permission in held and member.seated and inside

    def stranded(self) -> list[str]:
        """Everything that is with somebody who cannot act on it, in words."""
        found = []

        def look(what: str, pairs: sa.Select[tuple[int, int]], permission: Permission = P.CONVERSATIONS_REPLY) -> None:
            for member_id, inbox_id in db.session.execute(pairs):
                if inbox_id in self.inboxes and not self.may(member_id, permission, inbox_id):
                    found.append(f"{self.members[member_id].name} {what} in {self.inboxes[inbox_id].name}")

        talks = sa.select(Conversation.assignee_id, Conversation.inbox_id).where(Conversation.assignee_id.is_not(None), Conversation.archived_at.is_(None))
        look("is assigned", talks)
        look("holds a lock", sa.select(Lock.holder_id, Conversation.inbox_id).join(Conversation, Conversation.id == Lock.conversation_id).where(Lock.holder_id.is_not(None)))
        look("waits for a lock", sa.select(LockWaiter.member_id, Conversation.inbox_id).join(Conversation, Conversation.id == LockWaiter.conversation_id))
        for kind, permission in (("reply", P.CONVERSATIONS_REPLY), ("note", P.CONVERSATIONS_NOTE)):
            drafts = sa.select(Draft.author_id, Conversation.inbox_id).join(Conversation, Conversation.id == Draft.conversation_id)
            look(f"has a {kind} typed", drafts.where(Draft.author_id.is_not(None), Draft.kind == kind), permission)
        for owner_id in db.session.scalars(sa.select(Contact.owner_id).where(Contact.account_id == self.account.id, Contact.owner_id.is_not(None))):
            owner = self.members[owner_id]
            if owner.deactivated_at is not None or not owner.seated or P.CONVERSATIONS_REPLY not in self.anywhere(owner_id):
                found.append(f"{owner.name} owns a contact")
        return found

    def check(self) -> None:
        """Raise AssertionError with what is wrong."""
        assert self.stranded() == []
        seated = sum(m.seated for m in self.members.values())
        assert self.account.seats_used == seated <= self.account.seats_paid, (self.account.seats_used, seated, self.account.seats_paid)
        assert not [m.name for m in self.members.values() if m.seated and m.deactivated_at is not None], "a seat is wasted"
        owners = [id for id, roles in self.roles.items() for key, team, _ in roles if key == "owner"]
        assert len(owners) == 1 and self.members[owners[0]].deactivated_at is None, "exactly one owner"
        assert all(team is None for roles in self.roles.values() for key, team, _ in roles if key == "owner")
        for id, roles in self.roles.items():
            assert not {"agent", "supervisor"} <= {key for key, _, _ in roles}, f"{self.members[id].name} is Agent and Supervisor"
