"""Send the texts whose moment has come."""

from __future__ import annotations

from inbox.models import db, scheduled_sending


def send_scheduled() -> int:
    """Let what is due leave, each in a transaction of its own; returns how many this worker sent."""
    waiting = scheduled_sending.due()
    db.session.commit()
    return sum(scheduled_sending.leave(scheduled_id) for scheduled_id in waiting)


def sweep_scheduled() -> None:
    """The scheduler's part: one indexed look while nothing is due."""
    send_scheduled()
