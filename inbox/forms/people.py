"""The shapes of inviting, accepting, and one's own profile."""

from __future__ import annotations

import re

from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import BooleanField, PasswordField, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, ValidationError

from inbox import dates
from inbox import phone as phones
from inbox.forms import choices, lines, spaced
from inbox.models.profile import BLOCK, ENDING, UNDO_CHOICES, ending

NAME = [DataRequired("Enter your name; your team sees it beside what you send."), Length(max=120, message="Use at most 120 characters.")]


class AddressesForm(FlaskForm):
    """Whom to invite; the role is edited once they were added (ACC-3)."""

    emails = TextAreaField(
        "E-mail addresses", filters=[lines], validators=[DataRequired("Enter at least one address."), Length(max=10_000, message="Paste fewer addresses at once.")]
    )


class InviteForm(AddressesForm):
    """Whom to invite, and as what."""

    role = SelectField("Role")
    seat = BooleanField("Give each of them a seat")


class AcceptForm(FlaskForm):
    """A new member's name and password."""

    name = StringField("Your name", filters=[spaced], validators=NAME)
    password = PasswordField("Password", validators=[DataRequired("Choose a password."), Length(max=200, message="Use at most 200 characters.")])


class ProfileForm(FlaskForm):
    """What a member changes about themselves."""

    name = StringField("Name", filters=[spaced], validators=NAME)
    text_signature = StringField(
        "Under texts", filters=[lambda text: text if text is None else ending(text)], validators=[Length(max=ENDING, message=f"Use at most {ENDING} characters.")]
    )
    email_signature = TextAreaField("Under e-mails", filters=[lines], validators=[Length(max=BLOCK, message=f"Use at most {BLOCK:,} characters.")])
    phone = StringField("Your phone", filters=[spaced], validators=[Length(max=40, message="Use at most 40 characters.")])
    time_zone = SelectField("Time zone")
    language = SelectField("Language of dates and numbers")
    theme = RadioField("Appearance", choices={"auto": "Like the device", "light": "Light", "dark": "Dark"})
    shortcuts = BooleanField("Keyboard shortcuts")
    undo_seconds = RadioField("Time to undo", coerce=int, choices={seconds: f"{seconds} seconds" if seconds else "None" for seconds in UNDO_CHOICES}, validate_choice=False)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.time_zone.choices = choices.time_zones()
        self.language.choices = dates.names()

    def validate_undo_seconds(self, field: RadioField) -> None:
        """One of the choices; a form without the field leaves it as it is."""
        if field.data not in (None, *UNDO_CHOICES):
            raise ValidationError("Choose how long your texts wait.")

    def validate_phone(self, field: StringField) -> None:
        """Keep the number in full; a blank one is fine."""
        if not field.data:
            return
        number = phones.normalize(field.data, current_user.account.country or "US")
        if number is None:
            raise ValidationError("Enter a phone number with its area code, like (415) 555-0100, or leave this blank.")
        field.data = number


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
