"""MSG-4: fetching what came with a text: from the right carrier, with its password for nobody else, within its size, and only what it says it is."""

from __future__ import annotations

import base64
import io
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inbox import media
from inbox.channels.base import Media, PermanentFailure
from inbox.channels.kannel import Kannel
from inbox.channels.twilio import MEDIA_BYTES, Twilio
from inbox.models import Attachment, Carrier, db, transaction
from jobs.fetch_media import fetch_media, keep
from tests.conftest import SID, TOKEN, Bell
from tests.world import World


@pytest.fixture(autouse=True)
def own_folder(world: World, tmp_path: Path) -> Iterator[Path]:
    before, world.app.config["MEDIA_ROOT"] = world.app.config["MEDIA_ROOT"], tmp_path
    yield tmp_path
    world.app.config["MEDIA_ROOT"] = before


def arrived(world: World, url: str, claimed: str = "image/png") -> Attachment:
    message = world.text("See this", media=(Media(url, claimed),))
    return message.attachments[0]


def fetched(attachment: Attachment) -> Attachment:
    fetch_media(attachment.id)
    db.session.expire_all()
    return attachment


def png(size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, "PNG")
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A few hundred bytes that unpack to a gigabyte of pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("invoice.exe", b"MZ")
    return out.getvalue()


