"""Phone calls: one row in the thread per call, which carriers' notices move forward in whatever order they come (CH-3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import background, clock
from inbox import phone as phones
from inbox.channels.base import CallNotice, Recording, Ring
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id
from inbox.models.base import public_id as new_public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.contact import WITHHELD, Contact
from inbox.models.event import Event
from inbox.models.inbox import Inbox
from inbox.models.message import Attachment, Message
from inbox.models.notification import Notice
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation
    from inbox.models.member import Member

# A call only ever moves up, so it ends the same whatever order its notices come in.
RANK = {"ringing": 0, "canceled": 1, "failed": 2, "missed": 3, "voicemail": 4, "answered": 5}
ENDED = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
UNHEARD = ENDED - {"completed"}
TOLD = {"answered": "call.answered", "missed": "call.unanswered", "voicemail": "call.voicemail"}
SWEEP_AFTER = timedelta(seconds=4)
TOO_LATE = timedelta(seconds=45)  # nobody waits longer than that for their own phone to ring
SILENT = timedelta(minutes=10)  # a ringing call nothing was heard of
LONGEST = timedelta(hours=5)  # the carrier ends every call after four
_OPEN = sa.text("ended_at IS NULL")


class Call(Model):
    """A call in or out; its row in the thread is a message of kind `call`, whose body says in words how it stands.

    `state`: ringing, answered, missed, voicemail, failed, canceled. A call is answered when a person took it: the forwarding number, or the customer we
    called. Voicemail beats missed, answered beats all. The recording is the message's attachment, so it is fetched, kept and shown like every other file.
    Calls are not charged to the balance, and calling is not texting: consent does not decide.
    """

    __tablename__ = "call"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    inbox_id: Mapped[int] = mapped_column(sa.ForeignKey("inbox.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"), index=True)
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"), unique=True)
    number: Mapped[str] = mapped_column(sa.String(20))  # the contact's; WITHHELD when it was hidden
    direction: Mapped[str] = mapped_column(sa.String(3))  # in or out
    state: Mapped[str] = mapped_column(sa.String(10), default="ringing")
    provider_id: Mapped[str | None] = mapped_column(sa.String(80))
    ref: Mapped[str] = mapped_column(sa.String(40), unique=True)  # ours, in the addresses the carrier reports to
    by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))  # who called out
    agent_number: Mapped[str] = mapped_column(sa.String(20), default="")  # the phone that rings first when we call out
    started_at: Mapped[datetime] = now_column()
    claimed_at: Mapped[datetime | None] = mapped_column(Moment)  # a worker took it to the carrier: at most one ever does
    joined_at: Mapped[datetime | None] = mapped_column(Moment)  # the member picked up, and the customer's phone rings
    answered_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    seconds: Mapped[int] = mapped_column(default=0)  # of talk
    problem: Mapped[str] = mapped_column(sa.String(300), default="")
    recording_id: Mapped[str | None] = mapped_column(sa.String(80))
    recording_seconds: Mapped[int] = mapped_column(default=0)
    message: Mapped[Message] = relationship(back_populates="call")
    conversation: Mapped[Conversation] = relationship()
    inbox: Mapped[Inbox] = relationship()

    __table_args__ = (
        sa.UniqueConstraint("account_id", "provider_id"),
        sa.Index("ix_call_open", "started_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    # -- what carriers tell ------------------------------------------------------------------------------------

    @staticmethod
    def take(account_id: int, notice: CallNotice) -> Call | None:
        """Apply a notice, any number of times; None when the call it is about is not known (yet) and the notice does not say enough to begin it."""
        call = Call._known(account_id, notice)
        if call is None and not (notice.outgoing or notice.recording or notice.ref):
            inbox = db.session.scalar(sa.select(Inbox).where(Inbox.account_id == account_id, Inbox.phone == notice.to)) if notice.to else None
            if inbox is not None and inbox.texting.adapter.caps.calls:
                Call._begin(inbox, notice)
                call = Call._known(account_id, notice)
        if call is not None:
            call._advance(notice)
        return call

    @staticmethod
    def _known(account_id: int, notice: CallNotice) -> Call | None:
        """The call, locked: notices that come at once are applied one after the other."""
        which = sa.or_(Call.provider_id == notice.call_sid, Call.ref == notice.ref) if notice.ref else Call.provider_id == notice.call_sid
        call = db.session.scalar(sa.select(Call).where(Call.account_id == account_id, which))
        if call is not None:
            call._lock()
        return call

    def _lock(self) -> None:
        """Let one worker at a time change this call; its conversation first, as everywhere."""
        self.conversation._one_writer()
        db.session.refresh(self, with_for_update=True)

    @staticmethod
    def _begin(inbox: Inbox, notice: CallNotice) -> None:
        """Put a call that comes in into its conversation; nothing when another worker was faster."""
        from inbox.models.conversation import Conversation

        number = (notice.sender or WITHHELD)[:20]
        contact = Contact.at(inbox.account_id, number)
        if number == WITHHELD and contact.name == WITHHELD:
            contact.name = "Unknown caller"
        conversation = Conversation.find_or_open(inbox, contact, number, archived=contact.blocked)
        message_id = db.session.execute(
            insert_or_ignore()(Message)
            .values(
                account_id=inbox.account_id, conversation_id=conversation.id, inbox_id=inbox.id, kind="call", body="Incoming call", state="call", path="",
                provider_id=notice.call_sid, public_id=new_public_id(), ref=new_public_id() + new_public_id(), created_at=clock.now(), verdict=[],
                address=number if number != conversation.address else None,
            )
            .on_conflict_do_nothing(index_elements=["inbox_id", "provider_id"])
            .returning(Message.id)
        ).scalar()
        if message_id is None:
            return
        call = Call(
            account_id=inbox.account_id, inbox_id=inbox.id, conversation_id=conversation.id, message_id=message_id, number=number, direction="in",
            provider_id=notice.call_sid, ref=new_public_id() + new_public_id(),
        ).save()
        call._show(newest=not contact.blocked)

    def _advance(self, notice: CallNotice) -> None:
        """Move forward by one notice."""
        if self.provider_id is None and not notice.forward:
            self.provider_id = notice.call_sid
        before = (self.state, self.ended_at, self.joined_at, self.recording_id, self.seconds)
        was = self.state
        if notice.recording is not None:
            self._record(notice.recording)
        elif notice.forward:
            self._hear_of_forward(notice)
        else:
            self._hear_of_call(notice)
        if before != (self.state, self.ended_at, self.joined_at, self.recording_id, self.seconds):
            self._changed(was)

    def _hear_of_forward(self, notice: CallNotice) -> None:
        if notice.status in ("in-progress", "answered"):
            self._to("answered")
        elif notice.status == "completed":
            self._to("answered")
            self.seconds = max(self.seconds, notice.duration or 0)
            self._end()
        elif notice.status in UNHEARD:  # somebody calling in may still leave a message, so that call is not over
            self._to("missed")

    def _hear_of_call(self, notice: CallNotice) -> None:
        if notice.status == "in-progress" and self.direction == "out":
            self.joined_at = self.joined_at or clock.now()
        if notice.status not in ENDED:
            return
        self._to("missed" if self.direction == "in" else "failed" if notice.status == "failed" else "canceled")
        self._end()

    def _record(self, recording: Recording) -> None:
        self._to("voicemail")
        self._end()
        if self.recording_id is not None:
            return
        self.recording_id, self.recording_seconds = recording.sid[:80], recording.seconds
        attachment = Attachment(
            account_id=self.account_id, message_id=self.message_id, source_url=recording.url[:2000], content_type="audio/wav", filename="voicemail.wav"
        ).save()
        background.enqueue("fetch_media", attachment.id)

    def _to(self, state: str) -> None:
        if RANK[state] > RANK[self.state]:
            self.state = state
            if state == "answered":
                self.answered_at = clock.now()

    def _end(self) -> None:
        self.ended_at = self.ended_at or clock.now()

    # -- calling out -------------------------------------------------------------------------------------------

    @staticmethod
    def place(conversation: Conversation, *, by: Member, phone: str, nonce: str) -> Call:
        """Ring the member's own phone and put them through to the customer, who sees the inbox's number; `phone` is kept in the profile.

        The same nonce is the same call, and one call at a time leaves a conversation. Raises Refused with the reason.
        """
        by.require(Permission.CONVERSATIONS_REPLY, on=conversation)
        conversation._one_writer()
        repeated = conversation._posted(nonce)
        if repeated is not None and repeated.call is not None:
            return repeated.call
        if repeated is not None:
            raise Refused("This form was used before. Open the conversation anew, then call.")
        why = why_no_call(conversation)
        if why:
            raise Refused(why)
        agent = _own_number(conversation, phone, by)
        Call._one_at_a_time(conversation, by)
        message = Message(
            account_id=conversation.account_id, conversation_id=conversation.id, inbox_id=conversation.inbox_id, kind="call", author_id=by.id, body="Calling",
            state="call", nonce=nonce[:40] or None,
        ).save()
        call = Call(
            account_id=conversation.account_id, inbox_id=conversation.inbox_id, conversation_id=conversation.id, message_id=message.id, number=conversation.address,
            direction="out", ref=new_public_id() + new_public_id(), by_id=by.id, agent_number=agent,
        ).save()
        Event.record("call.placed", account=conversation.account_id, by=by, conversation=conversation, call=call.id)
        call._show(newest=True)
        background.enqueue("place_call", call.id, on="send")
        return call

    @staticmethod
    def _one_at_a_time(conversation: Conversation, by: Member) -> None:
        """Refuse while the customer is being called, or the member calls somebody: nobody holds two phones."""
        going_on = (Call.direction == "out", _OPEN, Call.started_at > clock.now() - SILENT, sa.or_(Call.conversation_id == conversation.id, Call.by_id == by.id))
        other = db.session.scalar(sa.select(Call).where(Call.account_id == conversation.account_id, *going_on).limit(1))
        if other is not None:
            caller = other._caller()
            who = "You are" if caller is None or caller.id == by.id else f"{caller.name} is"
            raise Refused(f"{who} calling {other.conversation.contact.name} already.")

    def claim(self) -> Ring | None:
        """Take the call to the carrier, once for all workers; None when it is not to be placed."""
        claimed = db.session.execute(
            sa.update(Call)
            .where(Call.id == self.id, Call.direction == "out", Call.claimed_at.is_(None), Call.state == "ringing", Call.started_at > clock.now() - TOO_LATE)
            .values(claimed_at=clock.now())
            .returning(Call.id)
            .execution_options(synchronize_session=False)
        ).scalar()
        if claimed is None:
            return None
        db.session.refresh(self)
        carrier = self.inbox.texting
        return Ring(
            ref=self.ref, sender=self.inbox.phone or "", agent=self.agent_number, to=self.number, seconds=max(self.inbox.ring_seconds, 20),
            dial_url=f"{carrier.hook('dial')}?ref={self.ref}", status_url=f"{carrier.hook('call')}?ref={self.ref}",
        )

    def placed(self, provider_id: str) -> None:
        """The carrier rings."""
        self._lock()
        self.provider_id = self.provider_id or provider_id

    def fail(self, sentence: str) -> None:
        """It could not be placed, or nobody knows; news of the carrier may still say better."""
        self._lock()
        if self.ended_at is not None or self.state != "ringing":
            return
        self.problem = sentence[:300]
        self._to("failed")
        self._end()
        self._changed("ringing")

    # -- what was never told -----------------------------------------------------------------------------------

    @staticmethod
    def forgotten() -> list[int]:
        """Open calls whose job or whose end seems lost: to be placed, or to be settled."""
        now = clock.now()
        lost = sa.and_(Call.direction == "out", Call.claimed_at.is_(None), Call.started_at <= now - SWEEP_AFTER)
        silent = sa.and_(Call.state != "answered", Call.started_at <= now - SILENT)
        return list(db.session.scalars(sa.select(Call.id).where(_OPEN, sa.or_(lost, silent, Call.started_at <= now - LONGEST)).limit(100)))

    def settle(self) -> None:
        """End a call the carrier told nothing more about, or ring again for one that never left."""
        self._lock()
        age = clock.now() - self.started_at
        if self.ended_at is not None:
            return
        if self.direction == "out" and self.claimed_at is None:
            if age <= TOO_LATE:
                background.enqueue("place_call", self.id, on="send")
            else:
                self.fail("It could not be placed in time. Try once more.")
        elif age > LONGEST or (age > SILENT and self.state != "answered"):
            was = self.state
            if was == "ringing":
                self.problem = "" if self.direction == "in" else "The carrier did not tell how it ended."
                self._to("missed" if self.direction == "in" else "failed")
            self._end()
            self._changed(was)

    # -- how it looks ------------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        return self.ended_at is None and self.state in ("ringing", "answered")

    @property
    def words(self) -> str:
        """How the call stands, in a few words: the list's preview and the row's title."""
        if self.state == "answered":
            return "On the phone" if self.ended_at is None else f"Call {_length(self.seconds)}" if self.seconds else "Call"
        if self.state == "voicemail":
            return f"Voicemail {_length(self.recording_seconds)}"
        if self.direction == "in":
            return {"ringing": "Incoming call", "failed": "Call failed"}.get(self.state, "Missed call")
        return {"ringing": "Calling", "missed": "No answer", "failed": "Call failed"}.get(self.state, "Call ended before anybody answered")

    def _changed(self, was: str) -> None:
        """Show the row, the list and the people what is new; a call nobody took makes its conversation unread."""
        conversation = self.conversation
        unheard = self.direction == "in" and self.state in ("missed", "voicemail") and self.state != was and not (conversation.contact.blocked or conversation.spam)
        if unheard:
            if conversation.archived:
                conversation._reopen(None)
            conversation.unread, conversation.last_inbound_at = True, clock.now()
            Notice.give("message", conversation, message=self.message)
        if self.state != was:
            kind = TOLD[self.state] if self.direction == "in" else "call.ended"
            Event.record(kind, account=self.account_id, by=self._caller(), conversation=conversation, call=self.id, state=self.state)
        self._show(newest=unheard)

    def _caller(self) -> Member | None:
        from inbox.models.member import Member

        return db.session.get(Member, self.by_id) if self.by_id else None

    def _show(self, *, newest: bool) -> None:
        """Write the words into the row and, while nothing newer is in the conversation, into its line of the list."""
        message, conversation = self.message, self.conversation
        message.body = self.words
        if newest:
            conversation.last_activity_at = clock.now()
        if conversation.last_message_id <= message.id:
            conversation.last_message_id, conversation.preview, conversation.preview_by_id = message.id, self.words, None
            conversation.preview_kind = "in" if self.direction == "in" and self.state in ("missed", "voicemail") else "call"
        db.session.flush()
        message.changed()
        conversation.changed()


def usual_greeting(name: str) -> str:
    """What callers hear when nobody answers and the inbox has no words of its own; `name` is the account's."""
    return f"Thank you for calling {name}. Nobody can take your call right now. Please leave a message after the tone, or send a text to this number."


