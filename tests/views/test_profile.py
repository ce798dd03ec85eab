"""ACC-5: one's own profile: fields, picture, signatures with a preview, and the language of dates and numbers."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from flask import Flask
from PIL import Image

from inbox import dates, phone
from inbox.extensions import db
from inbox.models import Event, Member, transaction
from inbox.views import helpers

from .conftest import Browser, add_member

WHERE = "/settings/profile"
FORM = {
    "name": "Dana W.", "text_signature": "Dr. Dana", "email_signature": "Dana\n<b>Harbor Vet</b>", "time_zone": "Europe/Berlin", "language": "de", "theme": "dark",
    "shortcuts": "y",
}


@pytest.fixture
def dana(app: Flask, owner: Member) -> Browser:
    return Browser(app).sign_in(owner.email)


def photo(size: tuple[int, int] = (900, 600), kind: str = "JPEG", **more: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#2a7").save(out, kind, **more)
    return out.getvalue()


def put(who: Browser, data: bytes, status: int = 303, name: str = "me.jpg", **more: object) -> str:
    return who.post(f"{WHERE}/picture", {"picture": (io.BytesIO(data), name)}, status=status, page=WHERE, content_type="multipart/form-data", **more)


def fresh(who: Member) -> Member:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get(Member, who.id)  # type: ignore[return-value]


def last_event() -> Event:
    return db.session.scalars(sa.select(Event).order_by(Event.id.desc())).first()  # type: ignore[return-value]


def files(app: Flask) -> list[str]:
    return sorted(p.name for p in (app.config["MEDIA_ROOT"] / "people").rglob("*") if p.is_file())


def test_ACC_5_every_field_is_kept_and_shown_again(dana: Browser, owner: Member) -> None:
    dana.post(WHERE, FORM, page=WHERE)
    me = fresh(owner)
    assert {name: getattr(me, name) for name in FORM} == {**FORM, "shortcuts": True}
    text = dana.get(WHERE)
    for words in ('value="Dr. Dana"', "&lt;b&gt;Harbor Vet&lt;/b&gt;", '<option selected value="de">Deutsch', '<option selected value="Europe/Berlin">', 'data-theme="dark"'):
        assert words in text, words
    assert "Dates, times and numbers are written this way. The words on the pages stay English." in text


def test_ACC_5_saving_notes_the_fields_and_never_their_values(dana: Browser, owner: Member) -> None:
    dana.post(WHERE, FORM, page=WHERE)
    event = last_event()
    assert (event.kind, event.about_id, event.actor_id) == ("member.profile_changed", owner.id, owner.id)
    assert event.data == {"member": owner.id, "fields": ["email_signature", "language", "name", "text_signature", "theme", "time_zone"]}
    count = db.session.scalar(sa.select(sa.func.count(Event.id)))
    dana.post(WHERE, FORM, page=WHERE)
    assert db.session.scalar(sa.select(sa.func.count(Event.id))) == count  # nothing changed, nothing to tell


def test_ACC_5_nonsense_is_refused_at_the_field_and_what_was_typed_stays(dana: Browser, owner: Member) -> None:
    text = dana.post(WHERE, {**FORM, "name": " ", "text_signature": "x" * 61, "email_signature": "Y" * 2001, "language": "tlh", "time_zone": "Mars/Base"}, status=422, page=WHERE)
    for sentence in ("Enter your name", "Use at most 60 characters.", "Use at most 2,000 characters."):
        assert sentence in text
    assert text.count("Not a valid choice") == 2 and "x" * 61 in text and "Y" * 2001 in text
    me = fresh(owner)
    assert (me.name, me.text_signature, me.language) == ("Dana Whitfield", "", "en-US")


@pytest.mark.parametrize(("typed", "kept"), [("  - Dr.\tDana\n", "Dr. Dana"), ("—Dana\x07", "Dana"), ("~ ", ""), ("{{config}} {% x %}", "{{config}} {% x %}")])
def test_S16_a_text_signature_is_one_literal_line(dana: Browser, owner: Member, typed: str, kept: str) -> None:
    dana.post(WHERE, {**FORM, "text_signature": typed}, page=WHERE)
    assert fresh(owner).text_signature == kept


def test_ACC_5_the_preview_counts_as_sending_does_and_keeps_nothing(dana: Browser, owner: Member) -> None:
    htmx = {"headers": {"HX-Request": "true"}}
    text = dana.post(f"{WHERE}/preview", {**FORM, "text_signature": "Dana 🐾"}, status=200, page=WHERE, **htmx)
    counted = phone.segments("Hi Rosa, your order is ready for pickup. - Dana 🐾")
    assert text.lstrip().startswith('<div class="profile-preview" id="preview">') and "Hi Rosa, your order is ready for pickup. - Dana 🐾" in text
    assert f"{counted.units}/70 · 1 segment · Unicode, because of 🐾" in text
    assert '<p class="sig">Dana<br><b>Harbor Vet</b></p>' in text
    assert re.search(r"\w+tag, \d+\. \w+ \d{4} · \d\d:\d\d · 12\.345", text)
    whole = dana.post(f"{WHERE}/preview", {**FORM, "text_signature": "", "name": "Zoe Q"}, status=200, page=WHERE)  # without JavaScript: the page, with what was typed
    assert "<h1>" in whole and "pickup. - Zoe" in whole and "&lt;b&gt;Harbor Vet&lt;/b&gt;" in whole
    dana.post(f"{WHERE}/preview", {}, status=200, page=WHERE, **htmx)
    assert fresh(owner).text_signature == "" and db.session.scalar(sa.select(Event.id).where(Event.kind == "member.profile_changed")) is None


@pytest.mark.parametrize(
    "typed",
    ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '<a href="javascript:alert(1)">x</a>', "<b onclick=alert(1) style=color:red>x</b>", "<svg><style><a title='</style><img src=x onerror=alert(1)>'>",
     '<a href="//evil.example">x</a>', "<form action=/x><input name=a></form>", "<iframe srcdoc='<script>alert(1)</script>'>", "</textarea><script>alert(1)</script>"],
)
def test_S12_a_hostile_signature_is_shown_without_its_teeth(dana: Browser, owner: Member, typed: str) -> None:
    dana.post(WHERE, {**FORM, "email_signature": typed}, page=WHERE)
    shown = dana.get(WHERE).split('class="sig')[1].split("</p>")[0].lower()
    for tooth in ("<script", "<img", "javascript:", "onclick", "onerror=alert(1)>x", "style=", "//evil", "<form", "<input", "<iframe", "<svg"):
        assert tooth not in shown
    assert "<script>alert" not in dana.get(WHERE)


def test_ACC_5_a_picture_becomes_two_squares_without_metadata(app: Flask, dana: Browser, owner: Member) -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRETPLACE"
    put(dana, photo(exif=exif))
    me = fresh(owner)
    assert me.picture_id and len(files(app)) == 2
    for tail, side in (("", 256), ("/small", 96)):
        answer = dana.client.get(f"/pictures/{me.picture_id}{tail}")
        image = Image.open(io.BytesIO(answer.data))
        assert (image.format, image.size, dict(image.getexif())) == ("WEBP", (side, side), {}) and b"SECRETPLACE" not in answer.data
        assert answer.content_type == "image/webp" and answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"] and "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"].startswith("private, max-age=")
    text = dana.get(WHERE)
    assert f'<img class="av l" src="/pictures/{me.picture_id}"' in text and "Remove picture" in text
    assert last_event().data == {"member": owner.id, "fields": ["picture"]}


def test_ACC_5_a_new_picture_has_a_new_address_and_the_old_file_goes(app: Flask, dana: Browser, owner: Member) -> None:
    put(dana, photo())
    first, old = fresh(owner).picture_id, files(app)
    put(dana, photo((400, 400), "PNG"), name="x.png")
    assert fresh(owner).picture_id != first
    put(dana, portrait("#a11"))
    assert len(files(app)) == 2 and files(app) != old
    dana.get(f"/pictures/{first}", status=404)
    dana.post(f"{WHERE}/picture/remove", page=WHERE)
    me = fresh(owner)
    assert (me.picture_id, me.picture_sha256, me.picture_small_sha256) == (None, None, None) and files(app) == []
    assert 'class="av l"' in dana.get(WHERE) and "Remove picture" not in dana.get(WHERE)
    dana.post(f"{WHERE}/picture/remove", page=WHERE)  # twice is once


def portrait(color: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 500), color).save(out, "PNG")
    return out.getvalue()


def test_ACC_5_a_picture_two_people_share_stays_for_the_other(app: Flask, dana: Browser, owner: Member) -> None:
    maya = Browser(app).sign_in(add_member(owner, "Maya Chen", "agent", seat=True).email)
    put(dana, photo())
    put(maya, photo())
    assert len(files(app)) == 2
    dana.post(f"{WHERE}/picture/remove", page=WHERE)
    theirs = db.session.scalar(sa.select(Member.picture_id).where(Member.email.startswith("maya")))
    assert len(files(app)) == 2 and Browser(app).client.get(f"/pictures/{theirs}").status_code == 303
    assert dana.client.get(f"/pictures/{theirs}").status_code == 200


def bomb() -> bytes:
    """A PNG that says it is 50,000 x 50,000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 10_000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b"", "Choose a picture first."), (b"<svg onload=alert(1)>", "Only JPEG, PNG, GIF and WebP pictures can be shown."), (b"\xff\xd8\xff" + b"x" * 99, "The picture is damaged."),
     (photo()[:900], "The picture is damaged."), (bomb(), "The picture has more than 50 million pixels."), (b"GIF89a" + b"\xff" * 40, "pic")],
)
def test_S84_what_is_no_safe_picture_is_refused_with_a_sentence(app: Flask, dana: Browser, owner: Member, data: bytes, sentence: str) -> None:
    assert sentence in put(dana, data, status=422)
    part = put(dana, data, status=422, headers={"HX-Request": "true"})
    assert sentence in part and part.count("<hx-partial") == 1
    assert fresh(owner).picture_id is None and files(app) == []


