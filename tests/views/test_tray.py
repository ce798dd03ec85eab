"""ACC-6 on the page of the tray: one's own lines, their places, and what is read; with and without scripts."""

from __future__ import annotations

import re

import pytest

from inbox.models import TrayItem, transaction
from inbox.models.tray import PAGE
from tests import conftest as house
from tests.models.test_notification import fanned, give

app = house.app  # both databases, the real navigation
TRAY = "/notifications/tray"


@pytest.fixture
def theo(app, world):
    return app.test_client().sign_in(world.theo)


@pytest.fixture
def told(world, bell):
    """A conversation of Rosa’s that Ada gave to Theo, and a note that names him."""
    c = world.conversation()
    world.named(c, "Rosa", "Diaz")
    give(world, c, world.theo, world.ada)
    with transaction():
        c.note("@Theo Okafor, is it ready?", by=world.maya)
    fanned(bell)
    return c


def bell_count(html):
    found = re.search(r'id="bell".*?</a>', html, re.S)
    number = re.search(r'class="count hot">([\d+]+)', found.group()) if found else None
    return number.group(1) if number else ""


def test_ACC_6_the_page_says_who_did_what_and_leads_there(world, theo, told):
    html = theo.get(TRAY).text
    note = TrayItem.of(world.theo)[0].message.public_id
    words = re.sub(r"<[^>]+>", "", html)
    assert "Maya Chen mentioned you in a note about Rosa Diaz" in words and "Ada Admin assigned Rosa Diaz to you" in words
    assert f'href="/c/{told.public_id}?at={note}"' in html and f'href="/c/{told.public_id}"' in html
    assert bell_count(html) == "2" and words.index("mentioned you") < words.index("Ada Admin assigned"), "newest first"
    assert "2 unread" in html and "Front Desk: @Theo Okafor, is it ready?" in words


def test_ACC_6_nothing_yet_is_said_kindly(app, world):
    html = app.test_client().sign_in(world.maya).get(TRAY).text
    assert "Nothing here" in html and bell_count(html) == ""


@pytest.mark.parametrize("who", ["dana", "ada", "maya", "sven", "uma", "vera", "olga", "nina"])
def test_ACC_6_a_tray_is_ones_own(app, world, told, who):
    client = app.test_client().sign_in(getattr(world, who))
    html = client.get(TRAY).text
    assert "mentioned you" not in html and "assigned <b>" not in html
    item = TrayItem.of(world.theo)[0]
    assert client.send(f"{TRAY}/{item.id}/reading").status_code == 404
    assert client.send(f"{TRAY}/reading", upto=10**6).status_code == 303
    assert TrayItem.unread(world.theo) == 2


def test_ACC_6_without_scripts_one_line_and_all_are_read_by_buttons(world, theo, told):
    first, second = TrayItem.of(world.theo)
    assert theo.get(TRAY).status_code == 200 and TrayItem.unread(world.theo) == 2, "looking changes nothing"
    answer = theo.send(f"{TRAY}/{first.id}/reading")
    assert answer.status_code == 303 and answer.location.endswith(TRAY) and TrayItem.unread(world.theo) == 1
    assert theo.send(f"{TRAY}/{first.id}/reading").status_code == 303, "twice is the same"
    answer = theo.send(f"{TRAY}/reading", upto=first.id)
    assert answer.status_code == 303 and TrayItem.unread(world.theo) == 0
    assert "Mark all read" not in theo.get(TRAY).text and "mentioned you" in theo.get(TRAY).text, "it stays to be looked up"


def test_ACC_6_as_a_part(world, theo, told):
    html = theo.part(TRAY).text
    assert "<html" not in html and 'id="tray-list"' in html and "Mark all read" in html
    item = TrayItem.of(world.theo)[0]
    assert theo.send(f"{TRAY}/{item.id}/reading", htmx=True).status_code == 204
    html = theo.send(f"{TRAY}/reading", htmx=True, upto=item.id).text
    assert 'id="tray-list"' in html and "Mark all read" not in html