def why_no_call(conversation: Conversation) -> str:
    """Why this customer can’t be called from this inbox at all; empty when they can."""
    inbox = conversation.inbox
    if not inbox.texting.adapter.caps.calls or inbox.phone is None:
        return f"{inbox.name} can’t make calls."
    if not inbox.registered:
        return f"{inbox.name} is not registered with the carriers yet, so it can’t make calls. Admins get an e-mail when it is approved."
    if conversation.address == WITHHELD:
        return "This caller hid their number, so nobody can call back."
    if phones.normalize(conversation.address) is None or conversation.address == inbox.phone:
        return "This conversation has no number to call."
    if conversation.contact.blocked:
        return f"{conversation.contact.name} is blocked. Unblock the contact to call."
    return ""


def _own_number(conversation: Conversation, phone: str, by: Member) -> str:
    """The member's phone in full, kept in their profile."""
    number = phones.normalize(phone, by.account.country or "US")
    if number is None:
        raise Refused("Enter your phone number with its area code, like (415) 555-0100.", field="phone")
    if number == conversation.inbox.phone:
        raise Refused("That is this inbox’s own number. Enter the number of your own phone.", field="phone")
    if number == conversation.address:
        raise Refused("That is the customer’s number. Enter the number of your own phone.", field="phone")
    by.edit_profile({"phone": number}, by=by)
    return number


def _length(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}"
