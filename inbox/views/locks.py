"""The lock: take it, keep it, give it back, take it over, ask to be told."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, request, url_for

from inbox.forms.takeover import TakeoverForm
from inbox.models import Conversation, Draft, LockLost, Refused, transaction
from inbox.permissions import Permission
from inbox.views import screens
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.conversations import back_to, number
from inbox.views.hypermedia import either, fragment, go, is_fragment

bp = Blueprint("locks", __name__)


@bp.post("/c/<conversation>/lock")
@requires(Permission.CONVERSATIONS_REPLY)
def create(conversation: str) -> Response:
    """Take the lock, or learn who has it."""
    found = conversation_or_404(conversation)
    with transaction():
        _keep_text(found)
        held = found.acquire(by=member())
    return _answer(found, 200 if held else 409)


@bp.post("/c/<conversation>/lock/renewal")
@requires(Permission.CONVERSATIONS_REPLY)
def renew(conversation: str) -> Response:
    """A heartbeat; 409 with the strip when the lock is gone."""
    found, fence = conversation_or_404(conversation), number("fence")
    try:
        with transaction():
            found.renew_lock(by=member(), fence=fence, active=request.form.get("active") == "1")
    except LockLost:
        return _answer(found, 409, fence=fence)
    return _answer(found, 200, fence=fence)


@bp.post("/c/<conversation>/lock/release")
@requires(Permission.CONVERSATIONS_REPLY)
def release(conversation: str) -> Response:
    found = conversation_or_404(conversation)
    with transaction():
        _keep_text(found)
        found.release(by=member(), fence=number("fence") or None)
    return _answer(found, 200)


@bp.post("/c/<conversation>/lock/wait")
@requires(Permission.CONVERSATIONS_REPLY)
def wait(conversation: str) -> Response:
    """Ask to be told when the conversation is free."""
    found = conversation_or_404(conversation)
    with transaction():
        found.wait_for_lock(by=member())
    return _answer(found, 200)


@bp.get("/c/<conversation>/lock/takeover")
@requires(Permission.CONVERSATIONS_TAKEOVER)
def edit(conversation: str) -> Response:
    """Ask for the reason."""
    found = conversation_or_404(conversation)
    return _ask(found, TakeoverForm())


@bp.post("/c/<conversation>/lock/takeover")
@requires(Permission.CONVERSATIONS_TAKEOVER)
def update(conversation: str) -> Response:
    """Take the lock from a teammate, with a reason; their draft comes along."""
    found, form = conversation_or_404(conversation), TakeoverForm()
    try:
        with transaction():
            found.take_over(by=member(), reason=form.reason.data or "")
    except LockLost as lost:
        form.form_errors.append(lost.sentence)
        return _ask(found, form, 409)
    except Refused as refused:
        if refused.field != "reason":
            raise
        form.reason.errors = [refused.sentence]
        return _ask(found, form, 422)
    return go(url_for("conversations.show", conversation=found.public_id))


def _ask(found: Conversation, form: TakeoverForm, status: int = 200) -> Response:
    return either("locks/takeover.html", "locks/_takeover.html", status, conversation=found, form=form, held=found.lock_holder())


def _keep_text(found: Conversation) -> None:
    """A form without scripts carries what was typed; it becomes the draft."""
    if not is_fragment() and "body" in request.form:
        Draft.put(found, request.form["body"], by=member())
        if "note" in request.form:
            Draft.put(found, request.form["note"], by=member(), kind="note")


def _answer(found: Conversation, status: int, fence: int = 0) -> Response:
    if not is_fragment():
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    return fragment("locks/lock.oob.html", status, conversation=found, strip=screens.strip(found, member(), fence=fence))
