"""Drafts: what is being typed, kept on the server."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Blueprint, Response, make_response, redirect, request

from inbox.models import Draft, Message, db, transaction
from inbox.permissions import Permission
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.conversations import back_to
from inbox.views.hypermedia import is_fragment

bp = Blueprint("drafts", __name__)


@bp.post("/c/<conversation>/draft")
@requires(Permission.CONVERSATIONS_NOTE)
def create(conversation: str) -> Response:
    """Keep what was typed; a late copy of what has just been sent is dropped."""
    found = conversation_or_404(conversation)
    kind = request.form.get("kind", "reply")
    nonce = request.form.get("nonce", "")
    with transaction():
        if not nonce or not db.session.scalar(sa.select(Message.id).where(Message.conversation_id == found.id, Message.nonce == nonce)):
            Draft.put(found, request.form.get("body", ""), by=member(), kind=kind)
    if not is_fragment() and "text/html" in request.headers.get("Accept", ""):
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    return make_response("", 204)
