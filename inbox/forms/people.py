"""The shapes of inviting, accepting, and one's own profile."""

from __future__ import annotations

import re

from flask_wtf import FlaskForm
from wtforms import BooleanField, PasswordField, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length

from inbox.forms import choices, lines, spaced

NAME = [DataRequired("Enter your name; your team sees it beside what you send."), Length(max=120, message="Use at most 120 characters.")]


class InviteForm(FlaskForm):
    """Whom to invite, and as what."""

    emails = TextAreaField(
        "E-mail addresses", filters=[lines], validators=[DataRequired("Enter at least one address."), Length(max=10_000, message="Paste fewer addresses at once.")]
    )
    role = SelectField("Role")
    seat = BooleanField("Give each of them a seat")


class AcceptForm(FlaskForm):
    """A new member's name and password."""

    name = StringField("Your name", filters=[spaced], validators=NAME)
    password = PasswordField("Password", validators=[DataRequired("Choose a password."), Length(max=200, message="Use at most 200 characters.")])


class ProfileForm(FlaskForm):
    """What a member changes about themselves."""

    name = StringField("Name", filters=[spaced], validators=NAME)
    time_zone = SelectField("Time zone")
    theme = RadioField("Appearance", choices={"auto": "Like the device", "light": "Light", "dark": "Dark"})
    shortcuts = BooleanField("Keyboard shortcuts")

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.time_zone.choices = choices.time_zones()


class PasswordForm(FlaskForm):
    """The old and the new password."""

    current = PasswordField("Current password", validators=[DataRequired("Enter your current password.")])
    password = PasswordField("New password", validators=[DataRequired("Choose a new password."), Length(max=200, message="Use at most 200 characters.")])


def addresses(text: str) -> list[str]:
    """The addresses in pasted text, whatever separates them; `Ana <ana@example.com>` counts once, words stay to be judged."""
    found: list[str] = []
    for piece in re.split(r"[,;\n]", text):
        inside = re.search(r"<([^<>]*)>", piece)
        parts = [inside.group(1).strip()] if inside else piece.split()
        found += [part for part in parts if part and part.casefold() not in {seen.casefold() for seen in found}]
    return found
