"""What a search asks the index for, and how each database writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Phrase:
    """Words next to each other; with `prefix` the last is only begun. A word alone is a phrase of one."""

    words: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True)
class Every:
    """All of these."""

    parts: tuple[Term, ...]


@dataclass(frozen=True)
class Some:
    """At least one of these."""

    parts: tuple[Term, ...]


@dataclass(frozen=True)
class Without:
    """`term`, but none of `not_these`."""

    term: Term
    not_these: tuple[Term, ...]


Term: TypeAlias = Phrase | Every | Some | Without


def word(text: str) -> Phrase:
    return Phrase((text,))


def fts5(term: Term) -> str:
    """As an FTS5 query: every word in quotes, so that nothing typed is ever syntax."""
    if isinstance(term, Phrase):
        words = " ".join(w.replace('"', "") for w in term.words)
        return f'"{words}"{" *" if term.prefix else ""}'
    if isinstance(term, Without):
        return f"({fts5(term.term)} NOT ({' OR '.join(map(fts5, term.not_these))}))"
    return f"({(' AND ' if isinstance(term, Every) else ' OR ').join(map(fts5, term.parts))})"


def tsquery(term: Term) -> str:
    """As the text of a tsquery: every word in quotes."""
    if isinstance(term, Phrase):
        words = ["'" + w.replace("\\", "").replace("'", "") + "'" for w in term.words]
        if term.prefix:
            words[-1] += ":*"
        return "(" + " <-> ".join(words) + ")"
    if isinstance(term, Without):
        return f"({tsquery(term.term)} & !({' | '.join(map(tsquery, term.not_these))}))"
    return f"({(' & ' if isinstance(term, Every) else ' | ').join(map(tsquery, term.parts))})"


def tsvector(words: list[str]) -> str:
    """The text of a tsvector with these words at their places; the database keeps places up to 16,383."""
    places: dict[str, list[int]] = {}
    for place, text in enumerate(words, 1):
        plain = text.replace("\\", "").replace("'", "")
        if plain:
            places.setdefault(plain, []).append(place)
    return " ".join(f"'{word}':{','.join(map(str, at[:255]))}" for word, at in places.items())
