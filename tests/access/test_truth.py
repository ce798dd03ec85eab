"""PERM-6, SECURITY S32: `Member.can` against a truth table worked out here, for every permission, every kind of member and every kind of thing it can be asked about."""

from __future__ import annotations

import pytest

from inbox.models import Conversation, Inbox, Registration, Team, db, transaction
from inbox.permissions import ENTRIES, Permission
from tests.access.test_kinds import Kind, kinds

P = Permission


def expected(kind: Kind, permission: Permission, on: object, inside: set[int]) -> bool:
    """Active AND a role that counts for the team of `on` AND the seat AND the inbox, of one's own account."""
    entry, who = ENTRIES[permission], kind.member
    team = getattr(on, "id" if isinstance(on, Team) else "team_id", None) if not isinstance(on, Conversation) else on.inbox.team_id
    role = permission in kind.held and (kind.team is None or (entry.teamed and (on is None or kind.team == team)))
    if kind.standing != "active" or not role or (entry.seated and not kind.seat):
        return False
    if on is None:
        return True
    inbox = on.inbox if isinstance(on, Conversation) else on
    narrow = entry.inboxed or (isinstance(on, Conversation) and kind.team is not None)  # of a conversation out of reach one does not even know the team
    if narrow and not (inbox.owner_id == who.id or (inbox.owner_id is None and (inbox.id in inside or (P.CONVERSATIONS_ALL in kind.held and kind.team in (None, team))))):
        return False
    return on.account_id == who.account_id


@pytest.mark.one_database
def test_S32_can_is_role_and_seat_and_membership_and_nothing_else(world):
    everyone = kinds(world)
    talks = [world.conversation(), world.conversation(sender="+14155550177", inbox=world.pharmacy), world.conversation(sender="+12065550134", inbox=world.reception)]
    with transaction():
        for kind in everyone:
            if kind.standing != "active":
                kind.member.deactivate(by=world.dana)
        owner = next(kind for kind in everyone if kind.name == "Agent with a seat").member
        private = Inbox(
            account_id=world.harbor.id, team_id=world.team.id, owner_id=owner.id, name="Private", api_code="private", phone="+14155550109", created_by_id=owner.id
        ).save()
        theirs = world.conversation(sender="+14155550178", inbox=private)
    inboxes = [world.front, world.pharmacy, world.waiting, world.reception, private]
    others = [*db.session.query(Team), *db.session.query(Registration)]
    wrong, asked = [], 0
    for kind in everyone:
        who = kind.member
        who.forget_rights()
        for permission in P:
            for on in (None, *inboxes, *talks, theirs, *(others if not ENTRIES[permission].inboxed else ())):
                asked += 1
                if bool(who.can(permission, on=on)) != expected(kind, permission, on, {world.front.id}):
                    wrong.append(f"{kind.name}: {permission} on {on and (type(on).__name__, on.id)}: {who.can(permission, on=on).code or 'allowed'}")
        for inbox in inboxes:
            readable = inbox.id in who.readable_inbox_ids
            if kind.standing == "active" and readable != expected(Kind("", kind.held, kind.team, True, "active", who), P.CONVERSATIONS_VIEW, inbox, {world.front.id}):
                wrong.append(f"{kind.name}: reads {inbox.name}: {readable}")
        for permission in P:
            teams = who.teams_with(permission)
            counts = permission in kind.held and (kind.team is None or ENTRIES[permission].teamed)
            if teams != (frozenset() if not counts else None if kind.team is None else frozenset({kind.team})):
                wrong.append(f"{kind.name}: {permission} for the teams {teams}")
    assert not wrong, (len(wrong), wrong[:10])
    assert asked > 25_000
