"""What a template says, and what it may say (TOOL-1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from inbox import placeholders
from inbox.models.base import Refused, one_line
from inbox.models.conversation.replying import clean_body
from inbox.models.gate import MAX_BODY

LANGUAGES = {
    "ar": "Arabic", "zh": "Chinese", "cs": "Czech", "da": "Danish", "nl": "Dutch", "en": "English", "tl": "Filipino", "fi": "Finnish", "fr": "French", "de": "German",
    "ht": "Haitian Creole", "hi": "Hindi", "it": "Italian", "ja": "Japanese", "ko": "Korean", "no": "Norwegian", "fa": "Persian", "pl": "Polish", "pt": "Portuguese",
    "ru": "Russian", "so": "Somali", "es": "Spanish", "sv": "Swedish", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese",
}
SHORTCUT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class Wording:
    """What a template says: a name, a shortcut, a text, and the text in other languages (code -> text)."""

    name: str
    shortcut: str
    body: str
    folder: str = ""
    variants: dict[str, str] = field(default_factory=dict)

    def checked(self, fields: set[str]) -> Wording:
        """The same, cleaned; raises Refused with the field at fault."""
        name, folder, shortcut = one_line(self.name), one_line(self.folder), self.shortcut.strip().lstrip("/").lower()
        if not name or len(name) > 80:
            raise Refused("Use at most 80 characters." if name else "Give it a name.", field="name")
        if not SHORTCUT.fullmatch(shortcut):
            raise Refused("Use letters from a to z, digits and dashes, at most 40.", field="shortcut")
        if len(folder) > 60:
            raise Refused("Use at most 60 characters.", field="folder")
        if set(self.variants) - set(LANGUAGES):
            raise Refused("Choose a language from the list.", field="new_language")
        bodies = {"": clean_body(self.body).strip(), **{code: clean_body(text).strip() for code, text in self.variants.items()}}
        if not bodies[""]:
            raise Refused("Write the text.", field="body")
        for code, text in bodies.items():
            _check(text, fields, f"body_{code}" if code else "body")
        return Wording(name, shortcut, bodies.pop(""), folder, {code: text for code, text in sorted(bodies.items()) if text})


def _check(text: str, fields: set[str], where: str) -> None:
    if len(text) > MAX_BODY:
        raise Refused(f"A text can have at most {MAX_BODY:,} characters; this one has {len(text):,}.", field=where)
    try:
        placeholders.check(text, fields)
    except placeholders.Unknown as unknown:
        raise Refused(str(unknown), field=where) from None
