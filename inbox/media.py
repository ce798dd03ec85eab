"""Files of customers and members: recognized by their bytes, made safe, kept under their own hash.

Sizes are bytes, lengths are pixels. Everything here is a pure function of bytes except store and open_stored, which
touch the folder they are given. A picture that can't be shown safely raises MediaRefused with a sentence for people.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000
MAX_FRAMES = 200
THUMB_WIDTH = 472
THUMB_HEIGHT = 2 * THUMB_WIDTH
PORTRAIT = (256, 96)  # large and small, squares
UNKNOWN = "application/octet-stream"

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WEBP"}
_SHA256 = re.compile(r"^[0-9a-f]{64}\Z")


class MediaRefused(Exception):
    """The file can't be shown safely; the text says why."""


@dataclass(frozen=True)
class SafeImage:
    """A freshly written picture without metadata; thumb is None when the picture is small enough itself."""

    data: bytes
    content_type: str
    width: int
    height: int
    thumb: bytes | None


_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"#!AMR-WB\n", "audio/amr-wb"),
    (b"#!AMR\n", "audio/amr"),
    (b"fLaC", "audio/flac"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
    b"3gp": "video/3gpp",
    b"3g2": "video/3gpp2",
}


def sniff(data: bytes) -> str:
    """The content type the bytes themselves show; application/octet-stream (download only) when they show none."""
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] in (b"WEBP", b"WAVE"):
        return "image/webp" if data[8:12] == b"WEBP" else "audio/wav"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12]) or _BRANDS.get(data[8:11]) or "video/mp4"
    if len(data) > 3 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        layer = data[1] & 0x06
        if layer == 0 and data[1] & 0xF0 == 0xF0:
            return "audio/aac"
        if layer in (2, 4) and data[1] & 0x18 != 0x08 and data[2] & 0xF0 != 0xF0 and data[2] & 0x0C != 0x0C:  # layer I is never sent, and looks like UTF-16
            return "audio/mpeg"
    if data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().upper().startswith(b"BEGIN:VCARD"):
        return "text/vcard"
    return UNKNOWN


# What programs, archives and pages begin with, and what people call them.
_ODD: tuple[tuple[bytes, str], ...] = (
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a Linux program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\xcf\xfa\xed\xfe", "a Mac program"),
    (b"\xce\xfa\xed\xfe", "a Mac program"),
    (b"dex\n", "an Android program"),
    (b"#!", "a script"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"Rar!", "an archive"),
    (b"7z\xbc\xaf", "an archive"),
    (b"\x1f\x8b", "an archive"),
    (b"BZh", "an archive"),
    (b"\xfd7zXZ", "an archive"),
    (b"MSCF", "an archive"),
    (b"\xd0\xcf\x11\xe0", "an old Office file"),
    (b"{\\rtf", "an RTF document"),
    (b"L\0\0\0\x01\x14\x02\0", "a shortcut"),
)
_MARKUP = re.compile(rb"<\s*(?:!doctype|html|head|body|script|svg|iframe|\?xml|!--|style|meta|img|a\s)", re.IGNORECASE)
_FAMILIES = {"image": "a picture", "audio": "a sound", "video": "a video", "text": "a text", "application": "a document"}
_CALLED = {"application/pdf": "a PDF", "text/vcard": "a contact card", "text/x-vcard": "a contact card", "text/directory": "a contact card"}
_HEAD = 1024  # bytes looked at for markup
NO_CLAIM = frozenset({"", UNKNOWN, "binary/octet-stream"})


def called(kind: str) -> str:
    """What people call a content type."""
    return _CALLED.get(kind) or _FAMILIES.get(kind.partition("/")[0], "another kind of file")


