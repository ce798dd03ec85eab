"""Placeholders like {{contact.first_name | there}}: read, checked and filled. Pure; no rendered text ever holds a known one."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from difflib import get_close_matches

STANDARD = {
    "contact.first_name": "their first name", "contact.last_name": "their last name", "contact.name": "their name", "agent.first_name": "your first name",
    "agent.name": "your name", "inbox.name": "the inbox", "today": "today’s date",
}
ASK_MAX = 200
_PLACE = re.compile(r"\{\{([^{}|]*)(?:\|([^{}]*))?\}\}")
_ASK = re.compile(r"ask\s*:", re.IGNORECASE)


class Unknown(ValueError):
    """A template that cannot be filled; the text says what to change."""


@dataclass(frozen=True)
class Place:
    """One placeholder: its name ("ask:delivery day" for a question) and what stands there when nothing is known."""

    name: str
    fallback: str | None = None

    @property
    def asks(self) -> bool:
        return self.name.startswith("ask:")

    @property
    def label(self) -> str:
        """What a form that asks for it calls it."""
        words = self.name[4:] if self.asks else STANDARD.get(self.name, self.name.rpartition(".")[2].replace("_", " "))
        return words[:1].upper() + words[1:]


def key(name: str) -> str:
    """A contact's own field as placeholders name it: "Pet’s name" is contact.pet_s_name."""
    return re.sub(r"\W+", "_", name.casefold()).strip("_")


def _read(match: re.Match[str]) -> Place:
    name = " ".join(match[1].split())
    asked = _ASK.match(name)
    name = f"ask:{name[asked.end():].strip()[:ASK_MAX]}" if asked else name.casefold().replace(" ", "_")
    return Place(name, " ".join(match[2].split()) if match[2] is not None else None)


def _known(place: Place) -> bool:
    return place.name in STANDARD or (place.asks and len(place.name) > 4) or (place.name.startswith("contact.") and bool(key(place.name[8:])))


def places(text: str) -> list[Place]:
    """Every placeholder once, in the order of the text."""
    return list(dict.fromkeys(place for place in map(_read, _PLACE.finditer(text)) if _known(place)))


def left_over(text: str) -> str:
    """The first placeholder that is still in a text, as it was written; empty when there is none."""
    return next((match.group() for match in _PLACE.finditer(text) if _known(_read(match))), "")


def check(text: str, fields: Collection[str]) -> None:
    """Raise Unknown unless every placeholder can be filled; `fields` are the keys of contacts' own fields."""
    own = [f"contact.{field}" for field in fields]
    names = [*STANDARD, *own]
    for match in _PLACE.finditer(text):
        place = _read(match)
        if place.name in names or (place.asks and _known(place)):
            continue
        if place.asks:
            raise Unknown("Say what to ask for, like {{ask: which day}}.")
        near = get_close_matches(place.name, names, 1, 0.5)
        hint = f"Did you mean {{{{{near[0]}}}}}?" if near else f"There are {', '.join(names[:12])} and ask:."
        raise Unknown(f"{match.group()[:80]} is not known. {hint}")
    rest = _PLACE.sub("", text)
    if "{{" in rest or "}}" in rest:
        raise Unknown("A placeholder begins with {{ and ends with }}, with nothing but one name between them.")


def fill(text: str, value: Callable[[Place], str]) -> str:
    """The text with each placeholder replaced by its value, else by its fallback, else by nothing; what values bring along is never filled again."""

    def one(match: re.Match[str]) -> str:
        place = _read(match)
        return (value(place) or place.fallback or "") if _known(place) else match.group()

    return _defused(_PLACE.sub(one, text))


def _defused(text: str) -> str:
    """Braces that would read as a known placeholder, as a value or hostile text may hold them, lose one of each pair."""
    while left_over(text):
        text = _PLACE.sub(lambda match: match.group()[1:-1] if _known(_read(match)) else match.group(), text)
    return text
