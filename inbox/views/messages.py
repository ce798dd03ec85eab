"""Writing: replies, notes, trying again."""

from __future__ import annotations

from secrets import token_urlsafe
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, redirect, request, url_for

from inbox.models import Conversation, Denied, LockLost, Message, Refused, SendRefused, Stale, db, transaction
from inbox.models.rights import attend
from inbox.permissions import Permission
from inbox.views import screens
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.conversations import back_to, number, whole
from inbox.views.hypermedia import either, fragment, is_fragment
from inbox.views.uploads import kept_uploads, take_uploads

bp = Blueprint("messages", __name__)


@bp.post("/c/<conversation>/messages")
@requires(Permission.CONVERSATIONS_REPLY)
def create(conversation: str) -> Response:
    """Send a reply, or say why not and keep the text."""
    found, who = conversation_or_404(conversation), member()
    archive = request.form.get("then") == "archive"
    try:
        uploads = take_uploads(found.inbox)
        with transaction():
            message = found.reply(
                request.form.get("body", ""), by=who, fence=_fence(found), seen=number("seen"), nonce=_nonce(), anyway=request.form.get("anyway") == "1", uploads=uploads
            )
            if archive:
                found.archive(by=who)
                found.release(by=who)
    except Stale as stale:
        return _refused(found, stale, stale=True)
    except (LockLost, SendRefused, Refused) as refused:
        if isinstance(refused, Denied):
            raise
        return _refused(found, refused)
    if not is_fragment():
        waits = screens.held(message)
        flash(f"Held: {waits}." if waits else "Sent and archived." if archive else "Sent.")
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    return _written(found, message, "sent-archived" if archive else "sent")


@bp.post("/c/<conversation>/notes")
@requires(Permission.CONVERSATIONS_NOTE)
def create_note(conversation: str) -> Response:
    """Write a note for the team."""
    found = conversation_or_404(conversation)
    try:
        with transaction():
            message = found.note(request.form.get("note", ""), by=member(), nonce=_nonce())
    except Refused as refused:
        if isinstance(refused, Denied):
            raise
        return _refused(found, refused, kind="note")
    if not is_fragment():
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    return _written(found, message, "noted")


@bp.post("/messages/<message>/retry")
@requires(Permission.CONVERSATIONS_REPLY)
def retry(message: str) -> Response:
    """Send a failed text once more."""
    found = _message_or_404(message)
    with transaction():
        found.try_again(by=member())
    return _changed(found)


@bp.post("/messages/<message>/cancel")
@requires(Permission.CONVERSATIONS_REPLY)
def cancel(message: str) -> Response:
    """Take back a text that has not left."""
    found = _message_or_404(message)
    with transaction():
        found.cancel(by=member())
    return _changed(found)


@bp.post("/messages/<message>/release")
@requires(Permission.CONVERSATIONS_REPLY)
def release(message: str) -> Response:
    """Send a text now that waits for the end of quiet hours."""
    found = _message_or_404(message)
    with transaction():
        found.release(by=member())
    return _changed(found)


@bp.get("/messages/<message>/checks")
@requires(Permission.CONVERSATIONS_VIEW)
def checks(message: str) -> Response:
    """What the send gate said about a text, rule by rule (MSG-1)."""
    found = _message_or_404(message)
    if not found.outgoing:
        abort(404)
    found = screens.message_with_author(found.id) or found
    return either("messages/checks.html", "messages/_checks.html", message=found, conversation=found.conversation, checks=screens.checks(found), way=WAYS.get(found.path, ""))


WAYS = {
    "reply": "A reply", "compose": "A first text", "api": "Sent by another program", "scheduled": "A scheduled text", "auto": "The answer to a keyword", "away": "An away message",
    "flow": "An automation", "bulk": "One text to many", "opt_in": "The question for a YES",
}


@bp.post("/messages/<message>/sent")
@requires(Permission.CONVERSATIONS_REPLY)
def mark_sent(message: str) -> Response:
    """A person knows that the text went out."""
    found = _message_or_404(message)
    with transaction():
        found.mark_sent(by=member())
    return _changed(found)


def _fence(found: Conversation) -> int:
    """The page's fence; a page that never held the lock takes it now if it is free."""
    fence = number("fence")
    if fence:
        return fence
    attend(member())
    found._one_writer()  # before its lock row, as everywhere
    held = found.acquire(by=member())
    if held is None:
        other = found.lock_holder()
        raise LockLost(f"{other.holder.name if other else 'A teammate'} is replying now. Your text is kept.")
    return held.fence


def _nonce() -> str | None:
    nonce = request.form.get("nonce", "")
    return nonce if 0 < len(nonce) <= 40 else None


def _message_or_404(public_id: str) -> Message:
    """The message, through the scope of its conversation."""
    found = db.session.scalar(
        sa.select(Message).where(Message.public_id == public_id, Conversation.opens(member(), Message.conversation_id))
    )
    return found or abort(404)


def _refused(found: Conversation, refused: Refused, **more: Any) -> Response:
    """Nothing was written: the sentence, the lock as it is, the new texts, and everything typed stays."""
    fence = number("fence")
    if not is_fragment():
        typed = {"body": request.form.get("body", ""), "note_body": request.form.get("note", ""), "kind": more.get("kind", "reply"), "uploads": kept_uploads()}
        return whole(found, refused.status, refusal=refused.sentence, fence=fence, stale=bool(more.get("stale")), **typed)
    fresh = screens.tail(found, number("seen"), screens.last_event(found)) if more.get("stale") else []
    return fragment(
        "messages/refused.oob.html", refused.status, conversation=found, refusal=refused.sentence, stale=bool(more.get("stale")), thread=fresh,
        strip=screens.strip(found, member(), fence=fence), kind=more.get("kind", "reply"),
    )


def _written(found: Conversation, message: Message, event: str) -> Response:
    drawn = screens.one(screens.message_with_author(message.id) or message)
    response = fragment(
        "messages/written.oob.html", 201, conversation=found, thread=drawn, strip=screens.strip(found, member()), nonce=token_urlsafe(18), seen=found.last_inbound_id
    )
    response.headers["HX-Trigger"] = event
    response.headers["Location"] = url_for("conversations.show", conversation=found.public_id)
    return response


def _changed(message: Message) -> Response:
    found = message.conversation
    if not is_fragment():
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    return fragment("messages/changed.oob.html", conversation=found, thread=screens.one(screens.message_with_author(message.id) or message))
