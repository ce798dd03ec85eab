"""Filters without words: conversations by their last activity. Costs the same in a small account and in a large one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from inbox.models.base import db
from inbox.models.search.filters import Wanted

FEW = 1000  # conversations that are looked at one by one, when a filter names no more
WALK = 2000  # conversations looked at along one index, newest first
BOXES = 6  # more inboxes than these are walked together
Place = tuple[datetime, int]


@dataclass
class Browsed:
    """Ids and moments, newest first; `until` is where the walk ended when there may be more beyond."""

    rows: list[tuple[int, datetime]] = field(default_factory=list)
    until: Place | None = None


def browse(asked: Wanted, place: Place | None, limit: int) -> Browsed:
    """The next conversations that pass every filter, at most `limit`."""
    named = _named(asked)
    found = _picked(asked, named, place, limit) if named is not None else _walked(asked, place, limit)
    found.rows.sort(key=lambda row: (row[1], row[0]), reverse=True)
    if found.until is not None:
        found.rows = [(id, at) for id, at in found.rows if (at, id) >= found.until]
    found.rows = found.rows[:limit]
    return found


def _named(asked: Wanted) -> list[int] | None:
    """The conversations that the narrowest filter leaves, when they are few."""
    for seed in asked.seeds:
        ids = list(db.session.scalars(seed.limit(FEW + 1)))
        if len(ids) <= FEW:
            return ids
    return None


def _before(query: Any, place: Place | None) -> Any:
    from inbox.models.conversation import Conversation as C  # noqa: N817

    if place is None:
        return query
    return query.where(C.last_activity_at <= place[0], sa.or_(C.last_activity_at < place[0], C.id < place[1]))


def _picked(asked: Wanted, ids: list[int], place: Place | None, limit: int) -> Browsed:
    from inbox.models.conversation import Conversation as C  # noqa: N817

    query: Any = sa.select(C.id, C.last_activity_at).where(C.id.in_(ids), _unindexed("inbox_id").in_(asked.inboxes), C.merged_into_id.is_(None), *asked.conditions)
    query = _before(query, place).order_by(C.last_activity_at.desc(), C.id.desc()).limit(limit)
    rows: Any = db.session.execute(query) if ids else ()
    return Browsed([(row[0], row[1]) for row in rows])


def _walked(asked: Wanted, place: Place | None, limit: int) -> Browsed:
    """Along the index of every inbox, open ones and others, each only so far."""
    from inbox.models.conversation import Conversation as C  # noqa: N817

    found = Browsed()
    boxes: list[Any] = [C.inbox_id == box for box in asked.inboxes] if len(asked.inboxes) <= BOXES else [C.account_id == asked.account]
    parts = {"open": C.archived_at.is_(None), "out": C.archived_at.is_not(None)}
    for box in boxes:
        for name, part in parts.items():
            if name in asked.parts:
                _walk(found, asked, _before(sa.select(C.id, C.last_activity_at).where(box, part), place), limit)
    return found


def _walk(found: Browsed, asked: Wanted, path: Any, limit: int) -> None:
    from inbox.models.conversation import Conversation as C  # noqa: N817

    near = path.order_by(C.last_activity_at.desc(), C.id.desc()).limit(WALK).subquery()
    fits = sa.exists().where(C.id == near.c.id, _unindexed("inbox_id").in_(asked.inboxes), C.merged_into_id.is_(None), *asked.conditions)
    query = sa.select(near.c.id, near.c.last_activity_at).where(fits).order_by(near.c.last_activity_at.desc(), near.c.id.desc()).limit(limit)
    rows = [(row[0], row[1]) for row in db.session.execute(query)]
    found.rows += rows
    if len(rows) < limit:
        end = db.session.execute(path.order_by(C.last_activity_at.desc(), C.id.desc()).offset(WALK - 1).limit(1)).first()
        if end is not None and (found.until is None or (end[1], end[0]) > found.until):
            found.until = (end[1], end[0])


def _unindexed(column: str) -> sa.ColumnClause[int]:
    """A column of the conversation that no index is to be chosen for: the rows are found already."""
    return sa.literal_column(f"+conversation.{column}", sa.Integer)
