"""Prints what searches cost: `.venv/bin/python -m tests.bench.search [--size 10k,1m] [--db postgres] [--only words]`.

Milliseconds of CPU in this process (which on SQLite does all the work) and in PostgreSQL's, and on the clock, the median of some, on kept databases
(`tests/bench/seeding.py`) that hold the same number of rare hits whatever their size.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from inbox.models import Member, Message, db
from inbox.models.search.finding import find
from tests.bench.seeding import seeded

ROUNDS = 15
ASKED = {
    "a rare word": "needlework ", "a rare word, in: an inbox": "needlework in:pharmacy", "a rare word, from: somebody": "needlework from:maya", "a rare word, is:open": "needlework is:open",
    "a word in every text": "everywhere ", "a word in every text, in: an inbox": "everywhere in:pharmacy", "a word in every text, from: somebody": "everywhere from:maya",
    "rare and in every text": "needlework everywhere", "a begun word": "everyw", "a phrase": '"everywhere appointment"', "one in a hundred, is:unread (none)": "appointment is:unread",
    "no such word": "xyzzyx ", "a name": "Zebulon", "from: a name": "from:Zebulon", "a whole number": "+1 200 000 1234", "part of a number": "000123", "without words": "in:pharmacy is:open",
}


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


def run(size: str, database: str, only: str) -> dict[str, float]:
    made = seeded(size, database)
    with made.app.app_context():
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
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--only", default="", help="part of the name of a search")
    asked = parser.parse_args()
    costs = {size: run(size, asked.db, asked.only) for size in asked.size.split(",")}
    small, *_, large = costs if len(costs) > 1 else [*costs, *costs]
    for what, cpu in costs[large].items():
        print(f"{what:38} {cpu / costs[small][what]:5.1f}x from {small} to {large}")  # noqa: T201


if __name__ == "__main__":
    main()
