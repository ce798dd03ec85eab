"""Taking back a text that waits for its author's seconds, and sending one the customer spoke before (CONV-8, LOCK-4)."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, redirect, request

from inbox.models import Conversation, Message, db, transaction, undo
from inbox.permissions import Permission
from inbox.views import screens
from inbox.views.access import member, requires
from inbox.views.conversations import back_to, number
from inbox.views.hypermedia import fragment, is_fragment

bp = Blueprint("undo", __name__)
bp.add_app_template_global(undo.may, "may_undo")


@bp.post("/messages/<message>/undo")
@requires(Permission.CONVERSATIONS_REPLY)
def create(message: str) -> Response:
    """Take a text back before it leaves: it is a draft again, with its files, above what was typed since."""
    found = _message_or_404(message)
    with transaction():
        held = undo.undo(found, by=member(), typed=request.form.get("body"))
    if not is_fragment():
        flash("Taken back. It is your draft again.")
        return redirect(back_to(found.conversation), 303)  # type: ignore[return-value]
    pane = screens.conversation_pane(found.conversation, member(), auto=False, fence=held.fence if held else 0)
    response = fragment(
        "messages/undone.oob.html", c=pane, conversation=found.conversation, thread=_drawn(found), strip=pane.strip, id=found.conversation.public_id,
        args=screens.page_args(),
    )
    response.headers["HX-Trigger"] = "undone"
    return response


@bp.post("/messages/<message>/anyway")
@requires(Permission.CONVERSATIONS_REPLY)
def anyway(message: str) -> Response:
    """Send a text although the customer wrote meanwhile; `seen` is the newest of their texts the page has shown."""
    found = _message_or_404(message)
    with transaction():
        undo.send_anyway(found, by=member(), seen=number("seen"))
    if not is_fragment():
        flash("Sent.")
        return redirect(back_to(found.conversation), 303)  # type: ignore[return-value]
    return fragment("messages/changed.oob.html", conversation=found.conversation, thread=_drawn(found))


def _drawn(found: Message) -> list[screens.Drawn]:
    return screens.one(screens.message_with_author(found.id) or found)


def _message_or_404(public_id: str) -> Message:
    """The text, through the scope of its conversation."""
    readable = Conversation.opens(member(), Message.conversation_id)
    return db.session.scalar(sa.select(Message).where(Message.public_id == public_id, Message.kind == "out", readable)) or abort(404)
