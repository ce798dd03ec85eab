"""Messages, their pictures, their way to the carrier (the outbox) and the receipts that come back."""

from __future__ import annotations

import random
import secrets
import uuid
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import background, clock, realtime
from inbox.channels.base import Receipt, Status, merge
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.event import Event
from inbox.models.ledger import LedgerEntry
from inbox.models.notification import Notice
from inbox.models.usage import UsageDay, today

if TYPE_CHECKING:
    from inbox.models.call import Call
    from inbox.models.conversation import Conversation
    from inbox.models.gate import Judgement
    from inbox.models.member import Member
    from inbox.models.mention import Mention

LEASE = timedelta(seconds=35)  # more than twice the HTTP timeout of a send
SWEEP_AFTER = timedelta(seconds=3)
GIVE_UP = 8  # attempts
LONGEST_PAUSE = 3600.0  # seconds a carrier can make a text wait at once
KEEP_UNSENT = timedelta(days=1)
SHOWN_PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp")
UNSENT = ("failed", "undelivered", "canceled", "held")  # states in which a text answers nobody
FAILED = sa.text("state IN ('failed','undelivered')")  # word for word as the partial index says it
TWINS = timedelta(minutes=15)  # how long a text of unknown end may be taken for a later one with the same words
TOLD = ("sent", "delivered", "read", "failed", "undelivered")  # only the carrier says so while a text is in the outbox


