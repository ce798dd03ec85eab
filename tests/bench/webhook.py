"""What one inbound text costs: CPU in every process, from the carrier's request to the message in its conversation."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from inbox import background
from inbox.extensions import redis
from inbox.models import WebhookEvent, db
from jobs.apply_webhook import apply_webhook
from tests.conftest import FERNET, SID, TOKEN, make_app
from tests.fuzz.payloads import FORM, form
from tests.fuzz.webhooks import Wire, twilio_signature
from tests.run import ROOT, postgres, valkey
from tests.world import World

COUNT = 200
LOOPS = 1_000_000
_sids = itertools.count(1)


def requests(token: str, to: str, count: int) -> list[dict[str, Any]]:
    """Signed requests of a carrier, each with another text, as the web server hands them over."""
    made = []
    for sid in itertools.islice(_sids, count):
        fields = form(
            ToCountry="US", ToState="CA", SmsMessageSid=f"SM{sid:032x}", NumMedia="0", ToCity="", FromZip="94107", SmsSid=f"SM{sid:032x}", FromState="CA", SmsStatus="received",
            FromCity="SAN FRANCISCO", Body="Hi! Is my order ready, and can I pick it up today?", FromCountry="US", To=to, ToZip="", NumSegments="1", MessageSid=f"SM{sid:032x}",
            AccountSid=SID, From=f"+1415555{1000 + sid % 50}", ApiVersion="2010-04-01",
        )
        wire = Wire("POST", f"/hooks/sms/{token}/messages".encode(), b"", FORM, {"User-Agent": "TwilioProxy/1.1", "I-Twilio-Idempotency-Token": "x"}, fields.body, len(fields.body))
        wire.headers["X-Twilio-Signature"] = twilio_signature(wire, TOKEN)
        made.append(wire.environ())
    return made


def call(app: Flask, environs: list[dict[str, Any]]) -> float:
    """Make the requests; ms of this process's CPU for each."""
    statuses: list[str] = []
    began = time.process_time()
    for environ in environs:
        answer = app.wsgi_app(environ, lambda status, headers, error=None: statuses.append(status))
        b"".join(answer)
        answer.close()  # type: ignore[attr-defined]
    spent = time.process_time() - began
    assert statuses == ["200 OK"] * len(environs), statuses
    return spent * 1000 / len(environs)


def fixed_work() -> float:
    """ms of CPU for a million rounds of a loop, to compare machines and moments."""
    began, total = time.process_time(), 0
    for i in range(LOOPS):
        total += i
    return (time.process_time() - began) * 1000


def cpu_of(pid: int) -> float:
    """ms of CPU of a process and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * 1000 / os.sysconf("SC_CLK_TCK")


def redis_cpu() -> float:
    told: Any = redis.client.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"]) * 1000


def server_cpu() -> float:
    """ms of CPU of the database server's processes that serve our database; SQLite has none of its own."""
    if db.engine.dialect.name == "sqlite":
        return 0.0
    with db.engine.connect() as connection:
        pids = connection.execute(sa.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")).scalars().all()
    return sum(cpu_of(pid) for pid in pids)


@contextlib.contextmanager
def worker(app: Flask, folder: Path) -> Iterator[int]:
    """A worker as the product starts it; its process id."""
    settings = app.config["SETTINGS"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TEST_", "SANDBOX_"))}
    environ |= {
        "INBOX_DATA": str(folder), "DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url, "SECRET_KEY": "k" * 40, "ENCRYPTION_KEY": FERNET, "LOG_LEVEL": "ERROR",
        "SANDBOX_URL": "http://127.0.0.1:9",
    }
    process = subprocess.Popen([sys.executable, "-m", "jobs.worker", "default"], cwd=ROOT, env=environ)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def wait_applied() -> None:
    """Until nothing waits and the worker has nothing to do."""
    deadline = time.monotonic() + 300
    waiting = sa.select(sa.func.count(WebhookEvent.id)).where(WebhookEvent.applied_at.is_(None))
    while background.queue("default").count or db.session.scalar(waiting):
        assert time.monotonic() < deadline, "the worker is too slow"
        db.session.rollback()
        time.sleep(0.2)


def measure(database: str) -> dict[str, Any]:
    """The figures on one database, in ms of CPU for each text."""
    from flask_migrate import upgrade

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cost-", ignore_cleanup_errors=True)))
        url = f"sqlite:///{folder}/inbox.db" if database == "sqlite" else stack.enter_context(postgres(folder))
        with _environment(TEST_REDIS_URL=stack.enter_context(valkey(folder))):
            app = make_app(folder, url, 9)
        with app.app_context():
            upgrade()
            world = World(app)
            token, to = world.carrier.hook_token, world.front.phone or ""
            db.session.remove()
        call(app, requests(token, to, 30))
        with app.app_context():
            background.queue("default").empty()
            ids = list(db.session.scalars(sa.select(WebhookEvent.id)))
            db.session.remove()
        figures: dict[str, Any] = {"database": database, "texts": COUNT, "a million loops": round(fixed_work(), 1)}
        with app.app_context():
            for event_id in ids:
                apply_webhook(event_id)
            call_ids = _stored(app, token, to)
            began = time.process_time()
            for event_id in call_ids:
                apply_webhook(event_id)
            figures["applied, in process"] = round((time.process_time() - began) * 1000 / len(call_ids), 2)
            background.queue("default").empty()
            db.session.remove()
        with worker(app, folder) as pid, app.app_context():
            call(app, requests(token, to, 5))
            wait_applied()
            before = cpu_of(pid), redis_cpu(), server_cpu()
            db.session.remove()
            texts = requests(token, to, COUNT)
            figures["stored durably, web process with its Redis client"] = round(call(app, texts), 2)
            middle = redis_cpu(), server_cpu()
            wait_applied()
            after = cpu_of(pid), redis_cpu(), server_cpu()
            figures["worker process, with everything the text sets off"] = round((after[0] - before[0]) / COUNT, 2)
            figures["Redis server while stored"] = round((middle[0] - before[1]) / COUNT, 2)
            figures["Redis server in all"] = round((after[1] - before[1]) / COUNT, 2)
            if database != "sqlite":
                figures["PostgreSQL server in all"] = round((after[2] - before[2]) / COUNT, 2)
            assert db.session.scalar(sa.select(sa.func.count(WebhookEvent.id)).where(WebhookEvent.problem.is_not(None))) == 0
            db.session.remove()
            db.engine.dispose()
    return figures


def _stored(app: Flask, token: str, to: str) -> list[int]:
    """A hundred texts that are stored and not applied."""
    call(app, requests(token, to, 100))
    return list(db.session.scalars(sa.select(WebhookEvent.id).where(WebhookEvent.applied_at.is_(None)).order_by(WebhookEvent.id)))


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
