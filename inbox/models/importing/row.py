"""The verdict on one row of a file, and what the run found and left there."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox import phone as phones
from inbox.models.base import Model

PROBLEMS = ("conflict", "duplicate", "invalid")
OF_CONSENT = {"in": "opted in", "out": "opted out", "kept": "opted out, kept"}


class ImportRow(Model):
    """Effect is create, update, unchanged, duplicate, conflict or invalid; `owner` is set, cleared, unknown or empty; `consent` a key of OF_CONSENT or empty.

    `was` and `became` are the contact before (None: it was made) and after the run; an undo puts `was` back where `became` still holds.
    """

    __tablename__ = "import_row"
    import_id: Mapped[int] = mapped_column(sa.ForeignKey("contact_import.id"))
    number: Mapped[int] = mapped_column()
    values: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    effect: Mapped[str] = mapped_column(sa.String(10))
    owner: Mapped[str] = mapped_column(sa.String(8), default="")
    consent: Mapped[str] = mapped_column(sa.String(8), default="")
    changes: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    problem: Mapped[str] = mapped_column(sa.String(300), default="")
    applied: Mapped[bool] = mapped_column(default=False)
    contact_id: Mapped[int | None] = mapped_column()  # no foreign key: an undo may remove the contact
    was: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    became: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    undone: Mapped[str] = mapped_column(sa.String(8), default="")  # removed, restored or left

    __table_args__ = (sa.UniqueConstraint("import_id", "number"),)

    @property
    def shown_phone(self) -> str:
        return phones.display(self.values["phone"]) if self.values.get("phone") else self.values.get("raw_phone", "")

    @property
    def told(self) -> str:
        """What happens to the contact, in words."""
        if self.effect == "create":
            words = ["New contact"]
        elif self.effect == "update":
            words = ["Update" + (f": {', '.join(self.changes)}" if self.changes else "")]
        else:
            words = ["Nothing to change"]
        if self.owner:
            words.append(f"owner {self.owner}")
        return ", ".join([*words, *([OF_CONSENT[self.consent]] if self.consent else [])])
