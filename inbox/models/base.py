"""What every model shares: column types, public ids, and the exceptions that carry the sentence a person reads."""

from __future__ import annotations

import secrets
import unicodedata
from datetime import UTC, datetime
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeDecorator

from inbox import clock
from inbox.extensions import Base, after_commit, db, transaction

__all__ = ["Base", "Model", "Moment", "Refused", "Unindexed", "after_commit", "db", "now_column", "one_line", "public_id", "transaction"]

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime in both databases; refuses naive values."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A moment needs a time zone.")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def public_id() -> str:
    """A short random id for URLs: 14 characters, 69 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(14))


class Model(Base):
    """Base of the tables: an integer key inside; equality is identity within a session."""

    __abstract__ = True
    id: Mapped[int] = mapped_column(primary_key=True)

    def save(self) -> Self:
        """Add the row to the session and flush it."""
        db.session.add(self)
        db.session.flush()
        return self


class Unindexed(sa.ColumnElement[int]):
    """A column that SQLite is to choose no index for, because what else is asked finds few rows; PostgreSQL counts and knows."""

    inherit_cache = True
    type = sa.Integer()
    _traverse_internals = [("column", InternalTraversal.dp_clauseelement)]  # noqa: RUF012 - SQLAlchemy reads it from the class

    def __init__(self, column: Any) -> None:
        self.column = column

    @property
    def _from_objects(self) -> Any:
        return self.column._from_objects


@compiles(Unindexed)
def _plain(element: Unindexed, compiler: Any, **how: Any) -> str:
    return str(compiler.process(element.column, **how))


@compiles(Unindexed, "sqlite")
def _with_plus(element: Unindexed, compiler: Any, **how: Any) -> str:
    return f"+{compiler.process(element.column, **how)}"


def one_line(text: str) -> str:
    """A name or address as it may be stored: no control characters, single blanks (PostgreSQL refuses NUL, no name needs the others)."""
    return " ".join("".join(" " if c in "\t\n\r" else c for c in text if c in "\t\n\r" or unicodedata.category(c) not in ("Cc", "Cs")).split())


def now_column() -> Any:
    """A not-null moment that defaults to now."""
    return mapped_column(Moment, nullable=False, default=clock.now)


class Refused(Exception):
    """A rule said no. `str(error)` is the sentence the person reads; `field` names the form field at fault, if any."""

    status = 422

    def __init__(self, sentence: str, field: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field
