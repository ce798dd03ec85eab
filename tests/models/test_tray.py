"""ACC-6 in the product itself: the tray tells each member what happened to them, once, until they have seen it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Following, Notice, Notification, Refused, TrayItem, db, transaction
from inbox.models import wish as wishing
from inbox.models.tray import CAP
from inbox.models.wish import CELLS, DEFAULT, Wishes
from tests.models.helpers import anew
from tests.models.test_notification import fanned, give


def tray(who):
    """What lies unread in somebody's tray, newest first."""
    anew()
    return [item.event for item in TrayItem.of(who) if item.read_at is None]


def free_again(world, c, holder, *waiting):
    with transaction():
        c.acquire(by=holder)
        for who in waiting:
            c.wait_for_lock(by=who)
    with transaction():
        c.release(by=holder)


# -- what comes in ------------------------------------------------------------------------------------------------------


def test_ACC_6_the_tray_takes_what_happened_to_a_member_and_never_their_own_acts(world, bell):
    c = world.conversation()
    fanned(bell)
    give(world, c, world.maya, world.maya)
    give(world, c, world.theo, world.maya)
    with transaction():
        c.note("Can @Theo Okafor look?", by=world.maya)
        Following.add(c, world.maya, by=world.maya)
        c.note("Nothing to see", by=world.maya)
    fanned(bell)
    assert tray(world.theo) == ["mentioned", "assigned"] and tray(world.maya) == [] and tray(world.ada) == []
    item = TrayItem.of(world.theo)[0]
    assert (item.actor.id, item.conversation.id, item.message.body) == (world.maya.id, c.id, "Can @Theo Okafor look?")


def test_ACC_6_texts_stand_in_the_lists_and_not_in_the_tray(world, bell):
    c = world.conversation()
    give(world, c, world.maya, world.ada)
    fanned(bell)
    world.text("And another")
    fanned(bell)
    assert tray(world.maya) == ["assigned"] and not tray(world.dana)
    assert not [cell for cell in CELLS if cell[1] == "app" and cell[0] in ("mine", "unassigned", "others")]


def test_ACC_6_following_is_one_line_until_it_is_read(world, bell):
    c = world.conversation()
    with transaction():
        Following.add(c, world.maya, by=world.maya)
    fanned(bell)
    for _ in range(3):
        world.text("Hello?")
    fanned(bell)
    assert tray(world.maya) == ["followed"]
    first = TrayItem.of(world.maya)[0].message_id
    with transaction():
        c.seen_by(world.maya)
    world.text("Still there?")
    fanned(bell)
    assert tray(world.maya) == ["followed"] and TrayItem.of(world.maya)[0].message_id > first


def test_LOCK_5_who_asked_is_told_when_it_is_free_and_nobody_else(world, bell):
    c = world.conversation()
    fanned(bell)
    free_again(world, c, world.maya, world.theo, world.ada)
    fanned(bell)
    assert tray(world.theo) == tray(world.ada) == ["free"] and tray(world.maya) == tray(world.dana) == []
    free_again(world, c, world.maya)
    fanned(bell)
    assert tray(world.theo) == ["free"], "asking counts once"


def test_LOCK_5_a_lock_that_lapses_tells_too(world, bell):
    c = world.conversation()
    with transaction():
        c.acquire(by=world.maya)
        c.wait_for_lock(by=world.theo)
    clock.shift(4000)
    with transaction():
        assert c.announce_expiry()
    fanned(bell)
    assert tray(world.theo) == ["free"]


def test_REG_4_the_carriers_decision_and_a_finished_import_lie_in_the_tray(world, bell):
    from inbox.models import ContactImport

    with transaction():
        world.waiting_registration.state = "rejected"
        world.waiting_registration._tell()
        run = ContactImport(account_id=world.harbor.id, member_id=world.ada.id, filename="list.csv", data=b"", state="running", total=0).save()
    with transaction():
        run.apply_batch()
    assert tray(world.dana) == ["registration"] and tray(world.ada) == ["import", "registration"] and tray(world.maya) == []
    item = TrayItem.of(world.ada)[0]
    assert item.data["file"] == "list.csv" and item.data["run"] == run.public_id and item.conversation is None


# -- who wants it ---------------------------------------------------------------------------------------------------------


def test_ACC_6_the_member_decides_and_the_owner_does_not_forbid_the_tray(world, bell):
    c = world.conversation()
    with transaction():
        Notification.allow(world.theo, False, by=world.dana)
        wishing.choose(world.maya, DEFAULT - {("assigned", "app")}, {}, previews=False, by=world.maya)
    give(world, c, world.theo, world.ada)
    give(world, c, world.maya, world.ada)
    fanned(bell)
    assert tray(world.theo) == ["assigned"] and tray(world.maya) == []
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Notification).where(Notification.member_id == world.theo.id)) == 0
    with transaction():
        wishing.choose(world.theo, {("assigned", "app")}, {world.front: frozenset()}, previews=False, by=world.theo)
    with pytest.raises(Refused), transaction():
        wishing.choose(world.theo, {("assigned", "mail")}, {}, previews=False, by=world.theo)
    give(world, c, world.theo, world.ada)
    fanned(bell)
    assert tray(world.theo) == ["assigned"], "an inbox of its own choice counts for the tray too"


def test_ACC_6_what_was_seen_before_the_job_ran_is_no_news(world, bell):
    c = world.conversation()
    with transaction():
        c.note("@Theo Okafor, here", by=world.maya)
    with transaction():
        c.seen_by(world.theo)
    fanned(bell)
    assert tray(world.theo) == [] and len(TrayItem.of(world.theo)) == 1


