"""Fetch one file of a customer's text, make it safe and keep it; what is not what it says is kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import current_app

from inbox import cards, clock, media
from inbox.channels.base import ChannelError, PermanentFailure
from inbox.models import Attachment, Carrier, Inbox, Message, db, transaction

PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp")
GIVE_UP = 7  # tries, over about an hour
LEASE = timedelta(seconds=90)


@dataclass(frozen=True)
class Stored:
    """A file as kept: hashes name it and its small picture; `held` says why it is kept apart, `card` what a contact card says."""

    content_type: str
    size: int
    sha256: str
    thumb: str | None = None
    width: int | None = None
    height: int | None = None
    held: str = ""
    card: dict[str, Any] | None = None


def fetch_media(attachment_id: int) -> None:
    """Fetch and store the file; a failure is tried again with growing pauses, then shown as a sentence."""
    claimed = _claim(attachment_id)
    if claimed is None:
        return
    carrier, credentials, url, announced = claimed
    try:
        data, told = carrier.fetch_media(credentials, url)
        stored = keep(current_app.config["MEDIA_ROOT"], data, announced if told in media.NO_CLAIM else told)
    except PermanentFailure as error:
        _refuse(attachment_id, error.reason)
    except ChannelError as error:
        _again(attachment_id, error.reason)
    except OSError as error:
        _again(attachment_id, f"The file could not be stored: {error.strerror}.")
    else:
        _finish(attachment_id, stored)


def keep(root: Path, data: bytes, claimed: str = "") -> Stored:
    """Store a picture made safe, or any other file as it is; what its bytes do not show to be what is `claimed` is held."""
    kind = media.sniff(data)
    if kind == media.UNKNOWN and claimed.startswith("text/") and media.plain_text(data):
        kind = "text/plain"
    why = media.odd(data, kind, claimed)
    if why:
        return _held(root, data, why)
    card = cards.parse(data) if kind == "text/vcard" else None
    if kind not in PICTURES:
        return Stored(kind, len(data), media.store(root, data), card=card.stored() if card else None)
    try:
        picture = media.safe_image(data)
    except media.MediaRefused as error:
        return _held(root, data, f"a picture that can’t be opened. {error}")
    thumb = media.store(root, picture.thumb) if picture.thumb else None
    return Stored(picture.content_type, len(picture.data), media.store(root, picture.data), thumb, picture.width, picture.height)


def _held(root: Path, data: bytes, why: str) -> Stored:
    return Stored(media.UNKNOWN, len(data), media.store(root, data), held=why[:200])


def _claim(attachment_id: int) -> tuple[Any, Any, str, str] | None:
    """Take the file for this worker for a while, so that a second ring does nothing."""
    now = clock.now()
    with transaction():
        taken = db.session.execute(
            sa.update(Attachment)
            .where(Attachment.id == attachment_id, Attachment.state == "pending", Attachment.next_at <= now)
            .values(attempts=Attachment.attempts + 1, next_at=now + LEASE)
            .returning(Attachment.id)
            .execution_options(synchronize_session=False)
        ).scalar()
        if taken is None:
            return None
        attachment = db.session.get_one(Attachment, attachment_id)
        if not attachment.source_url:
            attachment.state, attachment.problem = "refused", "The file has no address."
            return None
        carrier = _carrier(attachment)
        return carrier.adapter, carrier.credentials, attachment.source_url, attachment.content_type


def _carrier(attachment: Attachment) -> Carrier:
    """The carrier that has the file: the one its inbox texts through, which need not be the account's usual one."""
    inbox = db.session.scalar(sa.select(Inbox).join(Message, Message.inbox_id == Inbox.id).where(Message.id == attachment.message_id))
    return inbox.texting if inbox else Carrier.of(attachment.account_id)


def _refuse(attachment_id: int, sentence: str) -> None:
    _write(attachment_id, state="refused", problem=sentence[:200])


def _again(attachment_id: int, sentence: str) -> None:
    attempts = db.session.scalar(sa.select(Attachment.attempts).where(Attachment.id == attachment_id)) or 0
    if attempts >= GIVE_UP:
        _refuse(attachment_id, f"{sentence} We tried {attempts} times.")
    else:
        _write(attachment_id, next_at=clock.now() + timedelta(seconds=5 * 3 ** (attempts - 1)), problem=sentence[:200])


def _finish(attachment_id: int, stored: Stored) -> None:
    _write(
        attachment_id, state="held" if stored.held else "stored", problem=stored.held, card=stored.card, content_type=stored.content_type, size=stored.size, sha256=stored.sha256,
        thumb_sha256=stored.thumb, width=stored.width, height=stored.height,
    )


def _write(attachment_id: int, **values: Any) -> None:
    """Write the outcome while the file is still pending, and tell open pages."""
    with transaction():
        attachment = db.session.get_one(Attachment, attachment_id)
        if attachment.state == "pending":
            for name, value in values.items():
                setattr(attachment, name, value)
            db.session.flush()
            if attachment.message_id is not None:
                attachment.message.changed()
