"""The moment of a scheduled text: it leaves, waits for the morning, is held, or is dropped (CONV-8, MSG-1, SEAT-5).

The claim and the reply are one transaction: a worker that dies in between has done nothing, and two of them never both win. What comes in from the customer,
a STOP and the end of its author's access meet it at the same row, each by one conditional statement. Who sends takes what it locks in the order of an
inbound text: the address, its author, the conversation, the row.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from inbox import clock
from inbox.models.base import Refused, db, transaction
from inbox.models.consent import Allowed, hold_still
from inbox.models.conversation import Conversation, Stale
from inbox.models.draft import Draft
from inbox.models.event import Event
from inbox.models.gate import Judgement, Path, judge
from inbox.models.member import Member
from inbox.models.notification import Notice
from inbox.models.rights import attend
from inbox.models.scheduled_message import DUE, OPEN, STILL, ScheduledMessage
from inbox.permissions import Permission

log = logging.getLogger(__name__)
LATE = timedelta(hours=12)  # a text so late may be out of place: a person decides
AGAIN = timedelta(minutes=1)
ANSWERED, STOPPED = "They wrote first.", "They want no more texts."
WHY = {"block": "The contact is blocked.", "opt_in": "They have not said YES to our texts yet."}  # the gate's own words name them


class NotSent(Refused):
    """It does not leave now: `state` is what it is from now on, waiting with `until`."""

    def __init__(self, state: str, why: str, until: datetime | None = None) -> None:
        super().__init__(why)
        self.state, self.until = state, until


def due(limit: int = 100) -> list[int]:
    """Ids of texts whose moment has come, the oldest first."""
    query = sa.select(ScheduledMessage.id).where(DUE, ScheduledMessage.due_at <= clock.now())
    return list(db.session.scalars(query.order_by(ScheduledMessage.due_at, ScheduledMessage.id).limit(limit)))


def leave(scheduled_id: int) -> bool:
    """Send one whose moment has come, or settle why not; False when it did not leave, or somebody was faster."""
    try:
        with transaction():
            return _leave(scheduled_id)
    except Refused as refused:
        _not_sent(scheduled_id, refused)
    except Exception:
        log.exception("a scheduled text could not be sent; trying again in a minute")
        with transaction():
            _settle(scheduled_id, due_at=clock.now() + AGAIN)
    return False


def _leave(scheduled_id: int) -> bool:
    row = db.session.get(ScheduledMessage, scheduled_id)
    if row is None:
        return False
    conversation, author = row.conversation, row.author
    hold_still(conversation.account_id, conversation.address)
    attend(author)
    conversation._one_writer()
    if not _settle(scheduled_id, state="sent", conversation_id=conversation.id, author_id=author.id):
        return False
    db.session.refresh(row)
    db.session.refresh(conversation)
    _ask(row, conversation, author)
    message = conversation.reply(
        row.body, by=author, fence=None, seen=row.seen, nonce=row.sent_nonce, anyway=not row.unanswered, uploads=row._drop_files(), keep_draft=True, path=Path.SCHEDULED
    )
    row.message_id = message.id
    conversation.changed("scheduled")
    return True


def _ask(row: ScheduledMessage, conversation: Conversation, author: Member) -> None:
    """Everything that may stand in its way; raises NotSent."""
    if conversation.spam:
        raise NotSent("dropped", "The conversation is spam.")
    if not author.can(Permission.CONVERSATIONS_REPLY, on=conversation):
        raise NotSent("held", f"{author.name} may no longer reply here.")
    if row.due_at < clock.now() - LATE:
        raise NotSent("held", "Its moment passed while nothing could be sent.")
    judgement = judge(conversation, conversation.as_sent(row.body, author, Path.SCHEDULED), media=len(row.files), path=Path.SCHEDULED)
    if row.unanswered and conversation.inbound_after(row.seen):
        raise NotSent("dropped", ANSWERED)
    _obey(judgement)


def _obey(judgement: Judgement) -> None:
    no = judgement.refusal
    if no is not None and no.rule == "consent":
        raise NotSent("dropped", STOPPED)
    if no is not None:
        raise NotSent("held", WHY.get(no.rule, no.sentence))
    if judgement.until is not None:
        raise NotSent("waiting", "", judgement.until)


def _settle(scheduled_id: int, **values: Any) -> bool:
    """Move a due row by one statement; False when it is not due any more. `conversation_id` and `author_id` are what they must be."""
    row = ScheduledMessage
    same = [getattr(row, name) == values.pop(name) for name in ("conversation_id", "author_id") if name in values]
    done = db.session.execute(
        sa.update(row).where(row.id == scheduled_id, DUE, row.due_at <= clock.now(), *same).values(version=row.version + 1, **values).returning(row.id)
        .execution_options(synchronize_session=False)
    ).scalar()
    return done is not None


def _not_sent(scheduled_id: int, refused: Refused) -> None:
    """Write down why it did not leave; nothing of the try is left."""
    if isinstance(refused, Stale):
        refused = NotSent("dropped", ANSWERED)
    state, until = (refused.state, refused.until) if isinstance(refused, NotSent) else ("held", None)
    with transaction():
        values = {"due_at": until} if until is not None else {"state": state, "why": refused.sentence[:400]}
        if not _settle(scheduled_id, **values):
            return
        row = db.session.get_one(ScheduledMessage, scheduled_id, populate_existing=True)
        if until is None:
            _tell(row)
        else:
            row.conversation.changed("scheduled")


def _tell(row: ScheduledMessage) -> None:
    """Say in the thread, and to its author, that it does not leave; whoever has the conversation hears of it when the author can do nothing any more."""
    conversation, author = row.conversation, row.author
    kind = "message.dropped" if row.state == "dropped" else "message.schedule_held"
    Event.record(kind, account=row.account_id, conversation=conversation, scheduled=row.id, why=row.why, author_id=author.id, author=author.name)
    able = author.can(Permission.CONVERSATIONS_REPLY, on=conversation)
    Notice.give("scheduled", conversation, to=author if able else conversation.assignee_id)
    conversation.changed("scheduled")


# -- what ends the wait before its moment ------------------------------------------------------------------------------


def drop_answered(conversation: Conversation) -> None:
    """The customer wrote just now: what was to leave only if they did not, does not leave. Also from an older conversation with the same number."""
    talk = sa.select(Conversation.id).where(Conversation.inbox_id == conversation.inbox_id, Conversation.address == conversation.address)
    here = ScheduledMessage.conversation_id.in_(talk)
    _drop(ANSWERED, here, ScheduledMessage.unanswered.is_(True))
    if db.session.scalar(sa.select(ScheduledMessage.id).where(OPEN, ScheduledMessage.conversation_id == conversation.id).limit(1)) is not None:
        conversation.changed("scheduled")  # drawn with the newest text they have seen


def drop_stopped(account_id: int, address: str) -> None:
    """The customer wants no more texts: none of those leaves that their word reaches."""
    talks = db.session.scalars(
        sa.select(Conversation).where(
            Conversation.account_id == account_id, Conversation.address == address,
            Conversation.id.in_(sa.select(ScheduledMessage.conversation_id).where(STILL, OPEN, ScheduledMessage.account_id == account_id)),
        )
    )
    ids = [talk.id for talk in talks if Allowed.read(talk.inbox, address).opted_out]
    if ids:
        _drop(STOPPED, ScheduledMessage.conversation_id.in_(ids))


def _drop(why: str, *where: sa.ColumnElement[bool]) -> None:
    row = ScheduledMessage
    gone = db.session.scalars(
        sa.update(row).where(STILL, OPEN, *where).values(state="dropped", why=why, version=row.version + 1).returning(row.id).execution_options(synchronize_session=False)
    ).all()
    for id in sorted(gone):
        _tell(db.session.get_one(row, id, populate_existing=True))


# -- the end of its author's access ------------------------------------------------------------------------------------


def lost(member: Member, inbox_id: int | None = None) -> list[ScheduledMessage]:
    """What waits in the name of a member who may not reply there (any more), optionally in one inbox."""
    query = sa.select(ScheduledMessage).join(Conversation, Conversation.id == ScheduledMessage.conversation_id).where(STILL, OPEN, ScheduledMessage.author_id == member.id)
    found = db.session.scalars(query.where(Conversation.inbox_id == inbox_id) if inbox_id is not None else query).all()
    return [row for row in found if not member.can(Permission.CONVERSATIONS_REPLY, on=row.conversation)]


def hand_over(member: Member, *, to: Member | None, by: Member, inbox_id: int | None = None) -> None:
    """Give what the member can no longer send to `to`, who sends it at its moment; without them it is a draft for whoever opens the conversation next.

    A draft of nobody cannot hold files: a text with files stays where it is, and whoever answers there decides.
    """
    for row in lost(member, inbox_id):
        heir = to if to is not None and to.can(Permission.CONVERSATIONS_REPLY, on=row.conversation) else None
        if heir is not None:
            row.author_id = heir.id
            for file in row.files:
                file.member_id = heir.id
            row._record("message.schedule_moved", by, member=heir.id, before=member.name, after=heir.name)
        elif row.files:
            row._end("dropped", why=f"{member.name} may no longer reply here.")
            _tell(row)
        else:
            row._end("canceled")
            Draft.give_back(row.conversation, row.body, to=None, from_name=member.name)
            row._record("message.unscheduled", by, before=member.name)
    db.session.flush()
