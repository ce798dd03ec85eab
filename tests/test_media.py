"""Files recognized by their bytes, pictures made safe, and the store."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inbox import cards, media, outgoing
from inbox.channels.kannel import Kannel
from inbox.channels.twilio import Twilio


def picture(kind: str, size: tuple[int, int] = (640, 480), mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, "salmon").save(out, kind, **options)
    return out.getvalue()


def bomb_png(width: int, height: int) -> bytes:
    """A tiny file that claims to be huge."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def moving_gif(frames: int, size: tuple[int, int] = (40, 30)) -> bytes:
    pictures = [Image.new("RGB", size, (number % 256, 40, number // 256)) for number in range(frames)]
    out = io.BytesIO()
    pictures[0].save(
        out, "GIF", save_all=True, append_images=pictures[1:], duration=50, loop=0, comment=b"secret place"
    )
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.7\n", "application/pdf"),
        (b"BEGIN:VCARD\r\nVERSION:3.0", "text/vcard"),
        (b"\xef\xbb\xbfbegin:vcard\n", "text/vcard"),
        (b"\0\0\0\x18ftypmp42\0\0", "video/mp4"),
        (b"\0\0\0\x18ftyp3gp4\0\0", "video/3gpp"),
        (b"\0\0\0\x18ftypqt  \0\0", "video/quicktime"),
        (b"\0\0\0\x18ftypM4A \0\0", "audio/mp4"),
        (b"\0\0\0\x18ftypheic\0\0", "image/heic"),
        (b"#!AMR\n\x04", "audio/amr"),
        (b"ID3\x03", "audio/mpeg"),
        (b"\xff\xfb\x90\x44", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"OggS\0", "audio/ogg"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"\x1aE\xdf\xa3", "video/webm"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", media.UNKNOWN),
        (b"<!doctype html><script>alert(1)</script>", media.UNKNOWN),
        (b"MZ\x90\0", media.UNKNOWN),
        (b"hello", media.UNKNOWN),
        (b"", media.UNKNOWN),
        (b"\xff", media.UNKNOWN),
    ],
)
def test_sniff(data: bytes, kind: str) -> None:
    assert media.sniff(data) == kind


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_pictures_are_written_anew(kind: str) -> None:
    data = picture(kind)
    safe = media.safe_image(data + b"<script>alert(1)</script>")
    assert safe.content_type == media.sniff(data) == f"image/{kind.lower()}"
    assert media.sniff(safe.data) == safe.content_type
    assert (safe.width, safe.height) == (640, 480)
    assert b"<script>" not in safe.data
    assert safe.thumb is not None
    with Image.open(io.BytesIO(safe.thumb)) as thumb:
        assert thumb.width == media.THUMB_WIDTH
        assert thumb.format == "JPEG"


def test_small_pictures_need_no_thumb_and_transparent_ones_keep_it() -> None:
    assert media.safe_image(picture("PNG", (100, 80))).thumb is None
    safe = media.safe_image(picture("PNG", (900, 800), "RGBA"))
    assert safe.thumb is not None
    assert media.sniff(safe.thumb) == "image/webp"


def test_tall_pictures_get_a_bounded_thumb() -> None:
    safe = media.safe_image(picture("PNG", (300, 9000)))
    assert safe.thumb is not None
    with Image.open(io.BytesIO(safe.thumb)) as thumb:
        assert thumb.height <= media.THUMB_HEIGHT


def test_metadata_is_gone_and_the_picture_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[1] = "N"
    data = picture("JPEG", (640, 480), exif=exif, comment=b"secret place")
    assert b"SecretCamera" in data
    safe = media.safe_image(data)
    assert (safe.width, safe.height) == (480, 640)
    assert b"SecretCamera" not in safe.data
    assert b"secret place" not in safe.data
    with Image.open(io.BytesIO(safe.data)) as image:
        assert not image.getexif()


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_unusual_color_modes(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (50, 40)).save(out, "JPEG")
    assert media.safe_image(out.getvalue()).content_type == "image/jpeg"


def test_short_animations_stay_and_long_ones_stand_still() -> None:
    for frames, kept in ((5, 5), (media.MAX_FRAMES, media.MAX_FRAMES), (media.MAX_FRAMES + 1, 1)):
        safe = media.safe_image(moving_gif(frames))
        assert safe.content_type == "image/gif"
        assert b"secret place" not in safe.data
        with Image.open(io.BytesIO(safe.data)) as image:
            assert getattr(image, "n_frames", 1) == kept


@pytest.mark.parametrize("size", [(30_000, 30_000), (8000, 8000), (100_000, 1000)])
def test_decompression_bombs_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(media.MediaRefused, match="pixels"):
        media.safe_image(bomb_png(*size))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"<svg/>",
        b"%PDF-1.7",
        picture("PNG")[:80],
        picture("JPEG")[:200],
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
        bomb_png(100, 100),
    ],
)
def test_what_is_no_picture_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(media.MediaRefused, match=r"\.$"):
        media.safe_image(data)


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(media.MediaRefused, match="20 MB"):
        media.safe_image(picture("PNG") + b"\0" * media.MAX_IMAGE_BYTES)


