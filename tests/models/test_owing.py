"""CONV-2: who waits for a reply is worked out from the texts, whatever comes in whatever order."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from inbox import clock
from inbox.models import Conversation, Filter, Message, db, transaction
from tests.models.test_listing import everything, fill, ids

GONE_WRONG = ("failed", "undelivered", "canceled")


def owed(c):
    """By the definition, text by text."""
    since = None
    for m in db.session.scalars(sa.select(Message).where(Message.conversation_id == c.id).order_by(Message.id).execution_options(populate_existing=True)):
        if m.kind == "in":
            since = since or m.created_at
        elif m.kind == "out" and m.state not in GONE_WRONG:
            since = None
    return since


def stored(c):
    db.session.rollback()
    return db.session.scalar(sa.select(Conversation.owed_since).where(Conversation.id == c.id))


def step(world, c, dice):
    """Something that happens to a conversation."""
    outs = list(db.session.scalars(sa.select(Message).where(Message.conversation_id == c.id, Message.kind == "out")))
    what = dice.choice(["text", "text", "reply", "reply", "note", "auto", "fail", "fail", "heal", "archive", "read"])
    if what == "text":
        world.text("And now?")
        return
    if what == "reply":
        world.reply(c, dice.choice([world.maya, world.theo]), f"Answer {len(outs)}")
        return
    with transaction():
        if what == "note":
            c.note("Only for us", by=world.maya)
        elif what == "auto":
            c.answer_automatically("We are closed.")
        elif what in ("fail", "heal") and outs:
            dice.choice(outs)._state(dice.choice(GONE_WRONG if what == "fail" else ("sent", "delivered", "queued", "uncertain")))
        elif what == "archive":
            (c.unarchive if c.archived else c.archive)(by=world.maya)
        elif what == "read":
            c.mark_read(by=world.maya)


@pytest.mark.parametrize("seed", range(3))
def test_CONV_2_what_is_owed_equals_the_definition_after_every_step(world, seed):
    dice = random.Random(seed)
    c = world.conversation()
    seen = set()
    for _ in range(40):
        clock.shift(dice.randrange(1, 500))
        step(world, c, dice)
        assert stored(c) == owed(c)
        seen.add(stored(c) is None)
    assert seen == {True, False}, "both were reached"


def test_CONV_2_the_first_text_without_an_answer_counts_and_a_failed_answer_is_none(world):
    c = world.conversation("First")
    began = stored(c)
    clock.shift(60)
    world.text("Second")
    assert stored(c) == began
    answer = world.reply(c, world.maya)
    assert stored(c) is None
    with transaction():
        answer._state("failed", text="The phone is off.")
    assert stored(c) == began
    with transaction():
        answer._state("delivered")
    assert stored(c) is None


def test_CONV_2_a_reply_counts_although_its_writers_page_is_old(world):
    c = world.conversation("First")
    world.reply(c, world.maya)
    world.text("Second")
    with transaction():
        held = c.acquire(by=world.maya)
        set_committed_value(c, "owed_since", None)  # as it was before that text
        c.reply("Yes", by=world.maya, fence=held.fence, seen=c.last_inbound_id)
    assert stored(c) is None


def test_CONV_2_the_longest_wait_comes_first_page_by_page(world):
    rows = fill(world, world.front, 150) | fill(world, world.pharmacy, 60, seed=2)
    for who, inbox, view in ((world.maya, world.front, "all"), (world.maya, world.front, "mine"), (world.dana, None, "all"), (world.dana, None, "mine")):
        wanted = [
            id for id, r in rows.items()
            if r["owed_since"] and r["archived_at"] is None and (inbox is None or r["inbox_id"] == inbox.id) and (view == "all" or r["assignee_id"] == who.id)
        ]
        found = everything(who, inbox, Filter(view, sort="waiting"))
        assert ids(found) == sorted(wanted, key=lambda id: (rows[id]["owed_since"], id))
        assert [row.key for row in found] == sorted((row.key for row in found), reverse=True), "pages sort rows by their key, greatest first"
        assert wanted


def test_CONV_2_spam_waits_for_nobody(world):
    c = world.conversation("Buy now")
    with transaction():
        c.archived_at = c.spam_at = clock.now()
    for view in ("all", "spam", "archived"):
        assert Conversation.listing(world.maya, world.front, Filter(view, needs_reply=True)) == []
    (row,) = Conversation.listing(world.maya, world.front, Filter("spam"))
    assert row.owed_since is None
