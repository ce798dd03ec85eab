"""Read and unread."""

from __future__ import annotations

from flask import Blueprint, Response, abort, redirect, request

from inbox.models import transaction
from inbox.permissions import Permission
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.conversations import back_to
from inbox.views.hypermedia import fragment, is_fragment

bp = Blueprint("readings", __name__)


@bp.post("/c/<conversation>/reading")
@requires(Permission.CONVERSATIONS_REPLY)
def create(conversation: str) -> Response:
    found = conversation_or_404(conversation)
    value = request.form.get("value", "read")
    if value not in ("read", "unread"):
        abort(400, "A conversation can be marked read or unread.")
    with transaction():
        if value == "read":
            found.mark_read(by=member())
        else:
            found.mark_unread(by=member())
    if not is_fragment():
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    return fragment("conversations/reading.oob.html", conversation=found)
