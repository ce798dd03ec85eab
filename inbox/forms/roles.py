"""The shapes of making and naming a role, and of handing the account over."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import SelectField, StringField
from wtforms.validators import DataRequired, Length

from inbox.forms import spaced
from inbox.models.role import NAME_MAX


class RoleNameForm(FlaskForm):
    """What a role is called and what it is for."""

    name = StringField("Name", filters=[spaced], validators=[DataRequired("Give the role a name."), Length(max=NAME_MAX, message=f"Use at most {NAME_MAX} characters.")])
    description = StringField("Description", filters=[spaced], validators=[Length(max=200, message="Use at most 200 characters.")])


class RoleForm(RoleNameForm):
    """A new role."""

    copy = SelectField("Start with")


class DeleteRoleForm(FlaskForm):
    """What the holders of a deleted role get instead."""

    replacement = SelectField("They get instead", validate_choice=False)


class OwnershipForm(FlaskForm):
    """Whom to hand the account to, and its name typed as a confirmation."""

    member = SelectField("New owner", validators=[DataRequired("Choose the new owner.")], validate_choice=False)
    account = StringField("Name of the account", filters=[spaced])
