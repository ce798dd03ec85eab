"""The conversation: one noun, its behaviour in traits of one theme each."""

from __future__ import annotations

import sqlalchemy as sa

from inbox.models.conversation.archiving import Archiving
from inbox.models.conversation.assigning import Assigning, TakenAlready
from inbox.models.conversation.listing import VIEWS, Filter, Listing, Row
from inbox.models.conversation.locking import Held, Lock, Locking, LockLost, LockWaiter
from inbox.models.conversation.reading import Item, Reading
from inbox.models.conversation.receiving import Receiving
from inbox.models.conversation.replying import Replying, Stale
from inbox.models.conversation.tagging import Tagged
from inbox.models.gate import SendRefused

_OPEN = sa.text("archived_at IS NULL")
_ARCHIVED = sa.text("archived_at IS NOT NULL")
_OWED = sa.text("owed_since IS NOT NULL AND archived_at IS NULL")
_SNOOZED = sa.text("snoozed_until IS NOT NULL")
_SPAM = sa.text("spam_at IS NOT NULL")
_OWED_OUT = sa.text("owed_since IS NOT NULL AND archived_at IS NOT NULL")
_UNREAD_OUT = sa.text("unread AND archived_at IS NOT NULL")


class Conversation(Receiving, Assigning, Listing, Reading, Tagged):
    """The thread between one inbox and one contact on one channel."""

    __tablename__ = "conversation"
    __table_args__ = (
        sa.Index("uq_conversation_open", "inbox_id", "address", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index("ix_conversation_address", "inbox_id", "address", "id"),
        sa.Index("ix_conversation_open", "inbox_id", "last_activity_at", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index("ix_conversation_assignee", "inbox_id", "assignee_id", "last_activity_at", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index("ix_conversation_owed", "inbox_id", "owed_since", "id", sqlite_where=_OWED, postgresql_where=_OWED),
        sa.Index("ix_conversation_owed_mine", "assignee_id", "owed_since", "id", sqlite_where=_OWED, postgresql_where=_OWED),
        sa.Index("ix_conversation_owed_work", "account_id", "owed_since", "id", sqlite_where=_OWED, postgresql_where=_OWED),
        sa.Index("ix_conversation_mine", "assignee_id", "last_inbound_at", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index("ix_conversation_mine_out", "assignee_id", "last_inbound_at", "id", sqlite_where=_ARCHIVED, postgresql_where=_ARCHIVED),
        sa.Index("ix_conversation_work", "account_id", "last_activity_at", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index("ix_conversation_work_out", "account_id", "last_activity_at", "id", sqlite_where=_ARCHIVED, postgresql_where=_ARCHIVED),
        sa.Index("ix_conversation_archived", "inbox_id", "last_activity_at", "id", sqlite_where=_ARCHIVED, postgresql_where=_ARCHIVED),
        sa.Index("ix_conversation_snoozed", "inbox_id", "last_activity_at", "id", sqlite_where=_SNOOZED, postgresql_where=_SNOOZED),
        sa.Index("ix_conversation_waking", "snoozed_until", sqlite_where=_SNOOZED, postgresql_where=_SNOOZED),
        sa.Index("ix_conversation_spam", "inbox_id", "last_activity_at", "id", sqlite_where=_SPAM, postgresql_where=_SPAM),
        sa.Index("ix_conversation_holder", "assignee_id"),
        sa.Index("ix_conversation_assignee_out", "inbox_id", "assignee_id", "last_activity_at", "id", sqlite_where=_ARCHIVED, postgresql_where=_ARCHIVED),
        sa.Index(
            "ix_conversation_unread", "inbox_id", "assignee_id", "last_activity_at",
            sqlite_where=sa.text("unread AND archived_at IS NULL"), postgresql_where=sa.text("unread AND archived_at IS NULL"),
        ),
        # of indexes alike SQLite takes the one made last: these after ix_conversation_archived
        sa.Index("ix_conversation_owed_out", "inbox_id", "last_activity_at", "id", sqlite_where=_OWED_OUT, postgresql_where=_OWED_OUT),
        sa.Index("ix_conversation_unread_out", "inbox_id", "last_activity_at", "id", sqlite_where=_UNREAD_OUT, postgresql_where=_UNREAD_OUT),
    )


__all__ = [
    "VIEWS", "Archiving", "Assigning", "Conversation", "Filter", "Held", "Item", "Listing", "Lock", "LockLost", "LockWaiter", "Locking", "Reading",
    "Receiving", "Replying", "Row", "SendRefused", "Stale", "TakenAlready",
]
