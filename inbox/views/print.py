"""A conversation on paper: everything in order, in words, without scripts."""

from __future__ import annotations

from flask import Blueprint, Response, request

from inbox.models import Message
from inbox.permissions import Permission
from inbox.views import screens
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.conversations import number
from inbox.views.helpers import local
from inbox.views.hypermedia import page

bp = Blueprint("print", __name__)
PAGE = 500  # messages
STATES = {
    "queued": "Queued", "sending": "Sending", "sent": "Sent", "delivered": "Delivered", "read": "Read", "canceled": "Not sent: taken back",
    "held": "Not sent yet: the customer wrote meanwhile",
    "uncertain": "May have been sent: nobody knows",
}


@bp.get("/c/<conversation>/print")
@requires(Permission.CONVERSATIONS_VIEW)
def show(conversation: str) -> Response:
    """500 messages from the beginning, or those after the one with id `after`; the team's notes only when `notes` is ticked."""
    found, notes = conversation_or_404(conversation), request.args.get("notes") == "1"
    part = found.stretch(after=number("after"), limit=PAGE)
    items = [item for item in part.items if notes or item.message is None or item.message.kind != "note"]
    zone = f"{member().time_zone.replace('_', ' ')}, UTC{local(found.last_activity_at).isoformat(timespec='seconds')[-6:]}"
    return page("conversations/print.html", conversation=found, thread=screens.draw(items), newer=part.newer, notes=notes, zone=zone, state=state)


def state(message: Message, channel: str) -> str:
    """What became of a text of ours, in words."""
    if not message.outgoing:
        return ""
    if message.state in ("failed", "undelivered"):
        return f"Not delivered: {screens.explain(message, channel)}"
    return STATES.get(message.state, message.state.capitalize())