class Server:
    """A web server of a few answers that notes what it was asked."""

    def __init__(self, answers: dict[str, tuple[int, dict[str, str], bytes]]) -> None:
        self.asked: list[tuple[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, self.headers.get("Authorization", "")))
                status, headers, body = answers[self.path]
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def servers(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """servers(answers) starts one that the test carrier may be reached at."""
    running: list[Server] = []

    def start(answers: dict[str, tuple[int, dict[str, str], bytes]]) -> Server:
        running.append(Server(answers))
        return running[-1]

    yield start
    for server in running:
        server.close()


def home(path: str = "ME1") -> str:
    return f"/2010-04-01/Accounts/{SID}/Messages/MM1/Media/{path}"


def served_by(world: World, *bases: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account's carrier is at the first of these addresses; all of them may be private."""
    with transaction():
        world.carrier.api_base = bases[0]
    monkeypatch.setattr(Carrier, "private_origins", staticmethod(lambda: bases))
    real = Carrier.credentials.fget  # type: ignore[attr-defined]

    def credentials(self: Carrier) -> Any:
        from dataclasses import replace

        return replace(real(self), trusted_origins=bases)

    monkeypatch.setattr(Carrier, "credentials", property(credentials))


# -- how it is fetched ----------------------------------------------------------------------------------------


def test_MSG_4_the_password_is_told_to_the_api_host_and_nobody_else(world: World, bell: Bell, servers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = servers({"/stored": (200, {"Content-Type": "image/png"}, png())})
    api = servers({home(): (307, {"Location": f"{storage.base}/stored"}, b"")})
    served_by(world, api.base, storage.base, monkeypatch=monkeypatch)
    a = fetched(arrived(world, api.base + home()))
    assert (a.state, a.content_type) == ("stored", "image/png")
    assert api.asked == [(home(), "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode())]
    assert storage.asked == [("/stored", "")]


def test_MSG_4_a_file_elsewhere_is_not_asked_for(world: World, bell: Bell, servers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = servers({"/x": (200, {}, png())})
    served_by(world, "http://127.0.0.1:9", other.base, monkeypatch=monkeypatch)
    a = fetched(arrived(world, other.base + "/x"))
    assert a.state == "refused" and "not on the carrier's own server" in a.problem and other.asked == []


def test_MSG_4_a_file_that_says_it_is_too_large_is_not_downloaded(world: World, bell: Bell, servers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api = servers({home(): (200, {"Content-Length": str(MEDIA_BYTES + 1)}, b""), home("ME2"): (200, {"Content-Type": "image/png"}, b"\0" * (MEDIA_BYTES + 1))})
    served_by(world, api.base, monkeypatch=monkeypatch)
    for path in ("ME1", "ME2"):
        a = fetched(arrived(world, api.base + home(path)))
        assert (a.state, a.problem) == ("refused", "The file is larger than 5 MB.")
        assert a.sha256 is None


def test_MSG_4_the_carrier_of_the_inbox_is_asked_not_the_accounts_usual_one(world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction():
        world.front.carrier = Carrier.add(
            world.harbor, "kannel", name="Gateway", api_base="http://x/y", user="gate", password="p", sender="12345", public_url="http://localhost", by=world.dana
        )
    asked = []

    def fetch(adapter: Any, credentials: Any, url: str) -> tuple[bytes, str]:
        asked.append((adapter.kind, credentials.account_sid))
        return png(), "image/png"

    monkeypatch.setattr(Kannel, "fetch_media", fetch)
    monkeypatch.setattr(Twilio, "fetch_media", fetch)
    assert fetched(arrived(world, "http://x/1")).state == "stored"
    message = world.text("And here", inbox=world.pharmacy, media=(Media("http://x/2", "image/png"),), sender="+14155550177")
    assert fetched(message.attachments[0]).state == "stored"
    assert asked == [("kannel", "gate"), ("twilio", SID)]


def test_MSG_4_a_carrier_without_files_says_so(world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Twilio, "fetch_media", lambda *_: (_ for _ in ()).throw(PermanentFailure("This carrier brings no files.")))
    a = fetched(arrived(world, "http://x/1"))
    assert (a.state, a.problem) == ("refused", "This carrier brings no files.")


# -- what it is -----------------------------------------------------------------------------------------------

HOSTILE = {
    "exe as picture": (b"MZ\x90\0" + b"\0" * 100, "image/jpeg", "a Windows program that says it is a picture"),
    "elf": (b"\x7fELF\x02\x01", "application/octet-stream", "a Linux program"),
    "script": (b"#!/bin/sh\nrm -rf /\n", "text/plain", "a script that says it is a text"),
    "html as jpg": (b"\xef\xbb\xbf  <html><script>alert(1)</script>", "image/jpeg", "a web page or drawing that can hold programs that says it is a picture"),
    "html in utf-16": ("<script>alert(1)</script>".encode("utf-16"), "image/png", "a web page or drawing that can hold programs that says it is a picture"),
    "html as text": (b"Hi <SCRIPT src=//x>", "text/plain", "a web page or drawing that can hold programs that says it is a text"),
    "svg": (b"<?xml version='1.0'?><svg onload='alert(1)'/>", "image/svg+xml", "a web page or drawing that can hold programs that says it is a picture"),
    "zip": (zipped(), "application/zip", "a zip archive that says it is a document"),
    "zip as pdf": (zipped(), "application/pdf", "a zip archive that says it is a PDF"),
    "pdf as picture": (b"%PDF-1.7\n", "image/gif", "a PDF that says it is a picture"),
    "picture as sound": (png(), "audio/mpeg", "a picture that says it is a sound"),
    "sound as card": (b"OggS\0\0", "text/vcard", "a sound that says it is a contact card"),
    "unknown": (b"\x00\x01\x02\x03", "image/png", "a file of an unknown kind that says it is a picture"),
    "nothing": (b"", "image/png", "an empty file"),
    "bomb": (bomb(30_000, 30_000), "image/png", "a picture that can’t be opened. The picture has more than 50 million pixels."),
    "bomb of 50 million": (bomb(100_000, 1000), "image/png", "a picture that can’t be opened. The picture has more than 50 million pixels."),
    "broken": (png()[:50], "image/png", "a picture that can’t be opened. The picture is damaged."),
    "gif that is html": (b"GIF89a/*<script>alert(1)</script>*/", "image/gif", "a picture that can’t be opened. The picture is damaged."),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_MSG_4_odd_files_are_held_as_they_came_under_their_hash(world: World, bell: Bell, own_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    data, claimed, reason = HOSTILE[name]
    monkeypatch.setattr(Twilio, "fetch_media", lambda *_: (data, claimed))
    a = fetched(arrived(world, "http://x/1", claimed))
    assert (a.state, a.problem, a.content_type, a.thumb_sha256, a.card) == ("held", reason, media.UNKNOWN, None, None)
    with media.open_stored(own_folder, a.sha256 or "") as file:
        assert file.read() == data
    assert not a.is_image
    fetch_media(a.id)
    assert a.attempts == 1, "it is not fetched again"


def test_MSG_4_a_picture_with_a_page_behind_it_loses_the_page(world: World, bell: Bell, own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for polyglot in (png() + b"<script>alert(1)</script>", png() + zipped()):
        monkeypatch.setattr(Twilio, "fetch_media", lambda *_, data=polyglot: (data, "image/jpeg"))
        a = fetched(arrived(world, "http://x/1"))
        assert a.state == "stored"
        with media.open_stored(own_folder, a.sha256 or "") as file:
            kept = file.read()
        assert b"<script>" not in kept and b"invoice.exe" not in kept


@pytest.mark.parametrize(
    ("data", "claimed", "kind"),
    [
        (png(), "image/jpeg", "image/png"), (png(), "", "image/png"), (b"OggS\0", "video/ogg", "audio/ogg"), (b"\0\0\0\x18ftypmp42\0\0", "audio/mp4", "video/mp4"),
        (b"%PDF-1.4", "application/pdf", "application/pdf"), (b"BEGIN:VCARD\nFN:Rosa\nEND:VCARD", "text/x-vcard; charset=utf-8", "text/vcard"),
        ("Grüße\n".encode(), "text/plain", "text/plain"), (b"#!AMR\n\x04", "audio/amr", "audio/amr"), (b"RIFF\x24\0\0\0WAVEfmt ", "audio/x-wav", "audio/wav"),
    ],
)
def test_MSG_4_what_is_what_it_says_is_stored(world: World, own_folder: Path, data: bytes, claimed: str, kind: str) -> None:
    stored = keep(own_folder, data, claimed)
    assert (stored.held, stored.content_type) == ("", kind)


def test_MSG_4_a_large_picture_gets_a_small_one_and_a_card_its_words(world: World, own_folder: Path) -> None:
    stored = keep(own_folder, png((1200, 900)), "image/png")
    assert stored.thumb and (stored.width, stored.height) == (1200, 900)
    card = keep(own_folder, b"BEGIN:VCARD\r\nN:Lopez;Rosa\r\nTEL:415 555 0199\r\nEND:VCARD", "text/vcard").card
    assert card == {"name": "Rosa Lopez", "phones": ["(415) 555-0199"], "emails": [], "more": 0}
