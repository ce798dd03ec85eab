"""Lists: views, filters, keyed paging, capped counts (CONV-1..3). Rows are plain tuples: entities would double the cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from inbox import clock
from inbox.models.base import db
from inbox.models.contact import HUES, Contact
from inbox.models.conversation.locking import Lock
from inbox.models.conversation.row import ConversationRow
from inbox.models.inbox import Inbox
from inbox.models.member import Member, initials
from inbox.permissions import Permission

VIEWS = {
    "mine": "Assigned to me",
    "unassigned": "Unassigned",
    "others": "Assigned to others",
    "all": "All open",
    "archived": "Archived",
}
PAGE = 40
CAP = 100
PARTS = 300  # of one compound query; SQLite allows 500
UNREAD = sa.text("conversation.unread")  # word for word as the partial index says it, or SQLite does not use it
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Filter:
    """What a list shows. `read` is "", "read" or "unread"; `assignee` a member's public id; `mine` narrows Archived and All to my own."""

    view: str = "all"
    read: str = ""
    assignee: str = ""
    mine: bool = False
    needs_reply: bool = False

    def without(self, name: str) -> Filter:
        """The same filter with one chip removed."""
        return replace(self, **{name: type(getattr(self, name))()})

    def args(self) -> dict[str, str]:
        """As URL query arguments; the view is in the path."""
        args = {"read": self.read, "assignee": self.assignee, "mine": "1" if self.mine else "", "reply": "1" if self.needs_reply else ""}
        return {name: value for name, value in args.items() if value}


@dataclass(frozen=True)
class Row:
    """One line of the list, ready to draw."""

    id: int
    public_id: str
    inbox_id: int
    name: str
    initials: str
    hue: str
    channel: str
    preview: str
    preview_by: str  # "", "You", or a first name
    last_activity_at: datetime
    unread: bool
    failed: bool
    archived: bool
    assignee: str
    assignee_initials: str
    assignee_hue: str
    assignee_picture: str
    assigned_to_me: bool
    replying: str  # first name of who holds the lock; "" when free or mine
    cursor: str


class Listing(ConversationRow):
    """Which conversations a member sees, and in what order."""

    __abstract__ = True

    @staticmethod
    def scope(member: Member) -> sa.Select[Any]:
        """Every conversation the member may open (PERM-6): their inboxes, registered or not; one function for all uses."""
        from inbox.models.conversation import Conversation

        query = sa.select(Conversation)
        if not member.can(Permission.CONVERSATIONS_VIEW):
            return query.where(sa.false())
        return query.where(Conversation.account_id == member.account_id, Conversation.inbox_id.in_(member.readable_inbox_ids))

    @staticmethod
    def listing(member: Member, inbox: Inbox, filter: Filter, *, after: str = "", limit: int = PAGE, only: int | None = None) -> list[Row]:
        """Newest first, `limit` rows after the cursor; `only` asks whether one conversation is in the list."""
        from inbox.models.conversation import Conversation

        holder, writer, assignee = aliased(Member), aliased(Member), aliased(Member)
        now = clock.now()
        query = (
            sa.select(
                Conversation.id, Conversation.public_id, Conversation.inbox_id, Conversation.channel, Conversation.preview, Conversation.preview_by_id,
                Conversation.preview_kind, Conversation.last_activity_at, Conversation.unread, Conversation.failed, Conversation.archived_at,
                Conversation.assignee_id, Contact.id.label("contact_id"), Contact.name, Contact.first_name, Contact.last_name,
                writer.name.label("writer"), assignee.name.label("assignee"), assignee.hue.label("assignee_hue"), assignee.picture_id.label("assignee_picture"),
                holder.name.label("holder"), holder.id.label("holder_id"),
            )
            .join(Contact, Contact.id == Conversation.contact_id)
            .outerjoin(writer, writer.id == Conversation.preview_by_id)
            .outerjoin(assignee, assignee.id == Conversation.assignee_id)
            .outerjoin(
                Lock,
                sa.and_(Lock.conversation_id == Conversation.id, Lock.holder_id.is_not(None), Lock.expires_at > now, Lock.dies_at > now),
            )
            .outerjoin(holder, holder.id == Lock.holder_id)
            .where(Conversation.inbox_id == inbox.id, *_conditions(member, filter))
            .order_by(Conversation.last_activity_at.desc(), Conversation.id.desc())
            .limit(limit)
        )
        if only is not None:
            query = query.where(Conversation.id == only)
        if after:
            at, last = parse_cursor(after)
            query = query.where(
                sa.or_(Conversation.last_activity_at < at, sa.and_(Conversation.last_activity_at == at, Conversation.id < last))
            )
        return [_row(r, member) for r in db.session.execute(query)]

    @staticmethod
    def counts(member: Member, inboxes: list[Inbox]) -> dict[int, dict[str, int]]:
        """Unread per inbox for mine and unassigned, open for others; each capped at 100, so the cost never grows."""
        from inbox.models.conversation import Conversation

        if not inboxes:
            return {}
        parts = []
        for inbox in inboxes:
            for view in ("mine", "unassigned", "others"):
                conditions = [Conversation.inbox_id == inbox.id, *_conditions(member, Filter(view=view))]
                if view != "others":
                    conditions.append(UNREAD)
                some = sa.select(sa.literal(1).label("one")).select_from(Conversation).where(*conditions).limit(CAP).subquery()
                parts.append(
                    sa.select(sa.literal(inbox.id).label("inbox"), sa.literal(view).label("view"), sa.func.count().label("n")).select_from(some)
                )
        result: dict[int, dict[str, int]] = {inbox.id: {} for inbox in inboxes}
        for start in range(0, len(parts), PARTS):
            for inbox_id, view, count in db.session.execute(sa.union_all(*parts[start : start + PARTS])):
                result[inbox_id][view] = count
        return result


