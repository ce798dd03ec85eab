"""CONV-1..3 at the model: views that divide the work, filters, paging by key, counts, and plans that use their indexes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from inbox import clock
from inbox.models import Contact, Conversation, Dispatch, Filter, Lock, Message, ReceiptRow, Tag, Tagging, db, transaction
from inbox.models.conversation import VIEWS
from inbox.models.conversation.listing import CAP, make_cursor, parse_cursor
from tests.models.helpers import anew

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def fill(world, inbox, n, *, seed=1, messages=0, people=None):
    """Conversations in every combination, put in by bulk; some share their moment."""
    dice = random.Random(seed)
    people = people or [None, world.maya.id, world.theo.id, world.dana.id]
    base = (db.session.scalar(sa.select(sa.func.max(Contact.id))) or 0) + 1
    first = (db.session.scalar(sa.select(sa.func.max(Conversation.id))) or 0) + 1
    with transaction():
        contacts, rows, locks, texts = [], [], [], []
        for i in range(n):
            at = NOW + timedelta(microseconds=dice.randrange(n // 3 + 1) * 7)
            phone = f"+1415{inbox.id:02}{i:06}"
            contacts.append({
                "id": base + i, "public_id": f"c{base + i}", "account_id": inbox.account_id, "first_name": "", "last_name": "", "name": phone, "phone": phone,
                "fields": {}, "created_at": at,
            })
            rows.append({
                "id": first + i, "public_id": f"v{first + i}", "account_id": inbox.account_id, "inbox_id": inbox.id, "contact_id": base + i,
                "channel": "sms", "address": phone,
                "assignee_id": dice.choice(people), "archived_at": at if dice.random() < 0.3 else None,
                "last_activity_at": at, "preview": f"text {i}",
                "preview_kind": dice.choice(["in", "out"]), "unread": dice.random() < 0.4, "failed": False, "version": 0,
                "created_at": at, "last_inbound_id": 0, "last_message_id": 0, "owed_since": at - timedelta(seconds=dice.randrange(n)) if dice.random() < 0.3 else None,
            })
            locks.append({"conversation_id": first + i, "fence": 0})
            texts += [
                {"public_id": f"m{first + i}-{k}", "ref": f"m{first + i}-{k}", "account_id": inbox.account_id, "conversation_id": first + i, "inbox_id": inbox.id,
                 "kind": "in", "body": "x", "state": "received", "verdict": [], "created_at": at, "provider_id": f"SM{first + i}-{k}"}
                for k in range(messages)
            ]
        for table, some in ((Contact, contacts), (Conversation, rows), (Lock, locks), (Message, texts)):
            if some:
                db.session.execute(sa.insert(table), some)
        if db.session.get_bind().dialect.name == "postgresql":
            for table in ("contact", "conversation", "message"):
                db.session.execute(sa.text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce((SELECT max(id) FROM {table}), 1))"))
    return {row["id"]: row for row in rows}


def ids(rows):
    return [row.id for row in rows]


def everything(member, inbox, chosen):
    found, after = [], ""
    while page := Conversation.listing(member, inbox, chosen, after=after, limit=7):
        found += page
        after = page[-1].cursor
    return found


# -- what is in a list --------------------------------------------------------------------------------------------


def test_CONV_1_every_open_conversation_is_in_exactly_one_view(world):
    rows = fill(world, world.front, 90)
    for who in (world.maya, world.theo, world.dana, world.uma, world.vera):
        views = {view: set(ids(everything(who, world.front, Filter(view=view)))) for view in ("mine", "unassigned", "others", "all", "archived")}
        open_ones = {id for id, row in rows.items() if row["archived_at"] is None}
        assert views["all"] == open_ones and views["archived"] == set(rows) - open_ones
        assert views["mine"] | views["unassigned"] | views["others"] == open_ones
        assert len(views["mine"]) + len(views["unassigned"]) + len(views["others"]) == len(open_ones)
        assert views["mine"] == {id for id in open_ones if rows[id]["assignee_id"] == who.id}
        assert views["unassigned"] == {id for id in open_ones if rows[id]["assignee_id"] is None}


def test_CONV_2_filters_combine_and_come_off_one_by_one(world):
    rows = fill(world, world.front, 90)
    for view in ("all", "archived", "mine", "others", "unassigned"):
        for read in ("", "read", "unread"):
            for assignee in ("", world.theo.public_id, world.nina.public_id, "nonsense", "' OR 1=1 --"):
                for mine in (False, True):
                    for reply in (False, True):
                        chosen = Filter(view, read, assignee, mine, reply)
                        wanted = {
                            id for id, r in rows.items()
                            if (r["archived_at"] is not None) == (view == "archived")
                            and (r["assignee_id"] == world.maya.id if view == "mine" or mine else True)
                            and (view != "unassigned" or mine or r["assignee_id"] is None)
                            and (view != "others" or mine or r["assignee_id"] not in (None, world.maya.id))
                            and (not assignee or (assignee == world.theo.public_id and r["assignee_id"] == world.theo.id))
                            and (not read or r["unread"] == (read == "unread"))
                            and (not reply or r["owed_since"] is not None)
                        }
                        assert set(ids(Conversation.listing(world.maya, world.front, chosen, limit=500))) == wanted, chosen
    chosen = Filter("all", "unread", "x", True, True)
    assert chosen.args() == {"read": "unread", "assignee": "x", "mine": "1", "reply": "1"}
    assert chosen.without("read").args() == {"assignee": "x", "mine": "1", "reply": "1"}
    assert chosen.without("read").without("assignee").without("mine").without("needs_reply").args() == {}


def test_CONV_3_a_row_says_all_there_is_to_know(world):
    c = world.conversation("Is it ready?")
    world.named(c, "Bea", "Lo")
    with transaction():
        c.assign_to(world.theo, by=world.theo, expected=None)
        c.acquire(by=world.theo)
    (row,) = Conversation.listing(world.maya, world.front, Filter("others"))
    assert (row.name, row.initials, row.preview, row.preview_by, row.unread, row.assignee, row.assignee_initials, row.assigned_to_me, row.replying) == (
        "Bea Lo", "BL", "Is it ready?", "", True, "Theo Okafor", "TO", False, "Theo",
    )
    assert Conversation.listing(world.theo, world.front, Filter("mine"))[0].replying == ""
    world.reply(c, world.theo, "Yes")
    (row,) = Conversation.listing(world.maya, world.front, Filter())
    assert (row.preview, row.preview_by, row.unread, row.replying) == ("Yes", "Theo", False, "")
    assert Conversation.listing(world.theo, world.front, Filter())[0].preview_by == "You"
    with transaction():
        c.acquire(by=world.theo)
    clock.shift(46)
    assert Conversation.listing(world.maya, world.front, Filter())[0].replying == "", "a dead lock is not shown"
    assert ids(Conversation.listing(world.maya, world.front, Filter(), only=c.id)) == [c.id]
    assert Conversation.listing(world.maya, world.front, Filter("unassigned"), only=c.id) == []
    assert Conversation.listing(world.maya, world.pharmacy, Filter(), only=c.id) == []


# -- paging -------------------------------------------------------------------------------------------------------


def test_CONV_3_pages_have_no_gap_and_no_repeat_even_when_moments_are_shared(world):
    rows = fill(world, world.front, 200)
    fill(world, world.pharmacy, 50, seed=2)
    found = ids(everything(world.maya, world.front, Filter()))
    wanted = sorted((id for id, r in rows.items() if r["archived_at"] is None), key=lambda id: (rows[id]["last_activity_at"], id), reverse=True)
    assert found == wanted


def test_CONV_3_rows_that_move_while_one_pages_are_neither_lost_nor_repeated(world):
    rows = fill(world, world.front, 120)
    dice = random.Random(3)
    still = {id for id, r in rows.items() if r["archived_at"] is None}
    found, after = [], ""
    while page := Conversation.listing(world.maya, world.front, Filter(), after=after, limit=9):
        found += ids(page)
        after = page[-1].cursor
        moved = dice.sample(sorted(still), 3)
        with transaction():
            for id in moved:  # a text arrives: to the top of the list
                db.session.get(Conversation, id).last_activity_at = clock.now()
        still -= set(moved)
    assert len(found) == len(set(found))
    assert still <= set(found), "who did not move is seen once"


@pytest.mark.parametrize("micros", [0, 1, 999_999, 123_457, 654_321])
@pytest.mark.parametrize("year", [1970, 2024, 2026, 2099])
def test_a_cursor_is_exact(micros, year):
    at = datetime(year, 7, 9, 13, 59, 58, micros, tzinfo=UTC)
    assert parse_cursor(make_cursor(at, 12)) == (at, 12)


@pytest.mark.parametrize("text", ["", ".", "1", "1.", ".1", "a.b", "1.0", "1.-1", "-1.1", "1.1.1", "9" * 30 + ".1", "1." + "9" * 30,
     "9" * 5000 + ".1", "\x00.1", "1e3.1", "0x1.1", "' OR 1", "nan.1", "inf.1", " "])
def test_a_cursor_we_did_not_make_is_refused(text):
    with pytest.raises(ValueError):
        parse_cursor(text)


# -- counts and scope ---------------------------------------------------------------------------------------------


def test_CONV_1_counts_equal_counting_by_hand(world):
    front, pharmacy = fill(world, world.front, 150), fill(world, world.pharmacy, 40, seed=5)
    for who in (world.maya, world.dana, world.vera):
        counted = Conversation.counts(who, [world.front, world.pharmacy])
        for inbox, rows in ((world.front, front), (world.pharmacy, pharmacy)):
            open_ones = [r for r in rows.values() if r["archived_at"] is None]
            assert counted[inbox.id] == {
                "mine": sum(r["unread"] for r in open_ones if r["assignee_id"] == who.id),
                "unassigned": sum(r["unread"] for r in open_ones if r["assignee_id"] is None),
                "others": sum(1 for r in open_ones if r["assignee_id"] not in (None, who.id)),
            }
    assert Conversation.counts(world.maya, []) == {}


def test_CONV_1_counts_stop_at_the_cap(world):
    fill(world, world.front, 900, people=[None])
    assert Conversation.counts(world.maya, [world.front])[world.front.id] == {"mine": 0, "unassigned": CAP, "others": 0}


def test_ACC_1_nobody_sees_another_companys_or_inboxs_conversations(world):
    front, pharmacy, north = fill(world, world.front, 10), fill(world, world.pharmacy, 10), fill(world, world.reception, 10, people=[None])

    def seen(who):
        return set(db.session.scalars(Conversation.scope(who).with_only_columns(Conversation.id)))

    assert seen(world.dana) == seen(world.sven) == {*front, *pharmacy}
    for who in (world.ada, world.maya, world.uma, world.vera):
        assert seen(who) == set(front)
    assert seen(world.olga) == set() and seen(world.nina) == set(north)
    with transaction():
        world.maya.deactivated_at = clock.now()
    assert seen(world.maya) == set()


# -- cost ---------------------------------------------------------------------------------------------------------


@contextmanager
def statements() -> Iterator[list[tuple[str, object]]]:
    seen: list[tuple[str, object]] = []

    def note(connection, cursor, statement, parameters, context, many):
        seen.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def test_a_page_costs_the_same_number_of_statements_however_long_it_is(world):
    fill(world, world.front, 80)
    with transaction():
        for id in db.session.scalars(Conversation.scope(world.maya).with_only_columns(Conversation.id).limit(10)).all():
            db.session.get(Conversation, id).acquire(by=world.theo)
    counted = []
    for limit in (1, 40, 80):
        anew()
        who, inbox = world.maya, world.front
        _ = who.id, inbox.id
        with statements() as seen:
            Conversation.listing(who, inbox, Filter(), limit=limit)
        counted.append(len(seen))
    assert counted == [2, 2, 2], "the rows, their tags and drafts"
    both = [world.front, world.pharmacy]
    assert [inbox.id for inbox in both]
    with statements() as seen:
        Conversation.counts(world.maya, both)
    assert len(seen) == 1


def test_a_thread_costs_the_same_number_of_statements_however_long_it_is(world):
    c = world.conversation()
    for n in (1, 20):
        for _ in range(n):
            with transaction():
                c.note("x", by=world.maya)
            world.text("y")
    counted = []
    for limit in (2, 40):
        db.session.expunge_all()
        found = db.session.get(Conversation, c.id)
        with statements() as seen:
            items, _ = found.thread(limit=limit)
            [(i.message.author.name, i.message.attachments) for i in items if i.message and i.message.author]
        counted.append(len(seen))
    assert counted[0] == counted[1] <= 5


def plan(statement, parameters, dialect):
    """What the database would do, one step per line."""
    connection = db.session.connection()
    if dialect == "sqlite":
        return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    return [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)]


def full_scans(lines, dialect):
    big = ("conversation", "message", "dispatch", "receipt", "event", "contact", "tagging")
    if dialect == "sqlite":
        return [line for line in lines if line.startswith("SCAN") and line.split()[1] in big]
    return [line for line in lines if any(f"Seq Scan on {table} " in line or line.rstrip().endswith(f"Seq Scan on {table}") for table in big)]


@pytest.fixture
def no_statistics_left(world, database):
    """What SQLite learns of a full table is forgotten with it."""
    yield
    db.session.rollback()
    if database == "sqlite":
        with transaction():
            db.session.execute(sa.text("DELETE FROM sqlite_stat1"))
        db.engine.dispose()


def test_lists_threads_and_sweeps_use_their_indexes(world, database, no_statistics_left):
    for n, inbox in enumerate((world.front, world.pharmacy, world.reception)):
        fill(world, inbox, 2500, seed=n, messages=3, people=[None] if inbox is world.reception else None)
    c = db.session.get(Conversation, db.session.scalar(sa.select(sa.func.min(Conversation.id))))
    with transaction():
        rows = db.session.execute(sa.select(Message.id, Message.conversation_id)).all()
        db.session.execute(
            sa.insert(Dispatch),
            [
                {"message_id": m, "conversation_id": v, "state": "sent" if k % 50 else "queued", "attempt": 0, "next_at": NOW, "sweep_at": NOW, "exempt": []}
                for k, (m, v) in enumerate(rows)
            ],
        )
        tags = [Tag(account_id=world.harbor.id, name=name, key=name.lower()).save() for name in ("Urgent", "Lab")]
        dice = random.Random(9)
        all_ids = list(db.session.scalars(sa.select(Conversation.id)))
        db.session.execute(sa.insert(Tagging), [{"conversation_id": v, "tag_id": tag.id} for tag in tags for v in dice.sample(all_ids, 900)])
        away = {"archived_at": NOW, "snoozed_until": NOW}
        db.session.execute(sa.update(Conversation).where(Conversation.id % 50 == 1).values(**away))
        db.session.execute(sa.update(Conversation).where(Conversation.id % 50 == 2).values(archived_at=NOW, spam_at=NOW))
        db.session.execute(sa.text("ANALYZE conversation"))
    page = Conversation.listing(world.maya, world.front, Filter(), limit=40)
    _ = world.maya.readable_inbox_ids, world.dana.readable_inbox_ids
    dispatch = db.session.scalar(sa.select(Dispatch).limit(1))

    filters = [
        Filter(needs_reply=True), Filter(sort="waiting"), Filter(tags=(tags[0].public_id,)), Filter(tags=tuple(t.public_id for t in tags)), Filter(channel="sms"),
        Filter(status="archived"), Filter(status="snoozed"), Filter(status="spam"), Filter(since="2026-02-28", until="2026-03-02"), Filter(read="read"),
    ]

    def asked():
        for view in ("mine", "unassigned", "others", "all", "archived"):
            for read in ("", "unread"):
                Conversation.listing(world.maya, world.front, Filter(view, read))
        Conversation.listing(world.maya, world.front, Filter(), after=page[-1].cursor)
        Conversation.listing(world.maya, world.front, Filter(), only=c.id)
        Conversation.listing(world.maya, world.front, Filter(assignee=world.theo.public_id))
        for inbox in (world.front, None):
            for view in VIEWS if inbox else ("mine", "all"):
                for chosen in filters:
                    some = Conversation.listing(world.dana, inbox, chosen.but(view=view))
                    if some:
                        Conversation.listing(world.dana, inbox, chosen.but(view=view), after=some[-1].cursor)
        for who, view in ((world.maya, "mine"), (world.dana, "mine"), (world.dana, "all")):
            some = Conversation.listing(who, None, Filter(view))
            Conversation.listing(who, None, Filter(view, "unread"), after=some[-1].cursor)
            Conversation.listing(who, None, Filter(view), only=[row.id for row in some[:3]])
        Conversation.counts(world.maya, [world.front, world.pharmacy])
        c.thread()
        c.thread(before=10)
        c.messages_after(5)
        c.inbound_after(5)
        c.lock_ledger()
        Conversation.open_one(world.front.id, c.address)
        Conversation.lapsed_locks()
        Dispatch.due()
        dispatch.claim_it()
        ReceiptRow.take(world.harbor.id, a_receipt())
        world.text("Hello", sender=c.address)

    with transaction(), statements() as seen:
        asked()
    assert database != "sqlite" or any("ix_conversation_unread" in line for statement, values in seen if "UNION ALL" in statement for line in plan(statement, values, database))
    bad = []
    if database == "postgresql":  # the tables are small: ask for a plan without full reads, one appears only where no index fits
        db.session.execute(sa.text("SET LOCAL enable_seqscan = off"))
    for statement, parameters in seen:
        if not statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            continue
        lines = plan(statement, parameters, database)
        bad += [(scan, statement[:80], statement[statement.find("WHERE"):][:300]) for scan in full_scans(lines, database)]
    assert len(seen) > 30 and not bad, bad


def a_receipt():
    from inbox.channels.base import Receipt, Status

    return Receipt("d", "SM1-1", "some-ref", Status.SENT, None, None, None)
