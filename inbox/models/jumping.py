"""Where a member may want to go next: what they worked on last, and who is called that (UX 1.2, palette)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from inbox.models.base import db
from inbox.models.contact import Contact
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.search.filters import contacts_called

LOOKED = 40  # of the member's last acts
SHOWN = 6


def recent(member: Member, *, but: int = 0) -> list[Any]:
    """The conversations the member acted in last, the newest first, that they may still open."""
    acts = (
        sa.select(Event.conversation_id, Event.at)
        .where(Event.account_id == member.account_id, Event.actor_id == member.id)
        .order_by(Event.at.desc(), Event.id.desc()).limit(LOOKED)
    )
    ids = list(dict.fromkeys(id for id, _ in db.session.execute(acts) if id and id != but))[:SHOWN]
    found = {c.id: c for c in db.session.scalars(_scope(member, ids))} if ids else {}
    return [found[id] for id in ids if id in found]


def called(member: Member, typed: str) -> tuple[list[Any], list[Contact]]:
    """The newest conversations with people of that name or number, and such people without one the member may open."""
    from inbox.models.conversation import Conversation

    people = contacts_called(typed, member, limit=20)
    if not people:
        return [], []
    query = _scope(member).where(Conversation.contact_id.in_(people)).order_by(Conversation.last_activity_at.desc(), Conversation.id.desc())
    talks = list(db.session.scalars(query.limit(SHOWN)))
    alone = [id for id in people if id not in {talk.contact_id for talk in talks}][:SHOWN]
    contacts = list(db.session.scalars(Contact.visible_to(member, among=alone).order_by(Contact.name, Contact.id))) if alone else []
    return talks, contacts


def _scope(member: Member, ids: list[int] | None = None) -> sa.Select[Any]:
    from inbox.models.conversation import Conversation

    query = Conversation.scope(member).options(joinedload(Conversation.contact), joinedload(Conversation.inbox))
    return query if ids is None else query.where(Conversation.id.in_(ids))