def odd(data: bytes, kind: str, claimed: str) -> str:
    """Why a file that came in is kept apart, as a sentence's end like "a Windows program that says it is a picture"; empty when it is what it says."""
    claimed = claimed.partition(";")[0].strip().lower()
    unsure = kind in (UNKNOWN, "text/plain")
    what = next((words for start, words in _ODD if unsure and data.startswith(start)), "")
    if not what and unsure and _MARKUP.search(data[:_HEAD].replace(b"\0", b"")):
        what = "a web page or drawing that can hold programs"
    if not data:
        return "an empty file"
    if not what and kind == UNKNOWN:
        what = "a file of an unknown kind"
    if not what and claimed not in NO_CLAIM and _family(claimed) != _family(kind):
        what = called(kind)
    if not what:
        return ""
    return what if claimed in NO_CLAIM or called(claimed) == "another kind of file" else f"{what} that says it is {called(claimed)}"


def _family(kind: str) -> str:
    """Sound and moving pictures share their containers, so one may pass for the other."""
    if kind in _CALLED:
        return _CALLED[kind]
    family = kind.partition("/")[0]
    return "audio" if family == "video" or kind == "application/ogg" else family


def plain_text(data: bytes) -> bool:
    """Whether the bytes are text that anything can show."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return bool(text) and not any(ord(char) < 32 and char not in "\t\n\r\f" for char in text)


def _open(data: bytes, kind: str) -> Image.Image:
    if len(data) > MAX_IMAGE_BYTES:
        raise MediaRefused("The picture is larger than 20 MB.")
    if kind not in _FORMATS:
        raise MediaRefused("Only JPEG, PNG, GIF and WebP pictures can be shown.")
    image = Image.open(io.BytesIO(data), formats=[_FORMATS[kind]])
    if image.width * image.height > MAX_PIXELS:
        raise MediaRefused("The picture has more than 50 million pixels.")
    return image


def _still(image: Image.Image) -> Image.Image:
    """The first frame upright, in a mode every encoder knows, with nothing attached to it."""
    upright = ImageOps.exif_transpose(image)
    see_through = "A" in upright.getbands() or "transparency" in upright.info
    plain = upright.convert("RGBA" if see_through else "RGB")
    plain.info = {}
    return plain


def _encode(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "image/jpeg":
        image.convert("RGB").save(out, "JPEG", quality=88, optimize=True)
    elif kind == "image/png":
        image.save(out, "PNG")
    elif kind == "image/webp":
        image.save(out, "WEBP", quality=86)
    else:
        image.save(out, "GIF")
    return out.getvalue()


def _thumb(image: Image.Image) -> bytes | None:
    if image.width <= THUMB_WIDTH and image.height <= THUMB_HEIGHT:
        return None
    small = image.copy()
    small.thumbnail((THUMB_WIDTH, THUMB_HEIGHT))
    return _encode(small, "image/webp" if small.mode == "RGBA" else "image/jpeg")


def _moves(image: Image.Image) -> bool:
    """Whether an animation is short and small enough to keep."""
    frames = 0
    for frames, _ in enumerate(ImageSequence.Iterator(image), start=1):
        if frames > MAX_FRAMES or frames * image.width * image.height > MAX_PIXELS:
            image.seek(0)
            return False
    image.seek(0)
    return frames > 1


def _animation(image: Image.Image) -> bytes:
    durations: list[int] = []

    def frames() -> Iterator[Image.Image]:
        for frame in ImageSequence.Iterator(image):
            durations.append(int(frame.info.get("duration", 100)) or 100)
            plain = frame.convert("RGBA")
            plain.info = {}
            yield plain

    first, *others = list(frames())
    out = io.BytesIO()
    first.save(
        out,
        "GIF",
        save_all=True,
        append_images=others,
        duration=durations,
        loop=int(image.info.get("loop", 0)),
        disposal=2,
    )
    return out.getvalue()


def _rewrite(data: bytes, kind: str) -> SafeImage:
    image = _open(data, kind)
    moving = kind == "image/gif" and _moves(image)
    written = _animation(image) if moving else b""
    image.seek(0)
    still = _still(image)
    return SafeImage(written or _encode(still, kind), kind, still.width, still.height, _thumb(still))


def safe_image(data: bytes) -> SafeImage:
    """The picture written anew; a GIF that is too long or too big keeps its first frame only."""
    with _guarded():
        return _rewrite(data, sniff(data))


def fit_image(data: bytes, kinds: Collection[str], limit: int) -> SafeImage:
    """The picture written anew as one of `kinds` and in at most `limit` bytes, shrunk as far as that takes; an animation is never made to stand still."""
    with _guarded():
        safe = _rewrite(data, sniff(data))
        if safe.content_type in kinds and len(safe.data) <= limit:
            return safe
        image = Image.open(io.BytesIO(safe.data))
        if getattr(image, "n_frames", 1) > 1:
            raise MediaRefused(f"The animation has more than {megabytes(limit)}.")
        still = _still(image)
        if "image/png" in kinds and still.mode == "RGBA":
            png = _encode(still, "image/png")
            if len(png) <= limit:
                return SafeImage(png, "image/png", still.width, still.height, _thumb(still))
        return _smaller(still, limit)


def _smaller(image: Image.Image, limit: int) -> SafeImage:
    """A JPEG in at most `limit` bytes: first less exact, then less wide; what was transparent becomes white."""
    if image.mode == "RGBA":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    for _ in range(12):
        for quality in (85, 72):
            out = io.BytesIO()
            image.save(out, "JPEG", quality=quality, optimize=True)
            if out.tell() <= limit:
                return SafeImage(out.getvalue(), "image/jpeg", image.width, image.height, _thumb(image))
        share = min(0.85, (limit / out.tell()) ** 0.5)
        if min(image.size) * share < 16:
            break
        image = image.resize((round(image.width * share), round(image.height * share)))
    raise MediaRefused(f"The picture can’t be made smaller than {megabytes(limit)}.")


def megabytes(size: int) -> str:
    """A size for people: 5 MB, 1.4 MB, 500 KB."""
    if size >= 1024 * 1024:
        return f"{size / (1024 * 1024):.1f}".removesuffix(".0") + " MB"
    return f"{max(1, round(size / 1024))} KB"


def portrait(data: bytes) -> tuple[bytes, bytes]:
    """The middle square of a picture as WebP, large and small, with nothing of the original's metadata."""
    with _guarded():
        image = _open(data, sniff(data))
        image.draft("RGB", (2 * PORTRAIT[0], 2 * PORTRAIT[0]))  # a JPEG of many pixels is decoded small
        still = _still(image)
        large, small = (_encode(ImageOps.fit(still, (side, side)), "image/webp") for side in PORTRAIT)
        return large, small


@contextmanager
def _guarded() -> Iterator[None]:
    """Turn whatever decoders say into a sentence."""
    try:
        yield
    except MediaRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise MediaRefused("The picture has more than 50 million pixels.") from None
    except UnidentifiedImageError:
        raise MediaRefused("The picture is damaged.") from None
    except Exception as error:  # decoders raise almost anything on hostile bytes
        raise MediaRefused("The picture is damaged.") from error


def _path(root: Path, sha256: str) -> Path:
    if not _SHA256.match(sha256):
        raise FileNotFoundError(sha256)
    return root / sha256[:2] / sha256[2:]


def store(root: Path, data: bytes) -> str:
    """Keep the bytes under their hash and return it; a crash leaves the whole file or none, twice is once."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = _path(root, sha256)
    if path.exists():
        return sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return sha256


def discard(root: Path, sha256: str) -> None:
    """Delete a stored file; nothing happens when there is none."""
    _path(root, sha256).unlink(missing_ok=True)


def open_stored(root: Path, sha256: str) -> BinaryIO:
    """The stored file, open for reading; FileNotFoundError when there is none."""
    return _path(root, sha256).open("rb")
