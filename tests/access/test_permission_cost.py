"""What deciding costs: no query for a decision, one for the inboxes in a transaction, and pages whose queries do not grow with rows or people."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from inbox.models import Conversation, Grant, InboxMember, Member, db, transaction
from inbox.permissions import Permission

P = Permission


@contextmanager
def queries() -> Iterator[list[str]]:
    """Every statement that runs inside."""
    said: list[str] = []

    def note(_c, _cursor, statement, *_rest) -> None:
        said.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


def crowd(world, n: int) -> None:
    """More people in the inbox, each with a role and a seat."""
    have = db.session.scalar(sa.select(sa.func.count(Member.id))) or 0
    with transaction():
        world.harbor.seats_paid, world.harbor.seats_used = 200, world.harbor.seats_used + n
        for i in range(have, have + n):
            who = Member(account_id=world.harbor.id, email=f"c{i}@harbor.example", name=f"C{i} Crowd", password_hash="x", user_id=f"C{i}", seated=True).save()
            db.session.add_all([Grant(member_id=who.id, role="agent"), InboxMember(inbox_id=world.front.id, member_id=who.id)])


@pytest.mark.one_database
def test_PERM_6_deciding_costs_less_than_a_third_of_a_millisecond(world):
    """Every permission at once, as the navigation asks, with the first use in a request (roles and inboxes already read)."""
    c, who = world.conversation(), world.maya
    who.can(P.CONVERSATIONS_REPLY, on=c)
    inboxes = [(i, t, None, True) for i, t in who.reach.items()]
    rounds, began = 300, time.process_time()
    for _ in range(rounds):
        who.forget_rights()
        who.__dict__["reach"] = who.reaching(inboxes)
        for permission in P:
            bool(who.can(permission))
        who.can(P.CONVERSATIONS_REPLY, on=c)
    each = (time.process_time() - began) / rounds * 1000
    print(f"all {len(P)} permissions and one conversation: {each:.3f} ms of CPU")
    assert each <= 0.3


def test_PERM_6_a_decision_asks_the_database_at_most_once_in_a_transaction(world):
    c, d = world.conversation(), world.conversation(sender="+14155550199")
    with transaction():
        who, here, there = db.session.get_one(Member, world.maya.id), db.session.get_one(Conversation, c.id), db.session.get_one(Conversation, d.id)
        _ = who.grants, here.inbox, there.inbox
        with queries() as said:
            for permission in P:
                who.can(permission)
                who.can(permission, on=here)
                who.can(permission, on=there.inbox)
        assert len(said) == 1 and "FROM inbox" in said[0], said


def test_PERM_6_holding_access_for_a_decision_is_one_indexed_query(world):
    """`attend` adds one statement, by primary key; what it makes to be read again had to be read in the transaction anyway."""
    c = world.conversation()
    with transaction():
        who = db.session.get_one(Member, world.maya.id)
        found = db.session.get_one(Conversation, c.id)
        _ = found.inbox, who.grants
        with queries() as said:
            found.acquire(by=who)
    assert len([s for s in said if s.startswith("SELECT member.id") and "ORDER BY member.id" in s]) == 1
    if db.engine.dialect.name == "sqlite":
        lines = db.session.execute(sa.text("EXPLAIN QUERY PLAN SELECT id FROM member WHERE id IN (1, 2) ORDER BY id")).all()
        assert "INTEGER PRIMARY KEY" in str(lines)
    else:
        db.session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        assert "pk_member" in str(db.session.execute(sa.text("EXPLAIN SELECT id FROM member WHERE id IN (1, 2) ORDER BY id FOR SHARE")).all())
    db.session.rollback()


PAGES = ["/i/{inbox}/all", "/c/{conversation}", "/c/{conversation}/assignment", "/inboxes/{inbox}/members", "/settings/members", "/settings/inboxes", "/contacts", "/compose"]


def count(client, url: str) -> int:
    client.get(url)
    with queries() as said:
        assert client.get(url).status_code == 200, url
    return len(said)


def test_PERM_6_the_queries_of_a_page_do_not_grow_with_rows_or_people(app, world):
    first = world.conversation()
    client = app.test_client().sign_in(world.dana)
    urls = [url.format(inbox=world.front.public_id, conversation=first.public_id) for url in PAGES]
    few = {url: count(client, url) for url in urls}
    crowd(world, 40)
    for n in range(25):
        c = world.conversation(f"text {n}", sender=f"+14155560{n:03}")
        with transaction():
            c.assign_to(world.maya if n % 2 else world.theo, by=world.dana, expected=None)
    many = {url: count(client, url) for url in urls}
    grown = {url: (few[url], many[url]) for url in urls if many[url] > few[url] + 1}
    assert not grown, grown
    assert max(many.values()) <= 45, many


def test_PERM_6_who_may_be_assigned_is_a_fixed_number_of_queries(world):
    counted = []
    for n in (0, 50):
        crowd(world, n)
        db.session.rollback()
        db.session.expire_all()
        with queries() as said:
            people = world.front.assignable()
        counted.append(len(said))
    assert len(people) > 50 and counted[1] <= counted[0] <= 10, counted


def test_PERM_6_a_reply_costs_the_same_however_many_people_there_are(world):
    counted = []
    for n in (0, 40):
        crowd(world, n)
        c = world.conversation(sender=f"+141555577{n:02}")
        with transaction():
            held = c.acquire(by=world.maya)
        with queries() as said, transaction():
            c.reply("Yes", by=world.maya, fence=held.fence, seen=c.last_inbound_id)
        counted.append(len(said))
    assert counted[1] <= counted[0] + 1 and counted[1] <= 40, counted
