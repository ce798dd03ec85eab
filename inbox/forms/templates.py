"""The shape of a template's form."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, RadioField, SelectField, SelectMultipleField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice

from inbox.forms import lines, spaced
from inbox.models.wording import LANGUAGES

SCOPES = [SelectChoice("mine", "Only me"), SelectChoice("team", "The whole team")]
OFFERED = [SelectChoice("", "Choose a language"), *(SelectChoice(code, name) for code, name in LANGUAGES.items())]


class TemplateForm(FlaskForm):
    """What it is called and says, in which languages, for whom and where; the model knows what may be saved."""

    name = StringField("Name", filters=[spaced])
    shortcut = StringField("Shortcut", filters=[spaced])
    folder = StringField("Folder", filters=[spaced])
    body = TextAreaField("Text", filters=[lines])
    scope = RadioField("Who can insert it", choices=SCOPES, validate_choice=False, default="mine")
    inboxes = SelectMultipleField("Only in", validate_choice=False)
    new_language = SelectField("Language", choices=OFFERED, validate_choice=False, default="")
    new_body = TextAreaField("Text in that language", filters=[lines])
    version = HiddenField()

    @property
    def variants(self) -> dict[str, str]:
        """The texts in other languages, by code."""
        own = {code: self[f"body_{code}"].data or "" for code in LANGUAGES}
        return {code: text for code, text in own.items() if text} | ({self.new_language.data or "": self.new_body.data} if self.new_body.data else {})


for _code, _name in LANGUAGES.items():
    setattr(TemplateForm, f"body_{_code}", TextAreaField(f"Text in {_name}", filters=[lines]))
