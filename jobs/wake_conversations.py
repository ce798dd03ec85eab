"""Bring snoozed conversations back when their moment has come."""

from __future__ import annotations

from inbox.models import Conversation, db, transaction


def wake_conversations() -> int:
    """Wake what is due, each in a transaction of its own; returns how many this worker woke."""
    due, woken = Conversation.due_snoozes(), 0
    db.session.commit()
    for conversation_id in due:
        with transaction():
            woken += db.session.get_one(Conversation, conversation_id).wake()
    return woken


def sweep_snoozes() -> None:
    """The scheduler's part: one indexed look while nothing is due."""
    wake_conversations()
