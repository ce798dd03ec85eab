"""The answer when a conversation leaves the open lists or comes back: its head, its lock, a sentence with a way back, and the next one opens."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, redirect, url_for

from inbox.models import Conversation
from inbox.models.conversation import VIEWS
from inbox.views import lists, screens
from inbox.views.access import member
from inbox.views.conversations import back_to
from inbox.views.hypermedia import fragment, is_fragment


def gone(found: Conversation, sentence: str, undo: str) -> Response:
    """It left the list; `undo` is the endpoint that brings it back."""
    if not is_fragment():
        flash(sentence)
        args: dict[str, Any] = {**screens.page_args()}
        view, work = args.pop("view", "mine"), args.pop("in", "") == lists.AT_WORK
        if view not in VIEWS or (work and not lists.works(member(), view)):
            view, work = "mine", False
        return redirect(lists.list_url(None if work else found.inbox, view, **args), 303)  # type: ignore[return-value]
    return _answer(found, sentence, "archived", url_for(undo, conversation=found.public_id))


def back(found: Conversation, sentence: str) -> Response:
    """It is in the inbox again."""
    if not is_fragment():
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    return _answer(found, sentence, "reopened", "")


def _answer(found: Conversation, sentence: str, trigger: str, undo: str) -> Response:
    response = fragment("conversations/archived.oob.html", conversation=found, sentence=sentence, undo=undo, strip=screens.strip(found, member()))
    response.headers["HX-Trigger"] = trigger
    return response
