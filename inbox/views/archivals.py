"""Done, and back again."""

from __future__ import annotations

from flask import Blueprint, Response

from inbox.models import transaction
from inbox.permissions import Permission
from inbox.views import away
from inbox.views.access import conversation_or_404, member, requires

bp = Blueprint("archivals", __name__)


@bp.post("/c/<conversation>/archival")
@requires(Permission.CONVERSATIONS_ARCHIVE)
def create(conversation: str) -> Response:
    """Archive it; the writer's lock goes back too."""
    found = conversation_or_404(conversation)
    with transaction():
        found.archive(by=member())
        found.release(by=member())
    return away.gone(found, f"Archived. {found.contact.first_name or found.contact.name}’s next text reopens it.", "archivals.undo")


@bp.post("/c/<conversation>/archival/undo")
@requires(Permission.CONVERSATIONS_ARCHIVE)
def undo(conversation: str) -> Response:
    """Back to the inbox."""
    found = conversation_or_404(conversation)
    with transaction():
        found.unarchive(by=member())
    return away.back(found, "Back in the inbox.")
