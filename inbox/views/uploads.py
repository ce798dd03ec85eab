"""Files that come with a form: checked one by one, written anew, stored, and ready to hang on a message.

A page with JavaScript puts each file up as it is chosen; a plain form brings them with the text. Either way they are rows of the writer before anything is
sent, so a refusal of the text loses none of them.
"""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, current_app, g, request
from werkzeug.datastructures import FileStorage

from inbox import media, outgoing
from inbox.channels.base import Capabilities
from inbox.extensions import limiter
from inbox.models import Attachment, Inbox, Refused, transaction
from inbox.models.gate import MAX_MEDIA
from inbox.permissions import Permission
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.attachments import ENDINGS
from inbox.views.hypermedia import fragment
from inbox.views.security import per_member

bp = Blueprint("uploads", __name__)
bp.add_app_template_filter(outgoing.accept, "accept")
bp.add_app_template_filter(outgoing.taken, "taken")
bp.add_app_template_filter(media.megabytes, "megabytes")


def portraits() -> Path:
    """The folder of people's pictures, apart from customers' files."""
    return Path(current_app.config["MEDIA_ROOT"]) / "people"


@bp.post("/c/<conversation>/uploads")
@requires(Permission.MEDIA_SEND)
@limiter.limit("60 per minute; 600 per hour", key_func=per_member)
def create(conversation: str) -> Response:
    """Put one file up for a reply; the answer is its line in the composer's list."""
    found = conversation_or_404(conversation)
    member().require(Permission.MEDIA_SEND, on=found)
    return _put_up(found.inbox)


@bp.post("/compose/uploads")
@requires(Permission.MEDIA_SEND)
@limiter.limit("60 per minute; 600 per hour", key_func=per_member)
def create_first() -> Response:
    """Put one file up for a first text, from the inbox of the form's `inbox` field."""
    found = next((i for i in Inbox.sendable_by(member()) if i.public_id == request.form.get("inbox")), None)
    if found is None:
        raise Refused("Choose which inbox this goes out from, then add the file.", field="inbox")
    member().require(Permission.MEDIA_SEND, on=found)
    return _put_up(found)


def _put_up(inbox: Inbox) -> Response:
    caps = inbox.texting.adapter.caps
    files = [f for f in request.files.getlist("media") if f.filename]
    if len(files) != 1:
        raise Refused("Choose a file.", field="media")
    _some(caps, inbox.name, 1)
    upload = _take(inbox.account_id, files[0].filename or "", _read(files[0]), caps)
    with transaction():
        upload.save()
    return fragment("uploads/_upload.html", 201, upload=upload)


def take_uploads(inbox: Inbox) -> list[Attachment]:
    """The files of the form, those put up before (`upload`) and those it brings (`media`), all of them stored.

    Raises Refused naming every file that can't be sent; the others are kept for the next try (see `kept_uploads`).
    """
    caps = inbox.texting.adapter.caps
    known = request.form.getlist("upload")
    g.kept_uploads = Attachment.put_up(member(), known[: 2 * MAX_MEDIA])
    files = [f for f in request.files.getlist("media") if f.filename]
    if files or known:
        member().require(Permission.MEDIA_SEND)
        _some(caps, inbox.name, len(g.kept_uploads) + len(files))
    problems = []
    if len(g.kept_uploads) < len(set(known)):
        problems.append("A file waited here for more than a day and is gone. Add it again.")
    for file in files:
        try:
            upload = _take(inbox.account_id, file.filename or "", _read(file), caps)
        except Refused as refused:
            problems.append(refused.sentence)
            continue
        with transaction():
            g.kept_uploads.append(upload.save())
    if problems:
        raise Refused(" ".join(problems), field="media")
    uploads: list[Attachment] = g.kept_uploads
    _together(uploads, caps)
    return uploads


def kept_uploads() -> list[Attachment]:
    """The files of a form that was refused, to be shown again."""
    kept: list[Attachment] = g.get("kept_uploads", [])
    return [upload for upload in kept if upload.message_id is None]


def _read(file: FileStorage) -> bytes:
    """The bytes of an uploaded file, one more than is ever accepted at most; its temporary copy is given back."""
    with file.stream:
        return file.stream.read(media.MAX_IMAGE_BYTES + 1)


def _some(caps: Capabilities, name: str, count: int) -> None:
    limit = min(MAX_MEDIA, caps.max_media)
    if not limit:
        raise Refused(f"{name} sends plain texts only, without files.", field="media")
    if count > limit:
        raise Refused(f"A text can carry at most {limit} files.", field="media")


def _take(account_id: int, name: str, data: bytes, caps: Capabilities, limit: int = 0) -> Attachment:
    name = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable())[:200] or "file"
    try:
        if len(data) > media.MAX_IMAGE_BYTES:
            raise media.MediaRefused("It has more than 20 MB.")
        fitted = outgoing.fit(data, caps, limit)
    except media.MediaRefused as refused:
        raise Refused(f"“{name}” can’t be sent. {refused}", field="media") from None
    if fitted.content_type != media.sniff(data):
        name = f"{name.rpartition('.')[0] or name}{ENDINGS[fitted.content_type]}"
    root = current_app.config["MEDIA_ROOT"]
    return Attachment(
        account_id=account_id, member_id=member().id, content_type=fitted.content_type, filename=name, size=len(fitted.data), width=fitted.width, height=fitted.height,
        sha256=media.store(root, fitted.data), thumb_sha256=media.store(root, fitted.thumb) if fitted.thumb else None, state="stored",
    )


def _together(uploads: list[Attachment], caps: Capabilities) -> None:
    """Shrink pictures that fit alone but not together; raises Refused when that is not enough."""
    if sum(upload.size for upload in uploads) <= caps.max_total_bytes:
        return
    pictures = [upload for upload in uploads if upload.content_type in outgoing.PICTURES]
    others = sum(upload.size for upload in uploads if upload not in pictures)
    share = (caps.max_total_bytes - others) // max(1, len(pictures))
    root = current_app.config["MEDIA_ROOT"]
    if share < 32 * 1024:
        raise Refused(f"The files have more than {media.megabytes(caps.max_total_bytes)} together, which is the most a text can carry. Remove one.", field="media")
    for upload in pictures:
        if upload.size > share:
            with media.open_stored(root, upload.sha256 or "") as file:
                smaller = _take(upload.account_id, upload.filename, file.read(), caps, share)
            with transaction():
                for field in ("content_type", "size", "width", "height", "sha256", "thumb_sha256"):
                    setattr(upload, field, getattr(smaller, field))
