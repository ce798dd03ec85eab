"""Work out whom to tell of something that happened; each wants it in their own way and after their own window."""

from __future__ import annotations

from inbox.models import Notice, db, transaction


def notify_members(notice_id: int) -> None:
    """Make the rows of everyone who may want to hear of it; a second time changes nothing."""
    with transaction():
        notice = db.session.get(Notice, notice_id)
        if notice is not None:
            notice.fan_out()