class Message(Model):
    """A text in or out, or a note. `state` for outgoing ones: queued, sending, sent, delivered, read, failed, undelivered, uncertain, canceled, held.

    Held is a text the customer spoke before: a person decides (LOCK-4)."""

    __tablename__ = "message"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    inbox_id: Mapped[int] = mapped_column(sa.ForeignKey("inbox.id"))
    address: Mapped[str | None] = mapped_column(sa.String(254))  # the customer's, where another number than the conversation's was merged in
    kind: Mapped[str] = mapped_column(sa.String(8))  # in, out, note, auto (out, written by no person), call (its body is made from the call)
    author_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    body: Mapped[str] = mapped_column(sa.Text, default="")
    state: Mapped[str] = mapped_column(sa.String(12), default="received")
    provider_id: Mapped[str | None] = mapped_column(sa.String(80))
    ref: Mapped[str] = mapped_column(sa.String(40), unique=True, default=lambda: secrets.token_urlsafe(18))
    nonce: Mapped[str | None] = mapped_column(sa.String(40))
    error_code: Mapped[str | None] = mapped_column(sa.String(20))
    error_text: Mapped[str | None] = mapped_column(sa.String(400))
    segments: Mapped[int | None] = mapped_column()
    verdict: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON, default=list)  # the send gate's answers (MSG-1)
    path: Mapped[str] = mapped_column(sa.String(10), default="")  # what made it leave (gate.Path); empty for what came in and for notes
    opt_out: Mapped[str] = mapped_column(sa.String(6), default="")  # a text that may mean "no more texts": asked, then yes or no (MSG-2)
    undo_until: Mapped[datetime | None] = mapped_column(Moment)  # its author may take it back so long
    occurred_at: Mapped[datetime | None] = mapped_column(Moment)  # the provider's time, when it says one
    created_at: Mapped[datetime] = now_column()
    author: Mapped[Member | None] = relationship(lazy="raise")
    call: Mapped[Call | None] = relationship(back_populates="message", lazy="select")
    conversation: Mapped[Conversation] = relationship(lazy="select")
    attachments: Mapped[list[Attachment]] = relationship(order_by="Attachment.position", lazy="selectin")
    mentions: Mapped[list[Mention]] = relationship(order_by="Mention.position", viewonly=True)

    __table_args__ = (
        sa.UniqueConstraint("inbox_id", "provider_id"),
        sa.UniqueConstraint("conversation_id", "nonce"),
        sa.Index("ix_message_thread", "conversation_id", "id"),
        sa.Index("ix_message_failed", "account_id", "created_at", sqlite_where=FAILED, postgresql_where=FAILED),
    )

    @property
    def outgoing(self) -> bool:
        return self.kind in ("out", "auto")

    @property
    def peer(self) -> str:
        """The customer's address it came from or goes to."""
        return self.address or self.conversation.address

    @property
    def hold(self) -> dict[str, Any] | None:
        """The gate's answer that makes it wait, while it waits: `sentence`, and `until` as a moment."""
        if self.state != "queued":
            return None
        waits = [{**a, "until": datetime.fromisoformat(a["until"])} for a in self.verdict if a.get("until") and not a["exempt"]]
        return max((w for w in waits if w["until"] > clock.now()), key=lambda w: w["until"], default=None)

    @property
    def may_leave_early(self) -> bool:
        """Whether only quiet hours hold it, which a person may decide to overlook."""
        return (self.hold or {}).get("rule") == "quiet"

    @property
    def undo_left(self) -> int:
        """Milliseconds until it leaves; 0 when it does not wait to be undone."""
        if self.state != "queued" or self.undo_until is None:
            return 0
        return max(0, round((self.undo_until - clock.now()).total_seconds() * 1000))

    def changed(self) -> None:
        """Tell open pages that this message looks different now."""
        realtime.publish("message", account=self.account_id, inbox=self.inbox_id, conversation=self.conversation_id, message=self.id)

    def _state(self, state: str, *, code: str | None = None, text: str | None = None) -> None:
        weighs = self.kind == "out" and (self.state in UNSENT) != (state in UNSENT)
        self.state = state
        if code or text:
            self.error_code, self.error_text = code, (text or "")[:400]
        if state in ("failed", "undelivered", "uncertain"):
            self.conversation.flag_failure(True)
            if state != "uncertain":  # then a person decides
                Notice.give("failed", self.conversation, message=self, to=self.author_id)
        elif self.conversation.failed and self._newest_outgoing:
            self.conversation.flag_failure(False)
        if weighs:
            self.conversation.weigh()
        self.changed()

    @property
    def _newest_outgoing(self) -> bool:
        newest = sa.select(sa.func.max(Message.id)).where(Message.conversation_id == self.conversation_id, Message.kind.in_(("out", "auto")))
        return db.session.scalar(newest) == self.id

    def taken_by_another(self, provider_id: str) -> bool:
        """Whether another text of the inbox has that id of the carrier's."""
        other = sa.select(Message.id).where(Message.inbox_id == self.inbox_id, Message.provider_id == provider_id, Message.id != self.id)
        return db.session.scalar(other) is not None

    def belongs_to_another(self, provider_id: str) -> bool:
        """Whether a text at the carrier with these words is not this one: another message has it, its receipts name another, or an earlier round sent it."""
        told = sa.select(ReceiptRow.id).where(
            ReceiptRow.account_id == self.account_id, ReceiptRow.provider_id == provider_id, ReceiptRow.ref.is_not(None), ReceiptRow.ref != self.ref
        )
        earlier = sa.select(SendAttempt.id).join(Dispatch, Dispatch.id == SendAttempt.dispatch_id).where(
            Dispatch.message_id == self.id, SendAttempt.outcome == "accepted", SendAttempt.detail == provider_id
        )
        return self.taken_by_another(provider_id) or any(db.session.scalar(query.limit(1)) is not None for query in (told, earlier))

    @property
    def has_twin(self) -> bool:
        """Whether the same words went to the same phone lately without anyone knowing how that ended: then only a receipt tells them apart."""
        twin = (
            sa.select(Message.id)
            .join(Dispatch, Dispatch.message_id == Message.id)
            .where(
                Dispatch.conversation_id == self.conversation_id, Message.id != self.id, Message.body == self.body, Message.provider_id.is_(None),
                Dispatch.state.in_(("sending", "checking", "uncertain")), Dispatch.first_try_at > clock.now() - TWINS,
            )
            .limit(1)
        )
        return db.session.scalar(twin) is not None

    def take_receipt(self, receipt: Receipt) -> None:
        """Apply a delivery receipt: forward only, errors stick, never back from delivered (CHANNELS 4)."""
        taken_back = self.state == "canceled" and self.provider_id is None  # by us, and it did leave after all
        current = Status.UNKNOWN if self.state in ("uncertain", "held") or taken_back else Status(self.state)
        new = merge(current, receipt.status)
        if receipt.error_code:
            self.error_code = receipt.error_code
            self.error_text = (receipt.error_text or "")[:400]
        if new != current:
            if self.state == "uncertain":
                Event.record("message.known", account=self.account_id, conversation=self.conversation, message=self.id, state=str(new))
            self._state(str(new))
        Dispatch.settle(self, receipt.provider_id)
        if new is Status.FAILED:
            LedgerEntry.refund(self)
        elif current is Status.FAILED:
            LedgerEntry.charge(self)

    def judged(self, exempt: tuple[str, ...]) -> Judgement:
        """What the send gate says now of this very text, on the path it was written for."""
        from inbox.models.gate import Path, judge

        return judge(self.conversation, self.body, media=len(self.attachments), path=Path(self.path or "reply"), exempt=exempt, address=self.address)

    def try_again(self, *, by: Member) -> None:
        """Send a failed or uncertain message once more: a person decides (MSG-5)."""
        from inbox.permissions import Permission

        by.require(Permission.CONVERSATIONS_REPLY, on=self.conversation)
        db.session.refresh(self, with_for_update=True)
        if self.state not in ("failed", "undelivered", "uncertain"):
            raise Refused("This message is on its way; there is nothing to try again.")
        dispatch = Dispatch.of(self)
        self.judged(tuple(dispatch.exempt)).require()
        if not dispatch.restart():
            raise Refused("This message is on its way; there is nothing to try again.")
        self.ref, self.provider_id, self.error_code, self.error_text = secrets.token_urlsafe(18), None, None, None
        self._state("queued")
        Event.record("message.tried_again", account=self.account_id, by=by, conversation=self.conversation, message=self.id)

    def cancel(self, *, by: Member) -> None:
        """Take back a text that has not left; Refused when a worker was faster."""
        from inbox.permissions import Permission

        by.require(Permission.CONVERSATIONS_REPLY, on=self.conversation)
        if not Dispatch.of(self).take_back():
            raise Refused("This message is canceled already." if self.state == "canceled" else "This message has left already.")
        db.session.refresh(self, with_for_update=True)  # after its outbox row, as workers do
        self._state("canceled")
        Event.record("message.canceled", account=self.account_id, by=by, conversation=self.conversation, message=self.id)

    def release(self, *, by: Member) -> None:
        """Send a text now that waits for the end of quiet hours: a person decides. Refused when something else holds it, or nothing does."""
        from inbox.permissions import Permission

        by.require(Permission.CONVERSATIONS_REPLY, on=self.conversation)
        dispatch = Dispatch.of(self)
        exempt = tuple(dict.fromkeys((*dispatch.exempt, "quiet")))
        if self.state != "queued" or not self.may_leave_early:
            raise Refused("This message does not wait for quiet hours any more.")
        judgement = self.judged(exempt).require()
        if judgement.until is not None:
            raise Refused(next(a.sentence for a in judgement.answers if a.until == judgement.until and not a.exempt))
        if not dispatch.let_go(exempt):
            raise Refused("This message has left already.")
        db.session.refresh(self, with_for_update=True)
        self.verdict = judgement.stored()
        self._state("queued")
        Event.record("message.released", account=self.account_id, by=by, conversation=self.conversation, message=self.id)

    def mark_sent(self, *, by: Member) -> None:
        """A person says the uncertain message did go out."""
        from inbox.permissions import Permission

        by.require(Permission.CONVERSATIONS_REPLY, on=self.conversation)
        db.session.refresh(self, with_for_update=True)
        if self.state != "uncertain":
            raise Refused("The carrier has answered meanwhile.")
        Dispatch.settle(self, None)
        self._state("sent")
        Event.record("message.marked_sent", account=self.account_id, by=by, conversation=self.conversation, message=self.id)


