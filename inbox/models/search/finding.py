"""Search: conversations with what was asked for, newest hit first, only what the member may read (CONV-9)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from inbox import personal
from inbox.models.base import db
from inbox.models.contact import HUES, Contact
from inbox.models.inbox import Inbox
from inbox.models.member import Member, initials
from inbox.models.message import Message
from inbox.models.search import engine
from inbox.models.search.browsing import browse
from inbox.models.search.filters import Wanted, contacts_called, contacts_with, talks_with, wanted
from inbox.models.search.marking import Parts, piece, spans
from inbox.models.search.query import Operator, Query, read
from inbox.models.search.terms import Every, Phrase, Some, Term, Without, word
from inbox.permissions import Permission

PAGE = 20
BATCH = 120  # messages looked at in one go
BUDGET = 1200  # messages looked at for one page: then the page says how far back it went
PEOPLE = 5
PERSONAL = re.compile(r"@|%40|\d(?:[\s().+/\u2010-\u2013-]{0,3}\d){4,}")  # what may be a number or an address, or the better part of one


@dataclass(frozen=True)
class Hit:
    """A conversation that was found, ready to draw; `message` and `message_id` are where in its thread, empty when all of it is meant."""

    conversation_id: int
    public_id: str
    message_id: int
    message: str
    at: datetime
    name: str
    initials: str
    hue: str
    inbox: str
    inbox_hue: str
    by: str
    note: bool
    state: str
    parts: Parts
    title: Parts
    unread: bool = False


@dataclass
class Found:
    """A page of what was found. `more` is the cursor of the next page; `until` says how far back was looked when there may be more further back."""

    query: Query
    hits: list[Hit] = field(default_factory=list)
    people: list[Hit] = field(default_factory=list)
    chips: list[tuple[Operator, str]] = field(default_factory=list)
    more: str = ""
    until: datetime | None = None


def find(member: Member, typed: str, *, after: str = "", zone: ZoneInfo) -> Found:
    """What `member` finds; raises ValueError for a cursor that is not ours, and for nothing that is typed."""
    from inbox.models.conversation.listing import parse_cursor

    query = read(typed)
    found = Found(query)
    if query.empty or not member.can(Permission.CONVERSATIONS_VIEW):
        return found
    if not member.sees_personal and PERSONAL.search(_words(query)):
        query.problems.append("Your role does not show phone numbers and e-mail addresses, so nothing is searched for by them.")
        return found
    place = parse_cursor(after) if "." in after else None
    below = int(after) if after and place is None else None
    if below is not None and not 0 < below < 2**62:
        raise ValueError("That is not a place in what was found.")
    asked = wanted(query, member, zone)
    found.chips = asked.chips
    if asked.nothing or not asked.inboxes:
        return found
    if not asked.messages:
        _browse(found, asked, place)
        return found
    if not after and query.terms and len(asked.terms) == len(query.terms) and asked.below is None and not asked.above and not query.without:
        found.people = _people(query, asked, member)
    _walk(found, asked, member, below)
    return found


def _words(query: Query) -> str:
    """What was typed without its filters."""
    return "".join(c for place, c in enumerate(query.text) if not any(o.start <= place < o.end for o in query.operators))


def _expression(asked: Wanted, query: Query) -> Term:
    scope = Some(tuple(word(f"§i{id}") for id in asked.inboxes))
    wish: Term = Every((*asked.terms, scope))
    return Without(wish, tuple(query.without)) if query.without else wish


# -- by message -----------------------------------------------------------------------------------------------------------


def _walk(found: Found, asked: Wanted, member: Member, cursor: int | None) -> None:
    """Messages newest first, the first of each conversation, until the page is full or far enough back."""
    expression = _expression(asked, found.query)
    below = min(filter(None, (cursor, asked.below)), default=None)
    chosen: dict[int, int] = {}
    passed: set[int] = set()  # conversations that do not count: filtered out, or on a page before
    looked, last = 0, 0
    while looked < BUDGET:
        ids = engine.find("message_words", expression, below=below, above=asked.above, limit=BATCH)
        looked += len(ids)
        homes = _homes(ids, asked, member)
        if cursor is not None:
            fresh = {c for c in homes.values() if c not in chosen and c not in passed}
            passed |= engine.on_pages_before(expression, sorted(fresh), cursor, asked.below)
        for id in ids:
            home = homes.get(id)
            if home is None or home in chosen or home in passed:
                last = id
                continue
            if len(chosen) == PAGE:
                found.more = str(last)
                _draw(found, chosen, member)
                return
            chosen[home] = last = id
        if len(ids) < BATCH:
            _draw(found, chosen, member)
            return
        below = ids[-1]
    found.more = str(last)
    found.until = db.session.scalar(sa.select(Message.created_at).where(Message.id == last))
    _draw(found, chosen, member)


def _homes(ids: list[int], asked: Wanted, member: Member) -> dict[int, int]:
    """The conversation of each message, for those that pass the filters and that the member may read."""
    from inbox.models.conversation import Conversation

    if not ids:
        return {}
    fits = sa.exists().where(  # a subquery, so that it is the messages that are looked up and never the inbox that is walked through
        Conversation.id == Message.conversation_id, Conversation.account_id == member.account_id, Conversation.inbox_id.in_(asked.inboxes), *asked.conditions
    )
    return {row.id: row.conversation_id for row in db.session.execute(sa.select(Message.id, Message.conversation_id).where(Message.id.in_(ids), fits))}


def _draw(found: Found, chosen: dict[int, int], member: Member) -> None:
    """Load what the rows show, in one query; a text that has the words only where they are hidden from the member is none of what they find."""
    from inbox.models.conversation import Conversation

    if not chosen:
        return
    writer = aliased(Member)
    query = (
        sa.select(
            Message.id.label("message_id"), Message.public_id.label("message"), Message.body, Message.kind, Message.created_at.label("at"), writer.name.label("writer"),
            *_columns(),
        )
        .join(Conversation, Conversation.id == Message.conversation_id).join(Contact, Contact.id == Conversation.contact_id)
        .join(Inbox, Inbox.id == Conversation.inbox_id).outerjoin(writer, writer.id == Message.author_id)
        .where(Message.id.in_(chosen.values())).order_by(Message.id.desc())
    )
    plain, shown = member.sees_personal, found.query.shown
    rows = [r for r in db.session.execute(query) if plain or all(spans(personal.covered(r.body), [asked]) for asked in shown)]
    found.hits = [_hit(r, r.at, r.body, found.query.shown, by=(r.writer or "").split(" ")[0], note=r.kind == "note") for r in rows]


def _columns() -> list[Any]:
    from inbox.models.conversation import Conversation as C  # noqa: N817

    return [
        C.id, C.public_id, C.last_activity_at, C.archived_at, C.snoozed_until, C.spam_at, C.unread, C.preview, Contact.id.label("contact_id"), Contact.name,
        Contact.first_name, Contact.last_name, Inbox.name.label("inbox"), Inbox.hue.label("inbox_hue"),
    ]


def _hit(r: Any, at: datetime, text: str, shown: list[Phrase], *, by: str = "", note: bool = False, named: bool = False) -> Hit:
    known = bool(r.first_name or r.last_name)
    state = "Spam" if r.spam_at else "Snoozed" if r.snoozed_until else "Archived" if r.archived_at else ""
    return Hit(
        r.id, r.public_id, getattr(r, "message_id", 0), getattr(r, "message", ""), at, r.name, initials(r.name) if known else "",
        HUES[r.contact_id % len(HUES)] if known else "slate", r.inbox, r.inbox_hue, by, note, state, piece(text, [] if named else shown),
        piece(r.name, shown if named else []), r.unread,
    )


# -- by person, and by conversation ---------------------------------------------------------------------------------------------


def _people(query: Query, asked: Wanted, member: Member) -> list[Hit]:
    """The newest conversations with the people whose name, e-mail or number has all the words."""
    if not member.can(Permission.CONTACTS_VIEW):
        return []
    visible = contacts_with(query.terms, member, 50)
    return _conversations(talks_with(visible, asked), asked, query.shown)


def _conversations(ids: list[int], asked: Wanted, shown: list[Phrase]) -> list[Hit]:
    from inbox.models.conversation import Conversation

    if not ids:
        return []
    newest = (Conversation.last_activity_at.desc(), Conversation.id.desc())
    rows = _whole().where(Conversation.id.in_(ids), Conversation.merged_into_id.is_(None), *asked.conditions).order_by(*newest).limit(PEOPLE)
    return [_hit(r, r.last_activity_at, r.preview, shown, named=True) for r in db.session.execute(rows)]


def _whole() -> sa.Select[Any]:
    from inbox.models.conversation import Conversation

    return (
        sa.select(*_columns()).select_from(Conversation).join(Contact, Contact.id == Conversation.contact_id).join(Inbox, Inbox.id == Conversation.inbox_id)
    )


def _browse(found: Found, asked: Wanted, place: tuple[datetime, int] | None) -> None:
    """Filters without words: conversations by their last activity."""
    from inbox.models.conversation import Conversation
    from inbox.models.conversation.listing import make_cursor

    looked = browse(asked, place, PAGE + 1)
    shown = [id for id, _ in looked.rows[:PAGE]]
    rows: Any = db.session.execute(_whole().where(Conversation.id.in_(shown))) if shown else ()
    drawn = {r.id: _hit(r, r.last_activity_at, r.preview, []) for r in rows}
    found.hits = [drawn[id] for id in shown if id in drawn]
    if len(looked.rows) > PAGE:
        found.more = make_cursor(looked.rows[PAGE - 1][1], shown[-1])
    elif looked.until is not None:
        found.more, found.until = make_cursor(*looked.until), looked.until[0]


__all__ = ["Found", "Hit", "contacts_called", "find"]
