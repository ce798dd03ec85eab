"""One database of 100,000 conversations for each kind of database and test process; tests here read it, and what a job changes in it stays changed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from flask import Flask
from flask_migrate import upgrade

from inbox import background, clock, realtime, throttle
from inbox.extensions import db
from tests.conftest import Bell, make_app, own_database
from tests.pages import CheckedClient
from tests.plans.gaps import GAPS
from tests.plans.judge import Judge
from tests.plans.seed import Seed


@pytest.fixture(scope="session")
def large(database: str, tmp_path_factory: pytest.TempPathFactory, carrier_port: int, worker_id: str) -> Iterator[tuple[Flask, Seed]]:
    """An app on a database with everything in it."""
    folder = tmp_path_factory.mktemp(f"plans-{database}")
    with own_database(database, folder, f"inbox_plans_{os.getpid()}_{worker_id}") as url:
        app = make_app(folder, url, carrier_port)
        with app.app_context(), pytest.MonkeyPatch.context() as quiet:
            quiet.setattr(background, "_ring", lambda job, args, on: None)
            quiet.setattr(realtime, "_send", lambda fact: None)
            upgrade()
            seed = Seed(app)
            db.session.remove()
        print(f"\n{database}: {seed.seconds:.1f} s to seed")
        yield app, seed
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def app(large: tuple[Flask, Seed], bell: Bell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setattr(throttle, "take", lambda which, segments, lane: 0.0)
    with large[0].app_context():
        clock.reset()
        yield large[0]
        db.session.remove()
        clock.reset()


@pytest.fixture
def seed(large: tuple[Flask, Seed], app: Flask) -> Seed:
    return large[1].again()


@pytest.fixture
def client(app: Flask) -> CheckedClient:
    return app.test_client()  # type: ignore[return-value]


@pytest.fixture(scope="session")
def judges() -> dict[str, Judge]:
    """One for each database, made when it is first asked for."""
    return {}


@pytest.fixture
def judge(judges: dict[str, Judge], database: str, app: Flask) -> Judge:
    if database not in judges:
        judges[database] = Judge()
    return judges[database]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Known gaps do not hide new ones; they are counted as expected failures until they are mended."""
    for item in items:
        if item.path.parent.name == "plans" and item.name in GAPS:
            item.add_marker(pytest.mark.xfail(reason="known, see tests/plans/gaps.py", strict=False))
