"""The index itself: FTS5 on SQLite, a tsvector with GIN on PostgreSQL, behind the same four functions.

Two of them, `message_words` and `contact_words`, each keyed by the row it tells of. Texts and notes never change, so theirs is only ever added to.
"""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import event

from inbox.models.base import Base, db
from inbox.models.search.terms import Every, Term, fts5, tsquery, tsvector, word

TABLES = ("message_words", "contact_words")
WIDTH = 20_000  # rows PostgreSQL looks through at a time, newest first; eight times more with every round
MANY = 5_000  # hits of a word that PostgreSQL sorts; of a word with more of them, the newest are met soon
CREATE = {
    "sqlite": (
        "CREATE VIRTUAL TABLE IF NOT EXISTS message_words USING fts5(words, content='', tokenize='ascii', prefix='2 3')",
        "CREATE VIRTUAL TABLE IF NOT EXISTS contact_words USING fts5(words, tokenize='ascii', prefix='2 3')",
    ),
    "postgresql": (
        "CREATE TABLE IF NOT EXISTS message_words (id BIGINT NOT NULL, words TSVECTOR NOT NULL, CONSTRAINT pk_message_words PRIMARY KEY (id))",
        "CREATE INDEX IF NOT EXISTS ix_message_words_words ON message_words USING gin (words)",
        "CREATE TABLE IF NOT EXISTS contact_words (id BIGINT NOT NULL, words TSVECTOR NOT NULL, CONSTRAINT pk_contact_words PRIMARY KEY (id))",
        "CREATE INDEX IF NOT EXISTS ix_contact_words_words ON contact_words USING gin (words)",
    ),
}


@event.listens_for(Base.metadata, "after_create")
def _create(_target: sa.MetaData, connection: sa.Connection, **_: Any) -> None:
    for statement in CREATE[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def ours(name: str | None) -> bool:
    """Whether a table of the database belongs to the index, which Alembic does not look after."""
    return (name or "").startswith(TABLES)


def _sqlite() -> bool:
    return db.session.get_bind().dialect.name == "sqlite"


def add_messages(rows: list[tuple[int, list[str]]]) -> None:
    """Index messages; those that are there already stay as they are."""
    if not rows:
        return
    if not _sqlite():
        db.session.execute(
            sa.text("INSERT INTO message_words (id, words) VALUES (:id, CAST(:words AS tsvector)) ON CONFLICT (id) DO NOTHING"),
            [{"id": id, "words": tsvector(words)} for id, words in rows],
        )
        return
    db.session.execute(
        sa.text("INSERT INTO message_words (rowid, words) SELECT :id, :words WHERE NOT EXISTS (SELECT 1 FROM message_words WHERE rowid = :id)"),
        [{"id": id, "words": " ".join(words)} for id, words in rows],
    )


def put_contacts(rows: list[tuple[int, list[str]]]) -> None:
    """Index contacts as they are now."""
    if not rows:
        return
    if not _sqlite():
        latest = dict(sorted(rows))
        db.session.execute(
            sa.text(
                "INSERT INTO contact_words (id, words) SELECT id, CAST(words AS tsvector) FROM unnest(CAST(:ids AS bigint[]), CAST(:words AS text[])) AS t (id, words)"
                " ON CONFLICT (id) DO UPDATE SET words = excluded.words"
            ),
            {"ids": list(latest), "words": [tsvector(words) for words in latest.values()]},
        )
        return
    db.session.execute(sa.text("DELETE FROM contact_words WHERE rowid = :id"), [{"id": id} for id, _ in rows])
    db.session.execute(sa.text("INSERT INTO contact_words (rowid, words) VALUES (:id, :words)"), [{"id": id, "words": " ".join(words)} for id, words in rows])


def find(table: Literal["message_words", "contact_words"], term: Term, *, below: int | None = None, above: int = 0, limit: int = 100) -> list[int]:
    """The newest `limit` rows that match, with ids between `above` and `below`, both left out. Costs the same however many match."""
    if _sqlite():
        query = sa.text(f"SELECT rowid FROM {table} WHERE {table} MATCH :q AND rowid < :below AND rowid > :above ORDER BY rowid DESC LIMIT :limit")  # noqa: S608
        return list(db.session.scalars(query, {"q": fts5(term), "below": below or 2**62, "above": above, "limit": limit}))
    db.session.execute(sa.text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"))  # the plan depends on how rare the words are
    top = below or (db.session.scalar(sa.text(f"SELECT max(id) FROM {table}")) or 0) + 1  # noqa: S608
    query = sa.text(f"SELECT id FROM {table} WHERE words @@ CAST(:q AS tsquery) AND id < :top AND id > :low ORDER BY id DESC LIMIT :limit")  # noqa: S608
    found: list[int] = []
    width, text = WIDTH, tsquery(term)
    while top > above + 1 and len(found) < limit:
        low = max(above, top - width)
        found += db.session.scalars(query, {"q": text, "top": top, "low": low, "limit": limit - len(found)})
        if width == WIDTH and low > above and len(found) < limit:
            rare = _rare(table, text, below=low + 1, above=above, limit=limit - len(found))
            if rare is not None:
                return found + rare
        top, width = low + 1, width * 8
    return found


def _rare(table: str, text: str, *, below: int, above: int, limit: int) -> list[int] | None:
    """The newest from the index of words alone, which is right for rare ones; None when there are too many to sort.

    The planner would not look there: it does not know how rare a word is, and hopes to meet enough of them soon while it walks the rows from the newest.
    """
    query = sa.text(
        f"WITH hits AS MATERIALIZED (SELECT id FROM {table} WHERE words @@ CAST(:q AS tsquery) LIMIT :many)"  # noqa: S608
        " SELECT (SELECT count(*) FROM hits), ARRAY(SELECT id FROM hits WHERE id < :below AND id > :above ORDER BY id DESC LIMIT :limit)"
    )
    count, ids = db.session.execute(query, {"q": text, "many": MANY, "below": below, "above": above, "limit": limit}).one()
    return list(ids) if count < MANY else None


def on_pages_before(term: Term, conversations: list[int], since: int, below: int | None) -> set[int]:
    """Which of these conversations have a matching message from id `since` on: asked one by one, each a look at a few rows."""
    if not conversations:
        return set()
    if _sqlite():
        return {c for c in conversations if find("message_words", Every((term, word(f"§v{c}"))), below=below, above=since - 1, limit=1)}
    query = sa.text(
        "SELECT DISTINCT m.conversation_id FROM message m JOIN message_words w ON w.id = m.id"
        " WHERE m.conversation_id = ANY(:homes) AND m.id >= :since AND m.id < :below AND w.words @@ CAST(:q AS tsquery)"
    )
    return set(db.session.scalars(query, {"homes": conversations, "since": since, "below": below or 2**62, "q": tsquery(term)}))
