"""The audit log: which events, for whom to read, in what words (ACC-8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from inbox import origin
from inbox.models import audit_words as words
from inbox.models.account import Team
from inbox.models.base import db
from inbox.models.contact import Contact
from inbox.models.conversation import Conversation
from inbox.models.event import ACTIVITY, TOPICS, Event, topic_of
from inbox.models.inbox import Inbox

if TYPE_CHECKING:
    from inbox.models.member import Member

AUDITED = Event.topic != sa.literal_column("'activity'")  # written out, as the partial indexes have it
PAGE = 50
BATCH = 500
EVERYTHING = "everything"
TOPIC_LABELS = {"access": "Access", "money": "Money", "settings": "Settings", "deletion": "Deletions", ACTIVITY: "Conversations & contacts"}
SYSTEM = "system"  # as an actor: nobody who is signed in


@dataclass(frozen=True)
class AuditFilter:
    """What to show; empty means every change. `what` is "everything", a topic, or a kind."""

    what: str = ""
    actor: int | str | None = None  # a member's id, or SYSTEM
    about: int | None = None
    origin: str = ""
    since: datetime | None = None
    until: datetime | None = None  # exclusive

    @property
    def conditions(self) -> list[Any]:
        """For WHERE; the shapes the indexes of `event` are made for."""
        whole = self.what in (EVERYTHING, ACTIVITY) or ("." in self.what and topic_of(self.what) == ACTIVITY)
        found: list[Any] = [] if whole else [AUDITED]
        if "." in self.what:
            found.append(Event.kind == self.what)
        elif self.what and self.what != EVERYTHING:
            found.append(Event.topic == self.what)
        if self.actor is not None:
            found.append(Event.actor_id.is_(None) if self.actor == SYSTEM else Event.actor_id == self.actor)
        if self.about is not None:
            found.append(Event.about_id == self.about)
        if self.origin:
            found.append(Event.origin == self.origin)
        if self.since is not None:
            found.append(Event.at >= self.since)
        if self.until is not None:
            found.append(Event.at < self.until)
        return found


@dataclass(frozen=True)
class Line:
    """An event in words."""

    event: Event
    who: str
    did: str
    where: str
    changes: list[words.Change]

    @property
    def label(self) -> str:
        return words.label(self.event.kind)

    @property
    def topic(self) -> str:
        return TOPIC_LABELS.get(self.event.topic, self.event.topic)

    @property
    def told(self) -> bool:
        """Whether the sentence already holds the only change."""
        return len(self.changes) == 1 and f"from {self.changes[0].before} to {self.changes[0].after}" in self.did

    @property
    def details(self) -> str:
        """The changes on one line, for the export."""
        return "; ".join(f"{c.label}: {c.after}" if c.before is None else f"{c.label}: {c.before} -> {c.after}" for c in self.changes)


class Audit:
    """Reads the events of one account, newest first."""

    @staticmethod
    def query(account_id: int, filter: AuditFilter, before: tuple[datetime, int] | None = None, limit: int = PAGE) -> sa.Select[Event]:
        """The `limit` newest events that match, older than the key `before`."""
        query = sa.select(Event).options(joinedload(Event.actor)).where(Event.account_id == account_id, *filter.conditions)
        if before is not None:
            query = query.where(sa.tuple_(Event.at, Event.id) < sa.tuple_(sa.bindparam(None, before[0], Event.at.type), sa.bindparam(None, before[1], sa.Integer)))
        return query.order_by(Event.at.desc(), Event.id.desc()).limit(limit)

    @staticmethod
    def page(account_id: int, filter: AuditFilter, before_id: int | None = None, limit: int = PAGE) -> tuple[list[Event], int | None]:
        """A page and the id to ask for the next one with, or None at the end; raises LookupError when `before_id` is not an event of the account."""
        key = Audit._key(account_id, before_id) if before_id is not None else None
        rows = list(db.session.scalars(Audit.query(account_id, filter, key, limit + 1)))
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None

    @staticmethod
    def _key(account_id: int, event_id: int) -> tuple[datetime, int]:
        found = db.session.execute(sa.select(Event.at, Event.id).where(Event.account_id == account_id, Event.id == event_id)).one_or_none()
        if found is None:
            raise LookupError(event_id)
        return found.at, found.id

    @staticmethod
    def every(account_id: int, filter: AuditFilter, reader: Member) -> Iterator[list[Line]]:
        """Everything that matches, in batches; between two of them no transaction is open."""
        key: tuple[datetime, int] | None = None
        while True:
            rows = list(db.session.scalars(Audit.query(account_id, filter, key, BATCH)))
            if not rows:
                return
            key = rows[-1].at, rows[-1].id
            lines = Audit.read(rows, reader)
            db.session.commit()
            yield lines
            if len(rows) < BATCH:
                return

    @staticmethod
    def read(events: Iterable[Event], reader: Member) -> list[Line]:
        """The events in words that this reader may see; a constant number of queries however many they are."""
        rows = list(events)
        names = _names(rows, reader)
        return [_line(event, names) for event in rows]


def _line(event: Event, names: words.Names) -> Line:
    data = event.data if isinstance(event.data, dict) else {}
    inside = event.conversation_id is None or event.conversation_id in names.conversations
    changes = words.changes(event.kind, data, names, inside=inside)
    did = words.sentence(event.kind, data, _terms(event, data, names), names, changes)
    who = words.clean(event.actor.name) if event.actor else words.actor(event.kind)
    return Line(event, who, did, origin.WORDS.get(event.origin, event.origin), changes)


def _terms(event: Event, data: dict[str, Any], names: words.Names) -> dict[str, str]:
    """What the nouns of a sentence are called for this reader."""
    talk = names.conversations.get(event.conversation_id or 0)
    contact = names.contacts.get(data["contact"]) if isinstance(data.get("contact"), int) else None
    terms = {
        "inbox": names.inboxes.get(event.inbox_id or 0, "an inbox"),
        "conversation": f"the conversation with {talk}" if talk else "a conversation",
        "contact": f"the contact {contact}" if contact else "a contact",
        "team": names.teams.get(data["team"], "a team") if isinstance(data.get("team"), int) else "a team",
    }
    if event.about_id is not None and "member" in data:
        terms["member"] = names.members.get(event.about_id, "someone")
    if not talk:
        terms |= {key: "someone" for key in ("reason",) if key in data}
    return terms


def _names(events: list[Event], reader: Member) -> words.Names:
    """Every name a page mentions, in one query for each noun."""
    from inbox.models.member import Member

    members = {e.about_id for e in events} | {e.data[key] for e in events for key in words.MEMBER_KEYS if isinstance(e.data.get(key), int)}
    members |= {e.data[key] for e in events for key in ("before", "after") if e.kind.startswith("conversation.") and isinstance(e.data.get(key), int)}
    account = reader.account_id
    inboxes = db.session.execute(
        sa.select(Inbox.id, Inbox.name, Inbox.owner_id).where(Inbox.account_id == account, Inbox.id.in_({e.inbox_id for e in events if e.inbox_id}))
    ).all()
    talks = Conversation.scope(reader).options(joinedload(Conversation.contact)).where(Conversation.id.in_({e.conversation_id for e in events if e.conversation_id}))
    contacts = Contact.visible_to(reader, among=_ids(events, "contact"))
    return words.Names(
        members=_pairs(sa.select(Member.id, Member.name).where(Member.account_id == account, Member.id.in_({m for m in members if m}))),
        inboxes={id: "a personal inbox" if owner not in (None, reader.id) else words.clean(name) for id, name, owner in inboxes},
        teams=_pairs(sa.select(Team.id, Team.name).where(Team.account_id == account, Team.id.in_(_ids(events, "team")))),
        conversations={c.id: words.clean(c.contact.name) for c in db.session.scalars(talks)},
        contacts={c.id: words.clean(c.name) for c in db.session.scalars(contacts)},
        roles={},
    )


def _ids(events: list[Event], key: str) -> set[int]:
    return {e.data[key] for e in events if isinstance(e.data.get(key), int)}


def _pairs(query: sa.Select[int, str]) -> dict[int, str]:
    return {id: words.clean(name) for id, name in db.session.execute(query)}


def kinds() -> dict[str, list[tuple[str, str]]]:
    """Every kind that has a sentence, by topic: (kind, label), in the order of the labels."""
    found: dict[str, list[tuple[str, str]]] = {topic: [] for topic in (*TOPICS, ACTIVITY)}
    for kind in words.SENTENCES:
        found[topic_of(kind)].append((kind, words.label(kind)))
    return {topic: sorted(pairs, key=lambda pair: pair[1]) for topic, pairs in found.items() if pairs}


__all__ = ["EVERYTHING", "SYSTEM", "TOPIC_LABELS", "Audit", "AuditFilter", "Line", "kinds"]
