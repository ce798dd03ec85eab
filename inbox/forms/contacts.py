"""The shape of a contact's form and of an upload."""

from __future__ import annotations

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import SelectField, StringField
from wtforms.validators import Length, Optional, Regexp

from inbox.models.importing.cells import EMAIL


class ContactForm(FlaskForm):
    """Name, e-mail and owner; the number stays what the customer texts from."""

    first = StringField("First name", validators=[Length(max=80, message="Use at most 80 characters.")])
    last = StringField("Last name", validators=[Length(max=80, message="Use at most 80 characters.")])
    email = StringField(
        "Email",
        validators=[Optional(), Length(max=254, message="Use at most 254 characters."), Regexp(rf"^{EMAIL.pattern}$", message="That is not an email address.")],
    )
    owner = SelectField("Contact owner", validate_choice=False)


class NewContactForm(ContactForm):
    """The same with a number."""

    phone = StringField("Mobile number", validators=[Length(max=40, message="Use at most 40 characters.")])


class UploadForm(FlaskForm):
    """One file."""

    file = FileField("File")
