"""The shapes of what one changes about one's own sign-in, and about the account's single sign-on."""

from __future__ import annotations

import re

from flask_wtf import FlaskForm
from wtforms import BooleanField, PasswordField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length

from inbox.forms import address, lines, spaced, web_address


class NewPasswordForm(FlaskForm):
    """A new password."""

    password = PasswordField("New password", validators=[DataRequired("Choose a new password."), Length(max=200, message="Use at most 200 characters.")])


class AddressForm(FlaskForm):
    """An e-mail address."""

    email = StringField("E-mail", filters=[spaced], validators=[DataRequired("Enter an e-mail address."), address])


class CodeForm(FlaskForm):
    """A code of the app or a recovery code."""

    code = StringField("Code", filters=[spaced], validators=[DataRequired("Enter the code."), Length(max=40, message="A code is shorter than that.")])


class PasskeyNameForm(FlaskForm):
    """What a passkey is called."""

    name = StringField("Name of the passkey", filters=[spaced], validators=[DataRequired("Give it a name."), Length(max=60, message="Use at most 60 characters.")])


ISSUER = web_address("Enter the issuer’s address, like https://login.example.com.")


class ProviderForm(FlaskForm):
    """The OpenID provider of the account."""

    issuer = StringField("Issuer", filters=[spaced], validators=[DataRequired("Enter the issuer’s address."), Length(max=300, message="Use at most 300 characters."), ISSUER])
    client_id = StringField("Client ID", filters=[spaced], validators=[DataRequired("Enter the client ID."), Length(max=300, message="Use at most 300 characters.")])
    secret = PasswordField("Client secret", validators=[Length(max=500, message="Use at most 500 characters.")])
    domains = TextAreaField("E-mail domains", filters=[lines], validators=[Length(max=4000, message="Enter fewer domains.")])
    enabled = BooleanField("Offer it on the sign-in page")
    exclusive = BooleanField("Only single sign-on")

    @property
    def domain_list(self) -> list[str]:
        """The domains as written, one each: lower case, without @."""
        return list(dict.fromkeys(word.casefold().lstrip("@").rstrip(".") for word in re.split(r"[\s,;]+", self.domains.data or "") if word))
