"""The moment before a text leaves: its author takes it back, a rule stops it, or the customer speaks first (CONV-8, LOCK-4).

A reply waits in the outbox for its author's seconds. Every end of that wait is one conditional statement on the outbox row, as the claim of a worker is: so
either the text leaves or it comes back, never both. Rows are locked in the workers' order (outbox row, message, conversation, lock); who comes with the
conversation in hand passes over a row that somebody has, and the worker looks once more when it claims.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from inbox import clock
from inbox.models.base import Refused, db
from inbox.models.contact import Contact
from inbox.models.conversation import Conversation, LockLost, Stale
from inbox.models.draft import Draft
from inbox.models.event import Event
from inbox.models.gate import Judgement
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.models.message import UNDOABLE, Attachment, Dispatch, Message, SendAttempt
from inbox.models.notification import Notice
from inbox.models.rights import Denied, attend
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Held


class TooLate(Refused):
    """It left, or somebody took it back before."""

    status = 409


def may(who: Member, message: Message) -> bool:
    """Whether somebody may take this text back or send it after all: its author, or who could take over from them."""
    if not who.can(Permission.CONVERSATIONS_REPLY, on=message.conversation):
        return False
    return message.author_id == who.id or bool(who.can(Permission.CONVERSATIONS_TAKEOVER, on=message.conversation))


def undo(message: Message, *, by: Member, typed: str | None = None) -> Held | None:
    """Take a waiting text back: its words and files are a draft of `by` again, above what they have `typed` since, with the lock if it is free.

    Raises TooLate when it left. Exactly one of this and the claim of a worker wins.
    """
    _attend(message, by)
    if not Dispatch.of(message).take_back():
        raise TooLate("You took this text back already." if message.state == "canceled" else "This text has left already.")
    db.session.refresh(message, with_for_update=True)
    conversation = message.conversation
    conversation._one_writer()
    held = conversation.acquire(by=by)
    _reopen(message, by)
    if typed is not None:
        Draft.put(conversation, typed, by=by)
    author = db.session.get(Member, message.author_id) if message.author_id != by.id else None
    _give_back(message, by, from_name=author.name if author else "")
    message._state("canceled")
    Event.record("message.undone", account=message.account_id, by=by, conversation=conversation, message=message.id)
    conversation.changed("lock")
    return held


def _reopen(message: Message, by: Member) -> None:
    """It was sent and archived in one go: where the draft is, there is something to do again."""
    conversation = message.conversation
    db.session.refresh(conversation, ["archived_at", "snoozed_until", "spam_at"])
    at = conversation.archived_at
    if at is None or at <= message.created_at or conversation.snoozed_until or conversation.spam_at:
        return
    if Conversation.open_one(conversation.inbox_id, conversation.address) is None and by.can(Permission.CONVERSATIONS_ARCHIVE, on=conversation):
        conversation._reopen(by)


def send_anyway(message: Message, *, by: Member, seen: int) -> None:
    """Let a text leave although the customer wrote meanwhile. `seen` is the id of the newest text from them that `by` saw; Stale when there is a newer one."""
    _attend(message, by)
    now, conversation = clock.now(), message.conversation
    judgement = message.judged(tuple(Dispatch.of(message).exempt)).require()
    until = judgement.until
    gone = db.session.execute(
        sa.update(Dispatch)
        .where(Dispatch.message_id == message.id, Dispatch.state == "held")
        .values(state="queued", undo_until=None, seen=seen, next_at=until or now, held_until=until, sweep_at=until or now)
        .returning(Dispatch.id)
        .execution_options(synchronize_session=False)
    ).scalar()
    if gone is None:
        raise TooLate("This text does not wait for you any more.")
    db.session.refresh(message, with_for_update=True)
    conversation._one_writer()
    newer = conversation.inbound_after(seen)
    if newer:
        raise Stale(newer)
    if conversation.acquire(by=by) is None:
        other = conversation.lock_holder()
        raise LockLost(f"{other.holder.name if other else 'A teammate'} is replying now. The text waits where it is.")
    _let_go(message, judgement)
    Event.record("message.sent_anyway", account=message.account_id, by=by, conversation=conversation, message=message.id)


def _let_go(message: Message, judgement: Judgement) -> None:
    message.verdict, message.undo_until = judgement.stored(), clock.now()
    message._state("queued")
    dispatch = Dispatch.of(message)
    db.session.refresh(dispatch)
    if judgement.until is None:
        dispatch.ring()


def _attend(message: Message, by: Member) -> None:
    attend(by)
    by.require(Permission.CONVERSATIONS_REPLY, on=message.conversation)
    if not may(by, message):
        raise Denied("Only its author, or somebody who may take over, decides about this text.")
    if message.undo_until is None:
        raise TooLate("This text has left already.")


# -- the customer spoke first ------------------------------------------------------------------------------------------


def hold_back(conversation: Conversation) -> None:
    """The customer wrote just now: what is still in its author's seconds waits for a person (LOCK-4)."""
    for dispatch in _waiting(Dispatch.conversation_id == conversation.id):
        if dispatch.state == "queued" and dispatch.undo_until is not None and dispatch.undo_until >= clock.now():
            dispatch.state = "held"
            db.session.flush()
            dispatch.message._state("held")
            dispatch._next()
        elif dispatch.state == "held":
            dispatch.message.changed()  # it is drawn with the newest text they have seen


