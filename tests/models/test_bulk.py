"""CONV-8: many at once, all matches of a list, and taking it back."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Bulk, BulkItem, Conversation, Denied, Event, Filter, Member, Message, Notice, Refused, Tag, TrayItem, db, transaction
from inbox.models import bulk as bulks
from inbox.models.bulk_change import Order
from jobs.run_bulk import run_bulk


def some(world, n, inbox=None):
    """n conversations of the front desk, quickly made: rows, not texts."""
    first = [world.conversation(sender=f"+1415557{k:04}", inbox=inbox) for k in range(min(n, 4))]
    with transaction():
        like = first[0]
        for k in range(4, n):
            row = Conversation(
                account_id=like.account_id, inbox_id=like.inbox_id, contact_id=like.contact_id, address=f"+1415558{k:04}", last_activity_at=clock.now(), preview="Hello",
            )
            db.session.add(row)
    return list(db.session.scalars(sa.select(Conversation).where(Conversation.inbox_id == like.inbox_id).order_by(Conversation.id)))


def start(order, by, chosen=None, filter=None, inbox=None):
    with transaction():
        return Bulk.start(order, by=by, chosen=[c.public_id for c in chosen or ()], filter=filter, inbox=inbox)


def undo(bulk, by):
    with transaction():
        bulk.undo(by=by)


def states(bulk):
    db.session.rollback()
    db.session.expire_all()
    return dict(db.session.execute(sa.select(BulkItem.state, sa.func.count()).where(BulkItem.bulk_id == bulk.id).group_by(BulkItem.state)).all())


def test_CONV_8_a_few_are_done_at_once_and_taken_back_exactly(world, bell):
    a, b, c = some(world, 3)
    with transaction():
        b.assign_to(world.theo, by=world.theo, expected=None)
        c.assign_to(world.maya, by=world.maya, expected=None)
    bulk = start(Order("assign", member=world.maya), world.ada, [a, b, c])
    assert bulk.state == "done" and bulk.summary == ["2 assigned to Maya Chen"] and states(bulk) == {"changed": 2, "same": 1}
    assert [x.assignee_id for x in (a, b, c)] == [world.maya.id] * 3
    assert ("run_bulk", (bulk.id,)) not in bell.rung
    undo(bulk, world.ada)
    db.session.expire_all()
    assert [x.assignee_id for x in (a, b, c)] == [None, world.theo.id, world.maya.id] and bulk.summary == ["2 put back as they were"]
    with pytest.raises(Refused), transaction():
        bulk.undo(by=world.ada)


def test_CONV_8_what_cannot_be_changed_is_counted_by_reason_and_the_rest_is_done(world):
    a, b, c, d = some(world, 4)
    pharmacy = world.conversation(inbox=world.pharmacy)
    with transaction():
        a.acquire(by=world.maya)
        b.acquire(by=world.maya)
        world.pharmacy.add_member(world.vera, by=world.dana)
    world.theo.forget_inboxes()
    bulk = start(Order("archive"), world.theo, [a, b, c, d, pharmacy])
    assert bulk.total == 4, "what the member may not open is no match"
    assert bulk.summary == ["2 archived", "2 were locked by Maya Chen"]
    db.session.expire_all()
    assert [x.archived for x in (a, b, c, d, pharmacy)] == [False, False, True, True, False]


def test_PERM_6_the_rights_are_asked_again_for_every_batch(world, bell, monkeypatch):
    monkeypatch.setattr(bulks, "BATCH", 20)
    rows = some(world, 60)
    bulk = start(Order("archive"), world.maya, rows)
    assert ("run_bulk", (bulk.id,)) in bell.rung and bulk.state == "running"
    with transaction():
        assert db.session.get(Bulk, bulk.id).step()
    with transaction():
        world.front.remove_member(db.session.get(Member, world.maya.id), by=world.dana)
    run_bulk(bulk.id)
    db.session.expire_all()
    assert (bulk.state, bulk.changed, bulk.missed) == ("done", 20, {"rights:archive": 40}) and bulk.summary[1] == "40 you may not archive"


def test_CONV_8_killed_midway_it_goes_on_and_does_each_once(app, world, bell, monkeypatch):
    monkeypatch.setattr(bulks, "BATCH", 20)
    some(world, 70)
    with transaction():
        tag = Tag.create("Refund", by=world.dana)
    bulk = start(Order("tag", tag=tag), world.maya, filter=Filter(view="all"), inbox=world.front)
    row = bulk.id
    assert bulk.total == 70
    with transaction():
        db.session.get(Bulk, row).step()
    with pytest.raises(KeyboardInterrupt), transaction():  # the worker dies inside its second batch
        db.session.get(Bulk, row).step()
        raise KeyboardInterrupt
    db.session.expire_all()
    assert bulk.done == 20 and states(bulk) == {"changed": 20, "waiting": 50}
    assert Bulk.going_on() == [row]
    run_bulk(row)
    db.session.expire_all()
    assert (bulk.state, bulk.changed, states(bulk)) == ("done", 70, {"changed": 70}) and Bulk.going_on() == []
    twice = sa.select(Event.conversation_id).where(Event.kind == "conversation.tagged").group_by(Event.conversation_id).having(sa.func.count() > 1)
    assert db.session.scalars(twice).all() == [] and tag.uses == 70


def test_CONV_8_two_workers_at_one_change_do_each_once(app, world, bell, monkeypatch, together):
    monkeypatch.setattr(bulks, "BATCH", 10)
    rows = some(world, 60)
    bulk = start(Order("archive"), world.maya, rows)
    row = bulk.id
    results = together(lambda i: run_bulk(row), 3, app)
    assert results == [None] * 3, results
    assert states(bulk) == {"changed": 60} and (bulk.state, bulk.done, bulk.changed) == ("done", 60, 60)
    assert db.session.query(Event).filter_by(kind="conversation.archived").count() == 60


def test_CONV_8_all_matches_are_frozen_when_it_starts(world, bell):
    some(world, 60)
    bulk = start(Order("archive"), world.maya, filter=Filter(view="all"), inbox=world.front)
    late = world.conversation(sender="+14155559999")
    run_bulk(bulk.id)
    db.session.expire_all()
    assert bulk.changed == 60 and not late.archived and bulk.filter["view"] == "all"


def test_CONV_8_undo_names_what_others_changed_since(world):
    a, b, c = some(world, 3)
    bulk = start(Order("archive"), world.ada, [a, b, c])
    world.text("One more thing", sender=a.address)
    with transaction():
        b.snooze(clock.now() + timedelta(hours=1), by=world.maya)
    undo(bulk, world.ada)
    db.session.expire_all()
    assert bulk.summary == ["1 put back as they were", "2 were changed by somebody since"]
    assert [a.archived, b.snoozed, c.archived] == [False, True, False] and c.unread


def test_CONV_8_undo_is_for_who_did_it_and_for_a_quarter_of_an_hour(world):
    rows = some(world, 2)
    bulk = start(Order("spam"), world.ada, rows)
    assert all(x.spam for x in rows) and bulk.undoable
    with pytest.raises(Refused), transaction():
        bulk.undo(by=world.maya)
    clock.shift(901)
    assert not bulk.undoable
    with pytest.raises(Refused, match="15 minutes"), transaction():
        bulk.undo(by=world.ada)
    assert all(x.spam for x in rows)


@pytest.mark.parametrize("action", ["archive", "reopen", "snooze", "spam", "read", "unread", "tag", "untag", "assign"])
def test_CONV_8_every_action_there_and_back(world, action):
    a, b = some(world, 2)
    with transaction():
        tag = Tag.create("Refund", by=world.dana)
        if action == "reopen":
            a.archive(by=world.maya)
            b.snooze(clock.now() + timedelta(hours=2), by=world.maya)
        if action == "unread":
            a.mark_read(by=world.maya)
            b.mark_read(by=world.maya)
        if action == "untag":
            a.tag(tag, by=world.maya)
            b.tag(tag, by=world.maya)

    def shape():
        db.session.expire_all()
        return [(x.archived_at, x.snoozed_until, x.spam_at, x.unread, x.assignee_id, [t.id for t in x.tags]) for x in (a, b)]

    before = shape()
    order = Order(action, member=world.theo if action == "assign" else None, tag=tag if "tag" in action else None, until=clock.now() + timedelta(hours=1) if action == "snooze" else None, words="")
    bulk = start(order, world.ada, [a, b])
    assert bulk.changed == 2 and shape() != before
    undo(bulk, world.ada)
    assert shape() == before and bulk.summary == ["2 put back as they were"]


def test_CONV_8_reopening_beside_a_newer_open_one_is_named(world):
    with transaction():
        world.front.reopen = False
    c = world.conversation("first")
    with transaction():
        c.archive(by=world.maya)
    world.conversation("second")
    assert start(Order("reopen"), world.maya, [c]).summary == ["0 back in the inbox", "1 has a newer open conversation with the same contact"]


def test_CONV_8_a_tag_deleted_meanwhile_is_named(world, bell):
    rows = some(world, 60)
    with transaction():
        tag = Tag.create("Refund", by=world.dana)
    bulk = start(Order("tag", tag=tag), world.maya, rows)
    with transaction():
        db.session.get(Tag, tag.id).destroy(by=world.dana)
    run_bulk(bulk.id)
    db.session.expire_all()
    assert bulk.summary == ["0 tagged Refund", "60 could not be changed, because the tag was deleted"]


def test_CONV_8_what_cannot_work_is_refused_before_it_starts(world):
    [a] = some(world, 1)
    with transaction():
        theirs = Tag.create("Theirs", by=world.nina)
    for order, by, why in (
        (Order("sell"), world.maya, Refused), (Order("archive"), world.vera, Denied), (Order("assign", member=world.nina), world.maya, Refused),
        (Order("tag", tag=theirs), world.maya, Refused), (Order("tag"), world.maya, Refused), (Order("snooze"), world.maya, Refused),
        (Order("snooze", until=clock.now() + timedelta(days=400)), world.maya, Refused), (Order("snooze", until=clock.now()), world.maya, Refused),
    ):
        with pytest.raises(why):
            start(order, by, [a])
    with pytest.raises(Refused, match="Nothing is selected"):
        start(Order("archive"), world.olga, [a])
    with pytest.raises(Refused, match="Nothing matches"):
        start(Order("archive"), world.maya, filter=Filter(view="spam"), inbox=world.front)
    assert db.session.query(Bulk).count() == 0


def test_CONV_8_too_many_are_refused(world, monkeypatch):
    monkeypatch.setattr(bulks, "MOST", 2)
    rows = some(world, 3)
    with pytest.raises(Refused, match="Filter the list first"):
        start(Order("archive"), world.maya, rows)
    db.session.rollback()
    assert db.session.query(BulkItem).count() == 0


def test_CONV_8_old_changes_are_forgotten_and_nothing_else(world):
    a, b = some(world, 2)
    start(Order("archive"), world.maya, [a])
    clock.shift(90_000)
    young = start(Order("archive"), world.maya, [b])
    with transaction():
        Bulk.forget_old()
    db.session.expire_all()
    assert [x.id for x in db.session.query(Bulk)] == [young.id] and db.session.query(BulkItem).count() == 1
    assert db.session.query(Message).count() == 2


def test_CONV_8_assigning_many_tells_the_assignee_once(world, bell, monkeypatch):
    monkeypatch.setattr(bulks, "BATCH", 5)
    talks = some(world, 12)
    start(Order("assign", member=world.theo), world.dana, talks)
    notices = db.session.scalars(sa.select(Notice).where(Notice.kind == "assigned")).all()
    assert [(n.member_id, n.actor_id, n.count, n.conversation_id) for n in notices] == [(world.theo.id, world.dana.id, 12, talks[-1].id)]
    start(Order("assign", member=world.maya), world.dana, talks[:1])
    start(Order("assign", member=world.dana), world.dana, talks[1:4])
    start(Order("assign"), world.dana, talks[4:6])
    rest = db.session.scalars(sa.select(Notice).where(Notice.kind == "assigned", Notice.id > notices[0].id)).all()
    assert [(n.member_id, n.count) for n in rest] == [(world.maya.id, None)], "and nobody hears of what they did themselves"


def test_CONV_8_the_notice_of_many_says_how_many(world, client, bell):
    start(Order("assign", member=world.theo), world.dana, some(world, 12))
    bell.work()
    client.sign_in(world.theo)
    page = client.get("/notifications/tray").text
    assert "12 conversations" in page and 'href="/work/mine"' in page
    assert db.session.scalar(sa.select(sa.func.count(TrayItem.id)).where(TrayItem.member_id == world.theo.id)) == 1
