"""MSG-1: a campaign sends as fast as it may and no faster; a reply never waits for one text to thousands."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa
from redis import Redis

from inbox import background, clock, throttle
from inbox.channels.base import PermanentFailure, Sent, Status, TemporaryFailure
from inbox.channels.twilio import Twilio
from inbox.extensions import redis
from inbox.models import Dispatch, Registration, SendAttempt, UsageDay, db, transaction
from inbox.models.gate import Path
from inbox.models.usage import next_day
from inbox.throttle import Bucket
from jobs import sweeps
from jobs.send_message import send_message

real_take = throttle.take


@pytest.fixture
def buckets(app, monkeypatch):
    """The real buckets, empty of what other tests left."""
    for key in redis.client.scan_iter("inbox:throttle:*"):
        redis.client.delete(key)
    monkeypatch.setattr(throttle, "take", real_take)


@pytest.fixture
def carrier(monkeypatch):
    """What the carrier took; `failing` is raised instead, once each."""
    taken, failing = [], []

    def send(adapter, credentials, outgoing):
        if failing:
            raise failing.pop(0)
        taken.append(outgoing.text)
        return Sent(f"SMf{len(taken):031x}", Status.QUEUED, 1)

    monkeypatch.setattr(Twilio, "send", send)
    send.taken, send.failing = taken, failing
    return send


def limit(world, **limits):
    with transaction():
        registration = Registration.of_team(world.team.id)
        registration.limits = limits
        world.front.quiet = "off"
    return registration


def refill(bucket, level, ago=0.0):
    """Set what a bucket holds, as of some seconds ago."""
    seconds, micros = redis.client.time()
    redis.client.delete(bucket.key)
    redis.client.hset(bucket.key, mapping={"level": level, "at": seconds + micros / 1e6 - ago})


@pytest.mark.one_database
def test_MSG_1_a_bucket_holds_one_seconds_worth_and_fills_at_its_rate(buckets):
    bucket = Bucket("inbox:throttle:test:1", 10.0)
    assert [throttle.take(bucket, 1, "send") for _ in range(10)] == [0.0] * 10
    wait = throttle.take(bucket, 1, "send")
    assert 0 < wait <= 0.1
    refill(bucket, 0, ago=0.35)
    assert [throttle.take(bucket, 1, "send") == 0 for _ in range(4)] == [True, True, True, False]
    refill(bucket, 0, ago=3600)
    assert throttle.take(bucket, 10, "send") == 0.0 and throttle.take(bucket, 1, "send") > 0, "never more than a second's worth"


@pytest.mark.one_database
def test_MSG_1_a_text_larger_than_the_bucket_leaves_and_the_bucket_owes(buckets):
    bucket = Bucket("inbox:throttle:test:2", 1.0)
    assert throttle.take(bucket, 4, "send") == 0.0
    assert 3.9 < throttle.take(bucket, 1, "send") <= 4.0
    refill(bucket, -3, ago=3.5)
    assert 0 < throttle.take(bucket, 1, "send") <= 0.51
    slow = Bucket("inbox:throttle:test:3", 0.25)
    assert throttle.take(slow, 1, "bulk") == 0.0 and 3 < throttle.take(slow, 1, "send") <= 4.0, "fifteen a minute"


@pytest.mark.one_database
def test_MSG_1_lower_lanes_leave_a_reserve_and_let_a_waiting_reply_go_first(buckets):
    bucket = Bucket("inbox:throttle:test:4", 20.0)
    allowed = Counter()
    for lane in ("bulk", "auto", "send"):
        while throttle.take(bucket, 1, lane) == 0:
            allowed[lane] += 1
    assert (allowed["bulk"], allowed["auto"], allowed["send"]) == (10, 5, 5)
    bucket = Bucket("inbox:throttle:test:5", 1.0)
    refill(bucket, 0)
    assert throttle.take(bucket, 1, "send") > 0
    refill_time = redis.client.hget(bucket.key, "want0")
    redis.client.hset(bucket.key, "level", 1)
    assert refill_time and throttle.take(bucket, 1, "bulk") > 0 and throttle.take(bucket, 1, "auto") > 0, "the reply wants its turn"
    assert throttle.take(bucket, 1, "send") == 0.0
    redis.client.hset(bucket.key, "level", 1)
    redis.client.hdel(bucket.key, "want1")
    assert throttle.take(bucket, 1, "bulk") == 0.0


@pytest.mark.one_database
def test_MSG_1_replies_are_not_starved_by_a_broadcast(buckets, together, app):
    bucket, until, taken = Bucket("inbox:throttle:test:6", 4.0), time.monotonic() + 4, []

    def worker(number):
        lane = "send" if number == 0 else "bulk"
        while time.monotonic() < until:
            wait = throttle.wait_for(bucket, 1, lane)
            if wait == 0:
                taken.append(lane)
                time.sleep(0.4 if lane == "send" else 0)

    together(worker, 6, app)
    count = Counter(taken)
    assert count["send"] >= 6, f"a reply every 0.4 s got its turn: {count}"
    assert len(taken) <= 4.0 * 4.5 + 5, f"never faster than the campaign may: {count}"


@pytest.mark.one_database
def test_MSG_1_a_wiped_redis_is_a_full_bucket_and_an_absent_one_slows_nothing(buckets, monkeypatch):
    bucket = Bucket("inbox:throttle:test:7", 1.0)
    assert throttle.take(bucket, 1, "send") == 0.0 < throttle.take(bucket, 1, "send")
    redis.client.delete(bucket.key)
    assert throttle.take(bucket, 1, "send") == 0.0
    monkeypatch.setattr(redis, "_client", Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=0.2))
    assert throttle.take(bucket, 1, "send") == 0.0


@pytest.mark.one_database
def test_MSG_1_the_rate_is_the_registrations_else_the_usual_one(app):
    assert throttle.bucket(1, 2, {"mps": 3.75}, "+14155550100").rate == 3.75
    assert throttle.bucket(1, 2, {}, "+14155550100").rate == 1.0
    assert throttle.bucket(1, 2, {"mps": 0}, "").rate == 1.0
    free, plain = throttle.bucket(1, 2, {"mps": 3.75}, "+18885550100"), throttle.bucket(1, 2, {"mps": 3.75}, "+14155550100")
    assert free.rate == 3.0 and free.key != plain.key
    assert len({throttle.bucket(c, r, {}, "+14155550100").key for c in (1, 2) for r in (1, 2)}) == 4


def test_MSG_1_a_short_wait_is_waited_and_a_long_one_put_off_without_counting(world, buckets, carrier, bell):
    limit(world, mps=5.0)
    c = world.conversation()
    first, second = world.reply(c, world.maya, "One"), world.reply(c, world.maya, "x" * 1500)
    third = world.reply(c, world.maya, "Three")
    ids = [Dispatch.of(m).id for m in (first, second, third)]
    for dispatch_id in ids[:2]:
        send_message(dispatch_id)
    assert carrier.taken == ["One", "x" * 1500], "a short wait was waited"
    send_message(ids[2])
    db.session.expire_all()
    row = db.session.get_one(Dispatch, ids[2])
    assert (row.state, row.attempt, row.held_until) == ("queued", 0, None) and row.next_at > clock.now() and row.sweep_at == row.next_at
    assert db.session.scalar(sa.select(sa.func.count()).select_from(SendAttempt).where(SendAttempt.dispatch_id == row.id)) == 0
    assert third.hold is None
    clock.shift(5)
    for key in redis.client.scan_iter("inbox:throttle:*"):
        redis.client.delete(key)
    bell.rung.clear()
    sweeps.sweep_outbox()
    bell.work()
    assert carrier.taken[-1] == "Three"


def test_MSG_1_a_text_behind_another_takes_nothing_from_the_bucket(world, buckets, carrier, monkeypatch):
    c = world.conversation()
    first, second = (Dispatch.of(world.reply(c, world.maya, body)) for body in ("one", "two"))
    with transaction():
        first.next_at = clock.now() + timedelta(minutes=2)
    monkeypatch.setattr(throttle, "take", lambda *a: pytest.fail("it took"))
    send_message(second.id)
    assert not carrier.taken


def test_MSG_1_every_path_rings_on_its_own_lane(world, monkeypatch):
    limit(world)
    rung = []
    monkeypatch.setattr(background, "_ring", lambda job, args, on: rung.append(on) if job == "send_message" else None)
    for path in Path:
        conversation = world.conversation(sender=f"+1415555{140 + list(Path).index(path):04}")
        if path.live:
            world.reply(conversation, world.maya)
        else:
            with transaction():
                message = conversation.answer_automatically("We open at eight.", path=path)
            assert Dispatch.of(message).lane == path.lane
        assert rung[-1] == path.lane
    assert {p.lane for p in Path} == set(background.LANES) <= set(background.QUEUES)
    clock.shift(10)
    rung.clear()
    sweeps.sweep_outbox()
    assert rung == sorted(rung, key=background.LANES.index) and set(rung) == set(background.LANES)


def test_MSG_1_a_crowded_lane_does_not_keep_the_sweeper_from_the_others(world, monkeypatch):
    limit(world)
    c = world.conversation()
    world.reply(c, world.maya)
    with transaction():
        c.answer_automatically("News", path=Path.BULK)
    rung = []
    monkeypatch.setattr(background, "_ring", lambda job, args, on: rung.append(on))
    monkeypatch.setattr(sweeps, "crowded", lambda queue: queue == "bulk")
    clock.shift(10)
    sweeps.sweep_outbox()
    assert rung == ["send"]


@pytest.mark.parametrize("known", [True, False])
def test_MSG_1_the_carriers_daily_cap_holds_until_midnight_pacific(world, carrier, known):
    registration = limit(world, **({"daily_cap": 2000} if known else {}))
    message = world.reply(world.conversation(), world.maya)
    dispatch_id = Dispatch.of(message).id
    carrier.failing.append(TemporaryFailure("The daily limit of your brand was reached.", "30023", tomorrow=True))
    send_message(dispatch_id)
    db.session.expire_all()
    row, until = db.session.get_one(Dispatch, dispatch_id), next_day()
    assert (row.state, row.attempt, row.held_until) == ("queued", 0, until)
    assert message.hold["rule"] == "cap" and message.hold["until"] == until and "midnight" in message.hold["sentence"]
    assert not message.may_leave_early
    assert UsageDay.used(registration.id) == (2000 if known else 0)
    clock.shift((until - clock.now()).total_seconds() + 1)
    send_message(dispatch_id)
    assert len(carrier.taken) == 1


def test_MSG_1_a_text_is_counted_once_a_day_however_often_it_is_tried(world, carrier):
    registration = limit(world, daily_cap=3)
    message = world.reply(world.conversation(), world.maya)
    dispatch_id = Dispatch.of(message).id
    carrier.failing += [TemporaryFailure("Busy", "20429"), TemporaryFailure("Busy", "20429")]
    for _ in range(3):
        send_message(dispatch_id)
        clock.shift(30)
    assert carrier.taken and UsageDay.used(registration.id) == 1
    another = world.reply(world.conversation(sender="+14155550155"), world.maya, "x" * 300)
    carrier.failing.append(PermanentFailure("No such number", "21211"))
    send_message(Dispatch.of(another).id)
    assert UsageDay.used(registration.id) == 3
    last = world.reply(world.conversation(sender="+14155550156"), world.maya)
    assert last.hold["rule"] == "cap" and Dispatch.of(last).held_until == next_day()
    assert next_day() - clock.now() <= timedelta(hours=25)


def test_MSG_1_a_held_text_keeps_its_hour_however_often_it_is_rung_for(world, buckets, carrier):
    limit(world, mps=1.0, daily_cap=1)
    with transaction():
        UsageDay.take(Registration.of_team(world.team.id).id, 1, 1)
    held = world.reply(world.conversation(), world.maya)
    for _ in range(3):
        send_message(Dispatch.of(held).id)
    db.session.expire_all()
    row = Dispatch.of(held)
    assert row.next_at == row.held_until == next_day() and not carrier.taken
    assert not list(redis.client.scan_iter("inbox:throttle:*")), "and it takes nothing from the bucket"
