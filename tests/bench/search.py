"""Prints what a search costs: `.venv/bin/python -m tests.bench.search [--size 10k,100k,1m] [--postgresql URL] [--texts FOLDER]`.

Seeds that many conversations of five texts each into a database of its own, then times a rare word, one that stands in every text, both together, a begun
word and a phrase: milliseconds of CPU in this process (which on SQLite does all the work) and on the clock, the median of some.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask_migrate import upgrade

from inbox.models import Contact, Conversation, Inbox, Member, Message, db, transaction
from inbox.models.search import catch_up
from inbox.models.search.finding import find
from tests.conftest import make_app
from tests.world import World

EACH, BATCH = 5, 4000
SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000}
ASKED = {"a rare word": "needlework ", "a word in every text": "everywhere ", "rare and everywhere": "needlework everywhere", "a begun word": "everyw", "a phrase": '"everywhere appointment"', "a rare word and a filter": "needlework is:open", "no such word": "xyzzyx "}
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)


def texts(folder: Path | None) -> list[str]:
    """Real texts where there are some, else made up ones."""
    found: list[str] = []
    for path in sorted(folder.glob("*.jsonl.gz")) if folder else []:
        with gzip.open(path, "rt") as lines:
            found += [turn["text"][:300] for line in itertools.islice(lines, 400) for turn in json.loads(line)["turns"] if turn.get("text")]
    dice = random.Random(1)  # noqa: S311
    return found or [" ".join(f"word{min(int(dice.expovariate(0.002)), 40_000)}" for _ in range(12)) for _ in range(20_000)]


def rows(box: Inbox, first: int, n: int, bodies: list[str], dice: random.Random) -> Iterator[tuple[dict[str, object], dict[str, object], list[dict[str, object]]]]:
    for i in range(first, first + n):
        at, phone = BEGAN + timedelta(seconds=i), f"+1{2_000_000_000 + i}"
        contact = {"id": i, "public_id": f"c{i}", "account_id": box.account_id, "first_name": "", "last_name": "", "name": phone, "phone": phone, "fields": {}, "created_at": at}
        talk = {
            "id": i, "public_id": f"v{i}", "account_id": box.account_id, "inbox_id": box.id, "contact_id": i, "channel": "sms", "address": phone, "archived_at": at if i % 10 else None,
            "last_activity_at": at, "preview": "", "preview_kind": "in", "unread": False, "failed": False, "version": 0, "created_at": at, "last_inbound_id": 0, "last_message_id": 0,
        }
        said = [
            {
                "public_id": f"m{i}-{k}", "ref": f"m{i}-{k}", "account_id": box.account_id, "conversation_id": i, "inbox_id": box.id, "kind": "out" if k % 2 else "in",
                "body": f"{dice.choice(bodies)} everywhere{' needlework' if i % 2000 == 7 and k == 0 else ''}{' appointment' if dice.random() < 0.01 else ''}",
                "state": "received", "verdict": [], "created_at": at, "provider_id": None,
            }
            for k in range(EACH)
        ]
        yield contact, talk, said


def fill(box: Inbox, first: int, n: int, bodies: list[str]) -> None:
    """Put in `n` conversations; the index is filled as the job does it."""
    made = rows(box, first, n, bodies, random.Random(first))  # noqa: S311
    while some := list(itertools.islice(made, BATCH // EACH)):
        with transaction():
            db.session.execute(sa.insert(Contact), [contact for contact, _, _ in some])
            db.session.execute(sa.insert(Conversation), [talk for _, talk, _ in some])
            db.session.execute(sa.insert(Message), [text for _, _, said in some for text in said])


def measure(who: Member, typed: str) -> tuple[float, float, int]:
    cpu, wall, n = [], [], 0
    for _ in range(15):
        db.session.rollback()
        began, clocked = time.process_time(), time.perf_counter()
        found = find(who, typed, zone=ZoneInfo("UTC"))
        cpu.append((time.process_time() - began) * 1000)
        wall.append((time.perf_counter() - clocked) * 1000)
        n = len(found.hits)
    return statistics.median(cpu), statistics.median(wall), n


def run(size: str, url: str | None, bodies: list[str]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="search-"))
    app = make_app(folder, url or f"sqlite:///{folder}/inbox.db", 9)
    with app.app_context():
        upgrade()
        world = World(app)
        began = time.perf_counter()
        fill(world.front, 1000, SIZES[size], bodies)
        filled = time.perf_counter()
        while catch_up():
            pass
        print(f"{size}: {SIZES[size] * EACH:,} texts put in within {filled - began:.0f} s, indexed within {time.perf_counter() - filled:.0f} s")  # noqa: T201
        if url:
            with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("ANALYZE")
        for what, typed in ASKED.items():
            cpu, wall, n = measure(world.maya, typed)
            print(f"  {what:28} {cpu:7.1f} ms CPU  {wall:7.1f} ms  {n:3} found")  # noqa: T201
        db.session.remove()
        db.engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="10k,100k")
    parser.add_argument("--postgresql", help="address of an empty database")
    parser.add_argument("--texts", type=Path, help="a folder with *.jsonl.gz of conversations")
    asked = parser.parse_args()
    bodies = texts(asked.texts)
    for size in asked.size.split(","):
        run(size, asked.postgresql, bodies)


if __name__ == "__main__":
    main()
