"""Let the replies that waited for the carriers' approval leave."""

from __future__ import annotations

from inbox.extensions import db
from inbox.models.release import release, waiting_for


def release_drafts(registration_id: int) -> None:
    """One after the other, each in its own transaction; any number of these jobs may run at once."""
    found = waiting_for(registration_id)
    db.session.commit()
    for draft_id in found:
        release(draft_id)
