"""What opening a conversation and answering in it cost in statements: the same with one row of everything as with forty (CONV-4, LOCK-4)."""

from __future__ import annotations

import pytest

from inbox.models import Conversation, Draft, Following, Tag, db, transaction
from tests.screens.test_list_cost import statements
from tests.world import World

OPEN, OPEN_PAGE, REPLY = 20, 26, 36  # what it takes today; the aim is 10 for opening and 14 for a reply


def lived_in(world: World, talk: Conversation, n: int) -> None:
    """So many texts, notes that name somebody, tags, events, followers, drafts and other conversations of the contact."""
    for i in range(n):
        world.text(f"kingfisher {i}", sender=talk.address)
    with transaction():
        for i in range(n):
            if i < 20:  # more a conversation cannot have
                tag = Tag.named(world.harbor.id, f"Tag {i}") or Tag(account_id=world.harbor.id, name=f"Tag {i}", key=f"tag {i}").save()
                talk.tag(tag, by=world.theo)
            talk.note(f"@Maya Chen look {i}", by=world.theo)
            talk.assign_to(world.maya if i % 2 else world.theo, by=world.dana, expected=talk.assignee)
        for who in (world.maya, world.theo, world.ada)[:n]:
            Following.add(talk, who, by=who)
            Draft.put(talk, "Soon", by=who)
        talk.seen_by(world.dana, upto=talk.last_inbound_id)


@pytest.fixture
def talk(world: World) -> Conversation:
    return world.conversation("Hello", sender="+14155553001")


def test_CONV_4_opening_a_conversation_takes_as_many_statements_with_forty_of_everything(world, client, talk):
    client.sign_in(world.dana)
    counted = []
    for n in (1, 40):
        lived_in(world, talk, n)
        address = f"/c/{talk.public_id}"
        client.get(address)
        with statements() as part:
            assert client.part(address).status_code == 200
        with statements() as whole:
            assert client.get(address).status_code == 200
        counted.append((len(part), len(whole)))
        talk = db.session.get_one(Conversation, talk.id)
    few, many = counted
    assert many[0] <= few[0] + 1 and many[1] <= few[1] + 1 and many[0] <= OPEN and many[1] <= OPEN_PAGE, counted


def test_LOCK_4_a_reply_takes_as_many_statements_with_forty_of_everything(world, client, talk):
    client.sign_in(world.dana)
    counted = []
    for n in (1, 40):
        lived_in(world, talk, n)
        with transaction():
            held = db.session.get_one(Conversation, talk.id).acquire(by=world.dana)
        seen = db.session.get_one(Conversation, talk.id).last_inbound_id
        token = client.csrf()
        with statements() as said:
            answer = client.post(
                f"/c/{talk.public_id}/messages", data={"csrf_token": token, "body": "Yes", "fence": held.fence, "seen": seen, "nonce": f"n{n}"}, headers={"HX-Request": "true"}
            )
        assert answer.status_code == 201, answer.text[:300]
        counted.append(len(said))
    assert counted[1] <= counted[0] + 1 and counted[1] <= REPLY, counted
