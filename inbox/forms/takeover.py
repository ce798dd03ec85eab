"""Why somebody takes over."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import StringField


class TakeoverForm(FlaskForm):
    """The reason a teammate will read."""

    reason = StringField("Reason")
