"""Operators of a search turned into what the index and the conversations are asked for, within what the member may read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from inbox import clock
from inbox.models.base import db
from inbox.models.contact import Contact
from inbox.models.draft import Draft
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.models.message import Message
from inbox.models.search import engine
from inbox.models.search.query import HAS, IS, Operator, Query, listed, nearest, phrase
from inbox.models.search.terms import Every, Phrase, Some, Term, word
from inbox.models.search.words import fold, split
from inbox.models.tag import Tag, Tagging
from inbox.permissions import Permission

PEOPLE = 50  # contacts that one name may stand for
TALKS = 200  # conversations of theirs, the newest
PARTS = {"open": {"open"}, "needs-reply": {"open"}, "archived": {"out"}, "snoozed": {"out"}, "spam": {"out"}}
DAYS = {"today": 0, "yesterday": 1}


@dataclass
class Wanted:
    """What to look for: `terms` in the index of messages, `conditions` on their conversations, ids of messages between `above` and `below`."""

    inboxes: list[int]
    account: int = 0
    terms: list[Term] = field(default_factory=list)
    conditions: list[Any] = field(default_factory=list)
    above: int = 0
    below: int | None = None
    messages: bool = False  # whether something is asked of the messages, and not of conversations alone
    chips: list[tuple[Operator, str]] = field(default_factory=list)
    nothing: bool = False  # a filter names what does not exist: nothing can match
    inboxed: bool = False
    parts: set[str] = field(default_factory=lambda: {"open", "out"})  # whether open conversations or others can match
    seeds: list[sa.Select[Any]] = field(default_factory=list)  # each finds, by an index, all conversations that one of the filters leaves


def wanted(query: Query, member: Member, zone: ZoneInfo) -> Wanted:
    """Every filter worked out; what cannot be goes to `query.problems` as a sentence."""
    found = Wanted(sorted(member.readable_inbox_ids), member.account_id)
    for operator in query.operators:
        problem = _APPLY[operator.name](found, operator, member, zone)
        if problem:
            query.problems.append(problem)
            found.nothing = True
        found.chips.append((operator, _said(operator)))
    found.terms += query.terms
    found.messages = found.messages or bool(query.terms or query.without)
    return found


def _said(operator: Operator) -> str:
    return operator.value.replace("-", " ") if operator.name in ("is", "has") else operator.value


# -- people -----------------------------------------------------------------------------------------------------------


def members_called(value: str, member: Member, me: bool = True) -> list[Member]:
    """Colleagues of that name, or whose name begins so."""
    asked = fold(value)
    if me and asked == "me":
        return [member]
    people = [(fold(m.name), m) for m in Member.of(member.account_id)]
    return [m for name, m in people if asked and name == asked] or [m for name, m in people if asked and f"{name} ".startswith(f"{asked} ")]


def contacts_called(value: str, member: Member, limit: int = PEOPLE) -> list[int]:
    """Contacts whose name, e-mail or number has these words; nobody without the permission to see contacts."""
    found = phrase(value, begun=True)
    if found is None or not member.can(Permission.CONTACTS_VIEW):
        return []
    return contacts_with([found], member, limit)


def contacts_with(terms: Collection[Term], member: Member, limit: int) -> list[int]:
    """The newest contacts with all of these that the member may see; by their names alone for who may not see numbers and addresses."""
    ids = engine.find("contact_words", Every((word(f"§a{member.account_id}"), *terms)), limit=limit)
    if not ids:
        return []
    one = aliased(Contact)  # looked up one by one: no walk through an account's contacts, however many there are
    allowed = Contact.visible_to(member, among=(one.id,)).with_only_columns(Contact.id).correlate(one).exists()
    query = sa.select(one.id, one.first_name, one.last_name).where(one.id.in_(ids), allowed)
    return [id for id, first, last in db.session.execute(query) if member.sees_personal or all(_in_words([w.text for w in split(f"{first} {last}")], t) for t in terms)]


def _in_words(words: list[str], term: Term) -> bool:
    """Whether a name has what a term of what was typed asks for."""
    if isinstance(term, Some):
        return any(_in_words(words, part) for part in term.parts)
    if not isinstance(term, Phrase):
        return False
    *firsts, last = term.words
    ends = range(len(firsts), len(words))
    return any(words[at - len(firsts) : at] == firsts and (words[at].startswith(last) if term.prefix else words[at] == last) for at in ends)


def talks_with(contacts: list[int], found: Wanted) -> list[int]:
    """The newest conversations with these contacts, among the inboxes asked for."""
    from inbox.models.conversation import Conversation

    of_inboxes = sa.literal_column("+conversation.inbox_id", sa.Integer).in_(found.inboxes)  # no index for that: a contact has few conversations, an inbox many
    query = sa.select(Conversation.id).where(Conversation.contact_id.in_(contacts), of_inboxes)
    return list(db.session.scalars(query.order_by(Conversation.id.desc()).limit(TALKS))) if contacts else []


def _from(found: Wanted, operator: Operator, member: Member, _zone: ZoneInfo) -> str:
    writers = members_called(operator.value, member)
    terms: list[Term] = [word(f"§w{m.id}") for m in writers]
    talks = talks_with(contacts_called(operator.value, member), found) if operator.value.casefold() != "me" else []
    if talks:
        terms.append(Every((word("§kin"), Some(tuple(word(f"§v{id}") for id in talks)))))
    return _people(found, operator, member, terms)


def _to(found: Wanted, operator: Operator, member: Member, _zone: ZoneInfo) -> str:
    talks = talks_with(contacts_called(operator.value, member), found)
    terms: list[Term] = [Every((Some((word("§kout"), word("§kauto"))), Some(tuple(word(f"§v{id}") for id in talks))))] if talks else []
    return _people(found, operator, member, terms)


def _people(found: Wanted, operator: Operator, member: Member, terms: list[Term]) -> str:
    found.messages = True
    if not terms:
        near = nearest(operator.value, [m.name for m in Member.of(member.account_id) if m.active]) if operator.name == "from" else ""
        return f"Nobody called “{operator.value}” has written here.{near}" if operator.name == "from" else f"There are no conversations with “{operator.value}”."
    found.terms.append(Some(tuple(terms)))
    return ""


def _assignee(found: Wanted, operator: Operator, member: Member, _zone: ZoneInfo) -> str:
    from inbox.models.conversation import Conversation

    if operator.value.casefold() in ("none", "nobody", "unassigned"):
        found.conditions.append(Conversation.assignee_id.is_(None))
        return ""
    people = members_called(operator.value, member)
    if not people:
        return f"Nobody here is called “{operator.value}”.{nearest(operator.value, [m.name for m in Member.of(member.account_id) if m.active])}"
    _held(found, [m.id for m in people])
    return ""


def _held(found: Wanted, members: list[int]) -> None:
    from inbox.models.conversation import Conversation

    found.conditions.append(Conversation.assignee_id.in_(members))
    found.seeds.append(sa.select(Conversation.id).where(Conversation.assignee_id.in_(members)))


# -- places, tags, states -----------------------------------------------------------------------------------------------


def _in(found: Wanted, operator: Operator, member: Member, _zone: ZoneInfo) -> str:
    mine = list(db.session.scalars(sa.select(Inbox).where(Inbox.account_id == member.account_id, Inbox.id.in_(member.readable_inbox_ids)).order_by(Inbox.name)))
    asked = fold(operator.value)
    exact = [i for i in mine if fold(i.name) == asked or i.api_code == operator.value.lower()]
    ids = [i.id for i in exact or [i for i in mine if asked and f"{fold(i.name)} ".startswith(f"{asked} ")]]
    if not ids:
        return f"You have no inbox called “{operator.value}”.{nearest(operator.value, [i.name for i in mine])}"
    found.inboxes = sorted({*found.inboxes, *ids} if found.inboxed else ids)
    found.inboxed = True
    return ""


def _tag(found: Wanted, operator: Operator, member: Member, _zone: ZoneInfo) -> str:
    from inbox.models.conversation import Conversation

    tags = list(db.session.scalars(sa.select(Tag).where(Tag.account_id == member.account_id).order_by(Tag.name)))
    asked = fold(operator.value)
    tag = next((t for t in tags if fold(t.name) == asked or t.name == operator.value), None)
    if tag is None:
        return f"There is no tag “{operator.value}”.{nearest(operator.value, [t.name for t in tags])}"
    found.conditions.append(sa.exists().where(Tagging.conversation_id == Conversation.id, Tagging.tag_id == tag.id))
    found.seeds.append(sa.select(Tagging.conversation_id).where(Tagging.tag_id == tag.id))
    return ""


def _is(found: Wanted, operator: Operator, member: Member, _zone: ZoneInfo) -> str:
    from inbox.models.conversation import Conversation as C  # noqa: N817

    asked = operator.value.casefold().replace(" ", "-").replace("_", "-")
    conditions: dict[str, Callable[[], list[Any]]] = {
        "open": lambda: [C.archived_at.is_(None)],
        "archived": lambda: [C.archived_at.is_not(None), C.snoozed_until.is_(None), C.spam_at.is_(None)],
        "unread": lambda: [C.unread],
        "read": lambda: [C.unread.is_(False)],
        "snoozed": lambda: [C.snoozed_until.is_not(None)],
        "spam": lambda: [C.spam_at.is_not(None)],
        "needs-reply": lambda: [C.owed_since.is_not(None), C.archived_at.is_(None), C.spam_at.is_(None)],  # as the lists say it
        "unassigned": lambda: [C.assignee_id.is_(None)],
        "failed": lambda: [C.failed],
    }
    if asked == "mine":
        _held(found, [member.id])
    elif asked in conditions:
        found.conditions += conditions[asked]()
        found.parts &= PARTS.get(asked, found.parts)
        if asked in ("snoozed", "spam", "needs-reply"):  # each has an index of its own in every inbox
            found.seeds.append(sa.select(C.id).where(C.inbox_id.in_(found.inboxes), *conditions[asked]()))
    else:
        return f"“is:{operator.value}” does not exist.{nearest(operator.value, list(IS)) or f' There are {listed(list(IS))}.'}"
    return ""


def _has(found: Wanted, operator: Operator, member: Member, _zone: ZoneInfo) -> str:
    from inbox.models.conversation import Conversation

    asked = operator.value.casefold()
    asked = asked[:-1] if asked.endswith("s") else {"picture": "attachment", "file": "attachment", "image": "attachment"}.get(asked, asked)
    marks = {"attachment": "§ha", "link": "§hl", "note": "§knote"}
    if asked in marks:
        found.terms.append(word(marks[asked]))
        found.messages = True
    elif asked == "draft":
        found.conditions.append(sa.exists().where(Draft.conversation_id == Conversation.id, Draft.author_id == member.id, Draft.body != ""))
    else:
        return f"“has:{operator.value}” does not exist.{nearest(operator.value, list(HAS))}"
    return ""


# -- days -----------------------------------------------------------------------------------------------------------------


def day_of(value: str, zone: ZoneInfo) -> date | None:
    """2026-03-09, today or yesterday."""
    if value.casefold() in DAYS:
        return clock.now().astimezone(zone).date() - timedelta(days=DAYS[value.casefold()])
    try:
        found = date.fromisoformat(value)
    except ValueError:
        return None
    return found if 1990 <= found.year <= 2100 else None


def _days(found: Wanted, operator: Operator, _member: Member, zone: ZoneInfo) -> str:
    day = day_of(operator.value, zone)
    if day is None:
        return f"“{operator.value}” is not a day. Write it like {operator.name}:{clock.now().astimezone(zone).date().isoformat()}, or use today or yesterday."
    begins = datetime.combine(day, time(), zone)
    ends = datetime.combine(day + timedelta(days=1), time(), zone)
    if operator.name in ("after", "on"):
        found.above = max(found.above, first_since(begins if operator.name == "on" else ends) - 1)
    if operator.name in ("before", "on"):
        limit = first_since(ends if operator.name == "on" else begins)
        found.below = limit if found.below is None else min(found.below, limit)
    found.messages = True
    return ""


def first_since(at: datetime) -> int:
    """The id of the first message that was written then or later: messages are numbered as they come, so twenty-odd looks at a key are enough."""
    low, high = 1, (db.session.scalar(sa.select(sa.func.max(Message.id))) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = db.session.execute(sa.select(Message.id, Message.created_at).where(Message.id >= middle).order_by(Message.id).limit(1)).first()
        if row is None or row.created_at >= at:
            high = middle
        else:
            low = row.id + 1
    return low


_APPLY: dict[str, Callable[[Wanted, Operator, Member, ZoneInfo], str]] = {
    "from": _from, "to": _to, "in": _in, "tag": _tag, "assignee": _assignee, "is": _is, "has": _has, "before": _days, "after": _days, "on": _days,
}
