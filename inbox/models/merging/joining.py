"""Two rows that become one: what somebody is typing in both, and how far somebody has read both."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from inbox.models.base import db
from inbox.models.conversation import Conversation
from inbox.models.conversation.reading import LastRead
from inbox.models.draft import Draft
from inbox.models.merging.merging import MergingItem, MergingPart, packed, unpacked
from inbox.models.message import Message

TYPED = ("body", "files", "release", "released_why", "from_name", "updated_at", "seen")


def join_drafts(part: MergingPart, other: Conversation, into: Conversation) -> None:
    """Words typed in both stand below each other in one draft; the one they were joined from waits behind, for the undo."""
    mine = {(d.author_id, d.kind): d for d in _drafts(into)}
    for theirs in _drafts(other):
        draft = mine.get((theirs.author_id, theirs.kind))
        if draft is None:
            MergingItem(part_id=part.id, what="draft", row_id=theirs.id, before={"author_id": theirs.author_id, "kind": theirs.kind, "body": theirs.body}).save()
            theirs.conversation_id = into.id
            mine[theirs.author_id, theirs.kind] = theirs
            continue
        was = _typed(draft)
        draft.body, draft.files = f"{draft.body}\n{theirs.body}", [*draft.files, *theirs.files]
        draft.release, draft.updated_at, draft.seen = False, max(draft.updated_at, theirs.updated_at), min(draft.seen, theirs.seen)
        draft.released_why, draft.from_name = draft.released_why or theirs.released_why, draft.from_name or theirs.from_name
        MergingItem(part_id=part.id, what="joined", row_id=draft.id, before={"was": was, "became": _typed(draft), "from": theirs.id}).save()
    db.session.flush()


def part_drafts(part: MergingPart, other: Conversation, into: Conversation) -> None:
    """Back where they were, unless somebody went on typing: then the words stay where they typed, once."""
    for item in _items(part, "joined"):
        data = item.before or {}
        draft = db.session.get(Draft, item.row_id, populate_existing=True)
        theirs = db.session.get(Draft, data["from"], populate_existing=True)
        if draft is not None and draft.conversation_id == into.id and _typed(draft) == data["became"]:
            for name, value in unpacked(Draft, data["was"]).items():
                setattr(draft, name, value)
        elif theirs is not None and theirs.conversation_id == other.id:
            db.session.delete(theirs)
    for item in _items(part, "draft"):
        data = item.before or {}
        draft = db.session.get(Draft, item.row_id, populate_existing=True)
        if draft is None or draft.conversation_id != into.id or (draft.author_id, draft.kind) != (data["author_id"], data["kind"]):
            continue
        if draft.body.startswith(data["body"]):
            draft.conversation_id = other.id
    db.session.flush()


def _drafts(conversation: Conversation) -> list[Draft]:
    return list(db.session.scalars(sa.select(Draft).where(Draft.conversation_id == conversation.id).order_by(Draft.id).with_for_update().execution_options(populate_existing=True)))


def _typed(draft: Draft) -> dict[str, Any]:
    return packed({name: getattr(draft, name) for name in TYPED})


def _items(part: MergingPart, what: str) -> list[MergingItem]:
    """The last first: two that were joined to the same row come apart in the other order."""
    return list(db.session.scalars(sa.select(MergingItem).where(MergingItem.part_id == part.id, MergingItem.what == what).order_by(MergingItem.id.desc())))


def join_last_read(part: MergingPart, other: Conversation, into: Conversation) -> None:
    """Who has read both goes on before the first text they have not seen, wherever it is; comes before the messages move."""
    mine = _marks(into)
    for member_id, theirs in _marks(other).items():
        if member_id not in mine:
            MergingItem(part_id=part.id, what="last_read", row_id=member_id, before={"was": theirs}).save()
            _mark(other.id, member_id, conversation_id=into.id)
            continue
        became = _first_unread(into.id, mine[member_id], other.id, theirs)
        if became != mine[member_id]:
            MergingItem(part_id=part.id, what="read_both", row_id=member_id, before={"was": mine[member_id], "became": became}).save()
            _mark(into.id, member_id, message_id=became)


def part_last_read(part: MergingPart, other: Conversation, into: Conversation) -> None:
    """As it was, for whoever has read nothing since; who has, has read both."""
    mine = _marks(into)
    for item in _items(part, "read_both"):
        now, data = mine.get(item.row_id), item.before or {}
        if now == data["became"]:
            _mark(into.id, item.row_id, message_id=data["was"])
        elif now is not None:
            _mark(other.id, item.row_id, message_id=now)
    for item in _items(part, "last_read"):
        now = mine.get(item.row_id)
        if now == (item.before or {})["was"]:
            _mark(into.id, item.row_id, conversation_id=other.id)
        elif now is not None:
            db.session.execute(sa.insert(LastRead).values(conversation_id=other.id, member_id=item.row_id, message_id=now))


def _marks(conversation: Conversation) -> dict[int, int]:
    return dict(db.session.execute(sa.select(LastRead.member_id, LastRead.message_id).where(LastRead.conversation_id == conversation.id)).all())


def _mark(here: int, member_id: int, **values: int) -> None:
    where = (LastRead.conversation_id == here, LastRead.member_id == member_id)
    db.session.execute(sa.update(LastRead).where(*where).values(values).execution_options(synchronize_session=False))


def _first_unread(into_id: int, mine: int, other_id: int, theirs: int) -> int:
    here = sa.or_(sa.and_(Message.conversation_id == into_id, Message.id > mine), sa.and_(Message.conversation_id == other_id, Message.id > theirs))
    first = db.session.scalar(sa.select(sa.func.min(Message.id)).where(here))
    return max(mine, theirs) if first is None else first - 1
