"""Pictures and files of messages, served so that nothing in them can run."""

from __future__ import annotations

import io

import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, send_file

from inbox import media
from inbox.models import Attachment, Conversation, Message, db
from inbox.permissions import Permission
from inbox.views.access import member, requires

bp = Blueprint("attachments", __name__)
INLINE = {
    "image/jpeg", "image/png", "image/gif", "image/webp", "audio/mpeg", "audio/ogg", "audio/mp4", "audio/wav", "audio/amr", "audio/aac", "video/mp4", "video/webm", "video/3gpp",
}
SANDBOX = "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; sandbox"


@bp.get("/media/<attachment>")
@requires(Permission.CONVERSATIONS_VIEW)
def show(attachment: str) -> Response:
    found = _attachment_or_404(attachment)
    return _send(found, found.sha256, found.content_type)


@bp.get("/media/<attachment>/thumb")
@requires(Permission.CONVERSATIONS_VIEW)
def thumb(attachment: str) -> Response:
    """The small picture; the whole one when it is small itself."""
    found = _attachment_or_404(attachment)
    if not found.content_type.startswith("image/"):
        abort(404)
    if not found.thumb_sha256:
        return _send(found, found.sha256, found.content_type)
    return _send(found, found.thumb_sha256, "")


def _attachment_or_404(public_id: str) -> Attachment:
    """The file, through the scope of its conversation."""
    return db.session.scalar(
        sa.select(Attachment)
        .join(Message, Message.id == Attachment.message_id)
        .where(
            Attachment.public_id == public_id, Attachment.state == "stored",
            Message.conversation_id.in_(Conversation.scope(member()).with_only_columns(Conversation.id)),
        )
    ) or abort(404)


def _send(found: Attachment, sha256: str | None, kind: str) -> Response:
    try:
        with media.open_stored(current_app.config["MEDIA_ROOT"], sha256 or "") as file:
            data = file.read()
    except FileNotFoundError:
        abort(404)
    kind = kind or media.sniff(data)
    inline = kind in INLINE
    name = found.filename or f"{found.public_id}{_ending(kind)}"
    response = send_file(io.BytesIO(data), mimetype=kind if inline else media.UNKNOWN, as_attachment=not inline, download_name=name, etag=sha256 or False, conditional=True)
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, max-age=86400"
    return response


def _ending(kind: str) -> str:
    return {"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp", "application/pdf": ".pdf", "text/vcard": ".vcf"}.get(kind, "")
