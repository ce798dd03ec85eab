"""The rows of a cast, kept as they were built, and put into an empty database again: as building them anew, at a tenth of the cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from inbox import clock
from inbox.extensions import Base, db
from inbox.models.base import public_id

Row = dict[str, Any]


class Kept:
    """Every row of the database at one moment. `put_back` writes them as if they were new: public ids differ, moments are as long ago as they were then."""

    def __init__(self) -> None:
        self.at = clock.now()
        with db.engine.connect() as connection:
            self.rows = [(table, rows) for table in Base.metadata.tables.values() if table.name != "access_change" and (rows := [dict(row) for row in connection.execute(table.select()).mappings()])]
            self.counters = _counters(connection)

    def put_back(self) -> None:
        since = clock.now() - self.at
        with db.engine.begin() as connection:
            sleep = "SET LOCAL session_replication_role = replica" if connection.dialect.name == "postgresql" else "PRAGMA defer_foreign_keys = ON"
            connection.exec_driver_sql(sleep)
            for table, rows in self.rows:
                connection.execute(table.insert(), [_anew(row, since) for row in rows])
            for name, value in self.counters:
                connection.execute(sa.text("SELECT setval(CAST(:name AS regclass), :value)"), {"name": name, "value": value})


def _anew(row: Row, since: timedelta) -> Row:
    new = {name: value + since if isinstance(value, datetime) else value for name, value in row.items()}
    if "public_id" in new:
        new["public_id"] = public_id()
    return new


def _counters(connection: sa.Connection) -> list[tuple[str, int]]:
    """Where PostgreSQL goes on counting; SQLite counts from the rows."""
    if connection.dialect.name != "postgresql":
        return []
    asked = "SELECT quote_ident(sequencename), last_value FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"
    return [(name, value) for name, value in connection.execute(sa.text(asked))]