def test_ACC_6_further_down_by_key(world, theo):
    with transaction():
        for n in range(PAGE + 2):
            TrayItem(member_id=world.theo.id, event="import", data={"file": f"file-{n:02d}.csv", "run": "x", "rows": 1200}).save()
    html = theo.get(TRAY).text
    before = re.search(r"before=(\d+)", html).group(1)
    assert "file-21.csv" in html and "file-01.csv" not in html and "1,200 rows" in html
    more = theo.part(f"{TRAY}?before={before}").text
    assert more.count("<li") == 2 and "file-01.csv" in more and "Earlier" not in more
    page = theo.get(f"{TRAY}?before={before}").text
    assert "file-00.csv" in page and "Back to the newest" in page
    assert theo.get(f"{TRAY}?before=nonsense").status_code == 200


def test_ACC_6_bad_numbers_change_nothing(world, theo, told):
    assert theo.send(f"{TRAY}/reading", upto="x").status_code == 303 and TrayItem.unread(world.theo) == 2
    assert theo.send(f"{TRAY}/reading").status_code == 303 and TrayItem.unread(world.theo) == 2
    assert theo.send(f"{TRAY}/{10**6}/reading").status_code == 404


def test_ACC_6_seeing_the_conversation_empties_the_bell(world, theo, told):
    html = theo.get(f"/c/{told.public_id}").text
    assert bell_count(html) == "2" and f"/c/{told.public_id}/reading" in html
    theo.send(f"/c/{told.public_id}/reading", htmx=True, value="seen")
    assert bell_count(theo.get("/settings/notifications").text) == "" and TrayItem.unread(world.theo) == 0


def test_ACC_6_something_told_of_is_seen_by_opening_even_when_every_text_was_read(world, bell, theo):
    c = world.conversation()
    with transaction():
        c.mark_read(by=world.ada)
        c.seen_by(world.theo)
    assert f'hx-post="/c/{c.public_id}/reading" hx-vals' not in theo.get(f"/c/{c.public_id}").text
    give(world, c, world.theo, world.ada)
    fanned(bell)
    assert f'hx-post="/c/{c.public_id}/reading" hx-vals' in theo.get(f"/c/{c.public_id}").text


def test_ACC_6_names_cannot_do_anything(world, bell, theo):
    c = world.conversation()
    world.named(c, "<b>Rosa</b>", '"><script>')
    give(world, c, world.theo, world.ada)
    fanned(bell)
    html = theo.get(TRAY).text
    assert "&lt;b&gt;Rosa&lt;/b&gt;" in html and '"><script>' not in html


# -- the sound --------------------------------------------------------------------------------------------------------------


def test_ACC_6_the_sound_is_chosen_on_the_page_of_notifications(world, theo):
    page = "/settings/notifications"
    assert re.search(r'<option value="off" selected>', theo.get(page).text)
    assert theo.send(f"{page}/sound", sound="inbox", volume="80").status_code == 303
    html = theo.get(page).text
    assert '<option value="inbox" selected>' in html and 'value="80"' in html
    for fields in ({"sound": "loud", "volume": "80"}, {"sound": "mine", "volume": "101"}, {"sound": "mine", "volume": "much"}, {"sound": "mine"}, {}):
        answer = theo.send(f"{page}/sound", **fields)
        assert answer.status_code == 422 and "Choose" in answer.text
    assert '<option value="inbox" selected>' in theo.get(page).text


def test_the_sound_is_small_and_served_from_here(app):
    path = app.jinja_env.globals["asset"]
    with app.test_request_context():
        address = path("chime.wav")
    answer = app.test_client().get(address)
    assert answer.status_code == 200 and answer.mimetype in ("audio/x-wav", "audio/wav") and len(answer.data) <= 6 * 1024
