"""Prints what a search costs: `.venv/bin/python -m tests.bench.search [--size 10k,1m] [--postgresql URL] [--texts FOLDER] [--keep FOLDER]`.

Seeds that many conversations of five texts each into a database of its own, rows and index in bulk, with the same number of rare hits whatever the size.
Then searches: milliseconds of CPU in this process (which on SQLite does all the work) and in PostgreSQL's, and on the clock, the median of some.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask_migrate import upgrade

from inbox.models import Contact, Conversation, Member, Message, db, transaction
from inbox.models.search import engine, index
from inbox.models.search.finding import find
from inbox.models.search.terms import tsvector
from inbox.models.search.words import GAP, of_text
from tests.conftest import make_app
from tests.world import World

EACH, BATCH, RARE, NAMED, ROUNDS = 5, 20_000, 20, 5, 15
SIZES = {"1k": 1000, "10k": 10_000, "100k": 100_000, "1m": 1_000_000}
ASKED = {
    "a rare word": "needlework ", "a rare word, in: an inbox": "needlework in:pharmacy", "a rare word, from: somebody": "needlework from:maya", "a rare word, is:open": "needlework is:open",
    "a word in every text": "everywhere ", "a word in every text, in: an inbox": "everywhere in:pharmacy", "a word in every text, from: somebody": "everywhere from:maya",
    "rare and in every text": "needlework everywhere", "a begun word": "everyw", "a phrase": '"everywhere appointment"', "one in a hundred, is:unread (none)": "appointment is:unread",
    "no such word": "xyzzyx ", "a name": "Zebulon", "from: a name": "from:Zebulon", "a whole number": "+1 200 000 1234", "part of a number": "000123", "without words": "in:pharmacy is:open",
}
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
FIRSTS, LASTS = ("Ana", "Bo", "Cy", "Di", "El", "Fay", "Gus", "Hal"), ("Silva", "Lind", "Young", "Short", "Brand", "Moss", "Kerr", "Reyes")


def texts(folder: Path | None) -> list[str]:
    """Real texts where there are some, else made up ones."""
    found: list[str] = []
    for path in sorted(folder.glob("*.jsonl.gz")) if folder else []:
        with gzip.open(path, "rt") as lines:
            found += [turn["text"][:300] for line in itertools.islice(lines, 400) for turn in json.loads(line)["turns"] if turn.get("text")]
    dice = random.Random(1)  # noqa: S311
    return found or [" ".join(f"word{min(int(dice.expovariate(0.002)), 40_000)}" for _ in range(12)) for _ in range(20_000)]


class Filling:
    """Rows as the driver takes them: one is written through the models, all others are like it but for what they say."""

    def __init__(self, world: World, size: int, bodies: list[str]) -> None:
        self.boxes, self.maya, self.size = (world.front, world.pharmacy), world.maya.id, size
        self.bodies = [(body, of_text(body)) for body in bodies[:20_000]]
        self.dice = random.Random(size)  # noqa: S311
        first = world.conversation()
        db.session.commit()
        self.like = {model: self._row(model, id) for model, id in ((Contact, first.contact_id), (Conversation, first.id), (Message, first.last_message_id))}
        self.start = first.id + 1000
        self.lite = db.engine.dialect.name == "sqlite"

    def _row(self, model: type[Any], id: int) -> dict[str, Any]:
        return dict(db.session.execute(sa.select(model.__table__).where(model.__table__.c.id == id)).mappings().one())

    def moment(self, at: datetime) -> Any:
        return at.isoformat(" ", "microseconds")[:26] if self.lite else at

    def shape(self, model: type[Any], *names: str) -> tuple[list[Any], list[int]]:
        """A row like the first one, and where these columns stand in it."""
        row = self.like[model]
        values = [self.moment(v) if isinstance(v, datetime) else json.dumps(v) if isinstance(v, (list, dict)) else v for v in row.values()]
        return values, [list(row).index(name) for name in names]

    def people(self, some: range) -> Iterator[tuple[list[Any], tuple[int, list[str]]]]:
        shape, places = self.shape(Contact, "id", "public_id", "first_name", "last_name", "name", "phone")
        mine = f"§a{self.like[Contact]['account_id']}"
        for i in some:
            first, last = ("Zebulon", "Quist") if (i - self.start) % (self.size // NAMED) == 3 else (FIRSTS[i % 8], LASTS[i // 8 % 8])
            digits = f"1{2_000_000_000 + i - self.start}"
            row = shape.copy()
            for place, value in zip(places, (i, f"c{i}", first, last, f"{first} {last}", f"+{digits}"), strict=True):
                row[place] = value
            yield row, (i, [first.lower(), last.lower(), GAP, *[digits[k:] for k in range(len(digits) - 3)], GAP, mine])

    def talks(self, some: range) -> Iterator[list[Any]]:
        names = ("id", "public_id", "inbox_id", "contact_id", "address", "archived_at", "last_activity_at", "last_inbound_at", "created_at", "owed_since", "unread")
        shape, places = self.shape(Conversation, *names)
        for i in some:
            at, row = self.moment(BEGAN + timedelta(seconds=40 * (i - self.start))), shape.copy()
            values = (i, f"v{i}", self.box(i), i, f"+1{2_000_000_000 + i - self.start}", at if i % 10 else None, at, at, at, None, False)
            for place, value in zip(places, values, strict=True):
                row[place] = value
            yield row

    def box(self, i: int) -> int:
        return self.boxes[(i - self.start) // 3 % 10 == 0].id

    def said(self, some: range) -> Iterator[tuple[list[Any], tuple[int, list[str]]]]:
        names = ("id", "public_id", "ref", "conversation_id", "inbox_id", "kind", "author_id", "body", "provider_id", "created_at")
        shape, places = self.shape(Message, *names)
        for i in some:
            rare, at, box = (i - self.start) % (self.size // RARE) < 1, self.moment(BEGAN + timedelta(seconds=40 * (i - self.start))), self.box(i)
            for k in range(EACH):
                id, kind, row = i * EACH + k, "out" if k % 2 else "in", shape.copy()
                body, words = self.dice.choice(self.bodies)
                extra = ["everywhere", *(["needlework"] if rare and k < 2 else []), *(["appointment"] if self.dice.random() < 0.01 else [])]
                author = self.maya if kind == "out" and (i % 4 == 0 or rare) else None
                values = (id, f"m{id}", f"m{id}", i, box, kind, author, f"{body} {' '.join(extra)}", None, at)
                for place, value in zip(places, values, strict=True):
                    row[place] = value
                yield row, (id, [*words, *extra, GAP, f"§i{box}", f"§v{i}", f"§k{kind}", *([f"§w{author}"] if author else [])])

    def rows(self) -> None:
        """Put everything in, a batch at a time."""
        for first in range(self.start, self.start + self.size, BATCH):
            some = range(first, min(first + BATCH, self.start + self.size))
            people, said = list(self.people(some)), list(self.said(some))
            with db.engine.begin() as connection:
                put(connection, Contact.__table__, (row for row, _ in people))
                put(connection, Conversation.__table__, self.talks(some))
                put(connection, Message.__table__, (row for row, _ in said))
                put_words(connection, "contact_words", (words for _, words in people))
                put_words(connection, "message_words", (words for _, words in said))


def put(connection: sa.Connection, table: sa.Table, rows: Iterable[list[Any]]) -> None:
    names = ", ".join(f'"{c.name}"' for c in table.columns)
    driver = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.executemany(f'INSERT INTO "{table.name}" ({names}) VALUES ({", ".join("?" * len(table.columns))})', rows)  # noqa: S608
        return
    with driver.cursor().copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(row)


def put_words(connection: sa.Connection, table: str, rows: Iterable[tuple[int, list[str]]]) -> None:
    driver = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.executemany(f"INSERT INTO {table} (rowid, words) VALUES (?, ?)", ((id, " ".join(words)) for id, words in rows))  # noqa: S608
        return
    with driver.cursor().copy(f"COPY {table} (id, words) FROM STDIN") as copy:
        for id, words in rows:
            copy.write_row((id, tsvector(words)))


def fill(world: World, size: int, bodies: list[str]) -> None:
    filling, lite = Filling(world, size, bodies), db.engine.dialect.name == "sqlite"
    if not lite:
        with db.engine.begin() as connection:
            connection.exec_driver_sql("DROP INDEX ix_message_words_words")
            connection.exec_driver_sql("DROP INDEX ix_contact_words_words")
    filling.rows()
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not lite:
            connection.exec_driver_sql("SET maintenance_work_mem = '512MB'")
            for statement in engine.CREATE["postgresql"]:
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("VACUUM ANALYZE")
    with transaction():
        db.session.add_all([index.SearchMark(name=name, reached=2**31 - 1, until=2**31 - 1) for name in ("messages", "contacts")])


def weight() -> str:
    """How large the index of the texts is, in MB for a million of them."""
    n = db.session.scalar(sa.select(sa.func.count()).select_from(Message)) or 1
    if db.engine.dialect.name == "sqlite":
        size = db.session.scalar(sa.text("SELECT sum(length(block)) FROM message_words_data")) or 0
        rest = db.session.scalar(sa.text("SELECT sum(length(sz)) + 9 * count(*) FROM message_words_docsize")) or 0
        return f"{(size + rest) / n:.0f} MB for a million texts"
    table, gin = db.session.execute(sa.text("SELECT pg_table_size('message_words'), pg_indexes_size('message_words')")).one()
    return f"{table / n:.0f} MB of rows and {gin / n:.0f} MB of indexes for a million texts"


def spent(backend: int | None) -> float:
    """Seconds of CPU so far, of this process and of the database's."""
    there = int(Path(f"/proc/{backend}/schedstat").read_text().split()[0]) / 1e9 if backend else 0.0
    return time.process_time() + there


