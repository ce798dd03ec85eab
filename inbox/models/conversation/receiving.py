"""The one way in, for every channel (CONV-6, MSG-2)."""

from __future__ import annotations

import sqlalchemy as sa

from inbox import background, clock
from inbox import phone as phones
from inbox.channels.base import Inbound
from inbox.models.base import Refused, db
from inbox.models.base import public_id as new_public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.consent import Allowed, Consent, OptInRequest, hold_still
from inbox.models.contact import Contact
from inbox.models.conversation.locking import Lock
from inbox.models.conversation.replying import Replying, clean_body
from inbox.models.event import Event
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.models.message import Attachment, Message
from inbox.models.notification import Notice
from inbox.models.rights import attend
from inbox.models.search.index import add_message
from inbox.permissions import Permission

DEFAULTS = {
    "STOP": "{name}: you are unsubscribed and will get no more texts from us. Reply START to hear from us again.",
    "START": "{name}: welcome back. You can text us any time. Reply HELP for help, STOP to unsubscribe.",
    "YES": "{name}: thank you, you will get texts from us. Reply HELP for help, STOP to unsubscribe.",
    "HELP": "{name}: reply to this number and our team will answer. Reply STOP to unsubscribe. Message and data rates may apply.",
}


class OptOutAnswered(Refused):
    """Another member was first."""

    status = 409


def keyword_of(inbox: Inbox, inbound: Inbound) -> str | None:
    """The keyword a text is for this inbox: the carriers' own, else one of its own."""
    return inbound.keyword or phones.own_keyword(inbound.text, inbox.own_keywords)


