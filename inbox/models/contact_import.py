"""A CSV import of contacts: uploaded, mapped, checked row by row, applied in batches (DATA-1)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox.models.base import Model, Moment, now_column, public_id


class ContactImport(Model):
    """One file. States: mapping, checking, checked, running, done, failed, canceled."""

    __tablename__ = "contact_import"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    filename: Mapped[str] = mapped_column(sa.String(200))
    data: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)
    encoding: Mapped[str] = mapped_column(sa.String(40), default="")
    delimiter: Mapped[str] = mapped_column(sa.String(1), default=",")
    header: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    sample: Mapped[list[list[str]]] = mapped_column(sa.JSON, default=list)
    mapping: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    state: Mapped[str] = mapped_column(sa.String(10), default="mapping")
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    counts: Mapped[dict[str, int]] = mapped_column(sa.JSON, default=dict)
    problem: Mapped[str] = mapped_column(sa.String(300), default="")
    created_at: Mapped[datetime] = now_column()
    finished_at: Mapped[datetime | None] = mapped_column(Moment)


class ImportRow(Model):
    """The verdict on one row: effect is create, update, unchanged, duplicate, conflict or invalid; `owner` is set, cleared or empty."""

    __tablename__ = "import_row"
    import_id: Mapped[int] = mapped_column(sa.ForeignKey("contact_import.id"))
    number: Mapped[int] = mapped_column()
    values: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    effect: Mapped[str] = mapped_column(sa.String(10))
    owner: Mapped[str] = mapped_column(sa.String(8), default="")
    problem: Mapped[str] = mapped_column(sa.String(300), default="")
    applied: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (sa.UniqueConstraint("import_id", "number"),)
