"""Fixtures of the whole suite. A test that asks for `app` (or anything built on it) runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import importlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask
from playwright.sync_api import Browser, expect, sync_playwright
from werkzeug.serving import make_server

from inbox import background, clock, config, create_app, realtime, throttle
from inbox.extensions import db
from inbox.models import member as member_module
from inbox.models import profile as profile_module
from tests import pages
from tests.world import World

SID, TOKEN = "AC" + "5" * 32, "0123456789abcdef0123456789abcdef"
member_module._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # the real cost is tested where it matters
profile_module.UNDO_USUAL = 0  # texts leave at once; tests/models/test_undo.py has what waits
FERNET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_url() -> str | None:
    """The server the runner provides or found; None when the suite must say why it skips."""
    return os.environ.get("TEST_POSTGRES_URL") or _local_postgres()


def _local_postgres() -> str | None:
    url = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
    try:
        sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": 2}).connect().close()
    except Exception:
        return None
    return url


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" in metafunc.fixturenames:
        one = metafunc.definition.get_closest_marker("one_database")
        metafunc.parametrize("database", ["sqlite"] if one else ["sqlite", "postgresql"], scope="session")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "flaky: gets a second try")
    config.addinivalue_line("markers", "one_database: the database makes no difference, SQLite is enough")


WHOLE_SYSTEMS = ("browser", "contract", "faults", "launch", "live")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What watches several processes by the clock gets a second try on a busy machine; every one that needed it is counted as a rerun."""
    for item in items:
        if item.path.parent.name in WHOLE_SYSTEMS or item.path.name == "test_live.py" or "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def carrier_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def sandbox_app(tmp_path_factory: pytest.TempPathFactory, carrier_port: int) -> Iterator[Any]:
    """A sandbox carrier on a real port, with quick reviews."""
    os.environ["SANDBOX_FAST_REVIEW"] = "1"
    os.environ["SANDBOX_URL"] = f"http://127.0.0.1:{carrier_port}"
    sandbox = importlib.import_module("inbox.sandbox")
    carrier = sandbox.create_sandbox(str(tmp_path_factory.mktemp("carrier") / "sandbox.db"), SID, TOKEN)
    server = make_server("127.0.0.1", carrier_port, carrier, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield carrier
    server.shutdown()
    thread.join(5)
    server.server_close()


def make_app(folder: Path, url: str, carrier_port: int, public_url: str = "http://localhost") -> Flask:
    """An app of its own on a database, as the suite configures it."""
    settings = config.load(
        {
            "INBOX_DATA": str(folder), "DATABASE_URL": url, "REDIS_URL": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9"),
            "PUBLIC_URL": public_url, "SANDBOX_URL": f"http://127.0.0.1:{carrier_port}", "SECRET_KEY": "k" * 40, "ENCRYPTION_KEY": FERNET,
        }
    )
    app = create_app(settings, TESTING=True, PROPAGATE=True, RATELIMIT_ENABLED=False)
    carrier = f"http://127.0.0.1:{carrier_port}"
    app.config["CARRIER"] = {
        "account_sid": SID, "auth_token": TOKEN, "api_base": carrier, "messaging_base": carrier, "trusthub_base": carrier, "trusted": True, "public_url": public_url,
    }
    app.test_client_class = pages.CheckedClient
    return app


@pytest.fixture(scope="session")
def base_app(database: str, tmp_path_factory: pytest.TempPathFactory, carrier_port: int, worker_id: str) -> Iterator[Flask]:
    """One app per database and worker, with the migrated schema."""
    from flask_migrate import upgrade

    folder = tmp_path_factory.mktemp(database)
    with own_database(database, folder, f"inbox_test_{os.getpid()}_{worker_id}") as url:
        app = make_app(folder, url, carrier_port)
        with app.app_context():
            upgrade()
            db.engine.dispose()
        if database == "sqlite":
            shutil.copy(folder / "inbox.db", folder / "template.db")
        yield app
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@contextmanager
def own_database(database: str, folder: Path, name: str) -> Iterator[str]:
    """The address of an empty database: a file of the folder, or one of that name on the server, dropped afterwards."""
    if database == "sqlite":
        yield f"sqlite:///{folder}/inbox.db"
        return
    server = postgres_url()
    if server is None:
        pytest.skip("PostgreSQL is missing: run `python3 app.py test`, which starts one.")
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    admin.dispose()


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


class Bell:
    """What would go to the queue: jobs run when the test says so, in order."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, tuple[Any, ...]]] = []
        self.facts: list[dict[str, Any]] = []

    def work(self, rounds: int = 20) -> int:
        """Run what was rung for, and what that rings for; returns the number of jobs."""
        done = 0
        for _ in range(rounds):
            batch, self.rung = self.rung, []
            if not batch:
                return done
            for name, args in batch:
                getattr(importlib.import_module(f"jobs.{name}"), name)(*args)
                done += 1
        return done


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> Bell:
    """Catches jobs and facts instead of Redis."""
    bell = Bell()
    monkeypatch.setattr(background, "_ring", lambda job, args, on: bell.rung.append((job, tuple(args))))
    monkeypatch.setattr(realtime, "_send", bell.facts.append)
    monkeypatch.setattr(throttle, "take", lambda which, segments, lane: 0.0)  # as fast as they can; tests/jobs/test_throttle.py has the real one
    return bell


@pytest.fixture
def suite_app(base_app: Flask, database: str, bell: Bell) -> Iterator[Flask]:
    """The app on an empty database, inside an app context; for folders that have an `app` of their own, too."""
    with base_app.app_context():
        _empty(base_app, database)
        clock.reset()
        yield base_app
        db.session.remove()
        clock.reset()


@pytest.fixture
def app(suite_app: Flask) -> Flask:
    return suite_app


# Truncating makes new files for every table and index; most tables hold nothing, and the rest a few rows. Final rows may go: triggers sleep meanwhile.
EMPTY = """
DO $$ DECLARE name text; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE 'DELETE FROM ' || quote_ident(name);
  END LOOP;
  PERFORM setval(quote_ident(sequencename)::regclass, 1, false) FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$
"""


def _empty(app: Flask, database: str) -> None:
    db.session.remove()
    if database == "sqlite":
        db.engine.dispose()
        folder = Path(app.config["SETTINGS"].data_dir)
        for suffix in ("-wal", "-shm"):
            (folder / f"inbox.db{suffix}").unlink(missing_ok=True)
        shutil.copy(folder / "template.db", folder / "inbox.db")
        return
    with db.engine.begin() as connection:
        connection.exec_driver_sql(EMPTY)


@pytest.fixture
def world(app: Flask) -> World:
    """The cast of tests/world.py."""
    return World.again(app)


@pytest.fixture
def client(app: Flask) -> pages.CheckedClient:
    """Somebody who is not signed in."""
    return app.test_client()  # type: ignore[return-value]


@pytest.fixture
def together() -> Callable[..., list[Any]]:
    """Run a function in n threads at the same moment; returns results or exceptions, in order."""

    def run(function: Callable[[int], Any], n: int, app: Flask) -> list[Any]:
        gate = threading.Barrier(n)
        results: list[Any] = [None] * n

        def one(i: int) -> None:
            with app.app_context():
                gate.wait(10)
                try:
                    results[i] = function(i)
                except Exception as error:
                    results[i] = error
                finally:
                    db.session.remove()

        threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return results

    return run


FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
]


def chromium() -> str | None:
    return os.environ.get("TEST_CHROMIUM") or next((p for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome") if Path(p).exists()), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("A browser is missing: apt-get install chromium")
    expect.set_options(timeout=15_000)  # the machine may be busy
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
