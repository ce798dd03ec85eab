"""Several conversations of one contact in one inbox become one.

The messages move, so that lists, search, receipts and the outbox need to know nothing of merges; each keeps the customer's number it belongs to (`Message.address`)
where that is not the surviving conversation's. The conversations that were merged away stay as rows, out of every list: they carry their events, lead old
addresses to the survivor, and tell where the next text from their number belongs. Refused while somebody else holds the lock of one of them, or a text of one
that would go has not left yet: so nothing is sent twice, or to another number than it was written for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from inbox import clock
from inbox.models.base import Refused, db
from inbox.models.contact import Contact
from inbox.models.conversation import Conversation, Lock
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.merging.joining import join_drafts, join_last_read
from inbox.models.merging.merging import Busy, Merging, MergingItem, MergingPart, packed, waiting_briefly
from inbox.models.merging.tables import UNITES, moving, referring
from inbox.models.message import Dispatch, Message
from inbox.models.rights import attend
from inbox.models.search.moving import moved
from inbox.permissions import Permission

MOST = 10  # conversations at once
STATE = ("archived_at", "snoozed_until")
DERIVED = ("last_activity_at", "last_inbound_at", "last_inbound_id", "last_message_id", "preview", "preview_by_id", "preview_kind", "failed", "owed_since")
COLUMNS = (*STATE, "assignee_id", "unread", *DERIVED)
AWAY = (*STATE, "unread", "owed_since")  # what a conversation loses that is merged away
UNDER_WAY = ("queued", "sending", "checking", "held")


def merge_conversations(into: Conversation, others: Sequence[Conversation], *, by: Member) -> Merging:
    """Fold `others` into `into`; raises Refused with the reason, and Busy when somebody works in one of them at this moment."""
    away = list({other.id: other for other in others if other.id != into.id}.values())
    if not away:
        raise Refused("Choose at least one other conversation to merge.", field="c")
    if len(away) >= MOST:
        raise Refused(f"At most {MOST} conversations can be merged at once.", field="c")
    attend(by)
    for one in (into, *away):
        by.require(Permission.CONVERSATIONS_MERGE, on=one)
    hold([into, *away], moving_out=[one.id for one in away])
    _check(into, away, by)
    return _Fold(into, by).take(away)


def hold(talks: Sequence[Conversation], *, moving_out: Sequence[int] = (), messages: sa.Select[Any] | None = None) -> None:
    """Nobody else writes in these until the transaction ends. In everybody's order: contact, message, conversation, lock."""
    ids = sorted(one.id for one in talks)
    wanted = messages if messages is not None else sa.select(Message.id).where(Message.conversation_id.in_(moving_out))
    with waiting_briefly():
        db.session.execute(sa.select(Contact.id).where(Contact.id.in_({one.contact_id for one in talks})).order_by(Contact.id).with_for_update(key_share=True)).all()
        db.session.execute(wanted.order_by(Message.id).with_for_update(key_share=True)).all()
        db.session.scalars(
            sa.select(Conversation).where(Conversation.id.in_(ids)).order_by(Conversation.id).with_for_update().execution_options(populate_existing=True)
        ).all()
        db.session.execute(sa.select(Lock.fence).where(Lock.conversation_id.in_(ids)).order_by(Lock.conversation_id).with_for_update()).all()


def _check(into: Conversation, away: list[Conversation], by: Member) -> None:
    every = [into, *away]
    if any(one.merged_into_id is not None for one in every):
        raise Busy("One of these was merged a moment ago. Look again.")
    if len({(one.inbox_id, one.channel) for one in every}) > 1:
        raise Refused("Only conversations of one inbox can be merged.", field="c")
    if len({one.contact_id for one in every}) > 1:
        raise Refused("These are different contacts. Merge the contacts first, then their conversations.", field="c")
    if any(one.spam for one in every):
        raise Refused("One of these is marked as spam. Take it out of spam first.", field="c")
    unlocked(every, by)
    nothing_under_way(Dispatch.conversation_id.in_([one.id for one in away]))
    if any(not one.archived for one in every):
        other = Conversation.open_one(into.inbox_id, into.address)
        if other is not None and other.id not in {one.id for one in every}:
            raise Refused("There is an open conversation with this number already. Merge into that one.", field="c")


def unlocked(talks: Sequence[Conversation], by: Member) -> None:
    """Nobody else is replying in one of these; whoever left without a word is announced as gone."""
    for one in talks:
        held = one.locked_for(by)
        if held is not None:
            raise Refused(f"{held.holder.name} is replying in one of these. Try again once they are done.", field="c")
        one.announce_expiry()
        one.release(by=by)


def nothing_under_way(where: sa.ColumnElement[bool]) -> None:
    if db.session.scalar(sa.select(Dispatch.id).where(where, Dispatch.state.in_(UNDER_WAY)).limit(1)) is not None:
        raise Refused("A text in one of these has not left yet. Wait until it has, or take it back.", field="c")


