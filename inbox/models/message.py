"""Messages, their pictures, their way to the carrier (the outbox) and the receipts that come back."""

from __future__ import annotations

import random
import secrets
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import background, clock, realtime
from inbox.channels.base import Receipt, Status, merge
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.event import Event

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation
    from inbox.models.member import Member

LEASE = timedelta(seconds=60)  # more than twice the HTTP timeout of a send
SWEEP_AFTER = timedelta(seconds=3)
GIVE_UP = 8  # attempts
TOLD = ("sent", "delivered", "read", "failed", "undelivered")  # only the carrier says so while a text is in the outbox


class Message(Model):
    """A text in or out, or a note. `state` for outgoing ones: queued, sending, sent, delivered, read, failed, undelivered, uncertain."""

    __tablename__ = "message"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    inbox_id: Mapped[int] = mapped_column(sa.ForeignKey("inbox.id"))
    kind: Mapped[str] = mapped_column(sa.String(8))  # in, out, note, auto (out, written by no person)
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
    occurred_at: Mapped[datetime | None] = mapped_column(Moment)  # the provider's time, when it says one
    created_at: Mapped[datetime] = now_column()
    author: Mapped[Member | None] = relationship(lazy="raise")
    conversation: Mapped[Conversation] = relationship(lazy="select")
    attachments: Mapped[list[Attachment]] = relationship(order_by="Attachment.position", lazy="selectin")

    __table_args__ = (
        sa.UniqueConstraint("inbox_id", "provider_id"),
        sa.UniqueConstraint("conversation_id", "nonce"),
        sa.Index("ix_message_thread", "conversation_id", "id"),
    )

    @property
    def outgoing(self) -> bool:
        return self.kind in ("out", "auto")

    def changed(self) -> None:
        """Tell open pages that this message looks different now."""
        realtime.publish("message", account=self.account_id, inbox=self.inbox_id, conversation=self.conversation_id, message=self.id)

    def _state(self, state: str, *, code: str | None = None, text: str | None = None) -> None:
        self.state = state
        if code or text:
            self.error_code, self.error_text = code, (text or "")[:400]
        if state in ("failed", "undelivered", "uncertain"):
            self.conversation.flag_failure(True)
        elif self.conversation.failed and self._newest_outgoing:
            self.conversation.flag_failure(False)
        self.changed()

    @property
    def _newest_outgoing(self) -> bool:
        newest = sa.select(sa.func.max(Message.id)).where(Message.conversation_id == self.conversation_id, Message.kind.in_(("out", "auto")))
        return db.session.scalar(newest) == self.id

    def take_receipt(self, receipt: Receipt) -> None:
        """Apply a delivery receipt: forward only, errors stick, never back from delivered (CHANNELS 4)."""
        current = Status.UNKNOWN if self.state == "uncertain" else Status(self.state)
        new = merge(current, receipt.status)
        if receipt.error_code:
            self.error_code = receipt.error_code
            self.error_text = (receipt.error_text or "")[:400]
        if new != current:
            if self.state == "uncertain":
                Event.record("message.known", account=self.account_id, conversation=self.conversation, message=self.id, state=str(new))
            self._state(str(new))
        Dispatch.settle(self, receipt.provider_id)

    def try_again(self, *, by: Member) -> None:
        """Send a failed or uncertain message once more: a person decides (MSG-5)."""
        from inbox.permissions import Permission

        by.require(Permission.CONVERSATIONS_REPLY, on=self.conversation)
        db.session.refresh(self, with_for_update=True)
        if self.state not in ("failed", "undelivered", "uncertain"):
            raise Refused("This message is on its way; there is nothing to try again.")
        self.conversation.gate(self.body, media=len(self.attachments))
        if not Dispatch.of(self).restart():
            raise Refused("This message is on its way; there is nothing to try again.")
        self.ref, self.provider_id, self.error_code, self.error_text = secrets.token_urlsafe(18), None, None, None
        self._state("queued")
        Event.record("message.tried_again", account=self.account_id, by=by, conversation=self.conversation, message=self.id)

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
    """A picture or file of a message. `state`: pending (to be fetched), stored, refused."""

    __tablename__ = "attachment"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"), index=True)
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
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime] = now_column()
    message: Mapped[Message] = relationship(back_populates="attachments")

    __table_args__ = (
        sa.Index("ix_attachment_pending", "next_at", sqlite_where=sa.text("state = 'pending'"), postgresql_where=sa.text("state = 'pending'")),
    )

    @property
    def is_image(self) -> bool:
        return self.content_type.startswith("image/") and self.state == "stored"

    @staticmethod
    def due() -> list[int]:
        return list(
            db.session.scalars(
                sa.select(Attachment.id).where(Attachment.state == "pending", Attachment.next_at <= clock.now()).limit(100)
            )
        )


WAITING = sa.text("dispatch.state IN ('queued','sending','checking')")  # word for word as the partial index says it, or SQLite does not use it