# -- how it goes out ----------------------------------------------------------------------------------------------------------


def test_ACC_6_seeing_the_conversation_reads_its_lines_and_no_others(world, bell):
    c, d = world.conversation(), world.conversation("Other", sender="+14155550177")
    give(world, c, world.theo, world.ada)
    give(world, d, world.theo, world.ada)
    fanned(bell)
    bell.facts.clear()
    with transaction():
        c.seen_by(world.theo)
    assert tray(world.theo) == ["assigned"] and TrayItem.waits_in(d, world.theo) and not TrayItem.waits_in(c, world.theo)
    assert [f for f in bell.facts if f["what"] == "tray"] == [{"what": "tray", "account": world.harbor.id, "only": world.theo.id, "item": None}]


def test_ACC_6_a_line_about_what_one_has_not_reached_stays(world, bell):
    c = world.conversation()
    first = c.last_message_id
    with transaction():
        c.note("@Theo Okafor, here", by=world.maya)
    fanned(bell)
    with transaction():
        c.seen_by(world.theo, first)
    assert tray(world.theo) == ["mentioned"]


def test_ACC_6_all_is_all_that_was_shown(world, bell):
    c = world.conversation()
    give(world, c, world.theo, world.ada)
    fanned(bell)
    upto = TrayItem.of(world.theo)[0].id
    with transaction():
        c.note("@Theo Okafor, and this", by=world.maya)
    fanned(bell)
    with transaction():
        assert TrayItem.read_all(world.theo, upto) == 1 and TrayItem.read_all(world.maya, 10**6) == 0
    assert tray(world.theo) == ["mentioned"] and TrayItem.unread(world.theo) == 1


def test_PERM_6_what_may_no_longer_be_opened_is_neither_shown_nor_counted(world, bell):
    c = world.conversation()
    give(world, c, world.theo, world.ada)
    fanned(bell)
    assert TrayItem.unread(world.theo) == 1
    with transaction():
        world.front.remove_member(world.theo, by=world.dana)
    anew()
    world.theo.forget_inboxes()
    assert TrayItem.of(world.theo) == [] and TrayItem.unread(world.theo) == 0


def test_ACC_6_the_count_is_capped_and_pages_go_on_by_key(world):
    with transaction():
        for n in range(CAP + 5):
            TrayItem(member_id=world.maya.id, event="import", data={"file": f"{n}.csv"}).save()
    assert TrayItem.unread(world.maya) == CAP
    seen, before = [], None
    while page := TrayItem.of(world.maya, before=before):
        seen += [item.data["file"] for item in page]
        before = page[-1].id
    assert seen == [f"{n}.csv" for n in reversed(range(CAP + 5))]


def test_ACC_6_lines_go_after_a_month_whether_read_or_not(world, bell):
    c = world.conversation()
    give(world, c, world.theo, world.ada)
    fanned(bell)
    clock.shift(timedelta(days=31).total_seconds())
    with transaction():
        Notification.forget_old()
        db.session.execute(sa.delete(Notification))
        Notification.forget_old()
    assert TrayItem.of(world.theo) == [] and db.session.scalar(sa.select(sa.func.count(Notice.id))) == 0


# -- at once ------------------------------------------------------------------------------------------------------------------


def test_ACC_6_two_workers_at_one_notice_make_one_line(app, world, bell):
    from jobs.notify_members import notify_members

    c = world.conversation()
    give(world, c, world.theo, world.ada)
    bell.rung.clear()
    notice = db.session.scalars(sa.select(Notice.id).where(Notice.kind == "assigned")).one()
    ready, failed = threading.Barrier(2), []

    def work():
        with app.app_context():
            ready.wait(10)
            try:
                notify_members(notice)
            except Exception as error:
                failed.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not failed and tray(world.theo) == ["assigned"]


def test_ACC_6_the_list_and_the_count_use_their_indexes(world):
    member, conversation = world.maya.id, world.conversation().id
    plain = db.engine.dialect.name == "sqlite"
    statements = {
        "ix_tray_item_member": f"SELECT * FROM tray_item WHERE member_id = {member} AND id < 99 ORDER BY id DESC LIMIT 20",
        "ix_tray_item_unread": f"SELECT 1 FROM tray_item WHERE member_id = {member} AND read_at IS NULL AND conversation_id = {conversation} LIMIT 100",
    }
    if not plain:
        db.session.execute(sa.text("SET LOCAL enable_seqscan = off"))
    for index, statement in statements.items():
        plan = " ".join(str(row) for row in db.session.execute(sa.text(("EXPLAIN QUERY PLAN " if plain else "EXPLAIN ") + statement)))
        assert index in plan or (not plain and "ix_tray_item" in plan), plan
    db.session.rollback()


# -- the sound ----------------------------------------------------------------------------------------------------------------


def test_ACC_6_the_sound_is_off_until_chosen_and_keeps_to_what_there_is(world):
    assert (Wishes.of(world.maya).sound, Wishes.of(world.maya).volume) == ("off", 60)
    with transaction():
        wishing.choose_sound(world.maya, "mine", 30)
    assert (Wishes.of(world.maya).sound, Wishes.of(world.maya).volume) == ("mine", 30)
    for scope, volume in (("loud", 30), ("mine", 101), ("mine", -1)):
        with pytest.raises(Refused), transaction():
            wishing.choose_sound(world.maya, scope, volume)
        db.session.rollback()
    assert Wishes.of(world.maya).volume == 30 and Wishes.of(world.theo).sound == "off"
