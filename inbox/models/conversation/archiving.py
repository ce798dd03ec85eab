"""Closing and reopening (CONV-1, CONV-6), spam (CONV-8), read and unread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inbox import clock
from inbox.models.base import Refused
from inbox.models.conversation.snoozing import Snoozing
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation


class Archiving(Snoozing):
    """Archived and back; spam and back; read and unread."""

    __abstract__ = True

    @property
    def archived(self) -> bool:
        """Out of the open lists: done, snoozed or spam."""
        return self.archived_at is not None

    @property
    def spam(self) -> bool:
        return self.spam_at is not None

    def archive(self: Conversation, *, by: Member) -> None:  # type: ignore[misc]
        """Done until the customer writes again; what is snoozed is done too then, and spam stays what it is."""
        by.require(Permission.CONVERSATIONS_ARCHIVE, on=self)
        if self.archived and not self.snoozed:
            return
        self.archived_at, self.snoozed_until, self.unread = clock.now(), None, False
        Event.record("conversation.archived", account=self.account_id, by=by, conversation=self)
        self.changed()

    def unarchive(self: Conversation, *, by: Member) -> None:  # type: ignore[misc]
        """Back to Inbox, whether it was done, snoozed or spam; refused when a newer open conversation with the same contact exists."""
        from inbox.models.conversation import Conversation

        by.require(Permission.CONVERSATIONS_ARCHIVE, on=self)
        if not self.archived:
            return
        self._alone_with_contact()
        other = Conversation.open_one(self.inbox_id, self.address)
        if other is not None:
            raise Refused("There is a newer open conversation with this contact. Go on there.")
        self._reopen(by)

    def _reopen(self: Conversation, by: Member | None) -> None:  # type: ignore[misc]
        early = self.snoozed and by is None
        kind = "conversation.spam_cleared" if self.spam else "conversation.unsnoozed" if self.snoozed and by else "conversation.reopened"
        self.archived_at = self.snoozed_until = self.spam_at = None
        Event.record(kind, account=self.account_id, by=by, conversation=self)
        self.changed()
        if early:
            self._tell_who_snoozed()

    def mark_spam(self: Conversation, *, by: Member, block: bool = False) -> None:  # type: ignore[misc]
        """Out of every list but Spam, where its later texts stay too, unannounced; with `block` the contact is blocked as well."""
        by.require(Permission.CONVERSATIONS_ARCHIVE, on=self)
        if block:
            self.contact.block(by=by, conversation=self)
        if self.spam:
            return
        self.archived_at = self.spam_at = clock.now()
        self.snoozed_until, self.unread = None, False
        Event.record("conversation.spam_marked", account=self.account_id, by=by, conversation=self)
        self.changed()

    def unmark_spam(self: Conversation, *, by: Member) -> None:  # type: ignore[misc]
        """Not spam: back to Inbox, or to Archived where the contact has an open conversation already."""
        from inbox.models.conversation import Conversation

        by.require(Permission.CONVERSATIONS_ARCHIVE, on=self)
        if not self.spam:
            return
        self._alone_with_contact()
        if Conversation.open_one(self.inbox_id, self.address) is None:
            self._reopen(by)
            return
        self.spam_at = None
        Event.record("conversation.spam_cleared", account=self.account_id, by=by, conversation=self)
        self.changed()

    def mark_read(self: Conversation, *, by: Member) -> None:  # type: ignore[misc]
        """Somebody who answers for this inbox has seen it; viewers' eyes do not count."""
        if not self.unread or not by.can(Permission.CONVERSATIONS_REPLY, on=self):
            return
        self.unread = False
        self.changed()

    def mark_unread(self: Conversation, *, by: Member) -> None:  # type: ignore[misc]
        """To be looked at again; what is spam is unread to nobody."""
        by.require(Permission.CONVERSATIONS_REPLY, on=self)
        if self.spam:
            raise Refused("This is spam. Take it out of spam first.")
        self.unread = True
        self.changed()