def test_the_store_keeps_bytes_under_their_hash(tmp_path: Path) -> None:
    sha256 = media.store(tmp_path, b"hello")
    assert sha256 == hashlib.sha256(b"hello").hexdigest()
    assert media.store(tmp_path, b"hello") == sha256
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [sha256[2:]]
    with media.open_stored(tmp_path, sha256) as file:
        assert file.read() == b"hello"


@pytest.mark.parametrize("name", ["", "0" * 64, "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n"])
def test_names_that_are_not_stored(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        media.open_stored(tmp_path, name)


# -- files that go out ----------------------------------------------------------------------------------------

KINDS = {"image/jpeg", "image/png", "image/gif"}


def noisy(side: int, mode: str = "RGB", kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.frombytes(mode, (side, side), os.urandom(side * side * len(mode))).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize(("mode", "kind"), [("RGB", "PNG"), ("RGBA", "PNG"), ("RGB", "JPEG"), ("RGB", "WEBP")])
@pytest.mark.parametrize("limit", [400_000, 90_000, 9_000])
def test_MSG_4_pictures_are_shrunk_into_any_limit(mode: str, kind: str, limit: int) -> None:
    safe = media.fit_image(noisy(400, mode, kind), KINDS, limit)
    assert len(safe.data) <= limit and safe.content_type in KINDS and media.sniff(safe.data) == safe.content_type
    with Image.open(io.BytesIO(safe.data)) as image:
        assert image.size == (safe.width, safe.height)


def test_MSG_4_a_picture_that_fits_stays_what_it_is_and_webp_becomes_what_carriers_take() -> None:
    assert media.fit_image(picture("PNG"), KINDS, 5_000_000).content_type == "image/png"
    assert media.fit_image(picture("WEBP"), KINDS, 5_000_000).content_type == "image/jpeg"
    assert media.fit_image(noisy(60, "RGBA", "WEBP"), KINDS, 5_000_000).content_type == "image/png"


def test_MSG_4_an_animation_is_never_made_to_stand_still() -> None:
    data = moving_gif(30, (200, 200))
    assert media.fit_image(data, KINDS, 5_000_000).content_type == "image/gif"
    with pytest.raises(media.MediaRefused, match=r"The animation has more than 2 KB\."):
        media.fit_image(data, KINDS, 2048)


def test_MSG_4_what_a_carrier_takes_is_said_in_words() -> None:
    caps = Twilio.caps
    assert outgoing.taken(caps) == "pictures, sound, video, contact cards or PDFs"
    assert outgoing.taken(Kannel.caps) == "words only"
    assert ".vcf" in outgoing.accept(caps) and "image/webp" in outgoing.accept(caps)
    for data, kind in ((b"OggS\0", "audio/ogg"), (b"\0\0\0\x18ftypmp42\0\0", "video/mp4"), (b"BEGIN:VCARD\nFN:R\nEND:VCARD", "text/vcard"), (b"%PDF-1.7", "application/pdf")):
        assert outgoing.fit(data, caps).content_type == kind
    assert caps.max_total_bytes == caps.max_media_bytes == 5 * 1024 * 1024 and caps.max_file_bytes == 500 * 1024


@pytest.mark.parametrize(
    ("card", "name", "phones"),
    [
        (b"BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=\n=B6rg\nTEL;CELL:+49 30 901820\nEND:VCARD", "Jörg Müller", ["+49 30 901820"]),
        (b"begin:vcard\r\nfn:Ana \\, Bia\\nCosta\r\nitem1.TEL;TYPE=\"cell,voice\":tel:+14155550199\r\nTEL:+1 (415) 555-0199\r\nend:vcard", "Ana , Bia Costa", ["(415) 555-0199"]),
        (b"\xef\xbb\xbfBEGIN:VCARD\nORG:Harbor\n  Vet\nTEL:12345\nEND:VCARD", "Harbor Vet", ["12345"]),
        (b"BEGIN:VCARD\nFN:A\x00\x07\x1b[31m\xe2\x80\xaeB\nEND:VCARD\nBEGIN:VCARD\nFN:C\nEND:VCARD", "A [31m B", []),
        ("BEGIN:VCARD\nFN:Zoë\nEND:VCARD".encode("latin-1"), "Zoë", []),
    ],
)
def test_MSG_4_contact_cards_of_every_age_are_read(card: bytes, name: str, phones: list[str]) -> None:
    found = cards.parse(card)
    assert found and (found.name, list(found.phones)) == (name, phones)


@given(st.binary(max_size=2000) | st.text(max_size=500).map(lambda t: f"BEGIN:VCARD\n{t}\nFN:x\nTEL:{t}\nEND:VCARD".encode("utf-8", "replace")))
def test_MSG_4_no_bytes_break_the_reader_of_cards_or_kinds(data: bytes) -> None:
    found = cards.parse(data)
    if found:
        assert len(found.name) <= 80 and all(part.isprintable() and len(part) <= 120 for part in (found.name, *found.phones, *found.emails))
    assert isinstance(media.odd(data, media.sniff(data), "image/png"), str)


def test_MSG_4_a_very_long_card_is_read_quickly() -> None:
    data = b"BEGIN:VCARD\n" + b"TEL:+1415555" + b"0" * 100 + b"\n" + b"N:" + b"\\;" * 500_000 + b"\nFN:" + b"x" * 500_000
    started = time.monotonic()
    cards.parse(data)
    assert time.monotonic() - started < 2
