"""Closing and reopening (CONV-1, CONV-6), read and unread."""

from __future__ import annotations

from inbox import clock
from inbox.models.base import Refused
from inbox.models.conversation.row import ConversationRow
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.permissions import Permission


class Archiving(ConversationRow):
    """Archived and back; read and unread."""

    __abstract__ = True

    @property
    def archived(self) -> bool:
        return self.archived_at is not None

    def archive(self, *, by: Member) -> None:
        by.require(Permission.CONVERSATIONS_ARCHIVE, on=self)  # type: ignore[arg-type]
        if self.archived:
            return
        self.archived_at, self.unread = clock.now(), False
        Event.record("conversation.archived", account=self.account_id, by=by, conversation=self)  # type: ignore[arg-type]
        self.changed()

    def unarchive(self, *, by: Member) -> None:
        """Back to Inbox; refused when a newer open conversation with the same contact exists."""
        from inbox.models.conversation import Conversation

        by.require(Permission.CONVERSATIONS_ARCHIVE, on=self)  # type: ignore[arg-type]
        if not self.archived:
            return
        other = Conversation.open_one(self.inbox_id, self.address)
        if other is not None:
            raise Refused("There is a newer open conversation with this contact. Go on there.")
        self._reopen(by)

    def _reopen(self, by: Member | None) -> None:
        self.archived_at = None
        Event.record("conversation.reopened", account=self.account_id, by=by, conversation=self)  # type: ignore[arg-type]
        self.changed()

    def mark_read(self, *, by: Member) -> None:
        """Somebody who answers for this inbox has seen it; viewers' eyes do not count."""
        if not self.unread or not by.can(Permission.CONVERSATIONS_REPLY, on=self):  # type: ignore[arg-type]
            return
        self.unread = False
        self.changed()

    def mark_unread(self, *, by: Member) -> None:
        by.require(Permission.CONVERSATIONS_REPLY, on=self)  # type: ignore[arg-type]
        self.unread = True
        self.changed()
