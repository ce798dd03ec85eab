"""MSG-3, MSG-4 in a real browser: the counter, plain characters, and files by picker, drop and paste with their progress."""

from __future__ import annotations

import io
import os
import re

import pytest
from PIL import Image
from playwright.sync_api import expect

from inbox.extensions import db
from inbox.models import Inbox, Message, transaction
from tests.browser.test_two_agents import fresh

pytestmark = pytest.mark.one_database

DROP = """([selector, name, type, bytes]) => {
  const data = new DataTransfer(); data.items.add(new File([new Uint8Array(bytes)], name, { type }));
  const at = document.querySelector(selector);
  if (selector === '#body') { at.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })); return; }
  for (const kind of ['dragover', 'drop']) at.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def png(side=60, noise=False):
    out = io.BytesIO()
    (Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)) if noise else Image.new("RGB", (side, side), "teal")).save(out, "PNG")
    return out.getvalue()


def upload(name, kind, data):
    return {"name": name, "mimeType": kind, "buffer": data}


@pytest.fixture
def writing(lived_in, person):
    return write(lived_in, person)


def write(lived_in, person):
    """Maya with a conversation open and its lock in hand."""
    cid, row = fresh(lived_in)
    maya = person(lived_in, lived_in.cast.maya)
    maya.open(f"/c/{cid}")
    expect(maya.page.locator("#lock")).to_have_attribute("data-state", "mine")
    maya.row = row
    return maya


def newest(house, row):
    with house.app.app_context():
        found = db.session.query(Message).filter_by(conversation_id=row, kind="out").order_by(Message.id.desc()).first()
        return found and (found.body, [a.filename for a in found.attachments])


def test_MSG_3_the_counter_follows_what_is_typed_with_cost_and_offers_plain_characters(lived_in, writing):
    page = writing.page
    count, body = page.locator("#count"), page.locator("#body")
    body.fill("a" * 160)
    expect(count).to_have_text("160/160 · 1 segment · $0.0083")
    body.fill("a" * 161)
    expect(count).to_have_text("161/306 · 2 segments · $0.0166")
    body.fill("It’s ready — “" + "a" * 80)
    expect(count).to_contain_text("2 segments, Unicode · $0.0166")
    offer = page.locator("#unicode")
    expect(offer).to_contain_text("’ — “ make this 2 segments.")
    expect(offer).to_contain_text("’ becomes ', — becomes -, “ becomes \": 1 segment, saves $0.0083.")
    writing.check_accessible()
    offer.get_by_role("button", name="Use plain characters").click()
    expect(body).to_have_value("It's ready - \"" + "a" * 80)
    expect(offer).to_be_hidden()
    expect(body).to_be_focused()
    body.fill("😀" + "a" * 80)
    expect(offer).to_contain_text("😀 makes this 2 segments.")
    expect(offer.get_by_role("button")).to_be_hidden()


def test_MSG_3_the_signature_counts_and_the_inbox_may_always_write_plainly(lived_in, person):
    with lived_in.app.app_context(), transaction():
        front = db.session.get(Inbox, lived_in.cast.front.id)
        front.sign_texts = front.plain_texts = True
    try:
        page = write(lived_in, person).page
        body, count = page.locator("#body"), page.locator("#count")
        body.fill("a" * 153)
        expect(count).to_have_text("160/160 · 1 segment · $0.0083")
        body.fill("a" * 152 + "…")
        expect(count).to_have_text("162/306 · 2 segments · $0.0166")
        expect(page.locator("#unicode")).to_be_hidden()
        body.press("Control+Enter")
        expect(page.locator("#thread")).to_contain_text("a" * 152 + "... - Maya")
    finally:
        with lived_in.app.app_context(), transaction():
            front = db.session.get(Inbox, lived_in.cast.front.id)
            front.sign_texts = front.plain_texts = False


def test_MSG_4_files_come_by_picker_drop_and_paste_and_leave_with_the_text(lived_in, writing):
    page = writing.page
    page.locator("#files").set_input_files([upload("ear.png", "image/png", png()), upload("rosa.vcf", "text/vcard", b"BEGIN:VCARD\nFN:Rosa\nEND:VCARD")])
    page.evaluate(DROP, [".thread-scroll", "dropped.png", "image/png", list(png(30))])
    page.evaluate(DROP, ["#body", "pasted.png", "image/png", list(png(31))])
    files = page.locator("#file-list li")
    expect(files).to_have_count(4)
    expect(page.locator("#file-list [name=upload]")).to_have_count(4)
    expect(page.locator("#file-list img")).to_have_count(3)
    expect(page.locator("#count")).to_contain_text("$0.022")
    writing.check_accessible()
    writing.picture("composer-files")
    page.get_by_role("button", name="Remove dropped.png").press("Enter")
    expect(files).to_have_count(3)
    page.locator("#body").fill("Three files")
    page.locator("#send").click()
    expect(page.locator("#thread .msg.out .media img")).to_have_count(2)
    expect(page.locator("#thread .card-file, #thread .file")).to_contain_text("rosa.vcf")
    expect(files).to_have_count(0)
    assert newest(lived_in, writing.row) == ("Three files", ["ear.png", "rosa.vcf", "pasted.png"])


def test_MSG_4_progress_is_shown_and_send_waits_for_the_last_file(lived_in, writing):
    page = writing.page
    held = []
    page.route("**/uploads", lambda route: held.append(route))
    page.locator("#files").set_input_files([upload("big.png", "image/png", png(700, noise=True))])
    bar = page.get_by_role("progressbar", name="Uploading big.png")
    expect(bar).to_be_visible()
    page.locator("#body").fill("It is large")
    page.locator("#send").click()
    page.wait_for_timeout(300)
    assert newest(lived_in, writing.row) is None
    held[0].continue_()
    expect(page.locator("#thread")).to_contain_text("It is large")
    expect(bar).to_have_count(0)
    assert newest(lived_in, writing.row) == ("It is large", ["big.png"])


def test_MSG_4_refusals_are_named_per_file_and_lose_nothing(lived_in, writing):
    page = writing.page
    page.locator("#body").fill("Look at this")
    page.locator("#files").set_input_files(
        [upload("ear.png", "image/png", png()), upload("virus.jpg", "image/jpeg", b"MZ\x90\0" + b"\0" * 50), upload("long.pdf", "application/pdf", b"%PDF-1.7" + b"x" * 600_000)]
    )
    bad = page.locator("#file-list .bad")
    expect(bad).to_have_count(2)
    expect(page.locator("#file-list")).to_contain_text("“virus.jpg” can’t be sent. Carriers don’t take this kind of file.")
    expect(page.locator("#file-list")).to_contain_text("long.pdf: It has 586 KB; a carrier takes at most 500 KB of a file that is no picture.")
    expect(page.locator("#body")).to_have_value("Look at this")
    writing.check_accessible()
    for _ in range(2):
        bad.first.get_by_role("button").click()
    page.locator("#send").click()
    expect(page.locator("#thread")).to_contain_text("Look at this")
    assert newest(lived_in, writing.row) == ("Look at this", ["ear.png"])


def test_MSG_4_a_lost_connection_names_the_file_and_keeps_the_text(lived_in, writing):
    page = writing.page
    page.locator("#body").fill("Kept")
    page.route("**/uploads", lambda route: route.abort())
    page.locator("#files").set_input_files([upload("ear.png", "image/png", png())])
    expect(page.locator("#file-list .bad")).to_contain_text("ear.png: It could not be put up: the connection was lost.")
    expect(page.locator("#body")).to_have_value("Kept")


def test_MSG_4_a_held_file_can_be_taken_from_the_thread(lived_in, person, writing):
    with lived_in.app.app_context(), transaction():
        from inbox import media
        from inbox.models import Attachment

        message = db.session.query(Message).filter_by(conversation_id=writing.row, kind="in").first()
        sha = media.store(lived_in.app.config["MEDIA_ROOT"], b"MZ\x90\0")
        Attachment(
            account_id=message.account_id, message_id=message.id, state="held", problem="a Windows program that says it is a picture", content_type=media.UNKNOWN, sha256=sha, size=4
        ).save()
    page = writing.page
    page.reload()
    expect(page.locator("#thread .held")).to_contain_text("Held: a Windows program that says it is a picture")
    writing.check_accessible()
    page.get_by_role("link", name="Download anyway").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("This file was held back")
    writing.check_accessible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download anyway").click()
    assert re.fullmatch(r"held-\w+\.bin", download.value.suggested_filename)


def test_MSG_4_compose_counts_for_the_recipient_and_takes_files(lived_in, person):
    maya = person(lived_in, lived_in.cast.maya)
    page = maya.open("/compose")
    page.locator("#to").fill("+44 20 7183 8750")
    page.locator("#body").fill("Hello")
    expect(page.locator("#count")).to_have_text("5/160 · 1 segment · $0.10")
    page.locator("#to").fill("+14155550188")
    page.locator("#body").focus()
    expect(page.locator("#count")).to_have_text("5/160 · 1 segment · $0.0083")
    page.locator("#files").set_input_files([upload("ear.png", "image/png", png())])
    expect(page.locator("#file-list [name=upload]")).to_have_count(1)
    maya.check_accessible()
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#thread .msg.out .media img")).to_have_count(1)


def test_MSG_4_without_javascript_files_go_with_the_form(lived_in, person):
    cid, row = fresh(lived_in)
    maya = person(lived_in, lived_in.cast.maya, java_script_enabled=False)
    page = maya.open(f"/c/{cid}")
    page.locator("#body").fill("By hand")
    page.locator("#files").set_input_files([upload("ear.png", "image/png", png()), upload("virus.jpg", "image/jpeg", b"MZ")])
    page.locator("#send").click()
    expect(page.locator("#refusal")).to_contain_text("“virus.jpg” can’t be sent.")
    expect(page.locator("#body")).to_have_value("By hand")
    expect(page.locator("#file-list").get_by_role("checkbox", name=re.compile("ear.png"))).to_be_checked()
    page.locator("#send").click()
    expect(page.locator("#thread")).to_contain_text("By hand")
    assert newest(lived_in, row) == ("By hand", ["ear.png"])


def test_MSG_4_on_a_phone_there_is_a_camera(lived_in, person):
    cid, _ = fresh(lived_in)
    maya = person(lived_in, lived_in.cast.maya, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = maya.open(f"/c/{cid}")
    camera = page.locator("label:has(#camera)")
    expect(camera).to_be_visible()
    expect(page.locator("#camera")).to_have_attribute("capture", "environment")
    page.locator("#camera").set_input_files([upload("IMG_1.png", "image/png", png())])
    expect(page.locator("#file-list [name=upload]")).to_have_count(1)
    maya.check_accessible()
    maya.picture("composer-phone")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