class Attachment(Model):
    """A picture or file of a message, or of none yet while its writer still writes (`member_id`).

    `state`: pending (to be fetched), stored, refused (there is nothing), held (kept apart as it came, because of `problem`).
    """

    __tablename__ = "attachment"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    message_id: Mapped[int | None] = mapped_column(sa.ForeignKey("message.id"), index=True)
    member_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))  # who put it up
    scheduled_id: Mapped[int | None] = mapped_column(sa.ForeignKey("scheduled_message.id"))  # the scheduled text it waits with
    position: Mapped[int] = mapped_column(default=0)
    source_url: Mapped[str | None] = mapped_column(sa.String(2000))
    content_type: Mapped[str] = mapped_column(sa.String(100), default="")
    filename: Mapped[str] = mapped_column(sa.String(200), default="")
    size: Mapped[int] = mapped_column(default=0)
    width: Mapped[int | None] = mapped_column()
    height: Mapped[int | None] = mapped_column()
    sha256: Mapped[str | None] = mapped_column(sa.String(64))
    thumb_sha256: Mapped[str | None] = mapped_column(sa.String(64))
    state: Mapped[str] = mapped_column(sa.String(8), default="pending")
    problem: Mapped[str] = mapped_column(sa.String(200), default="")
    card: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)  # what a contact card says (cards.Card)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime] = now_column()
    message: Mapped[Message] = relationship(back_populates="attachments")

    __table_args__ = (
        sa.Index("ix_attachment_pending", "next_at", sqlite_where=sa.text("state = 'pending'"), postgresql_where=sa.text("state = 'pending'")),
        sa.Index("ix_attachment_unsent", "next_at", sqlite_where=sa.text("message_id IS NULL"), postgresql_where=sa.text("message_id IS NULL")),
        sa.Index("ix_attachment_scheduled", "scheduled_id", sqlite_where=sa.text("scheduled_id IS NOT NULL"), postgresql_where=sa.text("scheduled_id IS NOT NULL")),
    )

    @property
    def is_image(self) -> bool:
        return self.content_type in SHOWN_PICTURES and self.state == "stored"

    @staticmethod
    def put_up(member: Member, public_ids: list[str]) -> list[Attachment]:
        """The files this member put up, sent or not, in the order asked for; what is not theirs is not found."""
        found = db.session.scalars(sa.select(Attachment).where(Attachment.public_id.in_(public_ids), Attachment.member_id == member.id, Attachment.state == "stored"))
        return sorted(found, key=lambda a: public_ids.index(a.public_id))

    @staticmethod
    def claim(uploads: list[Attachment]) -> None:
        """Keep the files for the text of this transaction; raises Refused when one went out with another text."""
        for upload in sorted((u for u in uploads if u.id is not None), key=lambda u: u.id):
            db.session.refresh(upload, with_for_update=True)
            if upload.message_id is not None:
                raise Refused(f"“{upload.filename}” was sent already. Remove it, or add it again.", field="media")
            if upload.scheduled_id is not None:
                raise Refused(f"“{upload.filename}” goes with a scheduled text. Remove it, or add it again.", field="media")

    @staticmethod
    def forget_unsent() -> int:
        """Drop the rows of files that were put up a day ago and never sent; how many."""
        old = (Attachment.message_id.is_(None), Attachment.member_id.is_not(None), Attachment.scheduled_id.is_(None), Attachment.next_at <= clock.now() - KEEP_UNSENT)
        if db.session.scalar(sa.select(Attachment.id).where(*old).limit(1)) is None:
            return 0
        return len(db.session.execute(sa.delete(Attachment).where(*old).returning(Attachment.id)).all())

    @staticmethod
    def due() -> list[int]:
        return list(
            db.session.scalars(
                sa.select(Attachment.id).where(Attachment.state == "pending", Attachment.next_at <= clock.now()).limit(100)
            )
        )


