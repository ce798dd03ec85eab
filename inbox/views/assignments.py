"""Who answers: take, hand on, give back."""

from __future__ import annotations

from flask import Blueprint, Response, flash, redirect, request

from inbox.models import Conversation, Denied, NoSeat, Refused, TakenAlready, transaction
from inbox.permissions import Permission
from inbox.views.access import conversation_or_404, member, member_or_404, requires
from inbox.views.conversations import back_to
from inbox.views.hypermedia import either, fragment, is_fragment, page

bp = Blueprint("assignments", __name__)


@bp.get("/c/<conversation>/assignment")
@requires(Permission.CONVERSATIONS_VIEW)
def edit(conversation: str) -> Response:
    """The people this conversation may be given to."""
    found = _assignable_or_403(conversation)
    return either("conversations/assignment.html", "conversations/_assignment.html", conversation=found, people=found.inbox.assignable())


@bp.post("/c/<conversation>/assignment")
@requires(Permission.CONVERSATIONS_VIEW)
def update(conversation: str) -> Response:
    """Give it to `to` (empty: to nobody, "me": to the reader) if it is still with `expected`."""
    found = _assignable_or_403(conversation)
    to = request.form.get("to", "")
    expected = request.form.get("expected", "")
    target = member() if to == "me" else member_or_404(to) if to else None
    before = member_or_404(expected).id if expected else None
    try:
        with transaction():
            found.assign_to(target, by=member(), expected=before)
    except TakenAlready as taken:
        return _answer(found, 409, taken.sentence)
    except (Denied, NoSeat):
        raise
    except Refused as refused:
        if is_fragment():
            return _answer(found, refused.status, refused.sentence)
        return page("conversations/assignment.html", refused.status, conversation=found, people=found.inbox.assignable(), problem=refused.sentence)
    return _answer(found, 200, "")


def _assignable_or_403(public_id: str) -> Conversation:
    """The conversation, for who may take it or give it to others; which of the two it needs is decided with the person chosen."""
    found, who = conversation_or_404(public_id), member()
    if not who.can(Permission.CONVERSATIONS_ASSIGN, on=found):
        who.require(Permission.CONVERSATIONS_TAKE, on=found)
    return found


def _answer(found: Conversation, status: int, sentence: str) -> Response:
    if not is_fragment():
        if sentence:
            flash(sentence)
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    return fragment("conversations/head.oob.html", status, conversation=found, sentence=sentence)
