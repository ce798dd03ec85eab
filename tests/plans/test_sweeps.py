"""What recurs costs nothing while there is nothing to do: every job of the scheduler, and what it rings for, finds its rows by an index."""

from __future__ import annotations

from typing import Any

import pytest

from inbox.extensions import redis
from inbox.models import Attempt, Bundle, Conversation, Dispatch, Message, Notification, db, transaction
from jobs import schedule, send_message
from jobs.index_messages import index_messages
from jobs.notify_members import notify_members
from tests.plans.judge import report, statements

# Each job of jobs/schedule.py, and a table that it must have been seen to look into.
WALKED = {
    "beat": "", "watch_clocks": "conversation_lock", "sweep_outbox": "dispatch", "sweep_registrations": "registration", "sweep_webhooks": "consent_stopping",
    "sweep_media": "attachment", "sweep_calls": "call", "sweep_imports": "contact_import", "sweep_import_files": "contact_import", "sweep_replays": "replay",
    "sweep_snoozes": "conversation", "sweep_scheduled": "scheduled_message", "sweep_bulk": "bulk", "sweep_mail": "", "sweep_seats": "wallet", "sweep_search": "search_mark",
    "sweep_notifications": "notice",
}
JOBS = {task.run.__name__: task.run for task in schedule.tasks()}


def test_the_walk_below_knows_every_recurring_job():
    assert set(JOBS) == set(WALKED), "say in WALKED which table the job looks into"


@pytest.fixture(autouse=True)
def _hourly_too(app: Any) -> None:
    """What happens once in a while happens now."""
    for key in redis.client.scan_iter("inbox:sweep:*"):
        redis.client.delete(key)


@pytest.mark.parametrize("name", list(JOBS))
def test_a_recurring_job_finds_what_it_looks_for_by_an_index(app, seed, judge, name):
    with statements() as asked:
        JOBS[name]()
    db.session.rollback()
    assert any(WALKED[name] in one.sql for one in asked) if WALKED[name] else not asked, name
    report({name: judge(asked)})


def test_MSG_5_the_outbox_claims_a_text_by_its_key(app, seed, judge):
    ready = Dispatch.due("bulk") or Dispatch.due("send")
    db.session.rollback()
    waiting = db.session.query(Dispatch.id).filter(Dispatch.state == "queued").order_by(Dispatch.id).limit(2).all()
    with statements() as asked:
        for (dispatch_id,) in waiting:
            send_message._its_turn(dispatch_id)
            send_message._claim(dispatch_id)
    assert any(one.sql.startswith("UPDATE dispatch") for one in asked), ready
    report({"send_message": judge(asked)})


def test_CONV_6_an_inbound_text_finds_its_conversation_by_an_index(app, seed, judge):
    db.session.rollback()
    with statements() as asked:
        seed.world.text("Hello again", sender="+12000000777")
        seed.world.text("Who is this?", sender="+14155559999")
        seed.world.text("STOP", sender="+12000000778")
    assert any(one.sql.startswith("INSERT INTO message ") for one in asked)
    report({"receive": judge(asked)})


def test_ACC_6_telling_members_looks_at_their_own_rows_only(app, seed, judge, bell):
    message = seed.world.text("Anybody there?", sender="+12000000779")
    assert message.conversation_id
    notices = [args[0] for name, args in bell.rung if name == "notify_members"]
    with statements() as asked:
        for notice_id in notices:
            notify_members(notice_id)
        for member_id, way in Notification.due()[:3]:
            with transaction():
                Bundle.take(member_id, way)
        index_messages()
    assert asked
    report({"notify": judge(asked)})


def test_ACC_7_old_counters_of_tries_go_by_their_age(app, seed, judge):
    with statements() as asked, transaction():
        Attempt.sweep()
    report({"attempts": judge(asked)})


def test_LOCK_2_locks_are_kept_by_their_key(app, seed, judge):
    talk = db.session.get_one(Conversation, seed.first)
    with statements() as asked:
        with transaction():
            held = talk.acquire(by=seed.world.maya)
            assert held
            talk.renew_lock(by=seed.world.maya, fence=held.fence, active=True)
            assert db.session.get_one(Message, talk.last_message_id)
        with transaction():
            talk.release(by=seed.world.maya)
    report({"lock": judge(asked)})
