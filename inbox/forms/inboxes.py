"""The shapes of the wizard's steps and of an inbox's settings."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, IntegerField, RadioField, SelectField, StringField, TextAreaField, TimeField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional

from inbox.forms import lines, spaced
from inbox.models.consent import SCOPES
from inbox.models.inbox import HUES, RINGS

SECONDS = "Enter a number of seconds."
QUIET = {
    "state": "outside 8:00 to 21:00, and outside the shorter hours of stricter states",
    "federal": "outside 8:00 to 21:00",
    "own": "outside hours of our own",
    "off": "not at all",
}


class DetailsForm(FlaskForm):
    """Step 1: what the inbox is called."""

    name = StringField("Name", filters=[spaced], validators=[DataRequired("Give the inbox a name."), Length(max=60, message="Use at most 60 characters.")])
    description = TextAreaField("Description", filters=[lines], validators=[Length(max=500, message="Use at most 500 characters.")])
    team = SelectField("Team")
    hue = RadioField("Color", choices={hue: hue.capitalize() for hue in HUES}, default="blue")
    api_code = StringField("API code", filters=[spaced], validators=[Length(max=32, message="Use at most 32 characters.")])


class NumberForm(FlaskForm):
    """Step 2: which number, and where calls go."""

    area_code = StringField("Area code", filters=[spaced], validators=[Length(max=3, message="An area code has three digits, like 415.")])
    prefix = StringField("Prefix", filters=[spaced], validators=[Length(max=7, message="Use at most seven digits.")])
    phone = HiddenField(filters=[spaced], validators=[Length(max=20)])
    forward_to = StringField("Forward calls to", filters=[spaced], validators=[Length(max=40, message="Use at most 40 characters.")])


class ConfirmForm(FlaskForm):
    """Step 4: nothing to fill in but the promise."""

    consent = BooleanField(validators=[InputRequired("Confirm that people agree to get texts from you; carriers require it.")])


class SettingsForm(FlaskForm):
    """How the reply lock, reopening and automatic replies of an inbox behave."""

    description = TextAreaField("Description", filters=[lines], validators=[Length(max=500, message="Use at most 500 characters.")])
    forward_to = StringField("Forward calls to", filters=[spaced], validators=[Length(max=40, message="Use at most 40 characters.")])
    ring_seconds = IntegerField("Ring it for", validators=[Optional(), NumberRange(*RINGS, message=f"Choose between {RINGS[0]} and {RINGS[1]} seconds.")])
    voicemail = BooleanField("Let callers leave a message when nobody answers")
    greeting = TextAreaField("What callers hear first", filters=[lines], validators=[Optional(), Length(max=320, message="Use at most 320 characters.")])
    lock_on = RadioField("Take the reply lock when someone", choices={"open": "opens a conversation", "typing": "starts to type"})
    idle_after = IntegerField("Ask after", validators=[InputRequired(SECONDS)])
    idle_answer = IntegerField("Release after", validators=[InputRequired(SECONDS)])
    lock_lease = IntegerField("Keep a lost connection’s lock for", validators=[InputRequired(SECONDS)])
    lock_heartbeat = IntegerField("Renew the lock every", validators=[InputRequired(SECONDS)])
    reopen = RadioField("When someone texts again after a conversation was archived", choices={"yes": "Reopen it", "no": "Start a new conversation"})
    sign_texts = BooleanField("End each text with the sender’s first name")
    plain_texts = BooleanField("Always send plain characters")
    stop_reply = TextAreaField("After STOP", filters=[lines], validators=[Optional(), Length(max=320, message="Use at most 320 characters.")])
    start_reply = TextAreaField("After START", filters=[lines], validators=[Optional(), Length(max=320, message="Use at most 320 characters.")])
    help_reply = TextAreaField("After HELP", filters=[lines], validators=[Optional(), Length(max=320, message="Use at most 320 characters.")])
    stop_words = StringField("More words for STOP", filters=[spaced], validators=[Optional(), Length(max=200, message="Use at most 200 characters.")])
    start_words = StringField("More words for START", filters=[spaced], validators=[Optional(), Length(max=200, message="Use at most 200 characters.")])
    help_words = StringField("More words for HELP", filters=[spaced], validators=[Optional(), Length(max=200, message="Use at most 200 characters.")])
    consent_scope = RadioField("A STOP counts for", choices=SCOPES, validate_choice=False)
    double_opt_in = BooleanField("Ask new contacts for a YES before our first text")
    opt_in_request = TextAreaField("The question", filters=[lines], validators=[Optional(), Length(max=320, message="Use at most 320 characters.")])
    quiet = RadioField("Texts that nobody presses Send for wait", choices=QUIET, validate_choice=False)
    quiet_opens = TimeField("Texts may go out from", validators=[Optional()])
    quiet_closes = TimeField("Until", validators=[Optional()])
    append_opt_out = BooleanField("End the first text of a conversation we start with “Reply STOP to opt out.”")
