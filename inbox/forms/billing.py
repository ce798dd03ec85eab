"""The shapes of adding funds and of changing the seats. The rules are the payment's and the subscription's."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange

from inbox.forms import spaced


class FundsForm(FlaskForm):
    """How much, and where it can be found in the bank statement."""

    amount = StringField(
        "Amount in US dollars", filters=[spaced], validators=[DataRequired("Enter an amount, like 50 or 49.90."), Length(max=20, message="Enter a shorter amount.")]
    )
    note = StringField(
        "Reference",
        filters=[spaced],
        validators=[DataRequired("Say how the money came, for example the number of the bank transfer."), Length(max=120, message="Use at most 120 characters.")],
    )
    nonce = HiddenField(validators=[Length(max=40)])


class SeatsForm(FlaskForm):
    """How many seats there should be; `seen` and `quote` are what the person was shown."""

    seats = IntegerField(
        "Seats", validators=[InputRequired("Enter how many seats you want in total."), NumberRange(0, 100_000, message="Enter how many seats you want in total.")]
    )
    seen = IntegerField(validators=[InputRequired("Reload the page and try again.")])
    quote = IntegerField(validators=[InputRequired("Reload the page and try again.")])
    nonce = HiddenField(validators=[Length(max=40)])
