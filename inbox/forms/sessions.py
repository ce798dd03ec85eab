"""The shape of the sign-in form."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, StringField

from inbox.forms import spaced


class SignInForm(FlaskForm):
    """Address and password; `next` is where the person wanted to go."""

    email = StringField("E-mail", filters=[spaced])
    password = PasswordField("Password")
    next = HiddenField()