class Dispatch(Model):
    """The outbox row of an outgoing message (STACK 7). States: queued, sending, checking, sent, failed, uncertain."""

    __tablename__ = "dispatch"
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"), unique=True)
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    state: Mapped[str] = mapped_column(sa.String(10), default="queued")
    claim: Mapped[str | None] = mapped_column(sa.String(36))
    attempt: Mapped[int] = mapped_column(default=0)
    first_try_at: Mapped[datetime | None] = mapped_column(Moment)
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    next_at: Mapped[datetime] = now_column()
    sweep_at: Mapped[datetime] = mapped_column(Moment)
    exempt: Mapped[list[str]] = mapped_column(sa.JSON, default=list)  # gate rules that do not apply, e.g. the STOP confirmation
    message: Mapped[Message] = relationship()

    __table_args__ = (
        sa.Index(
            "ix_dispatch_due", "sweep_at",
            sqlite_where=sa.text("state IN ('queued','sending','checking')"), postgresql_where=sa.text("state IN ('queued','sending','checking')"),
        ),
        sa.Index("ix_dispatch_order", "conversation_id", "id"),
    )

    @staticmethod
    def queue(message: Message, exempt: tuple[str, ...] = ()) -> Dispatch:
        """Put a message in the outbox, in the transaction that wrote it, and ring for a worker after commit."""
        now = clock.now()
        dispatch = Dispatch(
            message_id=message.id, conversation_id=message.conversation_id, next_at=now, sweep_at=now + SWEEP_AFTER, exempt=list(exempt)
        ).save()
        background.enqueue("send_message", dispatch.id, on="send")
        return dispatch

    @staticmethod
    def of(message: Message) -> Dispatch:
        return db.session.scalars(sa.select(Dispatch).where(Dispatch.message_id == message.id)).one()

    def claim_it(self) -> str | None:
        """Claim the row for one worker by one conditional statement; the claim, or None when it is not for us.

        A row whose earlier try may have gone out is claimed as `checking`: look before you send. A conversation's texts leave in order: nothing
        is claimed while an earlier one is still under way.
        """
        now, claim = clock.now(), str(uuid.uuid4())
        earlier = sa.orm.aliased(Dispatch)
        blocked = sa.exists().where(
            earlier.conversation_id == Dispatch.conversation_id, earlier.id < Dispatch.id, earlier.state.in_(("queued", "sending", "checking"))
        )
        claimed = db.session.execute(
            sa.update(Dispatch)
            .where(
                Dispatch.id == self.id,
                Dispatch.next_at <= now,
                sa.or_(
                    Dispatch.state == "queued",
                    sa.and_(Dispatch.state.in_(("sending", "checking")), Dispatch.lease_until < now),
                ),
                ~blocked,
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

    def accepted(self, claim: str, provider_id: str, status: str, segments: int | None) -> None:
        """The carrier took it. Receipts that came before the answer are applied now."""
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
        wait = retry_after if retry_after is not None else min(300, 2**self.attempt) * random.uniform(0.5, 1)  # noqa: S311
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
            return
        if self._finish(claim, state="uncertain", lease_until=None):
            SendAttempt.close(claim, "uncertain", reason)
            self.message._state("uncertain", text=reason)
            self._next()

    def look_again(self, claim: str, seconds: float) -> None:
        """The carrier's own list may lag: keep the row ambiguous and check once more."""
        due = clock.now() + timedelta(seconds=seconds)
        self._finish(claim, state="checking", lease_until=clock.now() - timedelta(seconds=1), next_at=due, sweep_at=due)
        SendAttempt.close(claim, "checking", "")

    def _next(self) -> None:
        """Ring for the conversation's next text, which waited for this one."""
        following = db.session.scalar(
            sa.select(Dispatch.id)
            .where(Dispatch.conversation_id == self.conversation_id, Dispatch.id > self.id, Dispatch.state == "queued")
            .order_by(Dispatch.id)
            .limit(1)
        )
        if following:
            background.enqueue("send_message", following, on="send")

    def restart(self) -> bool:
        """Queue a finished row again; False when it is not finished."""
        now = clock.now()
        done = db.session.execute(
            sa.update(Dispatch)
            .where(Dispatch.id == self.id, Dispatch.state.in_(("failed", "uncertain", "sent")))
            .values(state="queued", claim=None, attempt=0, first_try_at=None, next_at=now, sweep_at=now + SWEEP_AFTER)
            .returning(Dispatch.id)
        ).scalar()
        if done:
            background.enqueue("send_message", self.id, on="send")
        return done is not None

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
        if provider_id and message.provider_id is None:
            message.provider_id = provider_id

    @staticmethod
    def due() -> list[int]:
        """Rows the sweeper rings for again, pushing their next sweep forward."""
        now = clock.now()
        ids = list(
            db.session.scalars(
                sa.select(Dispatch.id)
                .where(WAITING, Dispatch.sweep_at <= now)
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
