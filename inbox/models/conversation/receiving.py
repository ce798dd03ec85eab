"""The one way in, for every channel (CONV-6, MSG-2)."""

from __future__ import annotations

import sqlalchemy as sa

from inbox import background, clock
from inbox.channels.base import Inbound
from inbox.models.base import db
from inbox.models.base import public_id as new_public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.contact import Consent, Contact
from inbox.models.conversation.locking import Lock
from inbox.models.conversation.replying import Replying, clean_body
from inbox.models.event import Event
from inbox.models.inbox import Inbox
from inbox.models.message import Attachment, Message

DEFAULTS = {
    "STOP": "{name}: you are unsubscribed and will get no more texts from us. Reply START to hear from us again.",
    "START": "{name}: welcome back. You can text us any time. Reply HELP for help, STOP to unsubscribe.",
    "HELP": "{name}: reply to this number and our team will answer. Reply STOP to unsubscribe. Message and data rates may apply.",
}


class Receiving(Replying):
    """Taking in what a customer sent."""

    __abstract__ = True

    @staticmethod
    def receive(inbox: Inbox, inbound: Inbound) -> Message | None:
        """Store an inbound text in its conversation; None when this very text was stored before.

        Finds the contact by number and the conversation by (inbox, address); an archived one comes back, or starts anew when the inbox says so.
        """
        from inbox.models.conversation import Conversation

        known = db.session.scalar(
            sa.select(Message.id).where(Message.inbox_id == inbox.id, Message.provider_id == inbound.provider_id)
        )
        if known:
            return None
        contact = Contact.at(inbox.account_id, inbound.sender)
        conversation = Conversation.find_or_open(inbox, contact, inbound.sender, archived=False)
        message_id = db.session.execute(
            insert_or_ignore()(Message)
            .values(
                account_id=inbox.account_id, conversation_id=conversation.id, inbox_id=inbox.id, kind="in", body=clean_body(inbound.text),
                state="received", provider_id=inbound.provider_id, public_id=new_public_id(), ref=new_public_id() + new_public_id(),
                occurred_at=inbound.occurred_at, created_at=clock.now(), verdict=[],
            )
            .on_conflict_do_nothing(index_elements=["inbox_id", "provider_id"])
            .returning(Message.id)
        ).scalar()
        if message_id is None:
            return None
        message = db.session.get_one(Message, message_id)
        for position, item in enumerate(inbound.media[:20]):
            attachment = Attachment(
                account_id=inbox.account_id, message_id=message.id, position=position, source_url=item.url[:2000],
                content_type=item.content_type[:100], filename=(item.filename or "")[:200],
            ).save()
            background.enqueue("fetch_media", attachment.id)
        db.session.refresh(message)
        conversation._take_in(message)
        conversation._obey(inbound.keyword, message)
        return message

    def _take_in(self, message: Message) -> None:
        if self.archived:
            self._reopen(None)
        db.session.execute(
            sa.update(type(self))
            .where(type(self).id == self.id)
            .values(
                last_inbound_id=sa.case((type(self).last_inbound_id < message.id, message.id), else_=type(self).last_inbound_id),
                last_inbound_at=clock.now(), version=type(self).version + 1, unread=True, failed=False,
            )
            .execution_options(synchronize_session=False)
        )
        db.session.refresh(self)
        self.touch(message)
        db.session.flush()
        message.changed()
        self.changed(inbound=True)

    def _obey(self, keyword: str | None, message: Message) -> None:
        """STOP, START and HELP, whole messages only; one confirmation each."""
        if keyword is None:
            return
        inbox = self.inbox
        reply = {"STOP": inbox.stop_reply, "START": inbox.start_reply, "HELP": inbox.help_reply}[keyword]
        text = reply or DEFAULTS[keyword].format(name=inbox.account.name)
        if keyword == "START":
            consent = Consent.of(inbox.team_id, self.address)
            if consent is None or not consent.opted_out:  # a plain "yes" in a conversation, not a change of mind
                return
        if keyword in ("STOP", "START"):
            changed = Consent.put(
                self.account_id, inbox.team_id, self.address, opted_out=keyword == "STOP", source="text", evidence=f"message {message.id}: {message.body}"
            )
            if not changed:
                return
            Event.record("contact.opted_out" if keyword == "STOP" else "contact.opted_in", account=self.account_id, conversation=self)  # type: ignore[arg-type]
        self.answer_automatically(text, exempt=("consent",) if keyword in ("STOP", "HELP") else ())

    @staticmethod
    def find_or_open(inbox: Inbox, contact: Contact, address: str, *, archived: bool) -> Conversation:  # type: ignore[name-defined]  # noqa: F821
        """The conversation of (inbox, address): the open one, else the newest archived one if the inbox reopens, else a new one."""
        from inbox.models.conversation import Conversation

        db.session.execute(sa.select(Contact.id).where(Contact.id == contact.id).with_for_update(key_share=True))  # one at a time per contact
        found = Conversation.open_one(inbox.id, address)
        if found is None and (inbox.reopen or archived):
            found = db.session.scalar(
                sa.select(Conversation)
                .where(Conversation.inbox_id == inbox.id, Conversation.address == address)
                .order_by(Conversation.id.desc())
                .limit(1)
                .with_for_update(key_share=True)
            )
        if found is not None:
            return found
        now = clock.now()
        owner = contact.owner if contact.owner and contact.owner.may_receive(inbox) else None
        values = {
            "public_id": new_public_id(), "account_id": inbox.account_id, "inbox_id": inbox.id, "contact_id": contact.id, "channel": inbox.channel,
            "address": address, "assignee_id": owner.id if owner else None, "archived_at": now if archived else None, "last_activity_at": now,
            "created_at": now, "last_inbound_id": 0, "last_message_id": 0, "preview": "", "preview_kind": "in", "unread": False, "failed": False, "version": 0,
        }
        insert = insert_or_ignore()(Conversation).values(**values)
        if not archived:
            insert = insert.on_conflict_do_nothing(index_elements=["inbox_id", "address"], index_where=sa.text("archived_at IS NULL"))
        made = db.session.execute(insert.returning(Conversation.id)).scalar()
        if made is None:
            other = Conversation.open_one(inbox.id, address)
            assert other is not None  # noqa: S101 - the unique index says it exists
            return other
        db.session.execute(sa.insert(Lock).values(conversation_id=made, fence=0))
        conversation = db.session.get_one(Conversation, made)
        Event.record("conversation.opened", account=inbox.account_id, conversation=conversation)
        if owner:
            Event.record("conversation.assigned", account=inbox.account_id, conversation=conversation, to=owner.id, to_name=owner.name, source="owner")
        return conversation

    @staticmethod
    def open_one(inbox_id: int, address: str) -> Conversation | None:  # type: ignore[name-defined]  # noqa: F821
        """The open conversation of an inbox with an address; there is at most one."""
        from inbox.models.conversation import Conversation

        return db.session.scalar(
            sa.select(Conversation)
            .where(Conversation.inbox_id == inbox_id, Conversation.address == address, Conversation.archived_at.is_(None))
            .with_for_update(key_share=True)
        )
