"""The lists across inboxes as pages, as fragments and over the socket."""

from __future__ import annotations

import json
import re

import pytest

from inbox.models import transaction
from tests.screens.test_live import Server, server  # noqa: F401 - a fixture
from tests.world import World


def mine(world: World, who, body: str, sender: str, inbox):
    found = world.conversation(body, sender=sender, inbox=inbox)
    with transaction():
        found.assign_to(who, by=world.dana, expected=None)
    return found


def test_CONV_1_my_work_opens_with_the_inbox_of_each_row(world: World, client) -> None:
    client.sign_in(world.dana)
    assert "Nothing assigned to you" in client.get("/work/mine").text
    found = [mine(world, world.dana, f"From {inbox.name}", f"+1415555017{n}", inbox) for n, inbox in enumerate((world.front, world.pharmacy))]
    world.conversation("Somebody else")
    page = client.get("/work/mine").text
    assert "From Front Desk" in page and "From Pharmacy" in page and "Somebody else" not in page
    assert 'data-inbox="work"' in page and page.count("in=work") >= 2
    part = client.part("/work/mine").text
    assert "From Pharmacy" in part and "<nav" not in part
    assert "From Pharmacy" in client.part("/work/mine/sync").text
    link = re.search(rf'href="(/c/{found[1].public_id}[^"]*)"', page)
    assert link
    opened = client.get(link.group(1).replace("&amp;", "&")).text
    assert "From Front Desk" in opened, "the list beside it stays the same"
    client.send(f"/c/{found[1].public_id}/archival?in=work&view=mine")
    answer = client.send(f"/c/{found[0].public_id}/archival?in=work&view=mine")
    assert answer.status_code == 303 and answer.location.endswith("/work/mine")
    assert client.send(f"/c/{found[0].public_id}/archival?in=work&view=nonsense").status_code == 303


@pytest.mark.parametrize("name", ["maya", "vera", "uma"])
def test_PERM_6_all_work_is_for_those_who_manage_every_conversation(world: World, client, name: str) -> None:
    found = world.conversation("Whose is it?")
    client.sign_in(getattr(world, name))
    assert client.get("/work/mine").status_code == 200
    assert client.get("/work/all").status_code == client.get("/work/all/sync").status_code == 403
    page = client.get(f"/c/{found.public_id}?in=work&view=all")
    assert page.status_code == 200 and 'data-inbox="work"' not in page.text
    assert 'href="/work/all"' not in page.text
    for args in ("in=nonsense&view=mine", "in=work&view=others", "in=work", "in=work&view=%00"):
        assert client.get(f"/c/{found.public_id}?{args}").status_code in (200, 404)


def test_PERM_6_all_work_shows_a_supervisor_every_inbox(world: World, client) -> None:
    world.conversation("In front")
    world.conversation("In the back", inbox=world.pharmacy)
    world.conversation("Elsewhere", inbox=world.reception, sender="+12065550139")
    client.sign_in(world.sven)
    page = client.get("/work/all").text
    assert "In front" in page and "In the back" in page and "Elsewhere" not in page
    assert client.get("/work/all?after=nonsense").status_code == 400
    assert client.get("/work/all?read=unread&assignee=nobody").status_code == 200


@pytest.mark.one_database
def test_CONV_3_rows_of_every_inbox_arrive_in_my_work_and_leave_it(world: World, server: Server, bell) -> None:  # noqa: F811
    there, other = mine(world, world.dana, "One", "+14155550171", world.pharmacy), world.conversation("Two", sender="+14155550172")
    page = server.page(world.dana)
    page.show(inbox="work", view="mine", filter="")
    bell.facts.clear()
    world.text("Hello again", sender="+14155550171", inbox=world.pharmacy)
    server.tell(bell)
    assert f"row-{there.id}" in page.until("Hello again")
    with transaction():
        other.assign_to(world.dana, by=world.dana, expected=None)
    server.tell(bell)
    assert f"row-{other.id}" in page.until("Two")
    with transaction():
        there.archive(by=world.dana)
    server.tell(bell)
    assert 'hx-swap="delete"' in page.until(f"#row-{there.id}")


@pytest.mark.one_database
def test_S60_the_socket_gives_all_work_only_to_those_who_have_it(world: World, server: Server, bell) -> None:  # noqa: F811
    page = server.page(world.maya)
    page.ws.send(json.dumps({"show": {"inbox": "work", "view": "all"}}))
    page.until('"shown"')
    bell.facts.clear()
    world.text("In front", sender="+14155550181")
    world.text("In the back", sender="+14155550182", inbox=world.pharmacy)
    server.tell(bell)
    assert not any("row-" in frame for frame in page.quiet(0.3))