@pytest.mark.parametrize("name", [".htaccess", "a.php.jpg", "CON", "x" * 300 + ".jpg", "\u202egpj.exe", "a\u200b.svg", "../../etc/passwd", "x::$DATA"])
def test_S80_the_name_of_a_picture_means_nothing(app: Flask, dana: Browser, owner: Member, name: str) -> None:
    put(dana, photo(), name=name)
    assert len(files(app)) == 2 and all(re.fullmatch("[0-9a-f]{62}", file) for file in files(app))


def test_ACC_1_pictures_stay_inside_the_account(app: Flask, dana: Browser, owner: Member) -> None:
    from inbox.models import Account

    with transaction():
        _, eve = Account.open(name="Other", owner_name="Eve", email="eve@other.test", password="quiet river stone")
    stranger = Browser(app).sign_in("eve@other.test")
    put(dana, photo())
    mine = fresh(owner).picture_id
    for tail in ("", "/small"):
        stranger.get(f"/pictures/{mine}{tail}", status=404)
        assert Browser(app).client.get(f"/pictures/{mine}{tail}").status_code == 303
        dana.get(f"/pictures/x{tail}", status=404)


def test_ACC_5_htmx_gets_the_new_picture_in_both_places(dana: Browser, owner: Member) -> None:
    part = put(dana, photo(), status=200, headers={"HX-Request": "true"})
    mine = fresh(owner).picture_id
    assert f'/pictures/{mine}"' in part and f'/pictures/{mine}/small"' in part and "This is your picture now." in part
    assert part.count("<hx-partial") == 3


