"""What a list leaves out (CONV-1, CONV-2): views, filters and the conditions they are in the database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa

from inbox.models.base import Unindexed, db
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.models.tag import Tag, Tagging
from inbox.permissions import Permission

VIEWS = {
    "mine": "Assigned to me",
    "unassigned": "Unassigned",
    "others": "Assigned to others",
    "all": "All open",
    "archived": "Archived",
    "snoozed": "Snoozed",
    "spam": "Spam",
}
STATUSES = {"": "Open", "archived": "Archived", "snoozed": "Snoozed", "spam": "Spam"}
UNREAD = sa.text("conversation.unread")  # word for word as the partial index says it, or SQLite does not use it
FEW = 1000  # conversations that are put in order after they were found by a tag
FIRST, LAST = date(1970, 1, 2), date(2099, 12, 30)  # days that a filter may name


@dataclass(frozen=True)
class Filter:
    """What a list shows. `read` is "", "read" or "unread"; `assignee` a member's public id; `mine` narrows Archived and All to my own.

    `tags` are public ids, all of which a conversation has; `since` and `until` are days of the reader, as 2026-11-22; `sort` is "" or "waiting".
    """

    view: str = "all"
    read: str = ""
    assignee: str = ""
    mine: bool = False
    needs_reply: bool = False
    tags: tuple[str, ...] = ()
    channel: str = ""
    status: str = ""  # of STATUSES; views that are a status of their own have none
    since: str = ""
    until: str = ""
    sort: str = ""

    def but(self, **changes: Any) -> Filter:
        """The same filter with something chosen otherwise."""
        return replace(self, **changes)

    def without(self, name: str, tag: str = "") -> Filter:
        """The same filter with one chip removed."""
        if tag:
            return replace(self, tags=tuple(other for other in self.tags if other != tag))
        return replace(self, **{name: type(getattr(self, name))()})

    def args(self) -> dict[str, str]:
        """As URL query arguments; the view is in the path."""
        args = {
            "read": self.read, "assignee": self.assignee, "mine": "1" if self.mine else "", "reply": "1" if self.needs_reply else "", "tag": ",".join(self.tags),
            "channel": self.channel, "status": self.status, "from": self.since, "to": self.until, "sort": self.sort,
        }
        return {name: value for name, value in args.items() if value}

    @property
    def state(self) -> str:
        """"" for open conversations, else archived, snoozed or spam."""
        return self.view if self.view in STATUSES else self.status


class Choice(NamedTuple):
    """A colleague or a tag as the form of the filters names it."""

    public_id: str
    name: str
    active: bool = True
    few: bool = False  # a tag that no more than FEW conversations have, where that was asked


def choices(account_id: int, asked: Collection[str] = ()) -> tuple[list[Choice], list[Choice]]:
    """The colleagues who were not removed and the tags, both by name; one query, for every list asks. `asked` are the tags of which to know whether few have them."""
    more = sa.select(Tagging.conversation_id).where(Tagging.tag_id == Tag.id).order_by(Tagging.conversation_id).offset(FEW).limit(1).scalar_subquery()
    few = sa.and_(Tag.public_id.in_(asked), more.is_(None)) if asked else sa.false()
    people = sa.select(Member.public_id, Member.name, Member.name.label("key"), Member.deactivated_at.is_(None).label("active"), sa.true().label("person"), sa.false().label("few"))
    tags = sa.select(Tag.public_id, Tag.name, Tag.key, sa.true(), sa.false(), few).where(Tag.account_id == account_id)
    rows = db.session.execute(sa.union_all(people.where(Member.account_id == account_id, Member.removed_at.is_(None)), tags)).all()
    found = [(bool(row.person), Choice(row.public_id, row.name, bool(row.active), bool(row.few))) for row in sorted(rows, key=lambda row: row.key)]
    return [choice for person, choice in found if person], [choice for person, choice in found if not person]


def unindexed(column: str) -> Unindexed:
    """A column of the conversation that no index is to be chosen for: an inbox has many, and what else is asked finds few."""
    from inbox.models.conversation import Conversation

    return Unindexed(getattr(Conversation, column))


def place(member: Member, inbox: Inbox | None, *, found: bool = False) -> list[Any]:
    """One inbox, or all that the member reads. `found` says that something else finds the rows."""
    from inbox.models.conversation import Conversation

    if inbox is not None:
        return [(unindexed("inbox_id") if found else Conversation.inbox_id) == inbox.id]
    readable = sorted(member.readable_inbox_ids) if member.can(Permission.CONVERSATIONS_VIEW) else []
    if found:
        return [unindexed("account_id") == member.account_id, unindexed("inbox_id").in_(readable)]
    return [Conversation.account_id == member.account_id, Conversation.inbox_id.in_(readable)]


def moment(inbox: Inbox | None, filter: Filter) -> Any:
    """What the list is sorted by: My work by the customers' newest texts, every other list by what happened last, unless it is by who waits longest."""
    from inbox.models.conversation import Conversation

    if filter.sort == "waiting":
        return Conversation.owed_since
    return Conversation.last_inbound_at if inbox is None and filter.view == "mine" else Conversation.last_activity_at