def measure(who: Member, typed: str) -> tuple[float, float, int, int]:
    cpu, wall, hits, people = [], [], 0, 0
    backend = None if db.engine.dialect.name == "sqlite" else db.session.scalar(sa.text("SELECT pg_backend_pid()"))
    for _ in range(ROUNDS):
        began, clocked = spent(backend), time.perf_counter()
        found = find(who, typed, zone=ZoneInfo("UTC"))
        cpu.append((spent(backend) - began) * 1000)
        wall.append((time.perf_counter() - clocked) * 1000)
        hits, people = len(found.hits), len(found.people)
    return statistics.median(cpu), statistics.median(wall), hits, people


def open_database(keep: Path | None, size: str, url: str | None) -> tuple[Any, Path]:
    folder = (keep / f"{size}-{'postgresql' if url else 'sqlite'}") if keep else Path(tempfile.mkdtemp(prefix="search-"))
    folder.mkdir(parents=True, exist_ok=True)
    app = make_app(folder, f"{url}_{size}" if url else f"sqlite:///{folder}/inbox.db", 9)
    if url and not (folder / "filled").exists():
        server = sa.create_engine(sa.make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            name = sa.make_url(f"{url}_{size}").database
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}"')
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    return app, folder / "filled"


def run(size: str, url: str | None, bodies: list[str], keep: Path | None, only: str) -> dict[str, float]:
    app, filled = open_database(keep, size, url)
    with app.app_context():
        if not filled.exists():
            upgrade()
            began = time.process_time()
            fill(World(app), SIZES[size], bodies)
            print(f"{size}: {SIZES[size] * EACH:,} texts put in and indexed, {time.process_time() - began:.0f} s of CPU here")  # noqa: T201
            if keep:
                filled.touch()
        who = db.session.scalars(sa.select(Member).where(Member.email == "dana@harbor.example")).one()
        print(f"{size}: index of {weight()}, process {os.getpid()}")  # noqa: T201
        costs = {}
        for what, typed in ASKED.items():
            if only not in what:
                continue
            cpu, wall, hits, people = measure(who, typed)
            costs[what] = cpu
            print(f"  {what:38} {cpu:7.1f} ms CPU  {wall:7.1f} ms  {hits:3} found, {people} people", flush=True)  # noqa: T201
        db.session.remove()
        db.engine.dispose()
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="10k,100k")
    parser.add_argument("--postgresql", help="beginning of the address of databases that it makes, one for each size")
    parser.add_argument("--texts", type=Path, help="a folder with *.jsonl.gz of conversations")
    parser.add_argument("--keep", type=Path, help="a folder for databases to use again")
    parser.add_argument("--only", default="", help="part of the name of a search")
    asked = parser.parse_args()
    costs = {size: run(size, asked.postgresql, texts(asked.texts), asked.keep, asked.only) for size in asked.size.split(",")}
    small, *_, large = costs if len(costs) > 1 else [*costs, *costs]
    for what, cpu in costs[large].items():
        print(f"{what:38} {cpu / costs[small][what]:5.1f}x from {small} to {large}")  # noqa: T201


if __name__ == "__main__":
    main()
