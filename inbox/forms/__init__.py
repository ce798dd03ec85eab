"""The shape of what forms send. Rules live in the models; `put` shows their refusals at the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import email_validator
from flask_wtf import FlaskForm
from wtforms import Field
from wtforms.validators import ValidationError

from inbox.models import Refused


def spaced(value: Any) -> Any:
    """Text without NUL, with single spaces and none at the ends."""
    return " ".join(value.replace("\x00", "").split()) if isinstance(value, str) else value


def lines(value: Any) -> Any:
    """Text of several lines: no NUL, plain line ends, nothing around it."""
    return value.replace("\x00", "").replace("\r\n", "\n").strip() if isinstance(value, str) else value


def is_address(text: str) -> bool:
    """Whether this can be an e-mail address; nobody is asked whether it exists."""
    try:
        email_validator.validate_email(text, check_deliverability=False, test_environment=True)
    except email_validator.EmailNotValidError:
        return False
    return len(text) <= 254


def address(form: FlaskForm, field: Field) -> None:
    """The validator of e-mail fields."""
    if not is_address(field.data or ""):
        raise ValidationError("Enter an e-mail address, like ana@example.com.")


def web_address(sentence: str) -> Callable[[FlaskForm, Field], None]:
    """The validator of fields for the whole address of a server: http or https, with no query, fragment or user; `sentence` is the refusal."""

    def check(form: FlaskForm, field: Field) -> None:
        try:
            parts = urlsplit(field.data)
            fine = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment or parts.username) and parts.port != 0
        except ValueError:
            fine = False
        if not fine:
            raise ValidationError(sentence)

    return check


def put(form: FlaskForm, error: Refused, **names: str) -> None:
    """Show a refusal at the field it names (`names` translates the model's to the form's), else above the form."""
    name = names.get(error.field or "", error.field or "")
    if name in form:
        form[name].errors = [*form[name].errors, error.sentence]
    else:
        form.form_errors.append(error.sentence)
