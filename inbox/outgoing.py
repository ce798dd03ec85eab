"""Files members send: recognized by their bytes and made to fit what the carrier takes. Pure functions of bytes."""

from __future__ import annotations

from dataclasses import dataclass

from inbox import media
from inbox.channels.base import Capabilities

PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_NAMES = {"audio": "sound", "video": "video", "text/vcard": "contact cards", "application/pdf": "PDFs"}


@dataclass(frozen=True)
class Fitted:
    """A file as it will leave; width, height and thumb only for pictures."""

    data: bytes
    content_type: str
    width: int | None = None
    height: int | None = None
    thumb: bytes | None = None


def fit(data: bytes, caps: Capabilities, limit: int = 0) -> Fitted:
    """The file as the carrier takes it, pictures without metadata and shrunk where they must be (to `limit` bytes when one is given).

    Raises media.MediaRefused with a sentence about the file.
    """
    kind = media.sniff(data)
    if kind in PICTURES and PICTURES & caps.media_types:
        picture = media.fit_image(data, caps.media_types, min(limit or caps.max_media_bytes, caps.max_media_bytes))
        return Fitted(picture.data, picture.content_type, picture.width, picture.height, picture.thumb)
    if not data:
        raise media.MediaRefused("It is empty.")
    if kind in ("image/heic", "image/heif", "image/avif"):
        raise media.MediaRefused("Phones of other makes can’t show this kind of picture. Save it as a JPEG first.")
    if kind not in caps.media_types:
        raise media.MediaRefused(f"Carriers don’t take this kind of file. Send {taken(caps)}.")
    if len(data) > caps.max_file_bytes:
        raise media.MediaRefused(f"It has {media.megabytes(len(data))}; a carrier takes at most {media.megabytes(caps.max_file_bytes)} of a file that is no picture.")
    return Fitted(data, kind)


def taken(caps: Capabilities) -> str:
    """What a carrier takes, in words: pictures, sound, video, PDFs or contact cards."""
    words = ["pictures"] if PICTURES & caps.media_types else []
    words += [name for start, name in _NAMES.items() if any(kind.startswith(start) for kind in caps.media_types)]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "words only"


def accept(caps: Capabilities) -> str:
    """What a file picker offers."""
    return ",".join(sorted(caps.media_types | (PICTURES if PICTURES & caps.media_types else frozenset())) + ([".vcf"] if "text/vcard" in caps.media_types else []))
