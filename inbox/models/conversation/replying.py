"""Writing: replies, notes and first messages. The only way a text leaves (MSG-1, LOCK-4, CONV-5)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from inbox import clock
from inbox import phone as phones
from inbox.models.base import Refused, db
from inbox.models.consent import Allowed, OptInRequest
from inbox.models.conversation.archiving import Archiving
from inbox.models.conversation.locking import Locking
from inbox.models.conversation.owing import Owing
from inbox.models.draft import Draft
from inbox.models.event import Event
from inbox.models.gate import Judgement, Path, judge
from inbox.models.member import Member
from inbox.models.mention import Span, spans, tell_of_note
from inbox.models.message import Attachment, Dispatch, Message
from inbox.models.rights import attend
from inbox.models.search.index import add_message
from inbox.permissions import Permission
from inbox.plain import cheaper

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation
    from inbox.models.inbox import Inbox

OPT_IN_REQUEST = "{name}: reply YES to get texts from us, STOP to get none. Message and data rates may apply."
WAY_OUT = "Reply STOP to opt out."


class Stale(Refused):
    """The customer wrote meanwhile: look, then send anyway (LOCK-4)."""

    status = 409

    def __init__(self, newer: int) -> None:
        self.newer = newer
        texts = "1 new text" if newer == 1 else f"{newer} new texts"
        super().__init__(f"{texts} since you started. Review, then send.")


class MergedAway(Refused):
    """It is part of another conversation now."""

    status = 409


class Replying(Locking, Archiving, Owing):
    """Replies and notes of one conversation."""

    __abstract__ = True

    def reply(
        self,
        body: str,
        *,
        by: Member,
        fence: int | None,
        seen: int,
        nonce: str | None = None,
        anyway: bool = False,
        uploads: list[Attachment] | None = None,
        keep_draft: bool = False,
        path: Path = Path.REPLY,
    ) -> Message:
        """Queue a reply: gate, fence, thread check, message, outbox row and event in the caller's one transaction.

        `fence` is the lock's number the writer got (None for a scheduled text, which needs none when it leaves), `seen` the id of the newest inbound
        message they saw, `nonce` makes a repeated post harmless; `keep_draft` leaves what is half typed in the conversation: this text was typed elsewhere.
        Raises SendRefused, LockLost or Stale; then nothing is written and the caller keeps the text.
        """
        by.require(Permission.CONVERSATIONS_REPLY, on=self)  # type: ignore[arg-type]
        if uploads:
            by.require(Permission.MEDIA_SEND, on=self)  # type: ignore[arg-type]
        self._one_writer()
        repeated = self._posted(nonce)
        if repeated:
            return repeated
        Attachment.claim(uploads or [])
        text = self.as_sent(body, by, path)
        typed = cheaper(clean_body(body)) if self.inbox.plain_texts else clean_body(body)
        judgement = judge(self, text, media=len(uploads or []), path=path).require()
        if fence is not None or path is not Path.SCHEDULED:
            self.hold(by=by, fence=fence or 0)
        moved = db.session.execute(
            sa.update(type(self))
            .where(type(self).id == self.id, sa.true() if anyway else type(self).last_inbound_id <= seen)
            .values(version=type(self).version + 1)
            .returning(type(self).last_inbound_id)
            .execution_options(synchronize_session=False)
        ).scalar()
        if moved is None:
            raise Stale(self.inbound_after(seen))
        message = self._write(
            "out", text, by=by, nonce=nonce, judgement=judgement, path=path, uploads=uploads, keep_draft=keep_draft,
            seen=moved, added=len(text) - len(typed) if text.startswith(typed) else 0, answers=path.live or moved <= seen,
        )
        Event.record("message.sent", account=self.account_id, by=by, conversation=self, message=message.id)  # type: ignore[arg-type]
        return message

    def note(self, body: str, *, by: Member, nonce: str | None = None, named: list[Span] | None = None) -> Message:
        """An internal note: needs no lock and leaves nothing. Tells whom it names, and who follows; `named` is worked out from the words when not given."""
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
        add_message(message)
        tell_of_note(message, self, spans(self, body) if named is None else named, by=by)  # type: ignore[arg-type]
        self._drop_draft(by, "note")
        message.changed()
        return message

    def answer_automatically(self, body: str, *, exempt: tuple[str, ...] = (), path: Path = Path.AUTO, to: str | None = None) -> Message | None:
        """A text no person wrote (STOP confirmation, HELP, out of office, a flow's step), to the number that asked for it; None when the gate says no."""
        judgement = judge(self, clean_body(body), path=path, exempt=exempt, address=to)
        if judgement.refusal:
            return None
        return self._write("auto", body, by=None, nonce=None, judgement=judgement, path=path, uploads=None, exempt=exempt, to=to)

    def gate(self, body: str, *, media: int = 0, exempt: tuple[str, ...] = (), path: Path = Path.REPLY) -> list[dict[str, Any]]:
        """The one send gate (MSG-1): every rule's answer as stored with a message; raises SendRefused with the first no."""
        return judge(self, clean_body(body), media=media, path=path, exempt=exempt).require().stored()

    @staticmethod
    def compose(
        inbox: Inbox, to: str, body: str, *, by: Member, nonce: str | None = None, uploads: list[Attachment] | None = None
    ) -> Message:
        """Start a conversation from `inbox`; it lands in Archived until the contact answers (CONV-5)."""
        conversation = Replying.first_to(inbox, to, by=by)
        contact, address = conversation.contact, conversation.address
        repeated = conversation._posted(nonce)
        if repeated:
            return repeated
        if inbox.double_opt_in and OptInRequest.missing(inbox, address, Allowed.read(inbox, address)) == "ask":
            return conversation._ask_first(body, by=by, nonce=nonce, uploads=uploads)
        mine = conversation.lock_holder()
        held = conversation.acquire(by=by)
        if held is None:
            other = conversation.lock_holder()
            raise Refused(f"{other.holder.name if other else 'A teammate'} is replying to {contact.name} right now.", field="to")
        message = conversation.reply(body, by=by, fence=held.fence, seen=conversation.last_inbound_id, nonce=nonce, uploads=uploads, keep_draft=True, path=Path.COMPOSE)
        if mine is None or mine.fence != held.fence:  # they were not in it on another page
            conversation.release(by=by, fence=held.fence)
        return message

    @staticmethod
    def first_to(inbox: Inbox, to: str, *, by: Member) -> Conversation:
        """The conversation that a text which `by` starts belongs to: the one there is, else a new one in Archived."""
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
        attend(by, contact.owner)
        by.require(Permission.CONVERSATIONS_COMPOSE, on=inbox)
        return Conversation.find_or_open(inbox, contact, address, archived=True)

    def _ask_first(self, body: str, *, by: Member, nonce: str | None, uploads: list[Attachment] | None, path: Path = Path.COMPOSE) -> Message:
        """The question for an opt-in in place of our first text, which stays the writer's draft; returns the question."""
        if uploads:
            raise Refused(f"{self.contact.name} is asked for a YES first. Send the pictures once they have said it.", field="media")
        judge(self, clean_body(self._signed(body, by)), path=path, exempt=("opt_in",)).require()
        text = self.inbox.opt_in_request or OPT_IN_REQUEST.format(name=self.inbox.account.name)
        judgement = judge(self, text, path=Path.OPT_IN, exempt=("opt_in",)).require()
        message = self._write("auto", text, by=None, nonce=nonce, judgement=judgement, path=Path.OPT_IN, uploads=None, exempt=("opt_in",))
        OptInRequest.note(message, self.inbox, self.address)
        Draft.put(self, body, by=by)
        Event.record("consent.asked", account=self.account_id, by=by, conversation=self, message=message.id)  # type: ignore[arg-type]
        return message

    def _with_way_out(self, text: str, path: Path) -> str:
        """The text, with how to opt out when it is the first of a conversation that we start."""
        starts = path in (Path.COMPOSE, Path.BULK, Path.SCHEDULED) and not self.last_message_id and self.inbox.append_opt_out
        return f"{text}\n{WAY_OUT}" if starts and text and "reply stop" not in text.casefold() else text

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
        if db.session.scalar(sa.select(type(self).merged_into_id).where(type(self).id == self.id).with_for_update(key_share=True)) is not None:
            raise MergedAway("This conversation was merged into another one a moment ago. Your text is kept: reload to go on there.")

    def _posted(self, nonce: str | None) -> Message | None:
        nonce = _short(nonce)
        if not nonce:
            return None
        return db.session.scalar(sa.select(Message).where(Message.conversation_id == self.id, Message.nonce == nonce))

    def _signed(self, body: str, by: Member) -> str:
        """The text as it leaves: with what ends this member's texts here, in plain characters where the inbox wants them."""
        body = clean_body(body)
        text = f"{body}{self.text_ending(by)}" if body else body
        return cheaper(text) if self.inbox.plain_texts else text

    def as_sent(self, body: str, by: Member, path: Path) -> str:
        """The text as it would leave now: what was typed and what is added to it."""
        return clean_body(self._with_way_out(self._signed(body, by), path))

    def text_ending(self, by: Member) -> str:
        """What is added to each text of this member; empty where nothing is."""
        return by.text_ending() if self.inbox.sign_texts else ""

    @staticmethod
    def first_text_ending(inbox: Inbox, address: str | None, by: Member) -> str:
        """What is added to a text this member composes from `inbox`, and how to opt out where it would be the first to that address."""
        from inbox.models.conversation import Conversation

        ending = by.text_ending() if inbox.sign_texts else ""
        written = sa.select(Conversation.id).where(Conversation.inbox_id == inbox.id, Conversation.address == address, Conversation.last_message_id > 0)
        return f"{ending}\n{WAY_OUT}" if inbox.append_opt_out and db.session.scalar(written.limit(1)) is None else ending

    def _write(
        self,
        kind: str,
        body: str,
        *,
        by: Member | None,
        nonce: str | None,
        judgement: Judgement,
        path: Path,
        uploads: list[Attachment] | None,
        exempt: tuple[str, ...] = (),
        keep_draft: bool = False,
        seen: int = 0,
        added: int = 0,
        to: str | None = None,
        answers: bool = True,  # False when it was written before the customer's newest text
    ) -> Message:
        waits = by.undo_seconds if by and path.undoable and judgement.until is None else 0
        message = Message(
            account_id=self.account_id, conversation_id=self.id, inbox_id=self.inbox_id, kind=kind, author_id=by.id if by else None, body=body,
            state="queued", nonce=_short(nonce), verdict=judgement.stored(), path=str(path), segments=phones.segments(body).segments or 1,
            undo_until=clock.now() + timedelta(seconds=waits) if waits else None, address=to if to != self.address else None,
        ).save()
        for position, upload in enumerate(uploads or []):
            upload.message_id, upload.position = message.id, position
            db.session.add(upload)
        add_message(message, files=len(uploads or []))
        Dispatch.queue(message, exempt, until=judgement.until, seen=seen, added=added)
        self.touch(message)
        if kind == "out":
            self.failed = False
        if kind == "out" and answers:
            self.unread = False
            self._answered()
        if by and not keep_draft:
            self._drop_draft(by, "reply")
        db.session.flush()
        message.changed()
        self.changed()
        return message

    def _drop_draft(self, by: Member, kind: str) -> None:
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
