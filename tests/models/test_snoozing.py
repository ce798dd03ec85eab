"""CONV-8: snoozed and back, spam and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Conversation, Denied, Event, Filter, Member, Notice, Refused, db, transaction
from inbox.models.conversation.snoozing import choices, moment
from jobs.wake_conversations import wake_conversations

LA = ZoneInfo("America/Los_Angeles")


def at(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def listed(world, view, who=None):
    db.session.expire_all()
    return [r.id for r in Conversation.listing(who or world.maya, world.front, Filter(view=view))]


def last(conversation):
    return db.session.scalars(sa.select(Event).where(Event.conversation_id == conversation.id, Event.kind.like("conversation.%")).order_by(Event.id.desc()).limit(1)).one()


def snoozed(world, by=None, hours=1, **kwargs):
    c = world.conversation(**kwargs)
    with transaction():
        c.snooze(clock.now() + timedelta(hours=hours), by=by or world.maya)
    return c


# -- the moments offered -----------------------------------------------------------------------------------------------


def test_CONV_8_the_moments_offered_are_on_the_readers_clock():
    found = choices(at("2026-11-18T10:00", LA), LA)  # a Wednesday
    assert {k: v.astimezone(LA).isoformat()[:16] for k, v in found.items()} == {
        "hour": "2026-11-18T11:00", "today": "2026-11-18T18:00", "tomorrow": "2026-11-19T08:00", "week": "2026-11-23T08:00",
    }
    assert "today" not in choices(at("2026-11-18T17:30", LA), LA)
    assert choices(at("2026-11-23T07:00", LA), LA)["week"] == at("2026-11-30T08:00", LA), "on a Monday, next week is a week ahead"


@pytest.mark.parametrize(("day", "expected"), [("2026-10-31T20:00", "2026-11-01T16:00:00+00:00"), ("2026-03-07T20:00", "2026-03-08T15:00:00+00:00")])
def test_CONV_8_tomorrow_morning_is_eight_also_when_the_clocks_change(day, expected):
    assert choices(at(day, LA), LA)["tomorrow"].isoformat() == expected


def test_CONV_8_a_typed_moment_is_on_the_readers_clock(app):
    assert moment("at", "2027-01-05T09:30", LA).isoformat() == "2027-01-05T17:30:00+00:00"
    assert moment("at", "2027-03-14T02:30", LA).astimezone(LA).isoformat()[:16] == "2027-03-14T03:30", "the hour that is skipped is the one after it"
    for wrong in ("", "soon", "2027-13-01T00:00", "9999-12-31T23:59"):
        with pytest.raises(Refused) as refused:
            moment("at", wrong, ZoneInfo("America/Los_Angeles"))
        assert refused.value.field == "at"


# -- snoozed and back ----------------------------------------------------------------------------------------------------


def test_CONV_8_it_leaves_the_open_lists_and_shows_in_snoozed(world, bell):
    c = snoozed(world)
    assert c.id in listed(world, "snoozed") and not any(c.id in listed(world, view) for view in ("all", "unassigned", "archived", "spam"))
    assert (last(c).kind, last(c).actor_id) == ("conversation.snoozed", world.maya.id) and not c.unread


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(seconds=-1), timedelta(days=367)])
def test_CONV_8_the_past_and_more_than_a_year_are_refused(world, offset):
    c = world.conversation()
    with pytest.raises(Refused) as refused, transaction():
        c.snooze(clock.now() + offset, by=world.maya)
    assert refused.value.field == "at" and c.id in listed(world, "all")


def test_CONV_8_whoever_may_not_archive_may_not_snooze(world):
    c = world.conversation()
    for who in (world.vera, world.olga, world.nina):
        with pytest.raises(Denied), transaction():
            c.snooze(clock.now() + timedelta(hours=1), by=who)
        with pytest.raises(Denied), transaction():
            c.mark_spam(by=who)


def test_CONV_8_at_its_moment_it_is_back_unread_on_top_and_who_snoozed_it_hears_of_it(world, bell):
    c = snoozed(world)
    clock.shift(60)
    other = world.conversation(sender="+14155550199")
    assert wake_conversations() == 0
    clock.shift(3600)
    assert wake_conversations() == 1 and wake_conversations() == 0
    assert listed(world, "all") == [c.id, other.id] and listed(world, "snoozed") == []
    assert c.unread and not c.snoozed and last(c).kind == "conversation.woken"
    notice = db.session.scalars(sa.select(Notice).where(Notice.kind == "back")).one()
    assert notice.member_id == world.maya.id
    bell.work()
    from inbox.models.bundle import Bundle

    clock.shift(120)
    with transaction():
        told = Bundle.take(world.maya.id, "mail")
    assert [line.others for line in told.lines if line.conversation.id == c.id] == [["Back from your snooze"]]


def test_CONV_8_two_workers_wake_it_once(app, world, together):
    rows = [snoozed(world, sender=f"+1415555030{n}").id for n in range(5)]
    clock.shift(3601)
    results = together(lambda i: wake_conversations(), 4, app)
    db.session.rollback()
    assert sum(results) == 5, results
    db.session.expire_all()
    for row in rows:
        assert db.session.query(Event).filter_by(conversation_id=row, kind="conversation.woken").count() == 1
    assert db.session.query(Notice).filter_by(kind="back").count() == 5


def test_CONV_8_the_customers_next_text_brings_it_back_at_once_even_where_the_inbox_starts_anew(world):
    with transaction():
        world.front.reopen = False
    done = world.conversation("old")
    with transaction():
        done.archive(by=world.maya)
    c = snoozed(world)
    assert c.id != done.id
    with transaction():
        done.snooze(clock.now() + timedelta(hours=1), by=world.maya)
        done.archive(by=world.maya)
    again = world.text("Are you there?").conversation
    assert again.id == c.id and not c.archived and not c.snoozed and c.unread
    clock.shift(7200)
    assert wake_conversations() == 0
    assert db.session.query(Notice).filter_by(kind="back", conversation_id=c.id).count() == 1


def test_CONV_8_with_a_newer_open_conversation_it_stays_archived_without_snooze(world):
    with transaction():
        world.front.reopen = False
    c = world.conversation("first")
    with transaction():
        c.archive(by=world.maya)
    newer = world.conversation("second")
    with transaction():
        c.snooze(clock.now() + timedelta(hours=1), by=world.maya)
    clock.shift(3601)
    assert wake_conversations() == 1
    assert listed(world, "all") == [newer.id] and c.id in listed(world, "archived") and not c.snoozed
    assert last(c).kind == "conversation.stayed" and db.session.query(Notice).filter_by(kind="back").count() == 0


def test_CONV_8_unsnoozed_by_hand_or_done_for_good_or_moved(world):
    c = snoozed(world)
    with transaction():
        c.unsnooze(by=world.theo)
    assert c.id in listed(world, "all") and last(c).kind == "conversation.unsnoozed"
    with transaction():
        c.snooze(clock.now() + timedelta(hours=1), by=world.maya)
        c.snooze(clock.now() + timedelta(hours=3), by=world.theo)
    clock.shift(3601)
    assert wake_conversations() == 0
    with transaction():
        c.archive(by=world.maya)
    assert c.id in listed(world, "archived")
    clock.shift(9000)
    assert wake_conversations() == 0


def test_CONV_8_a_reply_leaves_it_snoozed(world):
    c = snoozed(world)
    world.reply(c, world.maya)
    db.session.expire_all()
    assert c.snoozed and c.archived


def test_CONV_8_waking_asks_the_index(app, world):
    if db.engine.dialect.name != "sqlite":
        return
    query = sa.select(Conversation.id).where(sa.text("conversation.snoozed_until IS NOT NULL"), Conversation.snoozed_until <= clock.now()).order_by(Conversation.snoozed_until)
    plan = db.session.execute(sa.text(f"EXPLAIN QUERY PLAN {query.compile(compile_kwargs={'literal_binds': False})}"), {"snoozed_until_1": "2026-01-01"}).all()
    assert any("ix_conversation_waking" in row[3] for row in plan), plan


# -- spam ----------------------------------------------------------------------------------------------------------------


def test_CONV_8_spam_leaves_every_list_and_later_texts_stay_there_unannounced(world, bell):
    c = world.conversation("You won!")
    with transaction():
        c.mark_spam(by=world.maya)
    assert listed(world, "spam") == [c.id] and not any(c.id in listed(world, view) for view in ("all", "unassigned", "archived", "snoozed"))
    before, facts = db.session.query(Notice).count(), len(bell.facts)
    for reopen in (True, False):
        with transaction():
            world.front.reopen = reopen
        assert world.text("Claim now!").conversation.id == c.id
    db.session.expire_all()
    assert c.spam and not c.unread and listed(world, "spam") == [c.id] and db.session.query(Notice).count() == before
    assert not any(f.get("inbound") for f in bell.facts[facts:])
    with pytest.raises(Refused), transaction():
        c.snooze(clock.now() + timedelta(hours=1), by=world.maya)


def test_CONV_8_STOP_counts_also_from_spam(world):
    c = world.conversation("You won!")
    with transaction():
        c.mark_spam(by=world.maya)
    world.text("STOP")
    from inbox.models.consent import Allowed

    assert Allowed.read(world.front, c.address).opted_out and c.spam


def test_CONV_8_not_spam_brings_it_back_or_to_archived_beside_an_open_one(world):
    with transaction():
        world.front.reopen = False
    c = world.conversation("first")
    with transaction():
        c.mark_spam(by=world.maya)
        c.unmark_spam(by=world.theo)
    assert listed(world, "all") == [c.id] and last(c).kind == "conversation.spam_cleared"
    with transaction():
        c.archive(by=world.maya)
    newer = world.conversation("second")
    with transaction():
        c.mark_spam(by=world.maya)
        c.unmark_spam(by=world.maya)
    assert listed(world, "all") == [newer.id] and listed(world, "archived") == [c.id]


def test_CONV_8_spam_and_block(world):
    c = world.conversation("You won!")
    with transaction():
        c.mark_spam(by=world.ada, block=True)
    assert c.spam and c.contact.blocked


def test_CONV_8_spam_out_of_a_snooze_is_never_woken(world):
    c = snoozed(world)
    with transaction():
        c.mark_spam(by=world.maya)
    clock.shift(3601)
    assert wake_conversations() == 0 and listed(world, "spam") == [c.id]


def test_PERM_6_a_member_who_is_gone_is_not_told_of_what_came_back(app, world, bell):
    c = snoozed(world)
    with transaction():
        db.session.get(Member, world.maya.id).deactivate(by=world.dana)
    clock.shift(3601)
    assert wake_conversations() == 1
    bell.work()
    db.session.expire_all()
    assert not c.archived
