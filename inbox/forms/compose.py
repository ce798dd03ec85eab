"""A first text."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, MultipleFileField, StringField, TextAreaField

from inbox.models import Refused


class ComposeForm(FlaskForm):
    """Which inbox, to whom, what. The rules are the conversation's."""

    inbox = StringField("From")
    to = StringField("To")
    body = TextAreaField("Message")
    media = MultipleFileField("Pictures")
    nonce = HiddenField()
    at_error: Refused | None = None  # why its moment is none
