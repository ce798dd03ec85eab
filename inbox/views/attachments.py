"""Pictures and files of messages, served so that nothing in them can run."""

from __future__ import annotations

import io

import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, send_file

from inbox import media
from inbox.models import Attachment, Conversation, Event, Message, db, transaction
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.hypermedia import page

bp = Blueprint("attachments", __name__)
INLINE = {
    "image/jpeg", "image/png", "image/gif", "image/webp", "audio/mpeg", "audio/ogg", "audio/mp4", "audio/wav", "audio/amr", "audio/aac", "video/mp4", "video/webm", "video/3gpp",
}
SANDBOX = "default-src 'none'; sandbox"
ENDINGS = {
    "image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp", "image/heic": ".heic", "image/heif": ".heif", "image/avif": ".avif",
    "application/pdf": ".pdf", "text/vcard": ".vcf", "text/plain": ".txt", "audio/mpeg": ".mp3", "audio/mp4": ".m4a", "audio/ogg": ".ogg", "audio/wav": ".wav", "audio/amr": ".amr",
    "video/mp4": ".mp4", "video/webm": ".webm", "video/quicktime": ".mov", "video/3gpp": ".3gp",
    "video/3gpp2": ".3g2", "audio/aac": ".aac", "audio/amr-wb": ".awb", "audio/flac": ".flac",
}


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


@bp.get("/media/<held>/held")
@requires(Permission.MEDIA_SEND)
def confirm(held: str) -> Response:
    """What is known of a file that was kept apart, before anybody takes it onto their machine."""
    found = _held_or_404(held)
    return page("attachments/held.html", attachment=found, conversation=found.message.conversation, size=media.megabytes(found.size))


@bp.post("/media/<held>/held")
@requires(Permission.MEDIA_SEND)
def download(held: str) -> Response:
    """The file as it came, under a name nothing opens by itself."""
    found = _held_or_404(held)
    conversation = found.message.conversation
    with transaction():
        Event.record("message.held_file_opened", account=found.account_id, by=member(), conversation=conversation, message=found.message_id, why=found.problem)
    response = _send(found, found.sha256, media.UNKNOWN, name=f"held-{found.public_id}.bin")
    response.headers["Cache-Control"] = "no-store"
    return response


def _attachment_or_404(public_id: str, state: str = "stored") -> Attachment:
    """The file, through the scope of its conversation."""
    return db.session.scalar(
        sa.select(Attachment)
        .join(Message, Message.id == Attachment.message_id)
        .where(
            Attachment.public_id == public_id, Attachment.state == state,
            Conversation.opens(member(), Message.conversation_id),
        )
    ) or abort(404)


def _held_or_404(public_id: str) -> Attachment:
    found = _attachment_or_404(public_id, "held")
    member().require(Permission.MEDIA_SEND, on=found.message.conversation)
    return found


def _send(found: Attachment, sha256: str | None, kind: str, name: str = "") -> Response:
    try:
        with media.open_stored(current_app.config["MEDIA_ROOT"], sha256 or "") as file:
            data = file.read()
    except FileNotFoundError:
        abort(404)
    kind = kind or media.sniff(data)
    inline = kind in INLINE
    response = send_file(
        io.BytesIO(data), mimetype=kind if inline else media.UNKNOWN, as_attachment=not inline, download_name=name or name_of(found), etag=sha256 or False, conditional=True
    )
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, max-age=86400"
    return response


@bp.app_template_global("name_of")
def name_of(found: Attachment) -> str:
    """What a file is saved as: its own name, and always the ending of what its bytes are."""
    ending = ENDINGS.get(found.content_type, ".bin")
    own = "".join(c for c in found.filename.replace("\\", "/").rpartition("/")[2] if c.isprintable()).strip(". ")
    stem = own.rpartition(".")[0] or own
    return f"{stem or found.public_id}{ending}"
