"""Done, and back again."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, url_for

from inbox.models import transaction
from inbox.models.conversation import VIEWS
from inbox.permissions import Permission
from inbox.views import screens
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.conversations import back_to
from inbox.views.hypermedia import fragment, is_fragment

bp = Blueprint("archivals", __name__)


@bp.post("/c/<conversation>/archival")
@requires(Permission.CONVERSATIONS_ARCHIVE)
def create(conversation: str) -> Response:
    """Archive it; the writer's lock goes back too."""
    found = conversation_or_404(conversation)
    with transaction():
        found.archive(by=member())
        found.release(by=member())
    sentence = f"Archived. {found.contact.first_name or found.contact.name}’s next text reopens it."
    if not is_fragment():
        flash(sentence)
        args: dict[str, Any] = {**screens.page_args()}
        view = args.pop("view", "mine")
        return redirect(url_for("conversations.index", inbox=found.inbox.public_id, view=view if view in VIEWS else "mine", **args), 303)  # type: ignore[return-value]
    response = fragment("conversations/archived.oob.html", conversation=found, sentence=sentence, strip=screens.strip(found, member()))
    response.headers["HX-Trigger"] = "archived"
    return response


@bp.post("/c/<conversation>/archival/undo")
@requires(Permission.CONVERSATIONS_ARCHIVE)
def undo(conversation: str) -> Response:
    """Back to the inbox."""
    found = conversation_or_404(conversation)
    with transaction():
        found.unarchive(by=member())
    if not is_fragment():
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    response = fragment("conversations/archived.oob.html", conversation=found, sentence="Back in the inbox.", strip=screens.strip(found, member()))
    response.headers["HX-Trigger"] = "reopened"
    return response
