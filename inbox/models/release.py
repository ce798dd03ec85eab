"""Replies written while the carriers decide: they wait as drafts and leave by themselves on the approval (REG-3, REG-4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from inbox import channels
from inbox.models.base import Refused, db, transaction
from inbox.models.carrier import Carrier
from inbox.models.conversation import Conversation, LockLost, Stale
from inbox.models.conversation.replying import clean_body
from inbox.models.draft import Draft
from inbox.models.gate import Path, judge
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.models.message import Message
from inbox.models.notification import Notice
from inbox.models.registration import Registration
from inbox.models.rights import attend

if TYPE_CHECKING:
    from sqlalchemy.sql import ColumnElement


class Approved(Refused):
    """There is nothing to wait for any more."""

    status = 409


def wait(conversation: Conversation, body: str, *, by: Member, seen: int, anyway: bool = False) -> None:
    """Keep a reply as a draft that leaves by itself on the approval. Nothing but the registration may stand in its way now.

    `seen` is the id of the newest text from the customer that its author saw; with `anyway` they want it to leave although there are newer ones.
    Raises Approved, SendRefused or Stale.
    """
    attend(by)
    conversation._one_writer()
    if conversation.inbox.registered:
        raise Approved(f"The carriers approved {conversation.inbox.name} meanwhile: texts leave at once. Look at the conversation, then press Send.")
    judge(conversation, clean_body(conversation._signed(body, by)), exempt=("registration",)).require()
    newer = conversation.inbound_after(seen)
    if newer and not anyway:
        raise Stale(newer)
    Draft.put(conversation, body, by=by)
    db.session.execute(
        sa.update(Draft)
        .where(Draft.conversation_id == conversation.id, Draft.author_id == by.id, Draft.kind == "reply")
        .values(release=True, seen=conversation.last_inbound_id if anyway else seen, released_why="")
        .execution_options(synchronize_session=False)
    )
    conversation.changed("lock")


def waiting_for(registration_id: int) -> list[int]:
    """Ids of the drafts that may leave now that a registration is approved, oldest first."""
    query = _free().where(Registration.id == registration_id).with_only_columns(Draft.id).order_by(Draft.updated_at, Draft.id)
    return list(db.session.scalars(query))


def due() -> list[int]:
    """Ids of registrations whose drafts should have left."""
    return list(db.session.scalars(_free().with_only_columns(Registration.id).distinct().limit(50)))


def _free() -> sa.Select[Any]:
    registered: ColumnElement[bool] = sa.and_(Registration.state == "approved", Inbox.joined_at.is_not(None))
    return (
        sa.select(Draft.id)
        .join(Conversation, Conversation.id == Draft.conversation_id)
        .join(Inbox, Inbox.id == Conversation.inbox_id)
        .join(Registration, Registration.team_id == Inbox.team_id)
        .outerjoin(Carrier, Carrier.id == Inbox.carrier_id)
        .where(sa.text("draft.release"), sa.or_(registered, Carrier.kind.in_(sorted(channels.UNREGISTERED))))
    )


def release(draft_id: int) -> None:
    """Make a waiting draft its author's reply, once; what may not leave stays a draft with the reason, and its author is told."""
    try:
        with transaction():
            _send(draft_id)
    except Refused as refused:
        with transaction():
            _stay(draft_id, refused.sentence)


def _send(draft_id: int) -> None:
    draft = db.session.get(Draft, draft_id)
    author = db.session.get(Member, draft.author_id) if draft and draft.author_id else None
    if draft is None or author is None or not draft.release:
        return
    attend(author)
    conversation = db.session.get_one(Conversation, draft.conversation_id)
    conversation._one_writer()
    if not conversation.inbox.registered:
        return  # suspended again: it goes on waiting
    mine = db.session.execute(
        sa.update(Draft).where(Draft.id == draft_id, Draft.author_id == author.id, Draft.release).values(release=False)
        .returning(Draft.body, Draft.seen, Draft.updated_at).execution_options(synchronize_session=False)
    ).first()
    if mine is None:
        return  # another job, or its author, was faster
    body, seen, written_at = mine
    answered = db.session.scalar(
        sa.select(Member.name)
        .join(Message, Message.author_id == Member.id)
        .where(Message.conversation_id == conversation.id, Message.kind == "out", Message.author_id != author.id, Message.created_at >= written_at)
        .order_by(Message.id.desc())
        .limit(1)
    )
    if answered:
        raise Refused(f"{answered} has answered meanwhile.")
    before = conversation.lock_holder()
    held = conversation.acquire(by=author)
    if held is None:
        raise LockLost(f"{before.holder.name if before else 'A teammate'} is replying now.")
    conversation.reply(body, by=author, fence=held.fence, seen=seen, path=Path.SCHEDULED)
    if before is None or before.fence != held.fence:  # they are not in it on a page of their own
        conversation.release(by=author, fence=held.fence)
    conversation.changed("lock")


def _stay(draft_id: int, why: str) -> None:
    kept = db.session.execute(
        sa.update(Draft).where(Draft.id == draft_id, Draft.release).values(release=False, released_why=why)
        .returning(Draft.conversation_id, Draft.author_id).execution_options(synchronize_session=False)
    ).first()
    if kept is not None:
        conversation = db.session.get_one(Conversation, kept.conversation_id)
        Notice.give("failed", conversation, to=kept.author_id)
        conversation.changed("lock")
