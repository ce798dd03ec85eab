"""Texts that leave later (CONV-8): written now, looked at again when their moment has come, seen by everyone in the inbox until then.

A row waits, and ends in one conditional statement: sent, canceled, or dropped because the customer answered first or wants no more texts. What could not
leave is held with the reason until a person decides. It needs no lock when it leaves, and somebody else's does not stop it: the customer has not answered,
and what is being written comes after it. How it leaves is in scheduled_sending.py.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship

from inbox import clock
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id
from inbox.models.conversation import Conversation, LockLost, Stale
from inbox.models.conversation.replying import clean_body
from inbox.models.conversation.snoozing import FARTHEST, on_wall
from inbox.models.draft import Draft
from inbox.models.event import Event
from inbox.models.gate import Path, judge
from inbox.models.member import Member, shown
from inbox.models.message import Attachment, Message
from inbox.models.rights import Denied, attend
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.inbox import Inbox

MORNING, EVENING = time(9), time(17)
TITLES = {"today": "Later today", "tomorrow": "Tomorrow", "monday": "Monday"}
DUE = sa.text("scheduled_message.state = 'waiting'")  # word for word as the partial indexes say it, or SQLite does not use them
OPEN = sa.text("scheduled_message.state IN ('waiting','held','dropped')")
STILL = sa.text("scheduled_message.state IN ('waiting','held')")  # it may leave yet
_DUE, _OPEN = sa.text("state = 'waiting'"), sa.text("state IN ('waiting','held','dropped')")


class Changed(Refused):
    """It left, or somebody changed it a moment ago."""

    status = 409


def choices(now: datetime, zone: ZoneInfo) -> dict[str, datetime]:
    """The moments offered, by key, on the wall clock of `zone`; each only where it is one of its own."""
    today = now.astimezone(zone).date()
    monday = 7 - today.weekday()
    found = {"today": on_wall(today, EVENING, zone), "tomorrow": on_wall(today + timedelta(days=1), MORNING, zone)}
    if monday > 1:
        found["monday"] = on_wall(today + timedelta(days=monday), MORNING, zone)
    return {key: at for key, at in found.items() if at > now + timedelta(minutes=30)}


class ScheduledMessage(Model):
    """A text and its moment. `state`: waiting, held (a person decides), dropped (it will not leave; its words are still here), sent, canceled."""

    __tablename__ = "scheduled_message"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    body: Mapped[str] = mapped_column(sa.Text, default="")
    planned_at: Mapped[datetime] = mapped_column(Moment)  # the moment its author chose
    due_at: Mapped[datetime] = mapped_column(Moment)  # when it is looked at; later than planned once quiet hours made it wait
    unanswered: Mapped[bool] = mapped_column(default=True)  # only if the customer does not write first
    seen: Mapped[int] = mapped_column(default=0)  # id of the newest text from the customer when it was scheduled
    state: Mapped[str] = mapped_column(sa.String(8), default="waiting")
    why: Mapped[str] = mapped_column(sa.String(400), default="")  # it is held or dropped
    message_id: Mapped[int | None] = mapped_column(sa.ForeignKey("message.id"))  # what it became
    nonce: Mapped[str | None] = mapped_column(sa.String(40))
    version: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = now_column()
    author: Mapped[Member] = relationship(lazy="select")
    conversation: Mapped[Conversation] = relationship(lazy="select")
    files: Mapped[list[Attachment]] = relationship(order_by="Attachment.position", lazy="selectin", viewonly=True)

    __table_args__ = (
        sa.UniqueConstraint("conversation_id", "nonce"),
        sa.Index("ix_scheduled_message_due", "due_at", "id", sqlite_where=_DUE, postgresql_where=_DUE),
        sa.Index("ix_scheduled_message_conversation", "conversation_id", "due_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index("ix_scheduled_message_author", "author_id", "due_at", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index("ix_scheduled_message_account", "account_id", "due_at", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    # -- making one ----------------------------------------------------------------------------------------------------

    @staticmethod
    def schedule(
        conversation: Conversation, body: str, *, by: Member, at: datetime, seen: int, unanswered: bool = True, uploads: list[Attachment] | None = None,
        nonce: str | None = None, anyway: bool = False,
    ) -> ScheduledMessage:
        """Keep a text to leave `at` that moment. `seen` is the newest text from the customer the writer saw, `nonce` makes a repeated post harmless.

        Raises SendRefused when the gate would never let it leave, LockLost while somebody else writes here, Stale; then nothing is written.
        """
        attend(by)
        conversation._one_writer()
        found = ScheduledMessage.posted(conversation, nonce)
        if found is not None:
            return found
        _fit(conversation, body, by=by, at=at, uploads=uploads or [])
        newer = conversation.inbound_after(seen)
        if newer and not anyway:
            raise Stale(newer)
        other = conversation.locked_for(by)
        if other is not None:
            raise LockLost(f"{other.holder.name} is replying now. Your text is kept.")
        Attachment.claim(uploads or [])
        db.session.refresh(conversation, ["last_inbound_id"])
        row = ScheduledMessage(
            account_id=conversation.account_id, conversation_id=conversation.id, author_id=by.id, body=clean_body(body), planned_at=at, due_at=at,
            unanswered=unanswered, seen=conversation.last_inbound_id, nonce=clean_body(nonce or "")[:40] or None,
        ).save()
        row._carry(uploads or [])
        Draft.drop(conversation, by)
        row._record("message.scheduled", by, at=at.isoformat())
        return row

    @staticmethod
    def compose(
        inbox: Inbox, to: str, body: str, *, by: Member, at: datetime, unanswered: bool = True, uploads: list[Attachment] | None = None, nonce: str | None = None
    ) -> ScheduledMessage:
        """A first text that leaves later; its conversation waits in Archived."""
        conversation = Conversation.first_to(inbox, to, by=by)
        return ScheduledMessage.schedule(conversation, body, by=by, at=at, seen=0, unanswered=unanswered, uploads=uploads, nonce=nonce, anyway=True)

    @staticmethod
    def posted(conversation: Conversation, nonce: str | None) -> ScheduledMessage | None:
        """What the same form made before."""
        nonce = clean_body(nonce or "")[:40]
        query = sa.select(ScheduledMessage).where(ScheduledMessage.conversation_id == conversation.id, ScheduledMessage.nonce == nonce)
        return db.session.scalar(query) if nonce else None

    # -- what a person does with it ------------------------------------------------------------------------------------

    def may_be_decided_by(self, who: Member) -> bool:
        """Whether somebody may change it, send it now or cancel it: its author, or who could take over from them; anyone who answers here once it has none."""
        conversation = self.conversation
        if not who.can(Permission.CONVERSATIONS_REPLY, on=conversation):
            return False
        if self.author_id == who.id or who.can(Permission.CONVERSATIONS_TAKEOVER, on=conversation):
            return True
        return not self.author.can(Permission.CONVERSATIONS_REPLY, on=conversation)

    def change(self, body: str, *, by: Member, at: datetime, unanswered: bool, version: int, uploads: list[Attachment] | None = None) -> None:
        """Other words, files or another moment; it is `by`'s from now on, and waits again if it was held or dropped. Raises Changed when `version` is old."""
        self._attend(by)
        conversation, uploads = self.conversation, uploads or []
        _fit(conversation, body, by=by, at=at, uploads=uploads)
        Attachment.claim([upload for upload in uploads if upload.scheduled_id != self.id])
        db.session.refresh(conversation, ["last_inbound_id"])
        self._end(
            "waiting", version=version, body=clean_body(body), planned_at=at, due_at=at, unanswered=unanswered, author_id=by.id, why="", seen=conversation.last_inbound_id
        )
        self._carry(uploads)
        self._record("message.rescheduled", by, at=at.isoformat())

    def send_now(self, *, by: Member, seen: int) -> Message:
        """Send it at once as a reply of `by`, files and all; what refuses a reply refuses this, and it stays where it was."""
        self._attend(by)
        conversation = self.conversation
        self._end("sent")
        before = conversation.lock_holder()
        held = conversation.acquire(by=by)
        if held is None:
            raise LockLost(f"{before.holder.name if before else 'A teammate'} is replying now. The text waits where it is.")
        path = Path.REPLY if conversation.last_message_id else Path.COMPOSE
        message = conversation.reply(self.body, by=by, fence=held.fence, seen=seen, nonce=self.sent_nonce, uploads=self._drop_files(), keep_draft=True, path=path)
        if before is None or before.fence != held.fence:
            conversation.release(by=by, fence=held.fence)
        self.message_id = message.id
        conversation.changed("scheduled")
        return message

    def cancel(self, *, by: Member) -> None:
        """It will not leave: its words and files are a draft of `by`, above what they have typed since."""
        self._attend(by)
        self._end("canceled")
        files = self._drop_files()
        for file in files:
            file.member_id = by.id
        name = self.author.name if self.author_id != by.id else ""
        db.session.flush()
        Draft.give_back(self.conversation, self.body, to=by, from_name=name, files=[file.public_id for file in files])
        self._record("message.unscheduled", by)

    def dismiss(self, *, by: Member) -> None:
        """What was dropped is not needed any more: it goes, words and files."""
        self._attend(by)
        if self.state != "dropped":
            raise Refused("Only a text that will not leave can be dismissed.")
        self._end("canceled")
        self._drop_files()
        self.conversation.changed("scheduled")

    @property
    def sent_nonce(self) -> str:
        """What its message is known by, so that it cannot be written twice."""
        return f"scheduled-{self.public_id}"

    def _attend(self, by: Member) -> None:
        attend(by)
        by.require(Permission.CONVERSATIONS_REPLY, on=self.conversation)
        if not self.may_be_decided_by(by):
            raise Denied("Only its author, or somebody who may take over, decides about this text.")
        self.conversation._one_writer()

    def _end(self, state: str, *, version: int | None = None, **values: Any) -> None:
        """Move it out of the state it is in by one statement; raises Changed when it has left, was canceled, or is not what the form showed."""
        same = sa.true() if version is None else ScheduledMessage.version == version
        done = db.session.execute(
            sa.update(ScheduledMessage).where(ScheduledMessage.id == self.id, OPEN, same).values(state=state, version=ScheduledMessage.version + 1, **values)
            .returning(ScheduledMessage.id).execution_options(synchronize_session=False)
        ).scalar()
        db.session.refresh(self)
        if done is None:
            words = {"sent": "This text has left already.", "canceled": "This text was canceled already."}
            raise Changed(words.get(self.state, "Somebody changed this text a moment ago. Look at it again."))

    def _carry(self, uploads: list[Attachment]) -> None:
        """Keep these files with it, in this order, and let the others go."""
        for file in self.files:
            if file not in uploads:
                file.scheduled_id, file.next_at = None, clock.now()
        for position, upload in enumerate(uploads):
            upload.scheduled_id, upload.position = self.id, position
            db.session.add(upload)
        db.session.flush()
        db.session.expire(self, ["files"])

    def _drop_files(self) -> list[Attachment]:
        files = list(self.files)
        for file in files:
            file.scheduled_id, file.next_at = None, clock.now()
        db.session.flush()
        db.session.expire(self, ["files"])
        return files

    def _record(self, kind: str, by: Member | None, **data: Any) -> None:
        Event.record(kind, account=self.account_id, by=by, conversation=self.conversation, scheduled=self.id, **data)
        self.conversation.changed("scheduled")

    # -- lists ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def of(conversation: Conversation, limit: int = 5) -> list[ScheduledMessage]:
        """What is open in a conversation, the next first."""
        query = sa.select(ScheduledMessage).options(shown(ScheduledMessage.author)).where(OPEN, ScheduledMessage.conversation_id == conversation.id)
        return list(db.session.scalars(query.order_by(ScheduledMessage.due_at, ScheduledMessage.id).limit(limit)))

    @staticmethod
    def visible_to(who: Member) -> sa.Select[Any]:
        """Those in conversations the member may read."""
        return sa.select(ScheduledMessage).where(Conversation.opens(who, ScheduledMessage.conversation_id))

    @staticmethod
    def listing(who: Member, *, everyone: bool = False, after: tuple[datetime, int] | None = None, limit: int = 40) -> list[ScheduledMessage]:
        """The open ones, the next first: the member's own, or with `everyone` all those they may read."""
        row = ScheduledMessage
        talk = joinedload(row.conversation)
        query = row.visible_to(who).options(joinedload(row.author), talk.joinedload(Conversation.contact), talk.joinedload(Conversation.inbox))
        query = query.where(OPEN, row.account_id == who.account_id if everyone else row.author_id == who.id)
        if after is not None:
            query = query.where(sa.tuple_(row.due_at, row.id) > sa.tuple_(sa.bindparam(None, after[0], type_=Moment), after[1]))
        return list(db.session.scalars(query.order_by(row.due_at, row.id).limit(limit)).unique())


def _fit(conversation: Conversation, body: str, *, by: Member, at: datetime, uploads: list[Attachment]) -> None:
    """Whether it could leave at all: by its writer, at such a moment, as the gate sees things now; what only makes it wait is asked again then."""
    by.require(Permission.CONVERSATIONS_REPLY, on=conversation)
    if uploads:
        by.require(Permission.MEDIA_SEND, on=conversation)
    if at <= clock.now():
        raise Refused("That moment has passed. Choose a later one.", field="at")
    if at > clock.now() + FARTHEST:
        raise Refused("Choose a moment within a year.", field="at")
    judge(conversation, conversation.as_sent(body, by, Path.SCHEDULED), media=len(uploads), path=Path.SCHEDULED).require()
