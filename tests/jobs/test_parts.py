"""The worker and the scheduler as processes, and the health page."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from rq import Queue
from rq.serializers import JSONSerializer

from inbox import background, heartbeat, mailers
from inbox.config import ROOT
from inbox.extensions import redis
from inbox.models import transaction
from jobs import schedule, send_mail, sweeps
from tests.conftest import Bell
from tests.world import World

pytestmark = pytest.mark.one_database


def until(check: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Ask until it is so."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "waited too long"
        threading.Event().wait(0.02)
    return found


@pytest.fixture
def own_redis(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test's Redis database, emptied."""
    redis.client.flushdb()
    yield
    redis.client.flushdb()


@pytest.fixture
def start(app: Flask, own_redis: None) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a part on the test's database and Redis; all are stopped in the end."""
    running: list[subprocess.Popen[str]] = []

    def begin(*argv: str) -> subprocess.Popen[str]:
        environ = {**os.environ, **app.config["SETTINGS"].environ(), "LOG_LEVEL": "WARNING"}
        running.append(subprocess.Popen([sys.executable, "-m", *argv], cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return running[-1]

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_worker_does_jobs_beats_and_stops_when_told(start: Callable[..., subprocess.Popen[str]]) -> None:
    worker = start("jobs.worker", "send", "default", "mail")
    until(lambda: heartbeat.alive("worker") == 1)
    for name, on in (("jobs.poll_registrations.poll_registrations", "default"), ("jobs.fetch_media.fetch_media", "default")):
        queue = Queue(on, connection=redis.client, serializer=JSONSerializer)
        job = queue.enqueue_call(name, args=(1,), timeout=30, result_ttl=60)
        until(lambda: job.get_status(refresh=True).value == "finished")  # noqa: B023 - asked before the loop goes on
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert heartbeat.alive("worker") == 0


def test_L08_a_job_that_kills_its_worker_runs_apart_the_next_time(start: Callable[..., subprocess.Popen[str]]) -> None:
    queue = Queue("default", connection=redis.client, serializer=JSONSerializer)
    first = start("jobs.worker", "default")
    until(lambda: heartbeat.alive("worker") == 1)
    queue.enqueue_call("os.kill", args=(first.pid, 9), timeout=30)
    assert first.wait(20) == -9
    second = start("jobs.worker", "default")
    queue.enqueue_call("os.abort", timeout=30)
    until(lambda: second.poll() is not None)
    third = start("jobs.worker", "default")
    poison = queue.enqueue_call("os.abort", timeout=30)
    until(lambda: poison.get_status(refresh=True).value == "failed")
    good = queue.enqueue_call("jobs.poll_registrations.poll_registrations", timeout=30, result_ttl=60)
    until(lambda: good.get_status(refresh=True).value == "finished")
    assert third.poll() is None


def test_a_worker_refuses_queues_nobody_fills(start: Callable[..., subprocess.Popen[str]]) -> None:
    worker = start("jobs.worker", "nothing")
    assert worker.wait(90) == 2 and ", ".join(background.QUEUES) in (worker.stdout.read() if worker.stdout else "")


def test_the_health_page_says_what_is_missing(start: Callable[..., subprocess.Popen[str]], client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 503 and answer.json == {"status": "down", "database": "ok", "redis": "ok", "workers": 0, "scheduler": "down"}
    scheduler = start("jobs.schedule")
    start("jobs.worker", "send")
    until(lambda: client.get("/healthz").status_code == 200)
    assert client.get("/healthz").json == {"status": "ok", "database": "ok", "redis": "ok", "workers": 1, "scheduler": "ok"}
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(10) == 0
    assert client.get("/healthz").status_code == 503
    monkeypatch.setattr(heartbeat, "alive", lambda part: 1 / 0)
    assert client.get("/healthz").json["redis"] == "down"


def test_a_task_that_fails_is_tried_again_with_growing_pauses(app: Flask) -> None:
    calls: list[int] = []

    def broken() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("away")

    task = schedule.Task(broken, 2.0)
    pauses = []
    for _ in range(4):
        task.attempt()
        pauses.append(round(task.due - time.monotonic()))
    assert pauses == [4, 8, 2, 2]


def test_two_sweepers_ring_once(world: World, bell: Bell, own_redis: None) -> None:
    from inbox import clock

    world.reply(world.conversation(), world.maya)
    bell.rung.clear()
    clock.shift(5)
    sweeps.sweep_outbox()
    sweeps.sweep_outbox()
    assert [job[0] for job in bell.rung] == ["send_message"]


def test_a_crowded_queue_is_left_alone(world: World, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    from inbox import clock

    world.reply(world.conversation(), world.maya)
    bell.rung.clear()
    clock.shift(5)
    monkeypatch.setattr(sweeps, "crowded", lambda queue: True)
    sweeps.sweep_outbox()
    assert not bell.rung


def test_LOCK_3_the_clock_announces_the_prompt_and_the_end(world: World, bell: Bell) -> None:
    from inbox import clock

    conversation = world.conversation()
    with transaction():
        held = conversation.acquire(by=world.maya)
        assert held is not None
    clock.shift(170)
    with transaction():
        conversation.renew_lock(by=world.maya, fence=held.fence, active=False) if conversation.lock_holder() else None
    sweeps.watch_clocks()
    assert conversation.lock_holder() is None
    assert any(fact["what"] == "lock" for fact in bell.facts)


def test_mail_that_the_server_does_not_take_is_tried_again(world: World, bell: Bell, own_redis: None, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    def deliver(email: Any) -> None:
        if not sent:
            sent.append(None)
            raise smtplib.SMTPServerDisconnected("away")
        sent.append(email)

    monkeypatch.setattr(mailers, "deliver", deliver)
    send_mail.send_mail("registration", world.waiting_registration.id)
    entries = redis.client.zrange(send_mail.AGAIN, 0, -1)
    assert len(entries) == 1 and json.loads(entries[0])[2] == 2
    redis.client.zadd(send_mail.AGAIN, {entries[0]: 1})
    sweeps.sweep_mail()
    bell.work()
    assert sent[-1].recipients == json.loads(entries[0])[3:]


