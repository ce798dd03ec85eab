"""Which pages a device may keep to be read without a connection (static/sw.js): only lists, only for the session that asked for them."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from flask import Response, g

from inbox import clock
from inbox.models import LoginSession
from inbox.models.member import SESSION_IDLE, SESSION_LIFE

KEEP = timedelta(hours=24)


def keepable(page: Response) -> Response:
    """Let this person's device keep that list, at most as long as the session could live; the mark changes with each session and each change of rights."""
    row: LoginSession = g.login_session
    now = clock.now()
    until = min(now + KEEP, row.seen_at + SESSION_IDLE, row.created_at + SESSION_LIFE)
    mark = hashlib.sha256(b"kept" + row.token_digest.encode()).hexdigest()[:16]
    page.headers["X-Kept"] = f"{mark} {int(until.timestamp() * 1000)}"
    return page
