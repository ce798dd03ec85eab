"""Away until a moment, and back before it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from inbox import clock
from inbox.models import Conversation, Refused, transaction
from inbox.models.conversation.snoozing import TITLES, choices, moment
from inbox.permissions import Permission
from inbox.views import away
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.helpers import local, long_time, zone
from inbox.views.hypermedia import either, is_fragment, page

bp = Blueprint("snoozes", __name__)


def offered() -> dict[str, Any]:
    """What the choice of a moment needs: the moments by name, and the earliest that can be typed."""
    now = clock.now()
    return {"moments": [(key, TITLES[key], at) for key, at in choices(now, zone()).items()], "earliest": local(now).strftime("%Y-%m-%dT%H:%M")}


@bp.get("/c/<conversation>/snooze")
@requires(Permission.CONVERSATIONS_ARCHIVE)
def edit(conversation: str) -> Response:
    """The moments one can choose from."""
    found = _mine_or_403(conversation)
    return either("conversations/snooze.html", "conversations/_snooze.html", conversation=found, **offered())


@bp.post("/c/<conversation>/snooze")
@requires(Permission.CONVERSATIONS_ARCHIVE)
def create(conversation: str) -> Response:
    """Snooze it; the writer's lock goes back too."""
    found = _mine_or_403(conversation)
    key, typed = request.form.get("until", ""), request.form.get("at", "")
    try:
        until = moment(key, typed, zone())
        with transaction():
            found.snooze(until, by=member())
            found.release(by=member())
    except Refused as refused:
        if refused.status != 422 or is_fragment():
            raise
        return page("conversations/snooze.html", 422, conversation=found, problem=refused.sentence, typed=typed, **offered())
    return away.gone(found, f"Snoozed until {long_time(until)}.", "snoozes.undo")


@bp.post("/c/<conversation>/snooze/undo")
@requires(Permission.CONVERSATIONS_ARCHIVE)
def undo(conversation: str) -> Response:
    """Back to the inbox at once."""
    found = _mine_or_403(conversation)
    with transaction():
        found.unsnooze(by=member())
    return away.back(found, "Back in the inbox.")


def _mine_or_403(public_id: str) -> Conversation:
    found = conversation_or_404(public_id)
    member().require(Permission.CONVERSATIONS_ARCHIVE, on=found)
    return found
