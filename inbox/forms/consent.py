"""What a customer said about texts elsewhere than by text."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import DateField, RadioField, SelectField, TextAreaField

from inbox.forms import spaced
from inbox.models.consent import HOWS


class ConsentForm(FlaskForm):
    """Which inbox, what they want, how and when they said so, and what shows it. The rules are the model's."""

    inbox = SelectField("For texts from", validate_choice=False)
    wants = RadioField("They want", choices={"in": "texts from us", "out": "no more texts"}, validate_choice=False)
    how = SelectField("They told us", choices=HOWS, validate_choice=False)
    on = DateField("On", validators=[], format="%Y-%m-%d")
    evidence = TextAreaField("What they said or signed", filters=[spaced])
