"""Writing: replies, notes and first messages. The only way a text leaves (MSG-1, LOCK-4, CONV-5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from inbox import clock
from inbox import phone as phones
from inbox.models.base import Refused, db
from inbox.models.conversation.archiving import Archiving
from inbox.models.conversation.locking import Locking
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.message import Attachment, Dispatch, Message
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.inbox import Inbox

MAX_BODY = 1600
MAX_MEDIA = 10


class SendRefused(Refused):
    """The send gate said no; the sentence is the first failing rule's."""


class Stale(Refused):
    """The customer wrote meanwhile: look, then send anyway (LOCK-4)."""

    status = 409

    def __init__(self, newer: int) -> None:
        self.newer = newer
        texts = "1 new text" if newer == 1 else f"{newer} new texts"
        super().__init__(f"{texts} since you started. Review, then send.")


class Replying(Locking, Archiving):
    """Replies and notes of one conversation."""

    __abstract__ = True

    def reply(
        self,
        body: str,
        *,
        by: Member,
        fence: int,
        seen: int,
        nonce: str | None = None,
        anyway: bool = False,
        uploads: list[Attachment] | None = None,
    ) -> Message:
        """Queue a reply: gate, fence, thread check, message, outbox row and event in the caller's one transaction.

        `fence` is the lock's number the writer got, `seen` the id of the newest inbound message they saw, `nonce` makes a repeated post harmless.
        Raises SendRefused, LockLost or Stale; then nothing is written and the caller keeps the text.
        """
        by.require(Permission.CONVERSATIONS_REPLY, on=self)  # type: ignore[arg-type]
        self._one_writer()
        repeated = self._posted(nonce)
        if repeated:
            return repeated
        text = self._signed(body, by)
        verdict = self.gate(text, media=len(uploads or []))
        self.hold(by=by, fence=fence)
        moved = db.session.execute(
            sa.update(type(self))
            .where(type(self).id == self.id, sa.true() if anyway else type(self).last_inbound_id <= seen)
            .values(version=type(self).version + 1)
            .returning(type(self).version)
            .execution_options(synchronize_session=False)
        ).scalar()
        if moved is None:
            raise Stale(self.inbound_after(seen))
        message = self._write("out", text, by=by, nonce=nonce, verdict=verdict, uploads=uploads)
        Event.record("message.sent", account=self.account_id, by=by, conversation=self, message=message.id)  # type: ignore[arg-type]
        return message

    def note(self, body: str, *, by: Member, nonce: str | None = None) -> Message:
        """An internal note: needs no lock and leaves nothing."""
        by.require(Permission.CONVERSATIONS_NOTE, on=self)  # type: ignore[arg-type]
        body = clean_body(body)
        if not body:
            raise Refused("Write something first.", field="body")
        if len(body) > 5000:
            raise Refused("Use at most 5,000 characters.", field="body")
        self._one_writer()
        repeated = self._posted(nonce)
        if repeated:
            return repeated
        message = Message(
            account_id=self.account_id, conversation_id=self.id, inbox_id=self.inbox_id, kind="note", author_id=by.id, body=body, state="note", nonce=_short(nonce)
        ).save()
        self._drop_draft(by, "note")
        message.changed()
        return message

    def answer_automatically(self, body: str, *, exempt: tuple[str, ...] = ()) -> Message | None:
        """A text no person wrote (STOP confirmation, HELP); None when the gate says no."""
        try:
            verdict = self.gate(body, exempt=exempt)
        except SendRefused:
            return None
        return self._write("auto", body, by=None, nonce=None, verdict=verdict, uploads=None, exempt=exempt)

    def gate(self, body: str, *, media: int = 0, exempt: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """The one send gate (MSG-1): every rule's answer; raises SendRefused with the first no."""
        from inbox.models.contact import Consent

        inbox = self.inbox
        consent = Consent.of(inbox.team_id, self.address)
        text = clean_body(body)
        rules: list[tuple[str, bool, str]] = [
            ("content", bool(text) or media > 0, "Write something first."),
            ("length", len(text) <= MAX_BODY, f"A text can have at most {MAX_BODY:,} characters; this one has {len(text):,}."),
            ("media", media <= MAX_MEDIA, f"A text can carry at most {MAX_MEDIA} files."),
            (
                "registration",
                inbox.registered,
                f"{inbox.name} is not registered with the carriers yet, so nothing can leave it. Admins get an e-mail when it is approved.",
            ),
            ("address", inbox.phone is not None and self.address != inbox.phone, "This conversation has no number to answer to."),
            (
                "consent",
                consent is None or not consent.opted_out,
                f"{self.contact.name} replied STOP. You can’t text this number until it texts START.",
            ),
        ]
        for rule, passed, sentence in rules:
            if not passed and rule not in exempt:
                raise SendRefused(sentence, field="body" if rule in ("content", "length", "media") else None)
        return [{"rule": rule, "passed": passed, "exempt": rule in exempt} for rule, passed, _ in rules]

    @staticmethod
    def compose(
        inbox: Inbox, to: str, body: str, *, by: Member, nonce: str | None = None, uploads: list[Attachment] | None = None
    ) -> Message:
        """Start a conversation from `inbox`; it lands in Archived until the contact answers (CONV-5)."""
        from inbox.models.contact import Contact
        from inbox.models.conversation import Conversation

        by.require(Permission.CONVERSATIONS_COMPOSE, on=inbox)
        inbox.require_registered()
        address = phones.normalize(to, phones.region_of(inbox.phone) or "US") if inbox.phone else None
        if address is None:
            raise Refused("That is not a phone number. Include the area code, for example (415) 555-0134.", field="to")
        if address == inbox.phone:
            raise Refused("That is this inbox’s own number.", field="to")
        contact = Contact.at(inbox.account_id, address)
        conversation = Conversation.find_or_open(inbox, contact, address, archived=True)
        repeated = conversation._posted(nonce)
        if repeated:
            return repeated
        mine = conversation.lock_holder()
        held = conversation.acquire(by=by)
        if held is None:
            other = conversation.lock_holder()
            raise Refused(f"{other.holder.name if other else 'A teammate'} is replying to {contact.name} right now.", field="to")
        message = conversation.reply(body, by=by, fence=held.fence, seen=conversation.last_inbound_id, nonce=nonce, uploads=uploads)
        if mine is None or mine.fence != held.fence:  # they were not in it on another page
            conversation.release(by=by, fence=held.fence)
        return message

    def inbound_after(self, seen: int) -> int:
        """How many texts came in after the message with id `seen`."""
        return (
            db.session.scalar(
                sa.select(sa.func.count(Message.id)).where(Message.conversation_id == self.id, Message.kind == "in", Message.id > seen)
            )
            or 0
        )

    def _one_writer(self) -> None:
        """Let one writer at a time decide on this conversation; always before its lock row, so that no two wait for each other."""
        db.session.execute(sa.select(type(self).id).where(type(self).id == self.id).with_for_update(key_share=True))

    def _posted(self, nonce: str | None) -> Message | None:
        nonce = _short(nonce)
        if not nonce:
            return None
        return db.session.scalar(sa.select(Message).where(Message.conversation_id == self.id, Message.nonce == nonce))

    def _signed(self, body: str, by: Member) -> str:
        body = clean_body(body)
        return f"{body} - {by.name.split()[0]}" if self.inbox.sign_texts and body else body

    def _write(
        self,
        kind: str,
        body: str,
        *,
        by: Member | None,
        nonce: str | None,
        verdict: list[dict[str, Any]],
        uploads: list[Attachment] | None,
        exempt: tuple[str, ...] = (),
    ) -> Message:
        message = Message(
            account_id=self.account_id, conversation_id=self.id, inbox_id=self.inbox_id, kind=kind, author_id=by.id if by else None, body=body,
            state="queued", nonce=_short(nonce), verdict=verdict, segments=phones.segments(body).segments or 1,
        ).save()
        for position, upload in enumerate(uploads or []):
            upload.message_id, upload.position = message.id, position
            db.session.add(upload)
        Dispatch.queue(message, exempt)
        self.touch(message)
        if kind == "out":
            self.unread, self.failed = False, False
        if by:
            self._drop_draft(by, "reply")
        db.session.flush()
        message.changed()
        self.changed()
        return message

    def _drop_draft(self, by: Member, kind: str) -> None:
        from inbox.models.draft import Draft

        Draft.drop(self, by, kind)

    def touch(self, message: Message) -> None:
        """Make `message` the newest of the conversation."""
        self.last_activity_at = clock.now()
        self.last_message_id = message.id
        self.preview = summary(message)
        self.preview_by_id, self.preview_kind = message.author_id, message.kind

    def flag_failure(self, failed: bool) -> None:
        self.failed = failed
        self.changed()


def clean_body(body: str) -> str:
    """What may be sent or stored: line ends as LF, no NULs or other invisible control characters, trimmed at the end."""
    text = body.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or (ord(c) >= 32 and not 0xD800 <= ord(c) <= 0xDFFF and ord(c) != 127)).rstrip()


def _short(nonce: str | None) -> str | None:
    return clean_body(nonce or "")[:40] or None


def summary(message: Message) -> str:
    """One line for the list."""
    text = " ".join(message.body.split())
    if text:
        return text[:160]
    count = len(message.attachments)
    return "Photo" if count == 1 else f"{count} files" if count else ""
