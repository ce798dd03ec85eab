"""What a change of somebody's access takes from them, and who can go on with it: worked out before anything happens (SEAT-5, PERM-5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from inbox import clock
from inbox.models.account import Team
from inbox.models.base import db
from inbox.models.contact import Contact
from inbox.models.conversation import Conversation, Lock
from inbox.models.draft import Draft
from inbox.models.granting import Place
from inbox.models.holdings import Holdings
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.models.role import Grant, Role
from inbox.models.scheduled_message import OPEN, STILL, ScheduledMessage
from inbox.permissions import ENTRIES, Permission

SHOWN = 5


def imagined(member: Member, *, places: Iterable[Place] | None = None, seated: bool | None = None, ended: bool = False) -> Member:
    """`member` as they would be with other roles, another seat, or without access; never saved. Raises KeyError for an unknown role or team."""
    twin = Member(
        id=member.id, account_id=member.account_id, name=member.name, email=member.email, seated=member.seated if seated is None else seated,
        deactivated_at=clock.now() if ended else member.deactivated_at,
    )
    sheets = {sheet.key: sheet for sheet in Role.sheets(member.account_id)}
    teams = {team.id: team for team in db.session.scalars(sa.select(Team).where(Team.account_id == member.account_id))}
    for role, team_id in [(grant.role, grant.team_id) for grant in member.grants] if places is None else places:
        grant = Grant(member_id=member.id, role=role, role_id=sheets[role].row.id if sheets[role].row else None, team_id=team_id)  # type: ignore[union-attr]
        grant.custom, grant.team = sheets[role].row, teams[team_id] if team_id is not None else None
        twin.grants.append(grant)
    if not twin.seat_eligible:
        twin.seated = False  # given back with the last role that could use it
    return twin


@dataclass(frozen=True)
class Shift:
    """What somebody gains and loses in one place, as titles of permissions; `where` is a team's name, empty for the whole account."""

    where: str
    gains: list[str]
    loses: list[str]


def shifts(before: Member, after: Member, teams: Iterable[Team]) -> list[Shift]:
    """Every difference between two sets of roles, the whole account first, without what the account says of a team already."""

    def titles(permissions: frozenset[Permission]) -> list[str]:
        return [entry.title for permission, entry in ENTRIES.items() if permission in permissions]

    more, less = after.permissions_everywhere - before.permissions_everywhere, before.permissions_everywhere - after.permissions_everywhere
    found = [Shift("", titles(more), titles(less))]
    for team in teams:
        here, then = before.permissions_in(team.id), after.permissions_in(team.id)
        found.append(Shift(team.name, titles(then - here - more), titles(here - then - less)))
        kept = less & then  # lost for the account, but not here
        if kept:
            found.append(Shift(f"{team.name} keeps", titles(kept), []))
    return [shift for shift in found if shift.gains or shift.loses]


@dataclass(frozen=True)
class Held:
    """One conversation to be handed on; `inbox` and `contact` are empty when the reader may not open it."""

    public_id: str
    contact: str
    inbox: str


@dataclass(frozen=True)
class Heir:
    """Somebody who could go on: with how many of the conversations, and in which inboxes they cannot."""

    member: Member
    takes: int
    of: int
    lacking: tuple[str, ...]

    @property
    def words(self) -> str:
        if self.takes == self.of:
            return self.member.name
        lacking = f": not in {' or '.join(self.lacking)}" if self.lacking else ""
        return f"{self.member.name}, takes {self.takes or 'none'} of {self.of}{lacking}"


