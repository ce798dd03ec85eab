"""MSG-3, MSG-4 as pages: what the composer counts, files put up and sent, what comes in shown or held, and headers nothing runs under."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from PIL import Image

from inbox import clock, media
from inbox.channels.twilio import Twilio
from inbox.models import Attachment, Carrier, Event, Message, Role, db, transaction
from inbox.permissions import Permission
from jobs.fetch_media import keep

EXE = b"MZ\x90\0" + b"\0" * 200
CARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:O'Neil;Rosa <b>;;;\r\nFN:Rosa O'Neil <b>\r\nTEL;TYPE=cell:+1 415 555 0199\r\nEMAIL:rosa@example.com\r\nEND:VCARD\r\n"


@pytest.fixture(autouse=True)
def own_folder(app, tmp_path):
    before, app.config["MEDIA_ROOT"] = app.config["MEDIA_ROOT"], tmp_path
    yield tmp_path
    app.config["MEDIA_ROOT"] = before


def png(side=40, noise=False):
    out = io.BytesIO()
    (Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)) if noise else Image.new("RGB", (side, side), "teal")).save(out, "PNG")
    return out.getvalue()


def jpeg_with_place():
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x010F] = "SecretCamera"
    out = io.BytesIO()
    Image.new("RGB", (60, 40), "teal").save(out, "JPEG", exif=exif)
    return out.getvalue()


def file(data, name):
    return (io.BytesIO(data), name)


def put_up(client, c, data, name="ear.png", status=201):
    answer = client.send(f"/c/{c.public_id}/uploads", htmx=True, media=file(data, name))
    assert answer.status_code == status, answer.text
    return re.search(r'value="([^"]+)"', answer.text)[1] if status == 201 else answer.text


def held_page(client, c):
    """The fence and what was seen, as the page of the conversation holds them."""
    with transaction():
        lock = c.acquire(by=client.who)
    return {"fence": lock.fence, "seen": c.last_inbound_id}


@pytest.fixture
def maya(world, client):
    client.sign_in(world.maya)
    client.who = world.maya
    return client


def gateway(world):
    """A carrier of words only."""
    return Carrier.add(world.harbor, "kannel", name="Gateway", api_base="http://x/y", user="u", password="p", sender="12345", public_url="http://localhost", by=world.dana)


def came_in(world, data, claimed, name=""):
    """A file as it stands after it was fetched."""
    message = world.text("See this")
    stored = keep(world.app.config["MEDIA_ROOT"], data, claimed)
    with transaction():
        a = Attachment(
            account_id=world.harbor.id, message_id=message.id, filename=name, state="held" if stored.held else "stored", problem=stored.held, content_type=stored.content_type,
            size=stored.size, sha256=stored.sha256, thumb_sha256=stored.thumb, width=stored.width, height=stored.height, card=stored.card,
        ).save()
    return message.conversation, a


# -- the counter ----------------------------------------------------------------------------------------------


def test_MSG_3_the_composer_counts_with_signature_and_price(world, maya):
    c = world.conversation()
    with transaction():
        world.front.sign_texts = True
    page = maya.get(f"/c/{c.public_id}").text
    count = re.search(r'<span class="seg-count[^>]*>', page)[0]
    assert 'data-ending=" - Maya"' in count and 'data-segment="8300"' in count and 'data-files="22000"' in count and 'data-more="0"' in count and 'data-plain=""' in count
    with transaction():
        from inbox.models import Draft

        Draft.put(c, "a" * 154, by=world.maya)
        world.front.plain_texts = True
    page = maya.get(f"/c/{c.public_id}").text
    assert "161/306" in page and "2 segments · $0.0166" in page and 'data-plain="1"' in page


def test_MSG_3_a_carrier_that_charges_nothing_shows_no_price_and_takes_no_files(world, maya):
    c = world.conversation()
    with transaction():
        world.front.carrier = gateway(world)
    page = maya.get(f"/c/{c.public_id}").text
    assert 'data-segment="0"' in page and "$" not in re.search(r'<span class="seg-count.*?</span></span>', page)[0]
    assert 'id="files"' not in page
    assert "sends plain texts only, without files" in put_up(maya, c, png(), status=422)


def test_MSG_3_an_inbox_may_always_send_plain_characters(world, maya):
    c = world.conversation()
    with transaction():
        world.front.plain_texts = True
    maya.send(f"/c/{c.public_id}/messages", htmx=True, body="“It’s ready” – come by…", nonce="p1", **held_page(maya, c))
    assert db.session.scalars(sa.select(Message).where(Message.kind == "out")).one().body == "\"It's ready\" - come by..."
    assert "It&#39;s ready&#34; - come by..." in maya.get(f"/c/{c.public_id}").text
    maya.send(f"/c/{c.public_id}/messages", htmx=True, body="“Great” 😀", nonce="p2", **held_page(maya, c))
    assert db.session.scalars(sa.select(Message.body).order_by(Message.id.desc())).first() == "“Great” 😀"


def test_MSG_3_the_option_is_a_setting_of_the_inbox(world, client):
    fields = {"lock_on": "open", "reopen": "yes", "idle_after": 180, "idle_answer": 60, "lock_lease": 45, "lock_heartbeat": 15, "plain_texts": "y"}
    assert "Always send plain characters" in client.sign_in(world.dana).get(f"/inboxes/{world.front.public_id}/settings").text
    assert client.send(f"/inboxes/{world.front.public_id}/settings", **fields).status_code == 303
    db.session.refresh(world.front)
    assert world.front.plain_texts


def test_MSG_3_compose_counts_for_the_recipient_and_the_chosen_inbox(world, maya):
    page = maya.get("/compose").text
    assert 'data-segment="8300"' in page and 'id="files"' in page
    part = maya.part(f"/compose/meter?inbox={world.front.public_id}&to=%2B442071838750").text
    assert 'data-segment="100000"' in part and 'data-more="100000"' in part
    assert 'data-segment="0"' in maya.part("/compose/meter?inbox=nonsense&to=x").text


# -- files out ------------------------------------------------------------------------------------------------


def test_MSG_4_a_file_goes_up_first_and_leaves_with_the_text(world, maya):
    c = world.conversation()
    ids = [put_up(maya, c, png(), "ear.png"), put_up(maya, c, CARD, "rosa.vcf"), put_up(maya, c, b"%PDF-1.7 x", "form.pdf")]
    answer = maya.send(f"/c/{c.public_id}/messages", htmx=True, body="Three files", nonce="n1", upload=ids, **held_page(maya, c))
    assert answer.status_code == 201, answer.text
    sent = db.session.scalars(sa.select(Message).where(Message.kind == "out")).one()
    assert [(a.filename, a.content_type, a.position) for a in sent.attachments] == [("ear.png", "image/png", 0), ("rosa.vcf", "text/vcard", 1), ("form.pdf", "application/pdf", 2)]
    again = maya.send(f"/c/{c.public_id}/messages", htmx=True, body="Three files", nonce="n1", upload=ids, **held_page(maya, c))
    assert again.status_code == 201, "a repeated post is harmless"
    other = maya.send(f"/c/{c.public_id}/messages", htmx=True, body="Once more", nonce="n2", upload=ids[:1], **held_page(maya, c))
    assert other.status_code == 422 and "was sent already" in other.text
    assert db.session.query(Message).filter_by(kind="out").count() == 1


@pytest.fixture
def narrow(monkeypatch):
    """A carrier that takes little: 100 KB a picture, 20 KB another file, 150 KB together."""
    monkeypatch.setattr(Twilio, "caps", replace(Twilio.caps, max_media_bytes=100 * 1024, max_file_bytes=20 * 1024, max_total_bytes=150 * 1024))


def test_MSG_4_pictures_lose_their_place_and_are_shrunk_to_what_the_carrier_takes(world, maya, narrow):
    c = world.conversation()
    put_up(maya, c, jpeg_with_place(), "where.jpg")
    first = db.session.scalars(sa.select(Attachment).where(Attachment.filename == "where.jpg")).one()
    with media.open_stored(world.app.config["MEDIA_ROOT"], first.sha256) as stored:
        assert b"SecretCamera" not in stored.read()
    put_up(maya, c, png(220, noise=True), "noise.png")  # 142 KB that no PNG makes smaller
    big = db.session.scalars(sa.select(Attachment).where(Attachment.filename == "noise.jpg")).one()
    assert big.content_type == "image/jpeg" and 0 < big.size <= 100 * 1024 and big.width == 220


def test_MSG_4_pictures_that_fit_alone_are_made_to_fit_together(world, maya, narrow):
    c = world.conversation()
    ids = [put_up(maya, c, png(170, noise=True), f"{i}.png") for i in range(3)]  # 85 KB each
    answer = maya.send(f"/c/{c.public_id}/messages", htmx=True, body="", nonce="n1", upload=ids, **held_page(maya, c))
    assert answer.status_code == 201
    sent = db.session.scalars(sa.select(Message).where(Message.kind == "out")).one()
    assert len(sent.attachments) == 3 and sum(a.size for a in sent.attachments) <= 150 * 1024


@pytest.mark.parametrize(
    ("data", "name", "sentence"),
    [
        (EXE, "ear.jpg", "“ear.jpg” can’t be sent. Carriers don’t take this kind of file. Send pictures, sound, video, contact cards or PDFs."),
        (b"<html><script>alert(1)</script>", "page.jpg", "“page.jpg” can’t be sent. Carriers don’t take"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "drawing.png", "“drawing.png” can’t be sent."),
        (b"%PDF-1.7" + b"x" * 30 * 1024, "long.pdf", "“long.pdf” can’t be sent. It has 30 KB; a carrier takes at most 20 KB of a file that is no picture."),
        (b"\0\0\0\x18ftypheic\0\0", "phone.heic", "Save it as a JPEG first."),
        (b"", "nothing.png", "“nothing.png” can’t be sent. It is empty."),
        (png()[:60], "half.png", "“half.png” can’t be sent. The picture is damaged."),
    ],
    ids=["exe", "html", "svg", "long", "heic", "empty", "half"],
)
def test_MSG_4_what_cannot_be_sent_is_refused_by_name(world, maya, narrow, data, name, sentence):
    c = world.conversation()
    assert sentence in put_up(maya, c, data, name, status=422)
    assert db.session.query(Attachment).count() == 0


def test_MSG_4_without_javascript_everything_typed_and_every_good_file_is_kept(world, maya):
    c = world.conversation()
    form = {"body": "Two files", "nonce": "n1", **held_page(maya, c)}
    refused = maya.send(f"/c/{c.public_id}/messages", media=[file(png(), "good.png"), file(EXE, "bad.jpg"), file(EXE, "worse.gif")], **form)
    assert refused.status_code == 422
    assert "“bad.jpg” can’t be sent." in refused.text and "“worse.gif” can’t be sent." in refused.text and "Two files" in refused.text
    kept = re.findall(r'name="upload" value="([^"]+)" checked', refused.text)
    assert len(kept) == 1 and "good.png" in refused.text
    sent = maya.send(f"/c/{c.public_id}/messages", upload=kept, **form)
    assert sent.status_code == 303
    assert [a.filename for a in db.session.scalars(sa.select(Message).where(Message.kind == "out")).one().attachments] == ["good.png"]


def test_MSG_4_a_text_refused_for_another_reason_keeps_its_files(world, maya):
    c = world.conversation()
    seen = held_page(maya, c)
    world.text("And one more thing")
    refused = maya.send(f"/c/{c.public_id}/messages", body="Look", nonce="n1", media=file(png(), "ear.png"), **seen)
    assert refused.status_code == 409 and re.search(r'name="upload" value="[^"]+" checked', refused.text) and "Send anyway" in refused.text


def test_MSG_4_files_of_somebody_else_are_not_sent(world, maya):
    c = world.conversation()
    mine = put_up(maya, c, png())
    theo = world.app.test_client().sign_in(world.theo)
    theo.who = world.theo
    with transaction():
        c.release(by=world.maya)
    refused = theo.send(f"/c/{c.public_id}/messages", htmx=True, body="Steal", nonce="n1", upload=[mine], **held_page(theo, c))
    assert refused.status_code == 422 and "Add it again." in refused.text
    assert db.session.query(Message).filter_by(kind="out").count() == 0


def test_S22_putting_up_needs_the_right_to_send_media_and_the_conversation(world, maya):
    c = world.conversation()
    assert world.app.test_client().sign_in(world.nina).send(f"/c/{c.public_id}/uploads", media=file(png(), "a.png")).status_code == 404
    assert world.app.test_client().sign_in(world.vera).send(f"/c/{c.public_id}/uploads", media=file(png(), "a.png")).status_code == 403
    with transaction():
        role = Role.create(world.harbor, name="Words only", permissions=[Permission.MESSAGE], by=world.dana)
        world.theo.set_roles([(role.public_id, None)], by=world.dana)
    assert world.app.test_client().sign_in(world.theo).send(f"/c/{c.public_id}/uploads", media=file(png(), "a.png")).status_code == 403
    assert maya.send(f"/c/{c.public_id}/uploads", media=[file(png(), f"{i}.png") for i in range(2)]).status_code == 422


def test_MSG_4_more_files_than_a_text_carries_are_refused(world, maya):
    c = world.conversation()
    refused = maya.send(f"/c/{c.public_id}/messages", body="Many", nonce="n1", media=[file(png(), f"{i}.png") for i in range(11)], **held_page(maya, c))
    assert refused.status_code == 422 and "at most 10 files" in refused.text


def test_MSG_4_files_never_sent_are_forgotten_after_a_day(world, maya):
    c = world.conversation()
    gone = put_up(maya, c, png())
    clock.shift(timedelta(hours=25).total_seconds())
    with transaction():
        assert Attachment.forget_unsent() == 1
    refused = maya.send(f"/c/{c.public_id}/messages", htmx=True, body="Late", nonce="n1", upload=[gone], **held_page(maya, c))
    assert refused.status_code == 422 and "gone. Add it again." in refused.text


def test_MSG_4_compose_sends_files_and_keeps_them_when_refused(world, maya):
    up = maya.send("/compose/uploads", htmx=True, inbox=world.front.public_id, media=file(png(), "ear.png"))
    assert up.status_code == 201
    key = re.search(r'value="([^"]+)"', up.text)[1]
    refused = maya.send("/compose", inbox=world.front.public_id, to="nobody", body="Hello", nonce="n1", upload=[key])
    assert refused.status_code == 422 and f'name="upload" value="{key}" checked' in refused.text and "Hello" in refused.text
    sent = maya.send("/compose", inbox=world.front.public_id, to="+14155550177", body="Hello", nonce="n1", upload=[key])
    assert sent.status_code == 303, sent.text
    assert [a.filename for a in db.session.scalars(sa.select(Message).where(Message.kind == "out")).one().attachments] == ["ear.png"]
    assert maya.send("/compose/uploads", htmx=True, inbox="nonsense", media=file(png(), "ear.png")).status_code == 422


# -- files in -------------------------------------------------------------------------------------------------


def test_MSG_4_nothing_served_can_run(world, maya):
    kinds = {
        "image/png": png(), "audio/ogg": b"OggS\0" + b"\0" * 3000, "video/mp4": b"\0\0\0\x18ftypmp42\0\0" + b"\0" * 3000,
        "application/pdf": b"%PDF-1.7 <script>alert(1)</script>", "text/vcard": CARD, "text/plain": b"Hello <b>",
    }
    for claimed, data in kinds.items():
        _, a = came_in(world, data, claimed, "../../evil\r\nX: y.html")
        assert a.state == "stored", (claimed, a.problem)
        answer = maya.get(f"/media/{a.public_id}")
        headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and "X" not in dict(headers)
        shown = claimed.startswith(("image", "audio", "video"))
        assert answer.mimetype == (claimed if shown else "application/octet-stream")
        assert headers["Content-Disposition"].startswith("inline" if shown else "attachment")
        assert not headers["Content-Disposition"].rstrip('"').endswith(".html")
        if claimed.startswith(("audio", "video")):
            part = maya.get(f"/media/{a.public_id}", headers={"Range": "bytes=100-199"})
            assert part.status_code == 206 and len(part.data) == 100 and part.headers["Content-Range"].startswith("bytes 100-199/")
            assert part.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_MSG_4_a_contact_card_is_shown_as_one(world, maya):
    c, a = came_in(world, CARD, "text/x-vcard")
    page = maya.get(f"/c/{c.public_id}").text
    assert "Rosa O&#39;Neil &lt;b&gt;" in page and "(415) 555-0199" in page and "rosa@example.com" in page and f'href="/media/{a.public_id}" download' in page


def test_MSG_4_sound_plays_and_documents_are_named_downloads(world, maya):
    c, sound = came_in(world, b"OggS\0" + b"\0" * 100, "audio/ogg")
    _, pdf = came_in(world, b"%PDF-1.7 hello", "application/pdf", "bill.exe")
    page = maya.get(f"/c/{c.public_id}").text
    assert f'<audio class="player" controls preload="none" src="/media/{sound.public_id}"' in page
    assert "bill.pdf" in page and "bill.exe" not in page
    assert 'filename=bill.pdf' in maya.get(f"/media/{pdf.public_id}").headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("data", "claimed", "reason"),
    [
        (EXE, "image/jpeg", "a Windows program that says it is a picture"),
        (b"<!doctype html><script>alert(1)</script>", "image/jpeg", "a web page or drawing that can hold programs that says it is a picture"),
        (b"<svg onload='x'/>", "image/svg+xml", "a web page or drawing that can hold programs that says it is a picture"),
        (b"PK\x03\x04zip", "application/zip", "a zip archive that says it is a document"),
        (b"%PDF-1.7", "image/png", "a PDF that says it is a picture"),
        (b"\x01\x02\x03", "", "a file of an unknown kind"),
    ],
    ids=["exe", "html", "svg", "zip", "pdf", "unknown"],
)
def test_MSG_4_odd_files_are_held_with_the_reason(world, maya, data, claimed, reason):
    c, a = came_in(world, data, claimed)
    assert (a.state, a.problem) == ("held", reason)
    page = maya.get(f"/c/{c.public_id}").text
    assert f"Held: {reason}" in page and "Download anyway" in page and f'src="/media/{a.public_id}' not in page
    assert maya.get(f"/media/{a.public_id}").status_code == 404 and maya.get(f"/media/{a.public_id}/thumb").status_code == 404


def test_MSG_4_a_held_file_is_taken_only_after_a_question_and_by_who_may(world, maya):
    c, a = came_in(world, EXE, "image/jpeg", "ear.jpg")
    question = maya.get(f"/media/{a.public_id}/held")
    assert question.status_code == 200 and "a Windows program that says it is a picture" in question.text and EXE not in question.data
    taken = maya.send(f"/media/{a.public_id}/held")
    assert taken.data == EXE and taken.mimetype == "application/octet-stream" and taken.headers["Cache-Control"] == "no-store"
    assert taken.headers["Content-Disposition"] == f"attachment; filename=held-{a.public_id}.bin" and taken.headers["X-Content-Type-Options"] == "nosniff"
    assert taken.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    noted = db.session.scalars(sa.select(Event).where(Event.kind == "message.held_file_opened")).one()
    assert noted.actor_id == world.maya.id
    assert maya.post(f"/media/{a.public_id}/held").status_code == 419
    vera = world.app.test_client().sign_in(world.vera)
    page = vera.get(f"/c/{c.public_id}").text
    assert "Held: a Windows program" in page and "Download anyway" not in page
    assert vera.get(f"/media/{a.public_id}/held").status_code == 403
    assert world.app.test_client().sign_in(world.nina).get(f"/media/{a.public_id}/held").status_code == 404


def test_MSG_4_one_file_never_leaves_with_two_texts(world, maya, together):
    """Two windows send the same file at once: one text leaves with it, the other is refused with its words kept."""
    first, second = world.conversation(), world.conversation(sender="+14155550177")
    key = put_up(maya, first, png())
    forms = [(c.public_id, held_page(maya, c)) for c in (first, second)]
    clients = [world.app.test_client().sign_in(world.maya) for _ in forms]
    tokens = [client.csrf() for client in clients]

    def send(i):
        where, fields = forms[i]
        data = {"csrf_token": tokens[i], "body": f"Window {i}", "nonce": f"w{i}", "upload": key, **fields}
        return clients[i].post(f"/c/{where}/messages", data=data, headers={"HX-Request": "true"}).status_code

    assert sorted(together(send, 2, world.app)) == [201, 422]
    db.session.rollback()
    sent = db.session.scalars(sa.select(Message).where(Message.kind == "out")).all()
    assert [len(m.attachments) for m in sent] == [1]