def spoken_meanwhile(dispatch: Dispatch) -> bool:
    """Whether a text from the customer came in while this one waited for its author."""
    came = sa.select(Message.id).where(
        Message.conversation_id == dispatch.conversation_id, Message.id > dispatch.seen, Message.kind == "in", Message.created_at <= dispatch.undo_until
    )
    return dispatch.undo_until is not None and db.session.scalar(came.limit(1)) is not None


# -- a rule stopped it -------------------------------------------------------------------------------------------------


def stop_to(account_id: int, *addresses: str) -> None:
    """The customer's mind changed: what may not leave any more comes back to its author."""
    inboxes = sa.select(Inbox.id).where(Inbox.account_id == account_id)  # conversations are found by inbox and address
    here = sa.select(sa.func.coalesce(Conversation.merged_into_id, Conversation.id)).where(Conversation.inbox_id.in_(inboxes), Conversation.address.in_(addresses))
    for dispatch in _waiting(Dispatch.conversation_id.in_(here)):
        _stop_refused(dispatch)


def stop_for(contact: Contact) -> None:
    """The contact is blocked."""
    for dispatch in _waiting(Dispatch.conversation_id.in_(sa.select(Conversation.id).where(Conversation.contact_id == contact.id))):
        _stop_refused(dispatch)


def stop_of(member: Member, inbox_id: int | None = None) -> None:
    """A member's access ended: what they wrote there does not leave."""
    mine = sa.select(Message.id).where(Message.author_id == member.id)
    for dispatch in _waiting(Dispatch.message_id.in_(mine)):
        conversation = dispatch.message.conversation
        if (inbox_id is None or conversation.inbox_id == inbox_id) and not member.can(Permission.CONVERSATIONS_REPLY, on=conversation):
            _stop(dispatch, f"{member.name} may no longer reply here.")


def _waiting(where: sa.ColumnElement[bool]) -> list[Dispatch]:
    """Waiting rows nobody else has in hand, theirs until the transaction ends; there are only ever a few."""
    found = sa.select(Dispatch).where(UNDOABLE, where).order_by(Dispatch.id).with_for_update(skip_locked=True).execution_options(populate_existing=True)
    return list(db.session.scalars(found))


def _stop_refused(dispatch: Dispatch) -> None:
    refusal = dispatch.message.judged(tuple(dispatch.exempt)).refusal
    if refusal is not None:
        _stop(dispatch, refusal.sentence)


def _stop(dispatch: Dispatch, why: str) -> None:
    if dispatch.take_back():
        db.session.refresh(dispatch.message, with_for_update=True)
        _returned(dispatch.message, why)


# -- at the claim ------------------------------------------------------------------------------------------------------


def stopped_at_claim(dispatch: Dispatch, claim: str) -> bool:
    """Asked by the worker that has claimed it: whether it must not leave after all. Then its row is settled."""
    if dispatch.undo_until is None or dispatch.attempt > 1:
        return False
    message = dispatch.message
    author = db.session.get(Member, message.author_id) if message.author_id else None
    if author is None or not author.can(Permission.CONVERSATIONS_REPLY, on=message.conversation):
        give_up(dispatch, claim, f"{author.name if author else 'Its author'} may no longer reply here.")
        return True
    if not spoken_meanwhile(dispatch):
        return False
    if dispatch._finish(claim, state="held", lease_until=None, attempt=Dispatch.attempt - 1):
        SendAttempt.close(claim, "held", "")
        message._state("held")
        dispatch._next()
    return True


def give_up(dispatch: Dispatch, claim: str, why: str) -> None:
    """A claimed text that its author could have undone may not leave: it is their draft again."""
    if dispatch._finish(claim, state="canceled", lease_until=None):
        SendAttempt.close(claim, "refused", "")
        _returned(dispatch.message, why)
        dispatch._next()


def _returned(message: Message, why: str) -> None:
    conversation = message.conversation
    author = db.session.get(Member, message.author_id) if message.author_id else None
    keeps = author is not None and bool(author.can(Permission.CONVERSATIONS_REPLY, on=conversation))
    _give_back(message, author if keeps else None, from_name="" if keeps or author is None else author.name, why=why)
    message._state("canceled", text=why)
    Event.record("message.returned", account=message.account_id, conversation=conversation, message=message.id, why=why)
    if author is not None:
        Notice.give("failed", conversation, to=author)
    conversation.changed("lock")


def _give_back(message: Message, to: Member | None, *, from_name: str, why: str = "") -> None:
    """Words and files as a draft. Without anybody to get them the files stay with the text in the thread, where the team finds them."""
    dispatch = Dispatch.of(message)
    body = message.body[: len(message.body) - dispatch.added]
    files = list(message.attachments) if to is not None else []
    for file in files:
        file.message_id, file.member_id, file.next_at = None, to.id if to else None, clock.now()
    db.session.flush()
    if files:
        db.session.expire(message, ["attachments"])
    Draft.give_back(message.conversation, body, to=to, from_name=from_name, files=[file.public_id for file in files], why=why)


def files_of(draft: Draft | None, who: Member) -> list[Attachment]:
    """The files that came back with a draft and were not sent since."""
    if draft is None or not draft.files:
        return []
    return [file for file in Attachment.put_up(who, draft.files) if file.message_id is None and file.scheduled_id is None]
