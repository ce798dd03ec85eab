"""Read and unread."""

from __future__ import annotations

from flask import Blueprint, Response, abort, make_response, redirect, request

from inbox.models import transaction
from inbox.permissions import Permission
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.conversations import back_to, number
from inbox.views.hypermedia import fragment, is_fragment

bp = Blueprint("readings", __name__)


@bp.post("/c/<conversation>/reading")
@requires(Permission.CONVERSATIONS_VIEW)
def create(conversation: str) -> Response:
    """For everybody: read or unread, which takes the right to reply. For oneself alone: seen, up to `message`."""
    found = conversation_or_404(conversation)
    value = request.form.get("value", "read")
    if value not in ("read", "unread", "seen"):
        abort(400, "A conversation can be marked read or unread.")
    if value != "seen":
        member().require(Permission.CONVERSATIONS_REPLY, on=found)
    with transaction():
        if value != "unread":
            found.seen_by(member(), number("message"))
        if value == "read":
            found.mark_read(by=member())
        elif value == "unread":
            found.mark_unread(by=member())
    if not is_fragment():
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    if value != "unread":
        return make_response("", 204)  # nothing to say: a page reads by itself, and what stands in a toast stays
    return fragment("conversations/reading.oob.html", conversation=found)
