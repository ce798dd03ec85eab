"""CONV-9 on the pages: results, chips, highlights, further pages, people, recent searches; for everybody who may and nobody else, with and without htmx."""

# ruff: noqa: F811 - fixtures of another folder are named like arguments
from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from inbox.models import Message, RecentSearch, db, transaction
from tests.conftest import app  # noqa: F401 - both databases, with the migrated schema
from tests.screens.conftest import own_context  # noqa: F401 - several people at once

PART = {"HX-Request": "true"}


@pytest.fixture
def maya(app, world):
    return app.test_client().sign_in(world.maya)


@pytest.fixture
def vera(app, world):
    return app.test_client().sign_in(world.vera)


def search(who, q, **kwargs):
    answer = who.get(f"/search?q={quote(q)}", **kwargs)
    assert answer.status_code == 200
    return answer.text


def test_CONV_9_words_are_marked_and_lead_to_their_text_in_the_thread(world, maya):
    text = world.text("Is the Grüne <b>cream</b> ready?")
    world.text("nothing of the kind", sender="+14155550135")
    page = search(maya, "grune cream")
    assert "<mark>Grüne</mark>" in page and "&lt;b&gt;<mark>cream</mark>&lt;/b&gt;" in page and "nothing of the kind" not in page
    link = re.search(r'href="(/c/[^"]+\?at=[^"]+)"', page)
    assert link and link[1] == f"/c/{text.conversation.public_id}?at={db.session.get_one(Message, text.id).public_id}"
    assert maya.get(link[1]).status_code == 200


def test_CONV_9_typing_swaps_the_results_alone_and_leaving_brings_the_whole_page(world, maya):
    world.conversation("Is the ear cream ready?")
    part = search(maya, "ear cre", headers=PART)
    assert part.lstrip().startswith('<div id="found"') and "<html" not in part and "<mark>ear</mark> <mark>cream</mark>" in part
    assert "<html" in search(maya, "ear cre", headers={**PART, "HX-History-Restore-Request": "true"})
    assert "<h1>Search</h1>" in search(maya, "ear cre")


def test_CONV_9_filters_are_chips_that_come_off(world, maya):
    world.conversation("Is the ear cream ready?")
    page = search(maya, 'cream is:unread in:"front desk"')
    assert "<mark>cream</mark>" in page
    assert 'aria-label="Remove filter: is unread"' in page and f'href="/search?q={quote("cream in:")}%22front+desk%22"'.replace("%20", "+").replace("%3A", ":") in page.replace("%3A", ":")
    without = re.search(r'href="(/search\?q=[^"]+)" aria-label="Remove filter: in front desk"', page)
    assert without and "<mark>cream</mark>" in maya.get(without[1].replace("&amp;", "&")).text


def test_CONV_9_what_is_not_understood_is_said_and_no_error(world, maya):
    world.conversation("hello")
    assert "Did you mean “from:bea”?" in search(maya, "fro:bea hello") and "<mark>hello</mark>" in search(maya, "fro:bea hello")
    for typed in ('"', "NEAR(", "a" * 9000, "😀 -", "is:", "'; --"):
        assert "<h1>Search</h1>" in search(maya, typed)
    assert maya.get("/search?q=hello&after=nonsense").status_code == 400
    assert "Nothing found" in search(maya, "zzzzzz")


def test_CONV_9_more_pages_are_links_and_swap_in_place(world, maya):
    for i in range(25):
        world.text(f"topaz {i}", sender=f"+1415555{2000 + i}")
    page = search(maya, "topaz")
    assert page.count('class="conv-row') == 20
    link = re.search(r'href="(/search\?q=topaz&amp;after=\d+)"', page)
    assert link
    more = link[1].replace("&amp;", "&")
    assert maya.get(more).text.count('class="conv-row') == 5
    part = maya.get(more, headers=PART).text
    assert part.count('class="conv-row') == 5 and part.lstrip().startswith("<li") and "found-more" not in part


def test_CONV_9_people_are_found_by_name_and_number(world, maya):
    world.named(world.conversation("hello"), "Bea", "Lo")
    assert "<mark>Bea</mark> Lo" in search(maya, "bea") and "<h2>People</h2>" in search(maya, "0134")


def test_CONV_9_each_finds_only_what_they_may_open(app, world, maya, vera):
    world.text("quartz front")
    world.text("quartz pharmacy", sender="+14155550135", inbox=world.pharmacy)
    world.text("quartz north", sender="+14155550136", inbox=world.reception)
    for who in (maya, vera, app.test_client().sign_in(world.uma)):
        page = search(who, "quartz")
        assert "front" in page and "pharmacy" not in page and "north" not in page
    assert "Nothing found" in search(app.test_client().sign_in(world.olga), "quartz")
    nina = search(app.test_client().sign_in(world.nina), "quartz")
    assert "</mark> north" in nina and "</mark> front" not in nina


def test_CONV_9_searching_needs_somebody_signed_in(world, client):
    assert client.get("/search?q=x").status_code == 303
    assert client.get("/search?q=x", headers=PART).status_code == 401


def test_CONV_9_recent_searches_are_kept_shown_and_cleared_for_oneself(world, maya, vera):
    world.conversation("hello")
    part = search(maya, "hello", headers=PART)
    assert 'hx-post="/search/recent"' in part
    assert RecentSearch.of(world.maya) == [], "a GET keeps nothing"
    assert maya.send("/search/recent", htmx=True, q="hello <b>").status_code == 204
    assert maya.send("/search/recent", q="").status_code == 303
    assert "hello &lt;b&gt;" in maya.get("/search").text and "hello &lt;b&gt;" not in vera.get("/search").text
    assert vera.send("/search/recent/clear").status_code == 303 and "Searched lately" in maya.get("/search").text
    cleared = maya.send("/search/recent/clear", htmx=True)
    assert cleared.status_code == 200 and cleared.text.lstrip().startswith('<div id="found"') and "Searched lately" not in maya.get("/search").text


def test_CONV_9_the_search_is_reached_from_every_page(world, maya):
    c = world.conversation("hello")
    for address in (f"/c/{c.public_id}", "/contacts", "/search"):
        page = maya.get(address).text
        assert page.count('href="/search"') >= 2, address


def test_CONV_9_a_list_has_a_search_of_its_own_inbox(world, maya):
    world.conversation("kingfisher in front")
    world.conversation("kingfisher at the pharmacy", inbox=world.pharmacy, sender="+14155550136")
    page = maya.get(f"/i/{world.front.public_id}/all").text
    assert f'name="in" value="{world.front.public_id}"' in page and "Search Front Desk" in page
    found = maya.get(f"/search?in={world.front.public_id}&q=kingfisher").text
    assert "in front" in found and "at the pharmacy" not in found
    assert re.search(r'<span class="k">in</span><span class="v">Front Desk</span>', found), "and comes off like every filter"
    assert 'name="in"' not in maya.get("/work/mine").text and "Search all inboxes" in maya.get("/work/mine").text
    for foreign in (world.pharmacy, world.reception):
        page = maya.get(f"/search?in={foreign.public_id}&q=kingfisher").text
        assert foreign.name not in page and "at the pharmacy" not in page
    with transaction():
        world.front.name = 'The "Front" one'
    assert "in front" in maya.get(f"/search?in={world.front.public_id}&q=kingfisher").text