class Receiving(Replying):
    """Taking in what a customer sent."""

    __abstract__ = True

    @staticmethod
    def receive(inbox: Inbox, inbound: Inbound, *, obey: bool = True) -> Message | None:
        """Store an inbound text in its conversation; None when this very text was stored before.

        Finds the contact by number and the conversation by (inbox, address); an archived one comes back, or starts anew when the inbox says so. A snoozed
        one always comes back itself, and what is spam stays spam.
        Without `obey` a keyword in it is only kept: it came too late to be answered.
        """
        from inbox.models.conversation import Conversation

        known = db.session.scalar(
            sa.select(Message.id).where(Message.inbox_id == inbox.id, Message.provider_id == inbound.provider_id)
        )
        if known:
            return None
        keyword = keyword_of(inbox, inbound)
        if keyword in ("STOP", "START"):
            hold_still(inbox.account_id, inbound.sender, alone=True)
        contact = Contact.at(inbox.account_id, inbound.sender)
        conversation = Conversation.find_or_open(inbox, contact, inbound.sender, archived=contact.blocked)
        message_id = db.session.execute(
            insert_or_ignore()(Message)
            .values(
                account_id=inbox.account_id, conversation_id=conversation.id, inbox_id=inbox.id, kind="in", body=clean_body(inbound.text),
                state="received", provider_id=inbound.provider_id, public_id=new_public_id(), ref=new_public_id() + new_public_id(),
                occurred_at=inbound.occurred_at, created_at=clock.now(), verdict=[], address=inbound.sender if inbound.sender != conversation.address else None,
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
        add_message(message, files=len(inbound.media))
        silent = conversation.contact.blocked or conversation.spam
        if keyword is None and not silent and phones.maybe_opt_out(message.body) and not Allowed.read(inbox, inbound.sender).opted_out:
            message.opt_out = "asked"
        if silent:
            conversation._keep_only(message)
        else:
            conversation._take_in(message)
        if obey:
            conversation._obey(keyword, message, answered=inbound.answered)
        return message

    def _keep_only(self, message: Message) -> None:
        """A blocked contact's text, or one more of a spam conversation: it is there for who looks, and moves, marks and tells nothing (MSG-1, CONV-8)."""
        db.session.execute(
            sa.update(type(self))
            .where(type(self).id == self.id)
            .values(last_inbound_id=sa.case((type(self).last_inbound_id < message.id, message.id), else_=type(self).last_inbound_id), version=type(self).version + 1)
            .execution_options(synchronize_session=False)
        )
        db.session.refresh(self)
        message.changed()

    def _take_in(self, message: Message) -> None:
        from inbox.models.scheduled_sending import drop_answered
        from inbox.models.undo import hold_back

        if self.archived:
            self._reopen(None)  # type: ignore[misc]
        db.session.execute(
            sa.update(type(self))
            .where(type(self).id == self.id)
            .values(
                last_inbound_id=sa.case((type(self).last_inbound_id < message.id, message.id), else_=type(self).last_inbound_id),
                last_inbound_at=clock.now(), version=type(self).version + 1, unread=True, failed=False,
                owed_since=self._owed_from(message),
            )
            .execution_options(synchronize_session=False)
        )
        db.session.refresh(self)
        self.touch(message)
        db.session.flush()
        hold_back(self)  # type: ignore[arg-type]
        drop_answered(self)  # type: ignore[arg-type]
        message.changed()
        self.changed(inbound=True)
        Notice.give("message", self, message=message)  # type: ignore[arg-type]

    def _obey(self, keyword: str | None, message: Message, *, answered: bool) -> None:
        """STOP, START and HELP, whole messages only; one confirmation for each change, unless the provider has `answered` it."""
        if keyword is None:
            return
        inbox, said, source, address = self.inbox, keyword, "text", message.peer
        if keyword == "START":
            asked, allowed = OptInRequest.to(inbox.id, address), Allowed.read(inbox, address)
            if asked is not None and asked.answered_at is None and inbox.double_opt_in:
                asked.answered_at = clock.now()
                said, source = ("START" if allowed.opted_out else "YES"), "double"
            elif not allowed.opted_out:  # a plain "yes" in a conversation, not a change of mind
                return
        if keyword == "STOP":
            self._settle_questions()
        if keyword in ("STOP", "START"):
            changed = Consent.put(
                self.account_id, inbox.team_id, address, opted_out=keyword == "STOP", source=source, evidence=message.body, inbox_id=inbox.id, message=message
            )
            if not changed:
                return
            Event.record("contact.opted_out" if keyword == "STOP" else "contact.opted_in", account=self.account_id, conversation=self, source=source)  # type: ignore[arg-type]
        if answered and inbox.texting.adapter.caps.handles_optout:
            return
        reply = {"STOP": inbox.stop_reply, "START": inbox.start_reply, "HELP": inbox.help_reply}.get(said)
        self.answer_automatically(reply or DEFAULTS[said].format(name=inbox.account.name), exempt=("consent", "opt_in") if keyword in ("STOP", "HELP") else (), to=address)

    def _settle_questions(self) -> None:
        """A plain STOP answers what was still asked about earlier texts."""
        asked = sa.update(Message).where(Message.conversation_id == self.id, Message.opt_out == "asked").values(opt_out="yes").returning(Message.id)
        for message_id in db.session.scalars(asked.execution_options(synchronize_session=False)).all():
            earlier = db.session.get_one(Message, message_id)
            db.session.refresh(earlier, ["opt_out"])
            earlier.changed()

    def answer_opt_out(self, message: Message, out: bool, *, by: Member) -> None:
        """What a member made of a text that may mean "no more texts"; the first answer counts (MSG-2)."""
        by.require(Permission.CONVERSATIONS_REPLY, on=self)  # type: ignore[arg-type]
        hold_still(self.account_id, message.peer, alone=True)
        first = db.session.execute(
            sa.update(Message).where(Message.id == message.id, Message.opt_out == "asked").values(opt_out="yes" if out else "no").returning(Message.id)
            .execution_options(synchronize_session=False)
        ).scalar()
        db.session.refresh(message, ["opt_out"])
        if first is None:
            if not message.opt_out:
                raise Refused("Nobody is asked about this text.")
            raise OptOutAnswered("Somebody has answered this already.")
        inbox = self.inbox
        if out:
            Consent.put(
                self.account_id, inbox.team_id, message.peer, opted_out=True, source="hand", evidence=message.body, inbox_id=inbox.id, message=message, by=by
            )
        Event.record("contact.opted_out" if out else "contact.kept", account=self.account_id, by=by, conversation=self, source="hand", message=message.id)  # type: ignore[arg-type]
        message.changed()
        self.changed()

    @staticmethod
    def find_or_open(inbox: Inbox, contact: Contact, address: str, *, archived: bool) -> Conversation:  # type: ignore[name-defined]  # noqa: F821
        """The conversation of (inbox, address): the open one, else a snoozed one, else the newest one if it is spam or the inbox reopens, else a new one."""
        from inbox.models.conversation import Conversation

        owner = contact.owner
        attend(owner)
        now_owner, stands = db.session.execute(
            sa.select(Contact.owner_id, Contact.merged_into_id).where(Contact.id == contact.id).with_for_update(key_share=True)  # one at a time per contact
        ).one()
        if stands is not None:  # merged this very moment
            return Conversation.find_or_open(inbox, db.session.get_one(Contact, stands, populate_existing=True), address, archived=archived)
        if owner and now_owner != owner.id:
            owner = None  # it got another owner this very moment
        found = Conversation.open_one(inbox.id, address)
        if found is None:
            found = Conversation._put_away(inbox, address, anything=inbox.reopen or archived)
        if found is not None:
            return found
        now = clock.now()
        owner = owner if owner and owner.may_receive(inbox) else None
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
    def _put_away(inbox: Inbox, address: str, *, anything: bool) -> Conversation | None:  # type: ignore[name-defined]  # noqa: F821
        """The open conversation that one of the address was merged into, else a snoozed one, else the newest one if it is spam or `anything` will do."""
        from inbox.models.conversation import Conversation

        led = sa.select(sa.func.coalesce(Conversation.merged_into_id, Conversation.id)).where(Conversation.inbox_id == inbox.id, Conversation.address == address)
        query = sa.select(Conversation).where(Conversation.id.in_(led)).limit(1).with_for_update(key_share=True)
        newest = db.session.scalar(query.order_by(Conversation.archived_at.is_not(None), Conversation.snoozed_until.is_(None), Conversation.id.desc()))
        return newest if newest is not None and (anything or not newest.archived or newest.snoozed or newest.spam) else None

    @staticmethod
    def open_one(inbox_id: int, address: str) -> Conversation | None:  # type: ignore[name-defined]  # noqa: F821
        """The open conversation of an inbox with an address; there is at most one."""
        from inbox.models.conversation import Conversation

        return db.session.scalar(
            sa.select(Conversation)
            .where(Conversation.inbox_id == inbox_id, Conversation.address == address, Conversation.archived_at.is_(None))
            .with_for_update(key_share=True)
        )
