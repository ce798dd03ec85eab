"""Lists: rows, keyed paging, capped counts (CONV-1..3). Rows are plain tuples: entities would double the cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from inbox import clock
from inbox.models.base import Moment, db
from inbox.models.contact import HUES, Contact
from inbox.models.conversation.filtering import VIEWS, Filter, conditions, moment, place, unindexed
from inbox.models.conversation.locking import Lock
from inbox.models.conversation.row import ConversationRow
from inbox.models.draft import Draft
from inbox.models.inbox import Inbox
from inbox.models.member import Member, initials
from inbox.models.tag import Tag, Tagging
from inbox.permissions import Permission

PAGE = 40
CAP = 100
INBOXES = 75  # counted in one query: four parts each, and SQLite allows 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Label(NamedTuple):
    """A tag as a row shows it."""

    name: str
    hue: str


@dataclass(frozen=True)
class Row:
    """One line of the list, ready to draw."""

    id: int
    public_id: str
    inbox_id: int
    inbox_name: str  # "" in the list of one inbox, where it goes without saying
    inbox_hue: str
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
    drafting: str  # first name of a teammate with an unsent reply
    tags: list[Label]
    owed_since: datetime | None
    snoozed_until: datetime | None
    key: int  # greater comes first
    cursor: str


class Listing(ConversationRow):
    """Which conversations a member sees, and in what order."""

    __abstract__ = True

    @staticmethod
    def scope(member: Member) -> sa.Select[Any]:
        """Every conversation the member may open (PERM-6): their inboxes, registered or not; one function for all uses.

        It chooses no index: what else is asked finds the rows, by their key or their contact.
        """
        from inbox.models.conversation import Conversation

        query = sa.select(Conversation)
        if not member.can(Permission.CONVERSATIONS_VIEW):
            return query.where(sa.false())
        return query.where(
            unindexed("account_id") == member.account_id, unindexed("inbox_id").in_(member.readable_inbox_ids), unindexed("merged_into_id").is_(None),
        )

    @staticmethod
    def opens(member: Member, conversation_id: Any) -> sa.ColumnElement[bool]:
        """Whether the member may open the conversation that a row of another table names: asked for that row, never by listing what they may open."""
        from inbox.models.conversation import Conversation

        one = Listing.scope(member).with_only_columns(Conversation.id).where(Conversation.id == conversation_id)
        return one.correlate_except(Conversation).exists()

    @staticmethod
    def listing(
        member: Member, inbox: Inbox | None, filter: Filter, *, after: str = "", limit: int = PAGE, only: int | Sequence[int] | None = None, rare: str = ""
    ) -> list[Row]:
        """Newest first or longest waiting first, `limit` rows after the cursor, of an inbox or, without one, of all that the member reads.

        `only` asks which of these are in the list; `rare` is a tag of the filter that few conversations have, by which they are found.
        """
        from inbox.models.conversation import Conversation

        key, upwards = moment(inbox, filter), filter.sort == "waiting"
        query: Any = (
            _drawn(inbox is None).add_columns(key.label("moment"))
            .where(*place(member, inbox, found=only is not None or bool(rare) or (inbox is None and filter.view == "mine")), *conditions(member, filter))
            .order_by(*([key, Conversation.id] if upwards else [key.desc(), Conversation.id.desc()]))
            .limit(limit)
        )
        if only is not None:
            query = query.where(Conversation.id.in_([only] if isinstance(only, int) else only))
        if rare:
            few = sa.select(Tagging.conversation_id).join(Tag, Tag.id == Tagging.tag_id).where(Tag.public_id == rare, Tag.account_id == member.account_id)
            query = query.where(Conversation.id.in_(few))
        if after:
            at, last = parse_cursor(after)
            beyond = [key >= at, sa.or_(key > at, Conversation.id > last)] if upwards else [key <= at, sa.or_(key < at, Conversation.id < last)]
            query = query.where(*beyond)
        found = db.session.execute(query, {"now": clock.now()}).all()
        tags, drafts = _beside(found, member)
        return [_row(r, member, tags.get(r.id, []), drafts.get(r.id, ""), upwards) for r in found]

    @staticmethod
    def matching(member: Member, inbox: Inbox | None, filter: Filter) -> sa.Select[int]:
        """The ids of every conversation that a list shows, all pages of it; without an inbox, of all inboxes the member reads."""
        from inbox.models.conversation import Conversation

        return sa.select(Conversation.id).where(*place(member, inbox), *conditions(member, filter))

    @staticmethod
    def counts(member: Member, inboxes: list[Inbox], *more: sa.Select[Any]) -> dict[int, dict[str, int]]:
        """Unread per inbox for mine and unassigned, open for others, 1 for spam where there is any; each capped at 100, so the cost never grows.

        `more` are further selects of a number (inbox or 0, name, number), read in the same go.
        """
        if not inboxes and not more:
            return {}
        result: dict[int, dict[str, int]] = {inbox.id: {} for inbox in inboxes}
        for start in range(0, max(len(inboxes), 1), INBOXES):
            some = [inbox.id for inbox in inboxes[start : start + INBOXES]]
            parts = [*(more if start == 0 else ()), *([_counting(len(some))] if some else [])]
            values = {f"inbox_{k}": id for k, id in enumerate(some)} | ({"me": member.id} if some else {})
            together: Any = sa.union_all(*parts) if len(parts) > 1 else parts[0]
            for inbox_id, view, count in db.session.execute(together, values):
                if count or view != "spam":
                    result.setdefault(inbox_id, {})[view] = count
        return result


@lru_cache(maxsize=2)
def _drawn(work: bool) -> Any:
    """What a row shows, and from where, put together once; `now` is a parameter. With `work` its inbox too."""
    from inbox.models.conversation import Conversation

    holder, writer, assignee = aliased(Member), aliased(Member), aliased(Member)
    now = sa.bindparam("now", type_=Moment)
    query = (
        sa.select(
            Conversation.id, Conversation.public_id, Conversation.inbox_id, Conversation.channel, Conversation.preview, Conversation.preview_by_id,
            Conversation.preview_kind, Conversation.last_activity_at, Conversation.unread, Conversation.failed, Conversation.archived_at,
            Conversation.owed_since, Conversation.snoozed_until,
            Conversation.assignee_id, Contact.id.label("contact_id"), Contact.name, Contact.first_name, Contact.last_name,
            writer.name.label("writer"), assignee.name.label("assignee"), assignee.hue.label("assignee_hue"), assignee.picture_id.label("assignee_picture"),
            holder.name.label("holder"), holder.id.label("holder_id"), *([Inbox.name.label("inbox_name"), Inbox.hue.label("inbox_hue")] if work else []),
        )
        .select_from(Conversation)
        .join(Contact, Contact.id == Conversation.contact_id)
        .outerjoin(writer, writer.id == Conversation.preview_by_id)
        .outerjoin(assignee, assignee.id == Conversation.assignee_id)
        .outerjoin(Lock, sa.and_(Lock.conversation_id == Conversation.id, Lock.holder_id.is_not(None), Lock.expires_at > now, Lock.dies_at > now))
        .outerjoin(holder, holder.id == Lock.holder_id)
    )
    return query.join(Inbox, Inbox.id == Conversation.inbox_id) if work else query


_COUNTED = {  # what each view's number counts, word for word as `conditions` and the partial indexes say it, and how far
    "mine": ("archived_at IS NULL AND assignee_id = :me AND conversation.unread", CAP), "unassigned": ("archived_at IS NULL AND assignee_id IS NULL AND conversation.unread", CAP),
    "others": ("archived_at IS NULL AND assignee_id IS NOT NULL AND assignee_id != :me", CAP), "spam": ("spam_at IS NOT NULL", 1),
}


@lru_cache(maxsize=INBOXES)
def _counting(inboxes: int) -> sa.TextualSelect:
    """The counts of so many inboxes, as text: to put a statement of this length together each time costs more than to run it."""
    parts = [
        f"SELECT CAST(:inbox_{k} AS INTEGER) AS inbox, '{view}' AS view, count(*) AS n FROM"  # noqa: S608 - words of ours alone
        f" (SELECT 1 FROM conversation WHERE inbox_id = :inbox_{k} AND {where} LIMIT {most}) AS s_{k}_{view}"
        for k in range(inboxes) for view, (where, most) in _COUNTED.items()
    ]
    return sa.text(" UNION ALL ".join(parts)).columns(inbox=sa.Integer, view=sa.String, n=sa.Integer)


def make_cursor(at: datetime, id: int) -> str:
    return f"{(at - EPOCH) // timedelta(microseconds=1)}.{id}"


def parse_cursor(text: str) -> tuple[datetime, int]:
    """The key after which the next page starts; raises ValueError for anything we did not make."""
    micros, _, last = text.partition(".")
    whole, rest = divmod(int(micros), 1_000_000)
    if not 0 <= whole < 4_102_444_800 or not 0 < int(last) < 2**62:
        raise ValueError("That is not a place in this list.")
    return EPOCH + timedelta(seconds=whole, microseconds=rest), int(last)


def _beside(found: Sequence[Any], member: Member) -> tuple[dict[int, list[Label]], dict[int, str]]:
    """The tags of a page's rows by name, and which teammate has an unsent reply there, the one who typed last; in one query."""
    if not found:
        return {}, {}
    ids, no_moment = [r.id for r in found], sa.cast(sa.null(), Moment)
    labels = sa.select(Tagging.conversation_id, Tag.name, Tag.hue, Tag.key, no_moment.label("at")).join(Tag, Tag.id == Tagging.tag_id).where(Tagging.conversation_id.in_(ids))
    begun = (
        sa.select(Draft.conversation_id, Member.name, sa.literal(""), sa.literal(""), Draft.updated_at)
        .join(Member, Member.id == Draft.author_id)
        .where(Draft.conversation_id.in_(ids), Draft.kind == "reply", Draft.author_id != member.id)
    )
    rows = db.session.execute(sa.union_all(labels, begun)).all()
    tags: dict[int, list[Label]] = {}
    for row in sorted((row for row in rows if row.at is None), key=lambda row: row.key):
        tags.setdefault(row.conversation_id, []).append(Label(row.name, row.hue))
    return tags, {row.conversation_id: row.name.split(" ")[0] for row in sorted((row for row in rows if row.at is not None), key=lambda row: row.at)}