def test_ACC_5_dates_and_numbers_follow_the_language(app: Flask, owner: Member) -> None:
    at = datetime(2026, 3, 4, 13, 5, tzinfo=UTC)
    told = {
        "en-US": ("5:05 AM", "Mar 4, 5:05 AM", "12,345"), "en-GB": ("05:05", "4 Mar, 05:05", "12,345"), "de": ("05:05", "4. März, 05:05", "12.345"),
        "fr": ("05:05", "4 mars, 05:05", "12\u202f345"), "ja": ("5:05", "3月4日 5:05", "12,345"), "ko": ("오전 5:05", "3월 4일 오전 5:05", "12,345"), "nonsense": ("5:05 AM", "Mar 4, 5:05 AM", "12,345"),
    }
    from flask_login import login_user

    for language, (time, moment, count) in told.items():
        with app.test_request_context():
            owner.language = language
            login_user(owner)
            assert (helpers.clock_time(at), helpers.long_time(at), helpers.number(12345)) == (time, moment, count)
    db.session.rollback()


@pytest.mark.parametrize("language", dates.LANGUAGES)
def test_ACC_5_every_offered_language_can_write_every_moment(language: str) -> None:
    hand = dates.written(language)
    for month in range(1, 13):
        at = datetime(2026, month, 28, month * 2 - 1, 7)
        for write in (hand.clock, hand.weekday, hand.date, hand.dated, hand.day, hand.dayed, hand.moment):
            assert write(at).strip() and "{" not in write(at)
        assert "2026" in hand.dated(at) and "2026" in hand.dayed(at) and "2026" not in hand.day(at)
    assert hand.number(999) == "999" and hand.number(-1234567).replace(hand.separator, "") == "-1234567" and hand.number(1234567).count(hand.separator) == 2
