"""The name of a saved view, and whose it is."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import BooleanField, StringField

from inbox.forms import spaced


class SavedViewForm(FlaskForm):
    """Shape only: the model says what a name may be and who may share."""

    name = StringField("Name", filters=[spaced])
    shared = BooleanField("For the whole team")