def _row(r: Any, member: Member, tags: list[Label], drafting: str, upwards: bool) -> Row:
    named = bool(r.first_name or r.last_name)
    by = "You" if r.preview_by_id == member.id else (r.writer or "").split(" ")[0]
    return Row(
        id=r.id, public_id=r.public_id, inbox_id=r.inbox_id, inbox_name=getattr(r, "inbox_name", ""), inbox_hue=getattr(r, "inbox_hue", ""), name=r.name,
        initials=initials(r.name) if named else "",
        hue=HUES[r.contact_id % len(HUES)] if named else "slate", channel=r.channel, preview=r.preview,
        preview_by=by if r.preview_kind in ("out", "note") else "", last_activity_at=r.last_activity_at, unread=r.unread, failed=r.failed,
        archived=r.archived_at is not None, assignee=r.assignee or "", assignee_initials=initials(r.assignee or ""), assignee_hue=r.assignee_hue or "",
        assignee_picture=r.assignee_picture or "",
        assigned_to_me=r.assignee_id == member.id, replying="" if r.holder_id in (None, member.id) else r.holder.split(" ")[0],
        drafting=drafting, tags=tags, owed_since=r.owed_since if r.archived_at is None else None, snoozed_until=r.snoozed_until,
        key=(r.moment - EPOCH) // timedelta(milliseconds=-1 if upwards else 1), cursor=make_cursor(r.moment, r.id),
    )


__all__ = ["CAP", "PAGE", "VIEWS", "Filter", "Listing", "Row", "make_cursor", "parse_cursor"]