UNDOABLE = sa.text("dispatch.undo_until IS NOT NULL AND dispatch.state IN ('queued','held')")  # word for word, too
WAITING = sa.text("dispatch.state IN ('queued','sending','checking')")  # word for word as the partial index says it, or SQLite does not use it


class Dispatch(Model):
    """The outbox row of an outgoing message (STACK 7). States: queued, sending, checking, sent, failed, uncertain, canceled, held (until a person decides)."""

    __tablename__ = "dispatch"
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"), unique=True)
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    state: Mapped[str] = mapped_column(sa.String(10), default="queued")
    claim: Mapped[str | None] = mapped_column(sa.String(36))
    attempt: Mapped[int] = mapped_column(default=0)
    first_try_at: Mapped[datetime | None] = mapped_column(Moment)
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    next_at: Mapped[datetime] = now_column()
    held_until: Mapped[datetime | None] = mapped_column(Moment)  # the gate makes it wait; later texts of the conversation do not wait with it
    sweep_at: Mapped[datetime] = mapped_column(Moment)
    lane: Mapped[str] = mapped_column(sa.String(4), default="send", server_default="send")  # the queue that is rung: send, auto or bulk
    counted_on: Mapped[date | None] = mapped_column()  # the Pacific day whose cap its segments were taken from
    exempt: Mapped[list[str]] = mapped_column(sa.JSON, default=list)  # gate rules that do not apply, e.g. the STOP confirmation
    undo_until: Mapped[datetime | None] = mapped_column(Moment)  # it waits so long for its author to take it back; later texts of the conversation wait with it
    seen: Mapped[int] = mapped_column(default=0, server_default="0")  # id of the newest text from the customer that its author saw
    added: Mapped[int] = mapped_column(default=0, server_default="0")  # how many characters at its end nobody typed
    message: Mapped[Message] = relationship()

    __table_args__ = (
        sa.Index(
            "ix_dispatch_due", "lane", "sweep_at",
            sqlite_where=sa.text("state IN ('queued','sending','checking')"), postgresql_where=sa.text("state IN ('queued','sending','checking')"),
        ),
        sa.Index("ix_dispatch_order", "conversation_id", "id"),
        sa.Index(
            "ix_dispatch_undoable", "conversation_id",
            sqlite_where=sa.text("undo_until IS NOT NULL AND state IN ('queued','held')"), postgresql_where=sa.text("undo_until IS NOT NULL AND state IN ('queued','held')"),
        ),
    )

    @staticmethod
    def queue(message: Message, exempt: tuple[str, ...] = (), until: datetime | None = None, seen: int = 0, added: int = 0) -> Dispatch:
        """Put a message in the outbox, in the transaction that wrote it, and ring for a worker after commit, or leave it waiting `until`, or to be undone."""
        from inbox.models.gate import Path

        now, undo = clock.now(), message.undo_until
        dispatch = Dispatch(
            message_id=message.id, conversation_id=message.conversation_id, next_at=until or undo or now, held_until=until, sweep_at=until or undo or now + SWEEP_AFTER,
            exempt=list(exempt), lane=Path(message.path or "reply").lane, undo_until=undo, seen=seen, added=added,
        ).save()
        if until is None and undo is None:
            dispatch.ring()
        return dispatch

    def ring(self) -> None:
        """Ring for a worker of its lane after commit."""
        background.enqueue("send_message", self.id, on=self.lane)

    @staticmethod
    def of(message: Message) -> Dispatch:
        return db.session.scalars(sa.select(Dispatch).where(Dispatch.message_id == message.id)).one()

    @staticmethod
    def blocked() -> sa.ColumnElement[bool]:
        """Whether an earlier text of the conversation is still under way; one that is held lets others pass."""
        earlier = sa.orm.aliased(Dispatch)
        return sa.exists().where(
            earlier.conversation_id == Dispatch.conversation_id, earlier.id < Dispatch.id, earlier.state.in_(("queued", "sending", "checking")),
            sa.or_(earlier.held_until.is_(None), earlier.held_until <= clock.now()),
        )

    def claim_it(self) -> str | None:
        """Claim the row for one worker by one conditional statement; the claim, or None when it is not for us.

        A row whose earlier try may have gone out is claimed as `checking`: look before you send. A conversation's texts leave in order: nothing
        is claimed while an earlier one is still under way.
        """
        now, claim = clock.now(), str(uuid.uuid4())
        claimed = db.session.execute(
            sa.update(Dispatch)
            .where(
                Dispatch.id == self.id,
                Dispatch.next_at <= now,
                sa.or_(
                    Dispatch.state == "queued",
                    sa.and_(Dispatch.state.in_(("sending", "checking")), Dispatch.lease_until < now),
                ),
                ~Dispatch.blocked(),
            )
            .values(
                claim=claim,
                attempt=Dispatch.attempt + 1,
                lease_until=now + LEASE,
                sweep_at=now + LEASE + SWEEP_AFTER,
                first_try_at=sa.func.coalesce(Dispatch.first_try_at, now),
                state=sa.case((Dispatch.state == "queued", "sending"), else_="checking"),
            )
            .returning(Dispatch.id)
            .execution_options(synchronize_session=False)
        ).scalar()
        if claimed is None:
            return None
        db.session.refresh(self)
        db.session.add(SendAttempt(dispatch_id=self.id, number=self.attempt, claim=claim))
        return claim

    def _finish(self, claim: str, **values: Any) -> bool:
        """Write the outcome if the claim is still ours; the message first, as receipts do."""
        db.session.refresh(self.message, with_for_update=True)
        done = db.session.execute(
            sa.update(Dispatch).where(Dispatch.id == self.id, Dispatch.claim == claim).values(**values).returning(Dispatch.id)
        ).scalar()
        if done is None:
            return False
        db.session.refresh(self)
        return True

    def accepted(self, claim: str, provider_id: str, status: str, segments: int | None, price: int | None = None) -> None:
        """The carrier took it, for `price` micros when it said so. Receipts that came before the answer are applied now."""
        if not self._finish(claim, state="sent", lease_until=None):
            return
        message = self.message
        message.provider_id, message.segments = provider_id, segments or message.segments
        SendAttempt.close(claim, "accepted", provider_id)
        if Status(message.state) in (Status.QUEUED, Status.SENDING):
            message._state("sending" if status in ("queued", "accepted", "sending") else status)
        for row in db.session.scalars(sa.select(ReceiptRow).where(ReceiptRow.provider_id == provider_id, ReceiptRow.message_id.is_(None))):
            row.message_id = message.id
            message.take_receipt(row.receipt())
        self._next()
        LedgerEntry.charge(message, price)

    def refused(self, claim: str, reason: str, code: str | None) -> None:
        """The carrier said no for good."""
        if self._finish(claim, state="failed", lease_until=None):
            SendAttempt.close(claim, "refused", code or "")
            self.message._state("failed", code=code, text=reason)
            self._next()

    def later(self, claim: str, reason: str, code: str | None, retry_after: float | None) -> None:
        """Nothing left us: try again with back-off, and give up after some tries."""
        if self.attempt >= GIVE_UP:
            self.refused(claim, f"{reason} We tried {self.attempt} times.", code)
            return
        wait = min(retry_after, LONGEST_PAUSE) if retry_after is not None else min(300, 2**self.attempt) * random.uniform(0.5, 1)  # noqa: S311
        due = clock.now() + timedelta(seconds=wait)
        if self._finish(claim, state="queued", lease_until=None, next_at=due, sweep_at=due):
            SendAttempt.close(claim, "later", code or reason)
            self.message._state("queued", code=code, text=reason)

    def unknown(self, claim: str, reason: str) -> None:
        """It may have gone out and nobody can tell: a person decides (MSG-5)."""
        db.session.refresh(self.message, with_for_update=True)
        if self.message.state in TOLD:
            if self._finish(claim, state="sent", lease_until=None):
                SendAttempt.close(claim, "accepted", "a receipt came")
                self._next()
                LedgerEntry.charge(self.message)
            return
        if self._finish(claim, state="uncertain", lease_until=None):
            SendAttempt.close(claim, "uncertain", reason)
            self.message._state("uncertain", text=reason)
            self._next()

    def put_off(self, claim: str, until: datetime, verdict: list[dict[str, Any]]) -> None:
        """The gate makes it wait after all: nothing left us, and nothing was tried."""
        if self._finish(claim, state="queued", lease_until=None, next_at=until, held_until=until, sweep_at=until, attempt=Dispatch.attempt - 1):
            SendAttempt.close(claim, "held", "")
            self.message.verdict = verdict
            self.message._state("queued")
            self._next()

    @staticmethod
    def pace(dispatch_id: int, seconds: float) -> None:
        """Its campaign sends as fast as it may: come back later; nothing was tried. Later texts of the conversation wait for it."""
        now = clock.now()
        due = now + timedelta(seconds=seconds)
        db.session.execute(sa.update(Dispatch).where(Dispatch.id == dispatch_id, Dispatch.state == "queued", Dispatch.next_at <= now).values(next_at=due, sweep_at=due))

    def count(self, claim: str, segments: int, registration_id: int, cap: int) -> bool:
        """Take its segments from today's cap, once for a day however often it is tried; False when the cap leaves too little."""
        day = today()
        if self.counted_on == day:
            return True
        if not UsageDay.take(registration_id, segments, cap, day):
            return False
        db.session.execute(sa.update(Dispatch).where(Dispatch.id == self.id, Dispatch.claim == claim).values(counted_on=day))
        return True

    def look_again(self, claim: str, seconds: float, failed: str | None = None) -> None:
        """The carrier's own list may lag: keep the row ambiguous and check once more. `failed` is what the carrier said, if it says that it failed."""
        due = clock.now() + timedelta(seconds=seconds)
        self._finish(claim, state="checking", lease_until=clock.now() - timedelta(seconds=1), next_at=due, sweep_at=due)
        SendAttempt.close(claim, "doubtful" if failed else "checking", failed or "")

    def failed_try(self) -> str | None:
        """What the carrier said when the try that is looked for ended in an error of its own; None when it said nothing."""
        oldest = db.session.execute(
            sa.select(SendAttempt.outcome, SendAttempt.detail).where(self._open_tries()).order_by(SendAttempt.id).limit(1)
        ).one_or_none()
        return oldest.detail if oldest is not None and oldest.outcome == "doubtful" else None

    @property
    def tried_at(self) -> datetime:
        """The start of the oldest try of this round that did not end clearly."""
        return db.session.scalar(sa.select(sa.func.min(SendAttempt.started_at)).where(self._open_tries())) or clock.now()

    def _open_tries(self) -> sa.ColumnElement[bool]:
        """The tries of this round that did not end clearly, and the looks after them."""
        return sa.and_(
            SendAttempt.dispatch_id == self.id, SendAttempt.started_at >= self.first_try_at, SendAttempt.outcome.in_(("", "checking", "doubtful"))
        )

    def not_taken(self, claim: str, reason: str, code: str) -> None:
        """The carrier said that it failed, and its list says so, too: nothing left us, so try again, and give up after some tries."""
        tries = db.session.scalar(
            sa.select(sa.func.count(SendAttempt.id)).where(
                SendAttempt.dispatch_id == self.id, SendAttempt.started_at >= self.first_try_at, SendAttempt.outcome.in_(("later", "doubtful"))
            )
        )
        if (tries or 0) >= GIVE_UP:
            self.refused(claim, f"{reason} We tried {tries} times.", code)
            return
        now, open_tries = clock.now(), self._open_tries()
        if self._finish(claim, state="queued", lease_until=None, attempt=tries, next_at=now, sweep_at=now):
            outcome = sa.case((SendAttempt.outcome == "doubtful", "later"), else_="looked")
            db.session.execute(sa.update(SendAttempt).where(open_tries).values(outcome=outcome).execution_options(synchronize_session=False))
            self.message._state("queued", code=code, text=reason)

    def _next(self) -> None:
        """Ring for the conversation's next text, which waited for this one."""
        following = db.session.scalar(
            sa.select(Dispatch)
            .where(
                Dispatch.conversation_id == self.conversation_id, Dispatch.id > self.id, Dispatch.state == "queued",
                sa.or_(Dispatch.held_until.is_(None), Dispatch.held_until <= clock.now()),
            )
            .order_by(Dispatch.id)
            .limit(1)
        )
        if following:
            following.ring()

    def restart(self) -> bool:
        """Queue a finished row again; False when it is not finished."""
        now = clock.now()
        done = db.session.execute(
            sa.update(Dispatch)
            .where(Dispatch.id == self.id, Dispatch.state.in_(("failed", "uncertain", "sent")))
            .values(state="queued", claim=None, attempt=0, first_try_at=None, counted_on=None, undo_until=None, next_at=now, sweep_at=now + SWEEP_AFTER)
            .returning(Dispatch.id)
        ).scalar()
        if done:
            self.ring()
        return done is not None

    def take_back(self) -> bool:
        """End a row that no worker has, and never had with an unknown end; False when one was faster."""
        taken = db.session.execute(
            sa.update(Dispatch).where(Dispatch.id == self.id, Dispatch.state.in_(("queued", "held"))).values(state="canceled", claim=None).returning(Dispatch.id)
        ).scalar()
        if taken is not None:
            db.session.refresh(self)
            self._next()
        return taken is not None

    def let_go(self, exempt: tuple[str, ...]) -> bool:
        """End the wait of a held row, which a person now sends; False when it does not wait any more."""
        now = clock.now()
        gone = db.session.execute(
            sa.update(Dispatch)
            .where(Dispatch.id == self.id, Dispatch.state == "queued", Dispatch.held_until > now)
            .values(held_until=None, next_at=now, sweep_at=now + SWEEP_AFTER, exempt=list(exempt), lane="send")
            .returning(Dispatch.id)
        ).scalar()
        if gone is not None:
            db.session.refresh(self)
            self.ring()
        return gone is not None

    @staticmethod
    def settle(message: Message, provider_id: str | None) -> None:
        """A receipt, whatever it says, or a person tells that the carrier has it: stop asking."""
        settled = db.session.execute(
            sa.update(Dispatch)
            .where(Dispatch.message_id == message.id, Dispatch.state.in_(("uncertain", "checking")))
            .values(state="sent", claim=None, lease_until=None)
            .returning(Dispatch.id)
        ).scalar()
        if settled:
            db.session.get_one(Dispatch, settled)._next()
        if provider_id and message.provider_id is None and not message.taken_by_another(provider_id):
            message.provider_id = provider_id
        if settled:
            LedgerEntry.charge(message)

    @staticmethod
    def due(lane: str = "send") -> list[int]:
        """Rows of a lane that the sweeper rings for again, pushing their next sweep forward."""
        now = clock.now()
        ids = list(
            db.session.scalars(
                sa.select(Dispatch.id)
                .where(WAITING, Dispatch.lane == lane, Dispatch.sweep_at <= now)
                .order_by(Dispatch.sweep_at)
                .limit(200)
            )
        )
        if ids:
            db.session.execute(sa.update(Dispatch).where(Dispatch.id.in_(ids)).values(sweep_at=now + timedelta(seconds=10)))
        return ids


