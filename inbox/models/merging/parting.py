"""Taking a merge of conversations back: everything to where it was, and what came in since to the number it came from."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from inbox import clock
from inbox.models.base import Refused, db
from inbox.models.call import Call
from inbox.models.conversation import Conversation
from inbox.models.conversation.replying import summary
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.merging.joining import part_drafts, part_last_read
from inbox.models.merging.merging import Merging, MergingItem, MergingPart, unpacked
from inbox.models.merging.tables import UNITES, moving, referring
from inbox.models.merging.talks import DERIVED, STATE, forget, hold, nothing_under_way, unlocked
from inbox.models.message import Dispatch, Message
from inbox.models.notification import Notice
from inbox.models.rights import attend
from inbox.models.search.moving import moved
from inbox.permissions import Permission

ITEM = MergingItem.__table__
TOUCHING = ("in", "out", "auto", "call")  # what moves a conversation to the top; notes do not
DRAWN = 60  # messages that open pages take out at most; whoever looks further back loads it anew
FOLLOWING = (Dispatch, Call, Notice)  # rows of one message, which stay in its conversation


def part_conversations(merging: Merging, *, by: Member) -> Conversation:
    """Undo a merge of conversations; returns the one they come out of."""
    attend(by)
    into = merging.conversation
    assert into is not None  # noqa: S101 - the caller has seen that it is one of conversations
    by.require(Permission.CONVERSATIONS_MERGE, on=into)
    return take_apart(merging, by=by)


def take_apart(merging: Merging, *, by: Member) -> Conversation:
    """The same, whoever asks: parting two contacts parts what mixes them, also in inboxes that are closed to who does it."""
    into = merging.conversation
    assert into is not None  # noqa: S101
    away = [part.conversation for part in merging.parts if part.conversation is not None]
    items = sa.select(MergingItem.row_id).where(MergingItem.part_id.in_([part.id for part in merging.parts]), MergingItem.what == "message")
    hold([into, *away], messages=sa.select(Message.id).where(Message.id.in_(items)))
    db.session.refresh(merging, ["undone_at"])
    check_undoable(merging)
    _check_last(merging, into)
    unlocked([into, *away], by)
    since = _since(merging, into, away)
    nothing_under_way(sa.and_(Dispatch.conversation_id == into.id, sa.or_(Dispatch.message_id.in_(items), Dispatch.message_id.in_([id for ids in since.values() for id in ids]))))
    drawn = list(db.session.scalars(items.order_by(MergingItem.row_id.desc()).limit(DRAWN))) + [id for ids in since.values() for id in ids]
    merging.undone_at = clock.now()
    was_unread = into.unread
    for part, other in zip(reversed(merging.parts), reversed(away), strict=True):
        _rows(part, other, into, since.get(other.id, []))
    _survivor(merging, into)
    for part, other in zip(merging.parts, away, strict=True):
        _back(part, other, since.get(other.id, []), was_unread)
    Event.record("conversation.unmerged", account=into.account_id, by=by, conversation=into, count=len(away) + 1, merging=merging.public_id)
    for one in (into, *away):
        db.session.expire(one, ["tags"])
        one.changed(away=drawn)
    return into


def check_undoable(merging: Merging) -> None:
    if merging.undone_at is not None:
        raise Refused("This merge was undone already.")
    if not merging.undoable:
        raise Refused("A merge can be undone for 30 days. That time is over.")


def _check_last(merging: Merging, into: Conversation) -> None:
    """Merges come apart in the order they were made, the last first."""
    parts = sa.select(MergingPart.merging_id).where(MergingPart.conversation_id == into.id)
    later = sa.select(Merging.id).where(Merging.id > merging.id, Merging.undone_at.is_(None), sa.or_(Merging.conversation_id == into.id, Merging.id.in_(parts)))
    if into.merged_into_id is not None or db.session.scalar(later.limit(1)) is not None:
        raise Refused("These were merged with another conversation since. Undo that merge first.")


def _since(merging: Merging, into: Conversation, away: list[Conversation]) -> dict[int, list[int]]:
    """What came in since from a number that goes back to its own conversation, or went there by itself; by that conversation's id."""
    found: dict[int, list[int]] = {}
    for other in {one.address: one for one in sorted(away, key=lambda one: one.id)}.values():
        query = sa.select(Message.id).where(Message.conversation_id == into.id, Message.id > merging.newest_id, Message.address == other.address)
        if other.address != into.address:
            found[other.id] = list(db.session.scalars(query))
    return found


