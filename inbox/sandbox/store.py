"""The carrier's memory: one SQLite file that outlives a restart."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from typing import Any

Doc = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS doc (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, sid TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
  parent TEXT NOT NULL DEFAULT '', data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS doc_kind ON doc (kind, parent, seq);
CREATE INDEX IF NOT EXISTS doc_to ON doc (kind, json_extract(data, '$.to'), seq);
CREATE INDEX IF NOT EXISTS doc_from ON doc (kind, json_extract(data, '$.from'), seq);
CREATE TABLE IF NOT EXISTS owned (number TEXT PRIMARY KEY, sid TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS member (number_sid TEXT PRIMARY KEY, service_sid TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS blob (sid TEXT PRIMARY KEY, content_type TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS due (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, lane TEXT NOT NULL, job TEXT NOT NULL, args TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS due_at ON due (at, id);
CREATE TABLE IF NOT EXISTS log (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, event TEXT NOT NULL, sid TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fault (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, remaining INTEGER, probability REAL NOT NULL,
  options TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS opt_out (sender TEXT NOT NULL, customer TEXT NOT NULL, PRIMARY KEY (sender, customer));
CREATE TABLE IF NOT EXISTS phone (
  number TEXT PRIMARY KEY, name TEXT NOT NULL, hue TEXT NOT NULL, outcome TEXT NOT NULL DEFAULT 'auto');
"""
TABLES = ("doc", "owned", "member", "blob", "due", "log", "setting", "fault", "opt_out", "phone")


class Connection(sqlite3.Connection):
    """A connection that goes when its thread goes, and that can be listed until then."""


class Store:
    """One connection per thread for reading and one lock for everyone who writes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._local = threading.local()
        self._lock = threading.RLock()
        self._depth = 0
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.executescript(SCHEMA)

    @property
    def db(self) -> sqlite3.Connection:
        """The calling thread's own connection (a forked child opens a new one)."""
        local = self._local
        if getattr(local, "pid", None) != os.getpid():
            local.db = sqlite3.connect(
                self.path, timeout=30, isolation_level=None, check_same_thread=False, factory=Connection
            )
            local.db.row_factory = sqlite3.Row
            local.db.execute("PRAGMA synchronous=NORMAL")
            local.pid = os.getpid()
            self._open.add(local.db)
        connection: sqlite3.Connection = local.db
        return connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction; nested use joins the outer one."""
        with self._lock:
            db = self.db
            outermost = self._depth == 0
            if outermost:
                db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield db
            except BaseException:
                if outermost and db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            else:
                if outermost and db.in_transaction:
                    db.execute("COMMIT")
            finally:
                self._depth -= 1

    def rows(self, sql: str, *args: Any) -> list[sqlite3.Row]:
        return self.db.execute(sql, args).fetchall()

    def row(self, sql: str, *args: Any) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self.db.execute(sql, args).fetchone()
        return found

    def add(self, kind: str, doc: Doc, parent: str = "") -> Doc:
        with self.write() as db:
            db.execute(
                "INSERT INTO doc (sid, kind, parent, data) VALUES (?, ?, ?, ?)",
                (doc["sid"], kind, parent, json.dumps(doc)),
            )
        return doc

    def get(self, sid: str, kind: str | None = None) -> Doc | None:
        row = self.row("SELECT kind, data FROM doc WHERE sid = ?", sid)
        if row is None or (kind is not None and row["kind"] != kind):
            return None
        doc: Doc = json.loads(row["data"])
        return doc

    def change(self, sid: str, **fields: Any) -> Doc | None:
        """Merge fields into a document; None when it is gone."""
        with self.write() as db:
            doc = self.get(sid)
            if doc is None:
                return None
            doc.update(fields)
            db.execute("UPDATE doc SET data = ? WHERE sid = ?", (json.dumps(doc), sid))
        return doc

    def remove(self, sid: str) -> None:
        with self.write() as db:
            db.execute("DELETE FROM doc WHERE sid = ? OR parent = ?", (sid, sid))

    def list(
        self, kind: str, parent: str | None = None, where: str = "", args: tuple[Any, ...] = (), limit: int = -1,
        offset: int = 0, newest_first: bool = False,
    ) -> list[Doc]:
        sql = "SELECT data FROM doc WHERE kind = ?"
        values: list[Any] = [kind]
        if parent is not None:
            sql += " AND parent = ?"
            values.append(parent)
        if where:
            sql += f" AND {where}"
            values.extend(args)
        sql += f" ORDER BY seq {'DESC' if newest_first else 'ASC'} LIMIT ? OFFSET ?"
        return [json.loads(row["data"]) for row in self.rows(sql, *values, limit, offset)]

    def setting(self, key: str, default: Any = None) -> Any:
        row = self.row("SELECT value FROM setting WHERE key = ?", key)
        return default if row is None else json.loads(row["value"])

    def set(self, key: str, value: Any) -> None:
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)", (key, json.dumps(value)))

    def save_blob(self, sid: str, content_type: str, body: bytes) -> None:
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO blob (sid, content_type, body) VALUES (?, ?, ?)",
                       (sid, content_type, body))

    def blob(self, sid: str) -> tuple[str, bytes] | None:
        row = self.row("SELECT content_type, body FROM blob WHERE sid = ?", sid)
        return None if row is None else (row["content_type"], row["body"])

    def clear(self, keep_settings: tuple[str, ...] = ()) -> None:
        """Forget everything but the named settings."""
        kept = {key: self.setting(key) for key in keep_settings}
        with self.write() as db:
            for table in TABLES:
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the constant above
            for key, value in kept.items():
                if value is not None:
                    self.set(key, value)

    def close(self) -> None:
        with self._lock:
            for connection in list(self._open):
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
            self._open.clear()
            self._local = threading.local()