class SendAttempt(Model):
    """One call to the provider, written before it is made."""

    __tablename__ = "send_attempt"
    dispatch_id: Mapped[int] = mapped_column(sa.ForeignKey("dispatch.id"), index=True)
    number: Mapped[int] = mapped_column()
    claim: Mapped[str] = mapped_column(sa.String(36), unique=True)
    started_at: Mapped[datetime] = now_column()
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    outcome: Mapped[str] = mapped_column(sa.String(12), default="")
    detail: Mapped[str] = mapped_column(sa.String(300), default="")

    @staticmethod
    def close(claim: str, outcome: str, detail: str) -> None:
        db.session.execute(
            sa.update(SendAttempt).where(SendAttempt.claim == claim).values(ended_at=clock.now(), outcome=outcome, detail=detail[:300])
        )


class ReceiptRow(Model):
    """Every delivery receipt ever received; a message's state is a function of these."""

    __tablename__ = "receipt"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    message_id: Mapped[int | None] = mapped_column(sa.ForeignKey("message.id"), index=True)
    dedupe: Mapped[str] = mapped_column(sa.String(200))
    provider_id: Mapped[str] = mapped_column(sa.String(80), index=True)
    ref: Mapped[str | None] = mapped_column(sa.String(40))
    status: Mapped[str] = mapped_column(sa.String(12))
    error_code: Mapped[str | None] = mapped_column(sa.String(20))
    error_text: Mapped[str | None] = mapped_column(sa.String(400))
    occurred_at: Mapped[datetime | None] = mapped_column(Moment)
    received_at: Mapped[datetime] = now_column()

    __table_args__ = (sa.UniqueConstraint("account_id", "dedupe"),)

    @staticmethod
    def take(account_id: int, receipt: Receipt) -> bool:
        """Store a receipt once and apply it to its message, which may not know its provider id yet; False for a repeat."""
        stored = db.session.execute(
            insert_or_ignore()(ReceiptRow)
            .values(
                account_id=account_id, dedupe=receipt.dedupe[:200], provider_id=receipt.provider_id, ref=receipt.ref, status=str(receipt.status),
                error_code=receipt.error_code, error_text=(receipt.error_text or "")[:400] or None, occurred_at=receipt.occurred_at, received_at=clock.now(),
            )
            .on_conflict_do_nothing(index_elements=["account_id", "dedupe"])
            .returning(ReceiptRow.id)
        ).scalar()
        if stored is None:
            return False
        message = ReceiptRow._about(account_id, receipt)
        if message:
            db.session.execute(sa.update(ReceiptRow).where(ReceiptRow.id == stored).values(message_id=message.id))
            message.take_receipt(receipt)
        return True

    @staticmethod
    def _about(account_id: int, receipt: Receipt) -> Message | None:
        """The text a receipt is about, by our reference or by the carrier's id; two queries, so that each has its index."""
        from inbox.models.inbox import Inbox

        ours = sa.select(Message).where(Message.account_id == account_id, Message.kind.in_(("out", "auto"))).with_for_update()
        found = db.session.scalar(ours.where(Message.ref == receipt.ref)) if receipt.ref else None
        if found is not None:
            return found
        inboxes = sa.select(Inbox.id).where(Inbox.account_id == account_id)
        return db.session.scalar(ours.where(Message.inbox_id.in_(inboxes), Message.provider_id == receipt.provider_id))

    def receipt(self) -> Receipt:
        return Receipt(
            dedupe=self.dedupe, provider_id=self.provider_id, ref=self.ref, status=Status(self.status), error_code=self.error_code,
            error_text=self.error_text, occurred_at=self.occurred_at,
        )
