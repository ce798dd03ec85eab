"""Spam, and back again."""

from __future__ import annotations

from flask import Blueprint, Response, request

from inbox.models import transaction
from inbox.permissions import Permission
from inbox.views import away
from inbox.views.access import conversation_or_404, member, requires

bp = Blueprint("spam", __name__)


@bp.post("/c/<conversation>/spam")
@requires(Permission.CONVERSATIONS_ARCHIVE)
def create(conversation: str) -> Response:
    """Mark it as spam, with `block` its contact as blocked too; the writer's lock goes back."""
    found, block = conversation_or_404(conversation), request.form.get("block") == "1"
    with transaction():
        found.mark_spam(by=member(), block=block)
        found.release(by=member())
    return away.gone(found, "Marked as spam, and the contact is blocked." if block else "Marked as spam. Its later texts stay there too.", "spam.undo")


@bp.post("/c/<conversation>/spam/undo")
@requires(Permission.CONVERSATIONS_ARCHIVE)
def undo(conversation: str) -> Response:
    """Not spam; a block stays, because it is about the contact."""
    found = conversation_or_404(conversation)
    with transaction():
        found.unmark_spam(by=member())
    return away.back(found, "Moved out of spam. The contact is still blocked." if found.contact.blocked else "Moved out of spam.")
