"""The shape of a replay: which of a carrier's requests."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import SelectField, StringField
from wtforms.validators import DataRequired

from inbox.forms.audit import day


class ReplayForm(FlaskForm):
    """Whole days in the reader's zone, both included."""

    carrier = SelectField("Carrier")
    kind = SelectField("Kind")
    inbox = SelectField("Number")
    since = StringField("From day", validators=[DataRequired("Choose the first day.")])
    until = StringField("To day", validators=[DataRequired("Choose the last day.")])

    def validate_since(self, field: Any) -> None:
        day(field.data)

    def validate_until(self, field: Any) -> None:
        day(field.data)
