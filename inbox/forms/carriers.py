"""The shapes of a gateway's settings, and of an inbox that texts through it."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import PasswordField, RadioField, SelectField, StringField
from wtforms.validators import DataRequired, Length, Regexp

from inbox.forms import spaced, web_address

PLAIN = "Use letters, digits and signs of the English keyboard, without blanks."
SEND_URL = web_address("Enter the full address of sendsms, like https://sms.example.com:13013/cgi-bin/sendsms.")


class GatewayForm(FlaskForm):
    """How to reach a gateway. The password may stay empty where one is kept."""

    name = StringField("Name", filters=[spaced], validators=[DataRequired("Give the carrier a name."), Length(max=60, message="Use at most 60 characters.")])
    url = StringField("Send URL", filters=[spaced], validators=[DataRequired("Enter the send URL."), Length(max=200, message="Use at most 200 characters."), SEND_URL])
    user = StringField("User name", validators=[DataRequired("Enter the user name."), Length(max=64, message="Use at most 64 letters."), Regexp(r"[\x21-\x7e]+\Z", message=PLAIN)])
    password = PasswordField("Password", validators=[Length(max=200, message="Use at most 200 characters."), Regexp(r"[\x21-\x7e]*\Z", message=PLAIN)])
    sender = StringField("Sender number", filters=[spaced], validators=[DataRequired("Enter the number texts come from."), Length(max=40, message="Use at most 40 characters.")])


class GatewayInboxForm(FlaskForm):
    """An inbox with a number of the gateway."""

    name = StringField("Name", filters=[spaced], validators=[DataRequired("Give the inbox a name."), Length(max=60, message="Use at most 60 characters.")])
    number = StringField("Number", filters=[spaced], validators=[DataRequired("Enter the number."), Length(max=40, message="Use at most 40 characters.")])
    team = SelectField("Team")


class ChoiceForm(FlaskForm):
    """Which carrier an inbox uses."""

    carrier = RadioField("Carrier")
