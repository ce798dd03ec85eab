"""The audit log's filters."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask_wtf import FlaskForm
from wtforms import SelectField, StringField, ValidationError

from inbox import origin

EARLIEST, LATEST = date(2000, 1, 1), date(2099, 12, 31)


def day(text: str | None) -> date | None:
    """The day a date field names; None for nothing; raises ValidationError for what is no day of this century."""
    if not text:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise ValidationError("Enter a day like 2026-11-22.") from None
    if not EARLIEST <= found <= LATEST or len(text) != 10:
        raise ValidationError("Enter a day like 2026-11-22.")
    return found


def place(text: str | None) -> str:
    """Where changes came from, as events note it; raises ValidationError for anything else."""
    words = (text or "").strip().lower()
    if not words or words in (origin.JOB, origin.CARRIER, origin.COMMAND_LINE, origin.UNKNOWN):
        return words
    found = origin.address(words)
    if found == origin.UNKNOWN:
        raise ValidationError("Enter an IP address like 203.0.113.7, or job, carrier or command line.")
    return found


class AuditFilterForm(FlaskForm):
    """GET: the address is the filter. Names and kinds are checked by the view, which knows the account."""

    class Meta:
        csrf = False

    what = SelectField("What", validate_choice=False)
    who = SelectField("Who did it", validate_choice=False)
    about = SelectField("About whom", validate_choice=False)
    since = StringField("From day")
    until = StringField("To day")
    origin = StringField("From where")

    def validate_since(self, field: Any) -> None:
        day(field.data)

    def validate_until(self, field: Any) -> None:
        last = day(field.data)
        try:
            first = day(self.since.data)
        except ValidationError:
            return
        if first and last and last < first:
            raise ValidationError("Choose a day that is not before the first one.")

    def validate_origin(self, field: Any) -> None:
        place(field.data)