class _Fold:
    """One merge, in the caller's transaction."""

    def __init__(self, into: Conversation, by: Member) -> None:
        self.into, self.by = into, by

    def take(self, away: list[Conversation]) -> Merging:
        into = self.into
        newest = db.session.scalar(sa.select(sa.func.max(Message.id))) or 0
        made = Merging(account_id=into.account_id, conversation_id=into.id, by_id=self.by.id, newest_id=newest).save()
        was = {name: getattr(into, name) for name in COLUMNS}
        becomes = _combined([into, *away])
        for other in away:
            part = MergingPart(merging_id=made.id, conversation_id=other.id, before=packed({name: getattr(other, name) for name in AWAY})).save()
            self._rows(part, other)
            other.archived_at, other.snoozed_until, other.unread, other.owed_since = other.archived_at or clock.now(), None, False, None
            other.merged_into_id, other.version = into.id, other.version + 1
        db.session.flush()  # before the survivor opens: one open conversation for each number
        self._fences(away)
        for name, value in becomes.items():
            setattr(into, name, value)
        into.version += 1
        into.weigh()
        db.session.refresh(into)
        became = {name: getattr(into, name) for name in COLUMNS}
        made.before = {name: [packed(was)[name], packed(became)[name]] for name in COLUMNS if was[name] != became[name]}
        Event.record("conversation.merged", account=into.account_id, by=self.by, conversation=into, count=len(away) + 1, merging=made.public_id)
        for one in (into, *away):
            db.session.expire(one, ["tags"])
            one.changed(merged=True)
        return made

    def _rows(self, part: MergingPart, other: Conversation) -> None:
        join_last_read(part, other, self.into)
        join_drafts(part, other, self.into)
        for name, key in UNITES.items():
            self._unite(part, other, name, key)
        self._free_nonces(part, other)
        ids = list(db.session.scalars(sa.select(Message.id).where(Message.conversation_id == other.id)))
        for table, column in moving():
            note(part, table.name, sa.select(table.c.id).where(column == other.id))
            values: dict[str, Any] = {column.name: self.into.id}
            if table.name == "message" and other.address != self.into.address:
                values["address"] = sa.func.coalesce(table.c.address, other.address)
            db.session.execute(sa.update(table).where(column == other.id).values(values))
        moved(ids, was=other.id)
        note(part, "conversation", sa.select(Conversation.id).where(Conversation.merged_into_id == other.id))
        db.session.execute(
            sa.update(Conversation).where(Conversation.merged_into_id == other.id).values(merged_into_id=self.into.id).execution_options(synchronize_session=False)
        )
        forget(Message, Dispatch)

    def _unite(self, part: MergingPart, other: Conversation, name: str, key: str) -> None:
        column = referring("conversation")[name]
        table, mine = column.table, column.table.alias()
        there = sa.select(mine.c[key]).where(mine.c[column.name] == self.into.id)
        fresh = (column == other.id, column.table.c[key].not_in(there))
        note(part, name, sa.select(table.c[key]).where(*fresh))
        db.session.execute(sa.update(table).where(*fresh).values({column.name: self.into.id}))

    def _free_nonces(self, part: MergingPart, other: Conversation) -> None:
        """A nonce names a post within its conversation; in the rarest case two conversations know the same one."""
        mine = sa.select(Message.nonce).where(Message.conversation_id == self.into.id, Message.nonce.is_not(None))
        for id, nonce in db.session.execute(sa.select(Message.id, Message.nonce).where(Message.conversation_id == other.id, Message.nonce.in_(mine))).all():
            MergingItem(part_id=part.id, what="nonce", row_id=id, before={"nonce": nonce}).save()
            db.session.execute(sa.update(Message).where(Message.id == id).values(nonce=None).execution_options(synchronize_session=False))

    def _fences(self, away: list[Conversation]) -> None:
        """A page that was open on one that went must not pass for one that holds the survivor."""
        highest = sa.select(sa.func.max(Lock.fence)).where(Lock.conversation_id.in_([self.into.id, *(one.id for one in away)])).scalar_subquery()
        db.session.execute(sa.update(Lock).where(Lock.conversation_id == self.into.id).values(fence=highest).execution_options(synchronize_session=False))
        forget(Lock)


def _combined(talks: list[Conversation]) -> dict[str, Any]:
    """What the survivor, the first of these, looks like then: as awake as the most awake of them, and as new as the newest."""
    into, newest = talks[0], max(talks, key=lambda one: (one.last_message_id, one.id == talks[0].id))
    is_open = any(not one.archived for one in talks)
    snoozes = [one.snoozed_until for one in talks if one.snoozed_until is not None]
    found: dict[str, Any] = {name: getattr(newest, name) for name in ("last_message_id", "preview", "preview_by_id", "preview_kind", "failed")}
    heard = [one.last_inbound_at for one in talks if one.last_inbound_at is not None]
    return found | {
        "archived_at": None if is_open else into.archived_at, "snoozed_until": None if is_open else min(snoozes, default=None),
        "assignee_id": next((one.assignee_id for one in talks if one.assignee_id is not None), None), "unread": any(one.unread for one in talks),
        "last_activity_at": max(one.last_activity_at for one in talks), "last_inbound_at": max(heard, default=None),
        "last_inbound_id": max(one.last_inbound_id for one in talks),
    }


def note(part: MergingPart, what: str, rows: sa.Select[Any]) -> None:
    """Remember which rows are about to move."""
    key = rows.selected_columns[0]
    chosen = rows.with_only_columns(sa.literal(part.id), sa.literal(what), key)
    db.session.execute(sa.insert(MergingItem).from_select(["part_id", "what", "row_id"], chosen))


def forget(*models: Any) -> None:
    """What this session has read of these was changed by statements."""
    for row in list(db.session.identity_map.values()):
        if isinstance(row, models):
            db.session.expire(row)
