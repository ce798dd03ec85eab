"""The palette: what one may do and open, nothing else, ranked, quick, and whole without scripts."""

from __future__ import annotations

import re
import time

import pytest
import sqlalchemy as sa

from inbox.models import SavedView, db, transaction
from inbox.models.conversation import Filter
from tests import conftest as house

app = house.app  # both databases, the real navigation


@pytest.fixture
def rosa(world):
    c = world.conversation()
    world.named(c, "Rosa", "Diaz")
    return c


def options(html):
    """Label -> its element."""
    found = {}
    for item in re.findall(r"<li>.*?</li>", html.partition('id="palette-list"')[2], re.S):
        label = re.search(r"<bdi>(.*?)</bdi>", item, re.S)
        found.setdefault(label.group(1), item)
    return found


def group(html, key):
    part = html.partition(f'id="palette-{key}"')[2].partition("</section>")[0]
    return options('id="palette-list"' + part)


def test_the_page_works_without_scripts(app, world, rosa):
    client = app.test_client().sign_in(world.maya)
    html = client.get(f"/palette?c={rosa.public_id}").text
    assert {"Reply", "Archive", "Assign to me", "Snooze…", "Tags…", "Compose", "Search", "Profile", "My work", "Unassigned"} <= set(options(html))
    assert client.send(f"/c/{rosa.public_id}/archival").status_code == 303
    assert "Reopen" in options(client.get(f"/palette?c={rosa.public_id}").text)
    assert set(options(client.get("/palette?q=rosa").text)) >= {"Rosa Diaz"}
    assert list(options(client.get("/palette?q=una").text))[-1] == "Unassigned"
    assert client.get("/keys").status_code == 200


def test_as_a_part_it_is_the_same_list(app, world, rosa):
    client = app.test_client().sign_in(world.maya)
    html = client.part(f"/palette?c={rosa.public_id}&at={world.front.public_id}").text
    assert "<html" not in html and html.count('id="palette-list"') == 1
    assert 'data-press="e"' in options(html)["Archive"] and '<span class="kbd">E</span>' in options(html)["Archive"]
    found = client.part("/palette?part=found&q=ros").text
    assert set(options(found)) == {"Rosa Diaz", "Search for “ros”"}
    assert set(options(client.part("/palette?part=found&q=5550134").text)) >= {"Rosa Diaz"}


def test_PERM_6_what_may_not_be_done_says_why(app, world, rosa):
    for who in (world.vera, world.uma):
        html = app.test_client().sign_in(who).part(f"/palette?c={rosa.public_id}").text
        reply = options(html)["Reply"]
        assert 'aria-disabled="true"' in reply and "<a" not in reply and who.can("inbox/conversations/reply", on=rosa).why in re.sub("&#39;", "'", reply)
        assert "Compose" not in options(html)


def test_ACC_1_only_what_one_may_open(app, world, rosa):
    with transaction():
        SavedView.keep(world.front, Filter(view="all", read="unread"), "My unread", by=world.maya)
    maya, olga, nina = (app.test_client().sign_in(who) for who in (world.maya, world.olga, world.nina))
    assert "My unread" in options(maya.part("/palette").text)
    for client in (olga, nina):
        assert "Rosa Diaz" not in options(client.part("/palette?part=found&q=rosa").text) or client is olga
        assert "My unread" not in client.get("/palette").text and "Front Desk" not in client.get("/palette").text
        assert client.get(f"/palette?c={rosa.public_id}").status_code == 404
    assert "CANARY" not in maya.get("/palette?q=CANARY").text.replace("“CANARY”", "").replace('value="CANARY"', "").replace("q=CANARY", "")


@pytest.mark.parametrize("who", ["dana", "ada", "maya", "sven", "uma", "vera", "olga"])
def test_every_settings_page_of_the_navigation_is_there_and_no_other(app, world, who):
    client = app.test_client().sign_in(getattr(world, who))
    nav = client.get("/settings/notifications").text.partition('id="nav"')[2].partition("</nav>")[0]
    shown = set(re.findall(r'<a [^>]*href="(/[^"]*)"', nav)) - {"/", "/palette", "/notifications/tray"}
    listed = set(re.findall(r'<a [^>]*href="(/[^"]*)"', client.part("/palette").text.partition('id="palette-settings"')[2]))
    assert shown <= listed, shown - listed
    for address in listed:
        assert client.get(address).status_code in (200, 303), address


def test_recent_is_what_one_worked_on_last(app, world, rosa):
    other = world.conversation("And mine?", sender="+14155550188")
    world.named(other, "Bo", "Ling")
    world.reply(rosa, world.maya)
    world.reply(other, world.maya)
    client = app.test_client().sign_in(world.maya)
    assert list(group(client.part("/palette").text, "recent")) == ["Bo Ling", "Rosa Diaz"]
    assert list(group(client.part(f"/palette?c={other.public_id}").text, "recent")) == ["Rosa Diaz"], "not where one is"
    assert not group(app.test_client().sign_in(world.theo).part("/palette").text, "recent")


def test_beginnings_of_words_come_first(app, world, rosa):
    client = app.test_client().sign_in(world.dana)
    html = client.get("/palette?q=se").text
    labels = [label for label in options(html) if not label.startswith("Search for")]
    assert labels.index("Search") < labels.index("Unassigned") if "Unassigned" in labels else "Search" in labels
    assert "Nothing is called that" not in html
    assert set(options(client.get("/palette?q=zzzz").text)) == {"Search for “zzzz”"}


@pytest.mark.parametrize("typed", ["%", "_", "'", '"', "<script>", "()", "*", "\\", "a" * 500, "١٢٣", "-", "§a1"])
def test_nothing_typed_breaks_it(app, world, rosa, typed):
    client = app.test_client().sign_in(world.maya)
    for path in ("/palette", "/palette?part=found"):
        answer = client.get("/palette", query_string={"q": typed, "part": "found"} if "part" in path else {"q": typed}, headers={"HX-Request": "true"} if "part" in path else {})
        assert answer.status_code == 200 and "<script>" not in answer.text.replace('<script src', "").replace('<script type', "")


def test_it_takes_few_queries_and_little_time(app, world, rosa):
    client = app.test_client().sign_in(world.maya)
    client.part(f"/palette?c={rosa.public_id}")
    seen = []
    count = lambda *args: seen.append(args[2])  # noqa: E731
    sa.event.listen(db.engine, "before_cursor_execute", count)
    began = time.process_time()
    client.part(f"/palette?c={rosa.public_id}")
    spent = time.process_time() - began
    sa.event.remove(db.engine, "before_cursor_execute", count)
    assert len([q for q in seen if q.lstrip().upper().startswith("SELECT")]) <= 24, seen
    assert spent < 0.25