def _rows(part: MergingPart, other: Conversation, into: Conversation, since: list[int]) -> None:
    def mine(what: str) -> Any:
        return sa.select(ITEM.c.row_id).where(ITEM.c.part_id == part.id, ITEM.c.what == what)

    ids = [*db.session.scalars(sa.select(Message.id).where(Message.id.in_(mine("message")), Message.conversation_id == into.id)), *since]
    for table, column in moving():
        values: dict[str, Any] = {column.name: other.id}
        if table.name == "message":
            values["address"] = sa.func.nullif(table.c.address, other.address)
        db.session.execute(sa.update(table).where(table.c.id.in_(mine(table.name)), column == into.id).values(values))
    _follow(other, since)
    for name, key in UNITES.items():
        column = referring("conversation")[name]
        where = (column == into.id, column.table.c[key].in_(mine(name)))
        db.session.execute(sa.update(column.table).where(*where).values({column.name: other.id}))
    for item in db.session.scalars(sa.select(MergingItem).where(MergingItem.part_id == part.id, MergingItem.what == "nonce")).all():
        db.session.execute(sa.update(Message).where(Message.id == item.row_id).values(item.before or {}).execution_options(synchronize_session=False))
    db.session.execute(sa.update(Conversation).where(Conversation.id.in_(mine("conversation"))).values(merged_into_id=other.id).execution_options(synchronize_session=False))
    part_last_read(part, other, into)
    part_drafts(part, other, into)
    moved(ids, was=into.id)
    forget(Message, Dispatch)


def _follow(other: Conversation, ids: list[int]) -> None:
    """Messages that came since, with all that hangs on each."""
    if not ids:
        return
    db.session.execute(sa.update(Message).where(Message.id.in_(ids)).values(conversation_id=other.id, address=None).execution_options(synchronize_session=False))
    for row in FOLLOWING:
        db.session.execute(sa.update(row).where(row.message_id.in_(ids)).values(conversation_id=other.id).execution_options(synchronize_session=False))


def _survivor(merging: Merging, into: Conversation) -> None:
    """As it was, as far as nothing happened there since; what did stays."""
    changes = {name: unpacked(Conversation, {name: both[0]})[name] for name, both in merging.before.items()}
    became = {name: unpacked(Conversation, {name: both[1]})[name] for name, both in merging.before.items()}
    same = {name: getattr(into, name) == became[name] for name in changes}
    groups = (STATE, ("unread",), DERIVED, ("assignee_id",))
    for group in groups:
        names = [name for name in group if name in changes]
        if all(same[name] for name in names) and (group is not DERIVED or not _spoken_since(merging, into)):
            for name in names:
                setattr(into, name, changes[name] if name != "assignee_id" else _still(into, changes[name]))
        elif group is DERIVED:
            derive(into)
    into.version += 1
    db.session.flush()


def _still(into: Conversation, member_id: int | None) -> int | None:
    """Who had it before, where they can still answer; a merge only ever gave it to somebody."""
    member = db.session.get(Member, member_id) if member_id is not None else None
    return member_id if member is not None and member.may_receive(into.inbox) else None


def _spoken_since(merging: Merging, into: Conversation) -> bool:
    return db.session.scalar(sa.select(Message.id).where(Message.conversation_id == into.id, Message.id > merging.newest_id).limit(1)) is not None


def _back(part: MergingPart, other: Conversation, since: list[int], was_unread: bool) -> None:
    for name, value in unpacked(Conversation, part.before).items():
        setattr(other, name, value)
    other.merged_into_id, other.version = None, other.version + 1
    heard = bool(since) and db.session.scalar(sa.select(Message.id).where(Message.id.in_(since), Message.kind == "in").limit(1)) is not None
    if heard:
        other.archived_at, other.snoozed_until, other.unread = None, None, other.unread or was_unread
    with db.session.no_autoflush:
        taken = other.archived_at is None and Conversation.open_one(other.inbox_id, other.address)
    if taken and taken.id != other.id:
        other.archived_at = clock.now()
    db.session.flush()
    if since:
        derive(other)
        db.session.flush()


def derive(one: Conversation) -> None:
    """Work out from its messages what lists show and sort by."""
    here = Message.conversation_id == one.id
    newest = db.session.scalar(sa.select(Message).where(here, Message.kind.in_(TOUCHING)).order_by(Message.id.desc()).limit(1))
    heard = db.session.execute(sa.select(Message.id, Message.created_at).where(here, Message.kind == "in").order_by(Message.id.desc()).limit(1)).first()
    out = db.session.scalar(sa.select(Message.state).where(here, Message.kind.in_(("out", "auto"))).order_by(Message.id.desc()).limit(1))
    if newest is not None:
        one.last_message_id, one.last_activity_at, one.preview = newest.id, newest.created_at, summary(newest)
        one.preview_by_id, one.preview_kind = newest.author_id, newest.kind
    one.last_inbound_id, one.last_inbound_at = (heard.id, heard.created_at) if heard else (0, one.created_at)
    one.failed = out in ("failed", "undelivered", "uncertain") and newest is not None and newest.kind != "in"
    one.weigh()
