"""Runs the migrations: one history for SQLite and PostgreSQL."""

from __future__ import annotations

from alembic import context
from flask import current_app
from sqlalchemy import Connection, create_engine, text

import inbox.models  # noqa: F401  registers the tables
from inbox.extensions import Base
from inbox.models.search.engine import ours


def run() -> None:
    """Migrate over a connection of its own: batch mode copies tables, and with foreign keys on the copy would delete the children."""
    url = current_app.config["SQLALCHEMY_DATABASE_URI"]
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            sqlite = connection.dialect.name == "sqlite"
            if sqlite:
                connection.execute(text("PRAGMA foreign_keys=OFF"))
                connection.commit()
            else:
                connection.execute(text("SELECT pg_advisory_lock(7205759403792793)"))
                connection.commit()
            _migrate(connection)
            if sqlite:
                broken = connection.execute(text("PRAGMA foreign_key_check")).fetchall()
                if broken:
                    raise RuntimeError(f"The migration left {len(broken)} rows pointing nowhere.")
    finally:
        engine.dispose()


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=Base.metadata, render_as_batch=True, compare_type=True, compare_server_default=False,
        user_module_prefix="inbox.models.base.", include_name=lambda name, kind, parents: not (kind == "table" and ours(name)),
    )
    with context.begin_transaction():
        context.run_migrations()


run()
