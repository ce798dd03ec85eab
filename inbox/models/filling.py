"""A template made into a text for one customer: what is known is filled in, what is missing is asked for (TOOL-1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from babel import Locale

from inbox import clock, dates, placeholders
from inbox.models.base import Refused, db, one_line
from inbox.models.contact import Contact
from inbox.models.contact_field import ContactField
from inbox.models.conversation import Conversation
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.models.message import Message
from inbox.models.template import Template, TemplateUse, matching
from inbox.models.wording import LANGUAGES
from inbox.permissions import Permission
from inbox.placeholders import Place

OFFERED = 8
COMPARED = 200  # templates looked at for a suggestion
LIKE = 0.34
_LANGUAGE_FIELDS = ("language", "preferred_language", "lang", "locale", "idioma", "sprache", "langue")
_WORD = re.compile(r"[^\W\d_]{3,}")
_SMALL = (
    "about after again all also and any are back because been before but can come could day did does don for from get give going good got had has have hello help her hey "
    "him his how just know let like make may more much need not now one our out over please see she should some soon still tell than thank thanks that the their them "
    "then there they this time too today until very want was way were what when where which who why will with would yes yet you your"
)
_COMMON = frozenset(_SMALL.split())


@dataclass(frozen=True)
class Filled:
    """A template for one customer: the text so far, what is still missing, and in which language it is (empty for its usual one)."""

    template: Template
    text: str
    missing: list[Place] = field(default_factory=list)
    language: str = ""


@dataclass(frozen=True)
class Setting:
    """Whom a text is for: an inbox, the contact when there is one, and who writes."""

    inbox: Inbox
    contact: Contact | None
    by: Member

    @staticmethod
    def of(conversation: Conversation, by: Member) -> Setting:
        return Setting(conversation.inbox, conversation.contact, by)

    def templates(self) -> Any:
        """The query of templates that may be inserted here."""
        return Template.scope(self.by, inbox=self.inbox).where(Template.archived_at.is_(None))

    def offered(self, words: str = "", limit: int = OFFERED) -> list[Template]:
        """Templates that hold the words: the one with that shortcut, those it begins, then what `by` used last, then by name."""
        last = sa.select(TemplateUse.template_id, sa.func.max(TemplateUse.at).label("at")).where(TemplateUse.member_id == self.by.id).group_by(TemplateUse.template_id).subquery()
        start = one_line(words).casefold()
        rank = [sa.case((Template.shortcut == start, 0), (sa.func.substr(Template.shortcut, 1, len(start)) == start, 1), else_=2)] if start else []
        query = self.templates().where(*matching(words)).outerjoin(last, last.c.template_id == Template.id)
        return list(db.session.scalars(query.order_by(*rank, last.c.at.is_(None), last.c.at.desc(), Template.name, Template.id).limit(limit)))

    def value(self, place: Place) -> str:
        """What is known for a placeholder; empty when nothing is."""
        contact, by = self.contact, self.by
        if place.name == "today":
            return dates.written(by.language).day(clock.now().astimezone(_zone(by.time_zone)))
        if place.name.startswith(("agent.", "inbox.")):
            return {"agent.first_name": by.name.split()[0], "agent.name": by.name, "inbox.name": self.inbox.name}[place.name]
        if contact is None or place.asks:
            return ""
        known = {"contact.first_name": contact.first_name, "contact.last_name": contact.last_name, "contact.name": contact.name if contact.named else ""}
        if place.name in known:
            return known[place.name]
        kept = contact.fields or {} if by.can(Permission.CONTACTS_VIEW) else {}
        found = [field for field in self._fields if kept.get(field.key) and place.name in (f"contact.{placeholders.key(name)}" for name in (field.name, field.key))]
        return found[0].shown(kept[found[0].key], by.language)[:200] if found else ""

    @cached_property
    def _fields(self) -> list[ContactField]:
        return ContactField.of(self.inbox.account_id)

    def fill(self, template: Template, answers: Mapping[str, str] | None = None) -> Filled:
        """The template as a text for this customer, in their language where it has that; `answers` by placeholder name stand in for what is missing."""
        language = language_of(self.contact)
        language = language if language in template.variants else ""
        body, given = template.variants.get(language, template.body), answers or {}
        missing = [place for place in placeholders.places(body) if not self.value(place) and not _answer(place, given) and place.fallback is None]
        text = placeholders.fill(body, lambda place: self.value(place) or _answer(place, given))
        return Filled(template, text, list({place.name: place for place in missing}.values()), language)

    def insert(self, template: Template, answers: Mapping[str, str]) -> str:
        """The finished text, counted as used; raises Refused while something is missing."""
        filled = self.fill(template, answers)
        if filled.missing:
            raise Refused("Fill in what is missing first.", field=filled.missing[0].name)
        template.insert(by=self.by)
        return filled.text


def _answer(place: Place, answers: Mapping[str, str]) -> str:
    return one_line(answers.get(place.name, ""))[:500]


def suggestion(conversation: Conversation, by: Member) -> Template | None:
    """The one template that clearly is about what the customer wrote last; None when none is, or more than one could be."""
    last = db.session.get(Message, conversation.last_inbound_id) if conversation.last_inbound_id else None
    asked = _tokens(last.body[:1000]) if last else set()
    if not asked:
        return None
    rows = db.session.scalars(Setting.of(conversation, by).templates().order_by(Template.folder, Template.name, Template.id).limit(COMPARED))
    scored = sorted(((_alike(asked, template), template.id, template) for template in rows), reverse=True)[:2]
    if not scored or scored[0][0] < LIKE or (len(scored) > 1 and scored[1][0] > 0.8 * scored[0][0]):
        return None
    return scored[0][2]


def _alike(asked: set[str], template: Template) -> float:
    """How much of what was asked the template speaks of, from 0 to 1; its name and shortcut weigh most."""
    title, text = _tokens(f"{template.name} {template.shortcut.replace('-', ' ')}"), _tokens(template.words[:2000])
    return min(1.0, (len(asked & text) + 1.5 * len(asked & title)) / (len(asked) + 1))


def _tokens(text: str) -> set[str]:
    """The telling words, without a plural's s."""
    return {word.removesuffix("s") if len(word) > 4 else word for word in _WORD.findall(text.casefold()) if word not in _COMMON}


def language_of(contact: Contact | None) -> str:
    """The code of the language a contact's own fields name, like es for "Spanish", "es-MX" or "español"; empty when none is known."""
    own = {placeholders.key(name): value for name, value in ((contact.fields if contact else None) or {}).items()}
    said = next((str(own[name]).strip().casefold() for name in _LANGUAGE_FIELDS if own.get(name)), "")
    code = re.split(r"[-_]", said)[0]
    return code if code in LANGUAGES else _language_names().get(said, "")


@cache
def _language_names() -> dict[str, str]:
    """Codes by the languages' names in English and in themselves."""
    own = {str(Locale.parse(code).get_display_name(code)).casefold(): code for code in LANGUAGES}
    return own | {name.casefold(): code for code, name in LANGUAGES.items()}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