@dataclass(frozen=True)
class Handover:
    """What must be handed on, a few examples, and who could take it, those who can take most first."""

    holds: Holdings
    first: list[Held]
    heirs: list[Heir]

    def __bool__(self) -> bool:
        return bool(self.holds)

    @staticmethod
    def of(member: Member, after: Member, *, reader: Member) -> Handover:
        """Everything `member` holds that `after` could no longer act on; a fixed number of queries."""
        inboxes = list(db.session.scalars(sa.select(Inbox).where(Inbox.account_id == member.account_id)))
        lost = [inbox for inbox in inboxes if not after.may_receive(inbox)]
        open_ones = (Conversation.assignee_id == member.id, Conversation.archived_at.is_(None), Conversation.inbox_id.in_([inbox.id for inbox in lost]))
        grouped = sa.select(Conversation.inbox_id, sa.func.count()).where(*open_ones).group_by(Conversation.inbox_id)
        counts = dict(db.session.execute(grouped).all())
        return Handover(_holds(member, after, inboxes, sum(counts.values())), _first(open_ones, reader), _heirs(member, [i for i in lost if i.id in counts], counts, reader))

    def heir(self, public_id: str) -> Member | None:
        """The person somebody chose, or None."""
        return next((heir.member for heir in self.heirs if heir.member.public_id == public_id), None)

    @property
    def words(self) -> list[str]:
        """Each kind of thing that is held, counted."""
        holds = self.holds
        counted = (
            (holds.conversations, "open conversation", "open conversations"),
            (holds.drafts, "draft", "drafts"),
            (holds.scheduled, "scheduled text", "scheduled texts"),
            (holds.locks, "reply being written right now", "replies being written right now"),
            (holds.contacts, "owned contact", "owned contacts"),
        )
        return [f"{count} {one if count == 1 else many}" for count, one, many in counted if count]


def _holds(member: Member, after: Member, inboxes: list[Inbox], conversations: int) -> Holdings:
    silent = [inbox.id for inbox in inboxes if not after.can(Permission.CONVERSATIONS_REPLY, on=inbox)]
    noteless = [inbox.id for inbox in inboxes if not after.can(Permission.CONVERSATIONS_NOTE, on=inbox)]
    drafts = sa.select(sa.func.count(Draft.id)).join(Conversation, Conversation.id == Draft.conversation_id).where(
        Draft.author_id == member.id,
        sa.or_(sa.and_(Draft.kind != "note", Conversation.inbox_id.in_(silent)), sa.and_(Draft.kind == "note", Conversation.inbox_id.in_(noteless))),
    )
    locks = sa.select(sa.func.count(Lock.conversation_id)).join(Conversation, Conversation.id == Lock.conversation_id).where(
        Lock.holder_id == member.id, Lock.expires_at > clock.now(), Conversation.inbox_id.in_(silent)
    )
    contacts = sa.select(sa.func.count(Contact.id)).where(Contact.owner_id == member.id, Contact.merged_into_id.is_(None))
    scheduled = sa.select(sa.func.count(ScheduledMessage.id)).join(Conversation, Conversation.id == ScheduledMessage.conversation_id).where(
        STILL, OPEN, ScheduledMessage.author_id == member.id, Conversation.inbox_id.in_(silent)
    )
    return Holdings(
        conversations=conversations, drafts=db.session.scalar(drafts) or 0, locks=db.session.scalar(locks) or 0,
        contacts=0 if after.can(Permission.CONVERSATIONS_REPLY) else db.session.scalar(contacts) or 0,
        scheduled=db.session.scalar(scheduled) or 0,
    )


def _first(open_ones: tuple[sa.ColumnElement[bool], ...], reader: Member) -> list[Held]:
    query = (
        sa.select(Conversation.public_id, Conversation.inbox_id, Contact.name, Inbox.name)
        .join(Contact, Contact.id == Conversation.contact_id)
        .join(Inbox, Inbox.id == Conversation.inbox_id)
        .where(*open_ones)
        .order_by(Conversation.last_activity_at.desc(), Conversation.id.desc())
        .limit(SHOWN)
    )
    may = bool(reader.can(Permission.CONVERSATIONS_VIEW))
    return [
        Held(public_id, contact, inbox) if may and inbox_id in reader.readable_inbox_ids else Held("", "", "")
        for public_id, inbox_id, contact, inbox in db.session.execute(query)
    ]


def _heirs(member: Member, inboxes: list[Inbox], counts: dict[int, int], reader: Member) -> list[Heir]:
    total = sum(counts.values())
    named = {inbox.id: inbox.name for inbox in inboxes if inbox.id in reader.reach or (inbox.owner_id is None and reader.can(Permission.INBOXES_MANAGE, on=inbox))}
    found = []
    for other in Member.with_reach(member.account_id):
        if other.id == member.id or not other.can(Permission.CONVERSATIONS_REPLY):
            continue
        cannot = [inbox for inbox in inboxes if not other.may_receive(inbox)]
        lacking = tuple(dict.fromkeys(named.get(inbox.id, "an inbox you are not in") for inbox in cannot))
        found.append(Heir(other, total - sum(counts[inbox.id] for inbox in cannot), total, lacking))
    return sorted(found, key=lambda heir: (-heir.takes, heir.member.name))
