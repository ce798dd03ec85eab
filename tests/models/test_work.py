"""CONV-1 across inboxes: My work and All work show what the reader may read, in their own order, page by page."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Conversation, Filter, db, transaction
from tests.models.test_listing import NOW, everything, fill, ids


def both(world, n=90):
    rows = fill(world, world.front, n) | fill(world, world.pharmacy, n, seed=2) | fill(world, world.reception, 20, seed=3, people=[None])
    dice = random.Random(4)
    with transaction():
        for id in rows:
            wrote = NOW - timedelta(seconds=dice.randrange(n // 2))
            rows[id]["last_inbound_at"] = wrote
            db.session.execute(sa.update(Conversation).where(Conversation.id == id).values(last_inbound_at=wrote))
    return rows


@pytest.mark.parametrize("name", ["dana", "sven", "maya", "uma", "vera", "olga", "nina"])
def test_CONV_1_my_work_is_mine_everywhere_whose_customer_wrote_last_first(world, name):
    rows, who = both(world), getattr(world, name)
    wanted = [id for id, r in rows.items() if r["assignee_id"] == who.id and r["archived_at"] is None and r["inbox_id"] in who.readable_inbox_ids]
    assert ids(everything(who, None, Filter("mine"))) == sorted(wanted, key=lambda id: (rows[id]["last_inbound_at"], id), reverse=True)
    assert bool(wanted) == (name in ("dana", "maya"))


@pytest.mark.parametrize("name", ["dana", "sven", "maya", "olga", "nina"])
def test_CONV_1_all_work_is_what_one_may_read_newest_first(world, name):
    rows, who = both(world), getattr(world, name)
    wanted = [id for id, r in rows.items() if r["archived_at"] is None and r["inbox_id"] in who.readable_inbox_ids]
    assert ids(everything(who, None, Filter("all"))) == sorted(wanted, key=lambda id: (rows[id]["last_activity_at"], id), reverse=True)
    assert set(ids(everything(who, None, Filter("all")))) == set(db.session.scalars(Conversation.matching(who, None, Filter("all"))))


def test_CONV_3_a_row_of_work_names_its_inbox_and_a_row_of_an_inbox_does_not(world):
    c = world.conversation(inbox=world.pharmacy)
    (row,) = Conversation.listing(world.dana, None, Filter("all"))
    assert (row.id, row.inbox_name, row.inbox_hue) == (c.id, "Pharmacy", "orange")
    (row,) = Conversation.listing(world.dana, world.pharmacy, Filter("all"))
    assert (row.id, row.inbox_name) == (c.id, "")


def test_CONV_1_only_the_customer_moves_a_conversation_up_in_my_work(world):
    first, second = world.conversation(sender="+14155550161"), world.conversation(sender="+14155550162")
    with transaction():
        for c in (first, second):
            c.assign_to(world.maya, by=world.maya, expected=None)
    clock.shift(60)
    world.reply(first, world.maya)
    assert ids(Conversation.listing(world.maya, None, Filter("mine"))) == [second.id, first.id], "one's own reply does not"
    assert ids(Conversation.listing(world.maya, world.front, Filter("mine"))) == [first.id, second.id]
    world.text("Thanks", sender="+14155550161")
    assert ids(Conversation.listing(world.maya, None, Filter("mine"))) == [first.id, second.id]


def test_PERM_6_who_leaves_an_inbox_loses_its_conversations_from_their_work(world):
    world.conversation()
    assert Conversation.listing(world.vera, None, Filter("all"))
    with transaction():
        world.front.remove_member(world.vera, by=world.dana)
    world.vera.forget_inboxes()
    assert Conversation.listing(world.vera, None, Filter("all")) == []
    with transaction():
        world.dana.deactivated_at = clock.now()
    assert Conversation.listing(world.dana, None, Filter("all")) == []