def _conditions(member: Member, filter: Filter) -> list[Any]:
    from inbox.models.conversation import Conversation

    c = Conversation
    conditions: list[Any] = [c.archived_at.is_not(None) if filter.view == "archived" else c.archived_at.is_(None)]
    if filter.view == "mine" or filter.mine:
        conditions.append(c.assignee_id == member.id)
    elif filter.view == "unassigned":
        conditions.append(c.assignee_id.is_(None))
    elif filter.view == "others":
        conditions += [c.assignee_id.is_not(None), c.assignee_id != member.id]
    if filter.assignee:
        conditions.append(
            c.assignee_id == sa.select(Member.id).where(Member.public_id == filter.assignee, Member.account_id == member.account_id).scalar_subquery()
        )
    if filter.read:
        conditions.append(UNREAD if filter.read == "unread" else c.unread.is_(False))
    if filter.needs_reply:
        conditions.append(c.preview_kind == "in")
    return conditions


def make_cursor(at: datetime, id: int) -> str:
    return f"{(at - EPOCH) // timedelta(microseconds=1)}.{id}"


def parse_cursor(text: str) -> tuple[datetime, int]:
    """The key after which the next page starts; raises ValueError for anything we did not make."""
    micros, _, last = text.partition(".")
    whole, rest = divmod(int(micros), 1_000_000)
    if not 0 <= whole < 4_102_444_800 or not 0 < int(last) < 2**62:
        raise ValueError("That is not a place in this list.")
    return EPOCH + timedelta(seconds=whole, microseconds=rest), int(last)


def _row(r: Any, member: Member) -> Row:
    named = bool(r.first_name or r.last_name)
    by = "You" if r.preview_by_id == member.id else (r.writer or "").split(" ")[0]
    return Row(
        id=r.id, public_id=r.public_id, inbox_id=r.inbox_id, name=r.name, initials=initials(r.name) if named else "",
        hue=HUES[r.contact_id % len(HUES)] if named else "slate", channel=r.channel, preview=r.preview,
        preview_by=by if r.preview_kind in ("out", "note") else "", last_activity_at=r.last_activity_at, unread=r.unread, failed=r.failed,
        archived=r.archived_at is not None, assignee=r.assignee or "", assignee_initials=initials(r.assignee or ""), assignee_hue=r.assignee_hue or "",
        assignee_picture=r.assignee_picture or "",
        assigned_to_me=r.assignee_id == member.id, replying="" if r.holder_id in (None, member.id) else r.holder.split(" ")[0],
        cursor=make_cursor(r.last_activity_at, r.id),
    )
