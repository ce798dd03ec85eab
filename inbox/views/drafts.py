"""Drafts: what is being typed, kept on the server."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Blueprint, Response, flash, make_response, redirect, request

from inbox.models import Conversation, Denied, Draft, Message, Refused, ScheduledMessage, Stale, db, transaction
from inbox.models import release as releases
from inbox.permissions import Permission
from inbox.views import screens
from inbox.views.access import conversation_or_404, member, member_or_404, requires
from inbox.views.conversations import back_to, number, whole
from inbox.views.hypermedia import fragment, go, is_fragment

bp = Blueprint("drafts", __name__)


@bp.post("/c/<conversation>/draft")
@requires(Permission.CONVERSATIONS_VIEW)
def create(conversation: str) -> Response:
    """Keep what was typed; a late copy of what has just been sent is dropped. The kind decides which permission it takes."""
    found = conversation_or_404(conversation)
    kind = request.form.get("kind", "reply")
    nonce = request.form.get("nonce", "")
    with transaction():
        late = nonce and (ScheduledMessage.posted(found, nonce) or db.session.scalar(sa.select(Message.id).where(Message.conversation_id == found.id, Message.nonce == nonce)))
        if not late:
            Draft.put(found, request.form.get("body", ""), by=member(), kind=kind)
    if not is_fragment() and "text/html" in request.headers.get("Accept", ""):
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    return make_response("", 204)


@bp.post("/c/<conversation>/draft/release")
@requires(Permission.CONVERSATIONS_REPLY)
def release(conversation: str) -> Response:
    """Have what was typed leave by itself once the carriers approve the inbox, or say why not and keep the text."""
    found = conversation_or_404(conversation)
    try:
        if request.form.get("upload") or any(f.filename for f in request.files.getlist("media")):
            raise Refused("Files can’t wait for the approval. Send the words now and the files later.", field="media")
        with transaction():
            releases.wait(found, request.form.get("body", ""), by=member(), seen=number("seen"), anyway=request.form.get("anyway") == "1")
    except Refused as refused:
        if isinstance(refused, Denied):
            raise
        return _answer(found, refused)
    if not is_fragment():
        flash("It leaves by itself once the carriers approve.")
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    response = _answer(found)
    response.headers["HX-Trigger"] = "released"
    return response


@bp.post("/c/<conversation>/draft/copy")
@requires(Permission.CONVERSATIONS_REPLY)
def copy(conversation: str) -> Response:
    """Go on with the text a teammate has begun, below what one has typed oneself; theirs stays."""
    found, author = conversation_or_404(conversation), member_or_404(request.form.get("from", ""))
    with transaction():
        if "body" in request.form:
            Draft.put(found, request.form["body"], by=member())
        Draft.hand_over(found, author, to=member())
    return go(back_to(found))


@bp.post("/c/<conversation>/draft/keep")
@requires(Permission.CONVERSATIONS_REPLY)
def keep(conversation: str) -> Response:
    """What was typed no longer leaves by itself."""
    found = conversation_or_404(conversation)
    with transaction():
        Draft.keep(found, by=member())
        if not is_fragment() and "body" in request.form:
            Draft.put(found, request.form["body"], by=member())
    return _answer(found) if is_fragment() else redirect(back_to(found), 303)  # type: ignore[return-value]


def _answer(found: Conversation, refused: Refused | None = None) -> Response:
    """The strip as it is now, and why not; everything typed stays."""
    stale, sentence = isinstance(refused, Stale), refused.sentence if refused else ""
    if refused and not is_fragment():
        return whole(found, refused.status, refusal=sentence, stale=stale, body=request.form.get("body", ""), note_body=request.form.get("note", ""))
    fresh = screens.tail(found, number("seen"), screens.last_event(found)) if stale else []
    strip = screens.strip(found, member())
    return fragment("messages/refused.oob.html", refused.status if refused else 200, conversation=found, refusal=sentence, stale=stale, thread=fresh, strip=strip)
