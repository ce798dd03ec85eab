"""The index when messages change their conversation: what is found, and in which conversation, stays true."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from inbox.models.base import db
from inbox.models.search.index import BATCH, marks
from inbox.models.search.terms import tsvector
from inbox.models.search.words import GAP, of_text


def moved(ids: Sequence[int], *, was: int) -> None:
    """Index these messages anew, which were in conversation `was` until this transaction."""
    for start in range(0, len(ids), BATCH):
        _moved(ids[start : start + BATCH], was)


def _moved(ids: Sequence[int], was: int) -> None:
    from inbox.models.message import Message

    columns = (Message.id, Message.inbox_id, Message.conversation_id, Message.kind, Message.author_id, Message.body)
    rows = db.session.execute(sa.select(*columns).where(Message.id.in_(ids), Message.kind != "call")).all()
    with_files = _with_files([r.id for r in rows])
    words = {r.id: [*of_text(r.body), GAP, *marks(r, r.id in with_files)] for r in rows}
    if db.session.get_bind().dialect.name == "sqlite":
        _rewrite(words, was)
    elif words:
        put = sa.text("INSERT INTO message_words (id, words) VALUES (:id, CAST(:words AS tsvector)) ON CONFLICT (id) DO UPDATE SET words = excluded.words")
        db.session.execute(put, [{"id": id, "words": tsvector(said)} for id, said in words.items()])


def _rewrite(words: dict[int, list[str]], was: int) -> None:
    """FTS5 keeps no text of its own here: to forget a row it must be told the very words it was given."""
    there = set(db.session.scalars(sa.text("SELECT rowid FROM message_words WHERE rowid BETWEEN :a AND :b"), {"a": min(words, default=0), "b": max(words, default=0)}))
    known = {id: said for id, said in words.items() if id in there}
    if not known:
        return
    old = [{"id": id, "words": " ".join(f"§v{was}" if word.startswith("§v") else word for word in said)} for id, said in known.items()]
    db.session.execute(sa.text("INSERT INTO message_words (message_words, rowid, words) VALUES ('delete', :id, :words)"), old)
    db.session.execute(sa.text("INSERT INTO message_words (rowid, words) VALUES (:id, :words)"), [{"id": id, "words": " ".join(said)} for id, said in known.items()])


def _with_files(ids: list[int]) -> set[int]:
    """Which of them the index knows to have files; what was taken back since may have none left."""
    if not ids:
        return set()
    if db.session.get_bind().dialect.name == "sqlite":
        query = sa.text("SELECT rowid FROM message_words WHERE message_words MATCH :q AND rowid BETWEEN :a AND :b")
        return set(db.session.scalars(query, {"q": '"§ha"', "a": min(ids), "b": max(ids)}))
    query = sa.text("SELECT id FROM message_words WHERE id = ANY(:ids) AND words @@ CAST(:q AS tsquery)")
    return set(db.session.scalars(query, {"ids": ids, "q": "'§ha'"}))
