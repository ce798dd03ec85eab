"""Reading what somebody typed into the search field; never raises, whatever it is. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches

from inbox.models.search.terms import Phrase, Some, Term, word
from inbox.models.search.words import numbers, split

LONGEST = 400  # characters that are read
MOST = 24  # words and filters
NAMES = ("from", "to", "in", "tag", "assignee", "is", "has", "before", "after", "on")
IS = ("open", "archived", "unread", "read", "snoozed", "spam", "needs-reply", "mine", "unassigned", "failed")
HAS = ("attachment", "link", "note", "draft")
_ADDRESSES = ("http", "https", "mailto", "tel", "sms", "ftp")
_PART = re.compile(
    r"""(?P<minus>-?)(?:
        (?P<name>[A-Za-z-]{2,16}):(?:"(?P<quoted>[^"]*)"?|(?P<bare>[^\s"]+))
        | "(?P<phrase>[^"]*)"?
        | (?P<word>[^\s"]+)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"(?:\+|\(|\d)[\d\s().\-\u2010-\u2013/]{5,24}\d(?![^\s\"])")


@dataclass(frozen=True)
class Operator:
    """A filter: `start` and `end` say where it stands in what was typed, so that it can be taken away."""

    name: str
    value: str
    start: int
    end: int


@dataclass
class Query:
    """What somebody asks for. `shown` are the words to mark in what is found, `problems` sentences about what was not understood."""

    text: str
    terms: list[Term] = field(default_factory=list)
    without: list[Term] = field(default_factory=list)
    shown: list[Phrase] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.terms or self.without or self.operators)

    def less(self, operator: Operator) -> str:
        """The same search without one filter."""
        return " ".join((self.text[: operator.start] + " " + self.text[operator.end :]).split())


def read(typed: str) -> Query:
    """The search in `typed`; the last word may be begun only."""
    text = "".join(c if c.isprintable() or c in "\u200c\u200d" else " " for c in typed.replace("“", '"').replace("”", '"').replace("„", '"')).lstrip()
    query = Query(text[:LONGEST])
    if len(text) > LONGEST:
        query.problems.append(f"Only the first {LONGEST} characters are searched for.")
    place = 0
    while place < len(query.text) and len(query.terms) + len(query.without) + len(query.operators) < MOST:
        number = _NUMBER.match(query.text, place)
        if number and numbers(number.group()):
            _number(query, number.group())
            place = number.end()
            continue
        part = _PART.match(query.text, place)
        if part is None:
            place += 1
            continue
        _take(query, part)
        place = part.end()
    if query.text[place:].strip():
        query.problems.append(f"Only the first {MOST} words and filters are used.")
    return query


def _take(query: Query, part: re.Match[str]) -> None:
    name, minus = (part["name"] or "").lower(), bool(part["minus"])
    if name and name not in _ADDRESSES:
        _operator(query, name, part, minus)
        return
    if part["phrase"] is not None:
        found = phrase(part["phrase"])
    else:
        found = phrase(part.group()[minus:], begun=not minus and part.end() == len(query.text))
    if found is None:
        return
    if minus:
        query.without.append(found)
    else:
        query.terms.append(found)
        query.shown.append(found)


def _operator(query: Query, name: str, part: re.Match[str], minus: bool) -> None:
    value = " ".join((part["quoted"] if part["quoted"] is not None else part["bare"]).split())
    if name not in NAMES:
        near = get_close_matches(name, NAMES, 1, 0.5)
        query.problems.append(f"There is no filter “{name}:”." + (f" Did you mean “{near[0]}:{value}”?" if near else f" There are {listed([n + ':' for n in NAMES])}."))
    elif minus:
        query.problems.append(f"A minus leaves out words, not filters: “-{name}:{value}” is not applied.")
    elif not value:
        query.problems.append(f"“{name}:” needs something after the colon.")
    else:
        query.operators.append(Operator(name, value, part.start(), part.end()))


def phrase(text: str, begun: bool = False) -> Phrase | None:
    """The words of a text next to each other; None when there is none."""
    words = split(text)
    if not words:
        return None
    last = words[-1]
    if last.tail and len(words) > 1 and words[-2].end == last.end:
        words = words[:-1]  # the pair before has it
    inside = _runs(words)
    return Phrase(tuple(inside), (begun and (len(inside[-1]) > 1 or not inside[-1].isascii())) or last.tail and words[-1] is last)


def _runs(words: list) -> list[str]:  # type: ignore[type-arg]
    """Words as they stand in the index, one after the other: the last letter of a run stands there by itself."""
    return [w.text for w in words]


def _number(query: Query, text: str) -> None:
    """A phone number in any format: in one piece, without its country, or written just so."""
    (digits, _, _) = numbers(text)[0]
    ways: list[Phrase] = [Phrase((digits,), prefix=True)]
    if len(digits) > 10:
        ways.append(word(digits[-10:]))
    spelled = phrase(text)
    if spelled is not None and spelled.words != (digits,):
        ways.append(spelled)
    query.terms.append(Some(tuple(ways)))
    query.shown += ways


def listed(names: list[str]) -> str:
    """“a, b and c”."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def nearest(value: str, names: list[str]) -> str:
    """“Did you mean x?” for the name most like it, else the names there are."""
    folded = {part.casefold(): n for n in reversed(names) for part in (n, *n.split())}
    near = get_close_matches(value.casefold(), list(folded), 1, 0.5)
    if near:
        return f" Did you mean “{folded[near[0]]}”?"
    return f" There are {listed(names[:8])}." if 1 < len(names) <= 8 else ""
