"""The verdict on one row of a file."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox import phone as phones
from inbox.models.base import Model

PROBLEMS = ("conflict", "duplicate", "invalid")


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

    @property
    def shown_phone(self) -> str:
        return phones.display(self.values["phone"]) if self.values.get("phone") else self.values.get("raw_phone", "")
