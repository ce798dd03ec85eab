"""The thread: opened at a message, read on in both directions."""

from __future__ import annotations

import re

import pytest

from inbox import clock
from inbox.models import db, transaction
from tests.world import World


def talk(world: World, n: int):
    """A conversation of n texts, a second apart."""
    conversation = world.conversation("Text 0.")
    for i in range(1, n):
        clock.shift(1)
        world.text(f"Text {i}.")
    return conversation


def shown(html: str) -> list[int]:
    return [int(n) for n in re.findall(r"class=\"bub\">Text (\d+)\.</p>", html)]


def ids(conversation) -> list[tuple[int, str]]:
    items, _ = conversation.thread(limit=500)
    return [(i.message.id, i.message.public_id) for i in items if i.message]


def test_CONV_4_a_thread_opens_around_a_message_and_goes_on_both_ways(world: World) -> None:
    conversation = talk(world, 25)
    every = [id for id, _ in ids(conversation)]
    part = conversation.stretch(around=every[12], limit=6)
    assert [i.message.id for i in part.items] == every[10:16]
    assert (part.older, part.newer) == (every[10], every[15])
    later = conversation.stretch(after=part.newer, limit=6)
    assert [i.message.id for i in later.items] == every[16:22] and later.newer == every[21] and later.older is None
    assert conversation.stretch(after=every[21], limit=6).newer is None
    before = conversation.stretch(before=part.older, limit=30)
    assert [i.message.id for i in before.items] == every[:10] and before.older is None
    assert conversation.stretch(around=every[-1], limit=6).newer is None
    assert conversation.stretch(around=every[0], limit=6).older is None
    assert conversation.stretch(after=every[-1]).items == []


def test_CONV_4_walking_a_thread_in_pieces_shows_every_event_once(world: World) -> None:
    conversation = world.conversation("Text 0.")
    for i in range(1, 20):
        clock.shift(1)
        with transaction():
            conversation.assign_to(world.maya if i % 2 else world.theo, by=world.dana, expected=conversation.assignee_id)
        clock.shift(1)
        world.text(f"Text {i}.")
    whole, _ = conversation.thread(limit=500)
    seen = [i.event.id for i in whole if i.event]
    assert len(seen) == 19
    middle = [i.message.id for i in whole if i.message][9]
    part = conversation.stretch(around=middle, limit=4)
    pieces, newer, older = list(part.items), part.newer, part.older
    while newer:
        more = conversation.stretch(after=newer, limit=4)
        pieces, newer = [*pieces, *more.items], more.newer
    while older:
        more = conversation.stretch(before=older, limit=4)
        pieces, older = [*more.items, *pieces], more.older
    assert [i.event.id for i in pieces if i.event] == seen
    assert [i.message.id for i in pieces if i.message] == [i.message.id for i in whole if i.message]


@pytest.mark.parametrize("by", ["public id", "row id"])
def test_CONV_4_the_address_of_a_message_opens_around_it_and_marks_it(world: World, client, by: str) -> None:
    conversation = talk(world, 70)
    row, name = ids(conversation)[20]
    client.sign_in(world.vera)
    at = f"/c/{conversation.public_id}?at={name if by == 'public id' else row}"
    for answer in (client.get(at), client.part(at)):
        html = answer.get_data(as_text=True)
        assert answer.status_code == 200 and 20 in shown(html) and 69 not in shown(html)
        assert re.findall(r'id="m-(\d+)"[^>]*aria-current="true"', html) == [str(row)]
        assert "Earlier messages" in html and "Later messages" in html
        assert f'data-message="{conversation.last_message_id}"' in html
    link = re.search(r'hx-get="([^"]*newer[^"]*)"', html)
    assert link
    more = client.part(link.group(1).replace("&amp;", "&")).get_data(as_text=True)
    assert shown(more) == list(range(max(shown(html)) + 1, max(shown(html)) + 31))
    assert "Later messages" in more
    end = client.part(f"/c/{conversation.public_id}/newer?after={ids(conversation)[-3][0]}&key=1").get_data(as_text=True)
    assert shown(end) == [68, 69] and 'id="later"' in end and "Later messages" not in end
    plain = client.get(f"/c/{conversation.public_id}/newer?after={row}")
    assert plain.status_code == 200 and 21 in shown(plain.get_data(as_text=True))


def test_LOCK_4_opened_further_up_the_newest_texts_do_not_count_as_seen(world: World, client) -> None:
    conversation = talk(world, 70)
    every = ids(conversation)
    client.sign_in(world.maya)
    html = client.get(f"/c/{conversation.public_id}?at={every[20][1]}").get_data(as_text=True)
    seen = int(re.search(r'id="seen" value="(\d+)"', html).group(1))
    assert seen == every[max(shown(html))][0] < conversation.last_inbound_id
    with transaction():
        held = conversation.acquire(by=world.maya)
    refused = client.send(f"/c/{conversation.public_id}/messages", body="Too soon", fence=held.fence, seen=seen)
    assert refused.status_code == 409 and "new texts since you started" in refused.get_data(as_text=True)


@pytest.mark.parametrize("at", ["nonsense", "0", "-1", "9" * 40, "%F0%9F%90%B6", "", "' OR 1=1"])
def test_CONV_4_a_message_that_is_not_here_opens_the_newest(world: World, client, at: str) -> None:
    conversation = talk(world, 3)
    other = world.conversation("Text 99.", sender="+14155550177")
    client.sign_in(world.maya)
    for named in (at, ids(other)[0][1], str(ids(other)[0][0])):
        html = client.get(f"/c/{conversation.public_id}?at={named}").get_data(as_text=True)
        assert shown(html) == [0, 1, 2] and not re.search(r'id="m-\d+"[^>]*aria-current', html)


def test_CONV_4_later_messages_of_others_are_not_found(world: World, client) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.nina)
    assert client.get(f"{at}/newer?after=1").status_code == 404 and client.get(f"{at}?at=1").status_code == 404
    client.sign_in(world.olga)
    assert client.get(f"{at}/newer?after=1").status_code == 404
    client.sign_in(world.maya)
    assert client.get(f"{at}/newer").status_code == 400
    assert client.part(f"{at}/newer?after=abc").status_code == 400
    db.session.expire_all()
