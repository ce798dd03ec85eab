"""Databases of a size to measure on: real texts in conversations with assignees, tags and unread, put in by the driver, and kept between runs.

A third as many contacts as conversations, three inboxes, five texts in each conversation; a tenth of the conversations is open. The same number of rare
words and names whatever the size, so that a search finds as much in a small database as in a large one.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from flask import Flask
from flask_migrate import upgrade

from inbox.models import Contact, Conversation, Event, Message, Tag, db, transaction
from inbox.models.conversation.locking import Lock
from inbox.models.search import engine, index
from inbox.models.search.terms import tsvector
from inbox.models.search.words import GAP, of_text
from inbox.models.tag import Tagging
from tests.conftest import make_app
from tests.run import ROOT, answering_postgres, create_database, valkey
from tests.world import World

EACH, BATCH, RARE, NAMED = 5, 20_000, 20, 5
SIZES = {"1k": 1000, "10k": 10_000, "100k": 100_000, "1m": 1_000_000}
TEXTS = ROOT.parent / "shared" / "data" / "conversations" / "dev"
KEPT = Path(os.environ.get("BENCH_DATA") or "/var/tmp/inbox-bench")  # noqa: S108 - a cache of generated rows, for this user alone
FIRSTS, LASTS = ("Ana", "Bo", "Cy", "Di", "El", "Fay", "Gus", "Hal"), ("Silva", "Lind", "Young", "Short", "Brand", "Moss", "Kerr", "Reyes")
TABLES = (Contact, Conversation, Message, Lock, Tagging, Event)
SHAPE = 1  # a new number makes kept databases anew


@dataclass(frozen=True)
class Seeded:
    """A database of a size: its app, and the folder that is its INBOX_DATA."""

    app: Flask
    folder: Path
    url: str
    size: str


def texts(folder: Path = TEXTS) -> list[str]:
    """Real texts where there are some, else made up ones."""
    found: list[str] = []
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            found += [turn["text"][:300] for line in itertools.islice(lines, 400) for turn in json.loads(line)["turns"] if turn.get("text")]
    dice = random.Random(1)  # noqa: S311
    return found or [" ".join(f"word{min(int(dice.expovariate(0.002)), 40_000)}" for _ in range(12)) for _ in range(20_000)]


class Filling:
    """Rows as the driver takes them: one of each is written through the models, all others are like it but for what they say."""

    def __init__(self, world: World, size: int, bodies: list[str]) -> None:
        self.size, self.people_count, self.lite = size, max(1, size // 3), db.engine.dialect.name == "sqlite"
        self.dice = random.Random(size)  # noqa: S311
        self.dice.shuffle(bodies)
        self.bodies = [(body, of_text(body)) for body in bodies[:20_000]]
        with transaction():
            orders = world.inbox(world.team, "Orders", "+14155550109", world.dana, "green")
            for box in (orders, world.pharmacy):
                for who in (world.maya, world.theo):
                    box.add_member(who, by=world.dana)
        first = world.conversation()
        with transaction():
            self.tags = [Tag.create(name, by=world.dana).id for name in ("Urgent", "Lab", "Refund", "VIP", "Follow up")]
            first.tag(db.session.get_one(Tag, self.tags[0]), by=world.dana)
            first.assign_to(world.maya, by=world.dana, expected=None)
            first.acquire(by=world.maya)
            first.release(by=world.maya, fence=1)
        self.boxes, self.who = (world.front.id, world.pharmacy.id, orders.id), (world.maya.id, world.theo.id, world.dana.id)
        event = db.session.scalars(sa.select(Event).where(Event.kind == "conversation.assigned")).first()
        assert event is not None
        self.like = {
            Contact: self._row(Contact, Contact.id == first.contact_id), Conversation: self._row(Conversation, Conversation.id == first.id),
            Message: self._row(Message, Message.id == first.last_message_id), Lock: self._row(Lock, Lock.conversation_id == first.id),
            Tagging: self._row(Tagging, Tagging.conversation_id == first.id), Event: self._row(Event, Event.id == event.id),
        }
        self.start, self.now = first.id + 1000, datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
        db.session.commit()

    def _row(self, model: type[Any], where: Any) -> dict[str, Any]:
        return dict(db.session.execute(sa.select(model.__table__).where(where)).mappings().first() or {})

    def moment(self, at: datetime) -> Any:
        return at.isoformat(" ", "microseconds")[:26] if self.lite else at

    def at(self, n: int) -> Any:
        """When the last text of the n-th conversation came."""
        return self.moment(self.now - timedelta(seconds=40 * (self.size - n)))

    def shape(self, model: type[Any], *names: str) -> tuple[list[Any], list[int]]:
        """A row like the first one, and where these columns stand in it."""
        row = self.like[model]
        values = [self.moment(v) if isinstance(v, datetime) else json.dumps(v) if isinstance(v, (list, dict)) else v for v in row.values()]
        return values, [list(row).index(name) for name in names]

    def contact(self, n: int) -> int:
        return self.start + n % self.people_count

    def box(self, n: int) -> int:
        return self.boxes[n // self.people_count % 3]

    def open(self, n: int) -> bool:
        return n * 7919 % 10 == 0 and n < 3 * self.people_count

    def assignee(self, n: int) -> int | None:
        return self.who[n * 31 % 7] if n * 31 % 7 < 3 else None

    def people(self, some: range) -> Iterator[tuple[list[Any], tuple[int, list[str]]]]:
        shape, places = self.shape(Contact, "id", "public_id", "first_name", "last_name", "name", "phone")
        mine, named = f"§a{self.like[Contact]['account_id']}", max(1, self.people_count // NAMED)
        for n in some:
            first, last = ("Zebulon", "Quist") if n % named == 3 else (FIRSTS[n % 8], LASTS[n // 8 % 8])
            id, digits, row = self.start + n, f"1{2_000_000_000 + n}", shape.copy()
            for place, value in zip(places, (id, f"c{id}", first, last, f"{first} {last}", f"+{digits}"), strict=True):
                row[place] = value
            yield row, (id, [first.lower(), last.lower(), GAP, *[digits[k:] for k in range(len(digits) - 3)], GAP, mine])

    def talks(self, some: range) -> Iterator[list[Any]]:
        names = (
            "id", "public_id", "inbox_id", "contact_id", "address", "archived_at", "assignee_id", "last_activity_at", "last_inbound_at", "created_at", "owed_since",
            "unread", "last_inbound_id", "last_message_id", "preview",
        )
        shape, places = self.shape(Conversation, *names)
        for n in some:
            i, at, row, opened = self.start + n, self.at(n), shape.copy(), self.open(n)
            owed = at if opened and n // 10 % 5 < 2 else None
            values = (
                i, f"v{i}", self.box(n), self.contact(n), f"+1{2_000_000_000 + n % self.people_count}", None if opened else at, self.assignee(n), at, at, at, owed,
                opened and n // 10 % 10 < 3, i * EACH + EACH - 1, i * EACH + EACH - 1, self.bodies[n % len(self.bodies)][0][:100],
            )
            for place, value in zip(places, values, strict=True):
                row[place] = value
            yield row

    def small(self, model: type[Any], some: range, names: tuple[str, ...], values: Any) -> Iterator[list[Any]]:
        """One row for each n for which `values(n)` has some."""
        shape, places = self.shape(model, *names)
        for n in some:
            these = values(n)
            if these:
                row = shape.copy()
                for place, value in zip(places, these, strict=True):
                    row[place] = value
                yield row

    def said(self, some: range) -> Iterator[tuple[list[Any], tuple[int, list[str]]]]:
        names = ("id", "public_id", "ref", "conversation_id", "inbox_id", "kind", "author_id", "body", "provider_id", "created_at")
        shape, places = self.shape(Message, *names)
        rare_every = max(1, self.size // RARE)
        for n in some:
            i, at, box, rare = self.start + n, self.at(n), self.box(n), n % rare_every < 1
            tail = [GAP, f"§i{box}", f"§v{i}"]
            for k in range(EACH):
                id, kind, row = i * EACH + k, "out" if k % 2 else "in", shape.copy()
                body, words = self.bodies[(n * EACH + k) * 7 % len(self.bodies)]
                extra = ["everywhere", *(["needlework"] if rare and k < 2 else []), *(["appointment"] if (n + k) % 100 == 0 else [])]
                author = self.who[0] if kind == "out" and (n % 4 == 0 or rare) else None
                values = (id, f"m{id}", f"m{id}", i, box, kind, author, f"{body} {' '.join(extra)}", None, at)
                for place, value in zip(places, values, strict=True):
                    row[place] = value
                yield row, (id, [*words, *extra, *tail, f"§k{kind}", *([f"§w{author}"] if author else [])])

    def rows(self) -> None:
        """Put everything in, a batch at a time."""
        with db.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            if self.lite:
                for pragma in ("synchronous=off", "cache_size=-400000", "temp_store=memory", "foreign_keys=off", "wal_autocheckpoint=20000"):
                    driver.execute(f"PRAGMA {pragma}")
            else:
                driver.execute("SET session_replication_role = replica")  # every reference is to a row put in here
                driver.execute("SET synchronous_commit = off")
                driver.commit()
            for first in range(0, self.size, BATCH):
                self._batch(driver, range(first, min(first + BATCH, self.size)))
            connection.invalidate()

    def _batch(self, driver: Any, some: range) -> None:
        people, said = list(self.people(range(some.start, min(some.stop, self.people_count)))), list(self.said(some))
        if self.lite:
            driver.execute("BEGIN")
        put(driver, Contact.__table__, (row for row, _ in people))
        put(driver, Conversation.__table__, self.talks(some))
        put(driver, Message.__table__, (row for row, _ in said))
        put(driver, Lock.__table__, self.small(Lock, some, ("conversation_id",), lambda n: (self.start + n,)))
        tag = lambda n: (self.start + n, self.start + n, self.tags[n % 5]) if n % 7 == 0 else None  # noqa: E731
        put(driver, Tagging.__table__, self.small(Tagging, some, ("id", "conversation_id", "tag_id"), tag))
        event = lambda n: (self.start + n, self.start + n, self.box(n), self.at(n)) if self.assignee(n) else None  # noqa: E731
        put(driver, Event.__table__, self.small(Event, some, ("id", "conversation_id", "inbox_id", "at"), event))
        put_words(driver, "contact_words", (words for _, words in people))
        put_words(driver, "message_words", (words for _, words in said))
        driver.commit()


def put(driver: Any, table: Any, rows: Iterable[list[Any]]) -> None:
    names = ", ".join(f'"{c.name}"' for c in table.columns)
    if not isinstance(driver, psycopg.Connection):
        driver.executemany(f'INSERT INTO "{table.name}" ({names}) VALUES ({", ".join("?" * len(table.columns))})', rows)  # noqa: S608
        return
    with driver.cursor().copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:  # type: ignore[arg-type]
        for row in rows:
            copy.write_row(row)


def put_words(driver: Any, table: str, rows: Iterable[tuple[int, list[str]]]) -> None:
    if not isinstance(driver, psycopg.Connection):
        driver.executemany(f"INSERT INTO {table} (rowid, words) VALUES (?, ?)", ((id, " ".join(words)) for id, words in rows))  # noqa: S608
        return
    with driver.cursor().copy(f"COPY {table} (id, words) FROM STDIN") as copy:  # type: ignore[arg-type]
        for id, words in rows:
            copy.write_row((id, tsvector(words)))


@contextlib.contextmanager
def without_indexes() -> Iterator[None]:
    """The large tables without their secondary indexes meanwhile: built at the end, in two threads where the database can."""
    names = [model.__table__.name for model in TABLES]
    if db.engine.dialect.name == "sqlite":
        query = f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({', '.join(repr(n) for n in names)})"  # noqa: S608
    else:
        query = (
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND indexname NOT IN (SELECT conname FROM pg_constraint)"
            f" AND tablename IN ({', '.join(repr(n) for n in [*names, 'message_words', 'contact_words'])})"  # noqa: S608
        )
    with db.engine.begin() as connection:
        found = [(name, made) for name, made in connection.exec_driver_sql(query).all() if name not in ("uq_conversation_open",)]
        for name, _ in found:
            connection.exec_driver_sql(f'DROP INDEX "{name}"')
    yield
    waiting = sorted((made for _, made in found), key=lambda made: "gin" not in made.lower())
    lock, database = threading.Lock(), db.engine  # the threads have no app

    def build() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                made = waiting.pop(0)
            with database.begin() as connection:
                if database.dialect.name == "postgresql":
                    connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '768MB'")
                    connection.exec_driver_sql("SET LOCAL max_parallel_maintenance_workers = 0")
                connection.exec_driver_sql(made)

    workers = 1 if database.dialect.name == "sqlite" else 2
    with ThreadPoolExecutor(workers) as pool:
        for built in [pool.submit(build) for _ in range(workers)]:
            built.result()


def fill(world: World, size: int) -> None:
    """So many conversations, searchable and analysed."""
    filling = Filling(world, size, texts())
    with without_indexes():
        filling.rows()
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in ("event", "contact", "conversation", "message", "tagging"):
                connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")  # noqa: S608
            for statement in engine.CREATE["postgresql"]:
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("VACUUM ANALYZE")
    else:
        with db.engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")
    with transaction():
        db.session.add_all([index.SearchMark(name=name, reached=2**31 - 1, until=2**31 - 1) for name in ("messages", "contacts")])


def seeded(size: str, database: str) -> Seeded:
    """The database of that size, made when it is not kept from an earlier run."""
    folder = KEPT / f"{database}-{size}-{SHAPE}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    url, done = f"sqlite:///{folder}/inbox.db", folder / "filled"
    if database == "postgres":
        server = answering_postgres()
        if server is None:
            raise SystemExit("There is no PostgreSQL server that lets us create databases. To fix it: apt-get install -y postgresql, and a role for this user.")
        name = f"inbox_bench_{size}_{SHAPE}"
        url = f"postgresql+psycopg://{server['user']}@/{name}?host={server['host']}"
        with psycopg.connect(**server, dbname="postgres", autocommit=True) as connection:
            there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if not done.exists() or not there:
                done.unlink(missing_ok=True)
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[arg-type]
                create_database(connection, name)
    elif not done.exists():
        for old in folder.glob("inbox.db*"):
            old.unlink()
    with contextlib.ExitStack() as stack:
        if not done.exists() and "TEST_REDIS_URL" not in os.environ:  # the cast's texts ring for jobs that nobody needs
            os.environ["TEST_REDIS_URL"] = stack.enter_context(valkey(folder))
            stack.callback(os.environ.pop, "TEST_REDIS_URL")
        app = make_app(folder, url, 9)
        stack.enter_context(app.app_context())
        upgrade()  # a kept database may be of an earlier day
        if not done.exists():
            began = time.monotonic()
            fill(World(app), SIZES[size])
            done.write_text(f"{time.monotonic() - began:.0f} seconds\n")
        db.session.remove()
        db.engine.dispose()
    return Seeded(app, folder, url, size)