def conditions(member: Member, filter: Filter) -> list[Any]:
    """Everything the filter asks for, in the eyes of this member."""
    from inbox.models.conversation import Conversation

    c = Conversation
    return [*_state(c, filter), *_owner(c, member, filter), *_days(c, member, filter), *_tagged(c, member, filter), *_rest(c, filter)]


def _state(c: Any, filter: Filter) -> list[Any]:
    return {
        "archived": lambda: [c.archived_at.is_not(None), c.snoozed_until.is_(None), c.spam_at.is_(None), c.merged_into_id.is_(None)],
        "snoozed": lambda: [c.snoozed_until.is_not(None)],
        "spam": lambda: [c.spam_at.is_not(None)],
    }.get(filter.state, lambda: [c.archived_at.is_(None)])()


def _owner(c: Any, member: Member, filter: Filter) -> list[Any]:
    found: list[Any] = []
    if filter.view == "mine" or filter.mine:
        found.append(c.assignee_id == member.id)
    elif filter.view == "unassigned":
        found.append(c.assignee_id.is_(None))
    elif filter.view == "others":
        found += [c.assignee_id.is_not(None), c.assignee_id != member.id]
    if filter.assignee:
        named = sa.select(Member.id).where(Member.public_id == filter.assignee, Member.account_id == member.account_id)
        found.append(c.assignee_id == named.scalar_subquery())
    return found


def _days(c: Any, member: Member, filter: Filter) -> list[Any]:
    found: list[Any] = []
    if filter.since:
        found.append(c.last_activity_at >= begins(date.fromisoformat(filter.since), member))
    if filter.until:
        found.append(c.last_activity_at < begins(date.fromisoformat(filter.until) + timedelta(days=1), member))
    return found


def _tagged(c: Any, member: Member, filter: Filter) -> list[Any]:
    found = []
    for public_id in filter.tags:
        tag = sa.select(Tag.id).where(Tag.public_id == public_id, Tag.account_id == member.account_id).scalar_subquery()
        found.append(sa.exists().where(Tagging.conversation_id == c.id, Tagging.tag_id == tag).correlate(c))
    return found


def _rest(c: Any, filter: Filter) -> list[Any]:
    found: list[Any] = []
    if filter.read:
        found.append(UNREAD if filter.read == "unread" else c.unread.is_(False))
    if filter.channel:
        found.append(c.channel == filter.channel)
    if filter.needs_reply or filter.sort == "waiting":
        found += [c.owed_since.is_not(None), c.spam_at.is_(None)]
    return found


def begins(day: date, member: Member) -> datetime:
    """The moment a day begins for this member."""
    try:
        zone = ZoneInfo(member.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = ZoneInfo("UTC")
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def day(text: str) -> date:
    """A day of an address; raises ValueError for what is none, or none of this time."""
    found = date.fromisoformat(text)
    if found.isoformat() != text or not FIRST <= found <= LAST:
        raise ValueError(text)
    return found
