"""Files that come with a form: checked, written anew, stored, and ready to hang on a message."""

from __future__ import annotations

from flask import current_app, request

from inbox import media
from inbox.models import Attachment, Refused
from inbox.models.conversation.replying import MAX_MEDIA

MAX_BYTES = 5 * 1024 * 1024  # what the carrier takes in one picture


def take_uploads(account_id: int) -> list[Attachment]:
    """The pictures of the form's `media` field, stored; raises Refused when one can't be sent."""
    files = [f for f in request.files.getlist("media") if f.filename]
    if len(files) > MAX_MEDIA:
        raise Refused(f"A text can carry at most {MAX_MEDIA} files.", field="media")
    return [_take(account_id, f.filename or "picture", f.stream.read(media.MAX_IMAGE_BYTES + 1)) for f in files]


def _take(account_id: int, name: str, data: bytes) -> Attachment:
    name = name.replace("\\", "/").rpartition("/")[2][:200]
    try:
        picture = media.safe_image(data)
    except media.MediaRefused as refused:
        raise Refused(f"“{name}” can’t be sent. {refused}", field="media") from None
    if len(picture.data) > MAX_BYTES:
        raise Refused(f"“{name}” is larger than 5 MB, which is the most a carrier takes. Send a smaller one.", field="media")
    root = current_app.config["MEDIA_ROOT"]
    return Attachment(
        account_id=account_id, content_type=picture.content_type, filename=name, size=len(picture.data), width=picture.width, height=picture.height,
        sha256=media.store(root, picture.data), thumb_sha256=media.store(root, picture.thumb) if picture.thumb else None, state="stored",
    )
