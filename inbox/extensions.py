"""The Flask extensions, the database session rules and the Redis connection; bound to an app in create_app()."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager
from flask_mail import Mail
from flask_migrate import Migrate
from flask_sock import Sock
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from htmx_flask import Htmx
from redis import Redis
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase

NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Declarative base with named constraints, so that batch migrations can drop them."""

    metadata = sa.MetaData(naming_convention=NAMES)


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False, "autoflush": True})
login = LoginManager()
csrf = CSRFProtect()
htmx = Htmx()
sock = Sock()
mail = Mail()
migrate = Migrate()
limiter = Limiter(key_func=get_remote_address)


class _Local(threading.local):
    """Per thread: is a write transaction open, and what runs once it has committed."""

    depth: int = 0
    writing: bool = False
    after: list[Callable[[], None]]

    def __init__(self) -> None:
        self.after = []


_local = _Local()
_write_mutex = threading.Lock()  # SQLite's own busy handler is unfair: single writers starve for seconds


def configure_engine(engine: sa.Engine) -> None:
    """Give SQLite WAL, foreign keys and explicit BEGINs (IMMEDIATE for writers); PostgreSQL needs nothing."""
    if engine.dialect.name != "sqlite" or getattr(engine, "_inbox_configured", False):
        return
    engine._inbox_configured = True  # type: ignore[attr-defined]

    @event.listens_for(engine, "connect")
    def pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=wal", "synchronous=full", "foreign_keys=on", "busy_timeout=10000"):
            connection.execute(f"pragma {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if _local.writing else "BEGIN")


@contextmanager
def transaction() -> Iterator[None]:
    """One unit of work: everything inside commits together or not at all; nested calls join the outer one.

    A read transaction that is open on entry is ended first and loaded rows expire, so that every decision inside is
    taken on rows read under the write lock. What `after_commit` was given runs once the outermost commit is durable.
    """
    if _local.depth:
        _local.depth += 1
        try:
            yield
        finally:
            _local.depth -= 1
        return
    session = db.session()
    session.commit()
    session.expire_all()
    mutex = _write_mutex if session.get_bind().dialect.name == "sqlite" else None
    if mutex:
        mutex.acquire()
    _local.depth, _local.writing, _local.after = 1, True, []
    try:
        try:
            yield
            session.commit()
        except BaseException:
            session.rollback()
            raise
    finally:
        callbacks, _local.after = _local.after, []
        _local.depth, _local.writing = 0, False
        if mutex:
            mutex.release()
    for callback in callbacks:
        callback()


@contextmanager
def undone() -> Iterator[None]:
    """Inside a transaction(): what happens here is taken back at the end, with all that waits for the commit; rows loaded before or here are detached."""
    session, kept = db.session(), len(_local.after)
    point = session.begin_nested()
    try:
        yield
    finally:
        if point.is_active:
            point.rollback()
        session.expunge_all()
        del _local.after[kept:]


def after_commit(callback: Callable[[], None]) -> None:
    """Run `callback` when the current transaction has committed (at once when there is none; never on rollback)."""
    if _local.depth:
        _local.after.append(callback)
    else:
        callback()


class RedisHandle:
    """The process's one Redis client, opened on first use after `init_app` told it where."""

    def __init__(self) -> None:
        self.url = ""
        self._client: Redis | None = None
        self._lock = threading.Lock()

    def init_app(self, app: Flask) -> None:
        if self.url != app.config["REDIS_URL"]:
            self.url, self._client = app.config["REDIS_URL"], None

    @property
    def client(self) -> Redis:
        with self._lock:
            if self._client is None:
                self._client = Redis.from_url(self.url, socket_connect_timeout=2, socket_timeout=30)
            return self._client


redis = RedisHandle()
