"""Which phone rings first when a member calls a customer."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, StringField

from inbox.forms import spaced


class CallForm(FlaskForm):
    """The member's own number; the nonce makes a repeated post harmless."""

    phone = StringField("Your phone", filters=[spaced])
    nonce = HiddenField()
