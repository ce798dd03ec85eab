"""The shape of the first page: the account and its owner."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectField, StringField
from wtforms.validators import DataRequired, Length

from inbox.forms import address, choices, spaced

SHORT = Length(max=120, message="Use at most 120 characters.")


class WelcomeForm(FlaskForm):
    """Account name, country and time zone, and who owns it."""

    account_name = StringField("Company name", filters=[spaced], validators=[DataRequired("Name the account, for example your company."), SHORT])
    country = SelectField("Country", default="US")
    time_zone = SelectField("Time zone", default="America/New_York")
    name = StringField("Your name", filters=[spaced], validators=[DataRequired("Enter your name; customers’ texts show it to your team."), SHORT])
    email = StringField("E-mail", filters=[spaced], validators=[DataRequired("Enter your e-mail address."), address])
    password = PasswordField("Password", validators=[DataRequired("Choose a password."), Length(max=200, message="Use at most 200 characters.")])

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.country.choices = choices.countries()
        self.time_zone.choices = choices.time_zones()
