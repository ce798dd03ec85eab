"""The schema with several carriers is reached from, and left for, the one with a single carrier, with rows in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import downgrade, upgrade

from inbox.extensions import db
from inbox.models import Carrier, Inbox, transaction
from tests.conftest import Bell, free_port, make_app, postgres_url
from tests.world import World


@pytest.fixture(params=["sqlite", "postgresql"])
def own_app(request: pytest.FixtureRequest, tmp_path: Path, bell: Bell) -> Iterator[Flask]:
    """An app on a database of its own."""
    if request.param == "sqlite":
        yield make_app(tmp_path, f"sqlite:///{tmp_path}/inbox.db", free_port())
        return
    server = postgres_url()
    if server is None:
        pytest.skip("PostgreSQL is missing: run `python3 app.py test`, which starts one.")
    name = f"inbox_test_{os.getpid()}_carriers"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    try:
        yield make_app(tmp_path, sa.make_url(server).set(database=name).render_as_string(hide_password=False), free_port())
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        admin.dispose()


def test_rows_survive_both_ways_and_every_inbox_gets_its_accounts_carrier(own_app: Flask) -> None:
    with own_app.app_context():
        upgrade()
        world = World(own_app)
        with transaction():
            row = Carrier.add(world.harbor, "kannel", name="Gateway", api_base="http://x/y", user="u", password="p", sender="12345", public_url="http://localhost", by=world.dana)
            world.pharmacy.use_carrier(row, by=world.dana)
        ours, theirs = world.carrier.id, world.north_carrier.id
        before = db.session.scalar(sa.select(sa.func.count()).select_from(Inbox))
        db.session.remove()
        db.engine.dispose()
        downgrade(revision="0007")
        assert "carrier_id" not in {column["name"] for column in sa.inspect(db.engine).get_columns("inbox")}
        db.engine.dispose()
        upgrade()
        inboxes = db.session.scalars(sa.select(Inbox)).all()
        assert len(inboxes) == before
        assert {(each.name, each.carrier_id) for each in inboxes} == {("Front Desk", ours), ("Pharmacy", ours), ("Billing", ours), ("CANARY Reception", theirs)}
        carriers = db.session.scalars(sa.select(Carrier)).all()
        assert {each.id for each in carriers} == {ours, theirs} and {each.kind for each in carriers} == {"twilio"}
        assert len({each.public_id for each in carriers}) == 2 and all(len(each.public_id) == 14 for each in carriers)
        assert carriers[0].credentials.auth_token
        db.session.remove()
        db.engine.dispose()
