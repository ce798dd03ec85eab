"""The benchmark: `.venv/bin/python -m tests.bench [name ...] [--db sqlite|postgres] [--size 10k|100k|1m] [--json]`.

Names: list open reply lock search nav webhook fanout sockets footprint growth import; without a name all of them. Databases of a size are made from real texts once
and kept in BENCH_DATA (/var/tmp/inbox-bench): a million conversations take some gigabytes. CPU is that of every process together, the database server's too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.bench.pages import Bench
from tests.bench.seeding import KEPT, SIZES, seeded
from tests.bench.stack import running

PAGES = ("list", "open", "reply", "lock", "search", "nav")
GROWING = ("list", "open", "reply", "lock", "nav")
OTHERS = ("webhook", "fanout", "sockets", "footprint", "growth", "import")
GROWTH = 1.25


def pages(names: Iterable[str], database: str, size: str) -> Iterator[dict[str, Any]]:
    """The named pages on a database of that size."""
    with running(seeded(size, database)) as stack:
        bench = Bench(stack)
        for name in names:
            yield from (figure.row() for figure in getattr(bench, name)())


def growth(database: str, size: str) -> list[dict[str, Any]]:
    """Each page at the size, in times of what it costs with 10,000 conversations."""
    small, large = ({row["name"]: row for row in pages(GROWING, database, each)} for each in ("10k", size))
    return [
        {"name": f"growth {name}", "db": database, "size": size, "cpu_ms": large[name]["cpu_ms"], "small_ms": small[name]["cpu_ms"],
         "times": round(large[name]["cpu_ms"] / small[name]["cpu_ms"], 2), "budget_times": GROWTH, "load": large[name]["load"]}
        for name in large
    ]


def webhook(database: str, size: str) -> list[dict[str, Any]]:
    """An inbound text: stored durably, and with everything it sets off."""
    from tests.bench.webhook import measure

    found = measure("sqlite" if database == "sqlite" else "postgresql")
    server = found.get("PostgreSQL server in all", 0.0)
    stored = found["stored durably, web process with its Redis client"] + found["Redis server while stored"] + found.get("PostgreSQL server while stored", 0.0)
    return [
        {"name": "webhook queued durably", "db": database, "cpu_ms": round(stored, 2), "budget": 2.5, "n": found["texts"]},
        {"name": "webhook applied", "db": database, "cpu_ms": round(found["applied, in process"] + server, 2), "budget": 8, "n": found["texts"]},
    ]


def imports(database: str, size: str) -> list[dict[str, Any]]:
    """50,000 new contacts, checked and put in."""
    from tests.bench.imports import measured

    found = {rows: measured(rows, database) for rows in (10_000, 50_000)}
    large = found[50_000]
    grown = round(large["peak_mb"] - found[10_000]["peak_mb"])
    return [{"name": "import 50,000", "db": database, "cpu_s": round(large["check"] + large["run"], 1), "budget_s": 60, "grown_mb": grown, "restored": large["restored"]}]


def live(name: str) -> Callable[[str, str], list[dict[str, Any]]]:
    def run(database: str, size: str) -> list[dict[str, Any]]:
        from tests.bench import live as lives

        found = getattr(lives, name)("sqlite" if database == "sqlite" else "postgresql")
        return [{"name": name, "db": database, **{key: value for key, value in found.items() if key != "database"}}]

    return run


def footprint(database: str, size: str) -> list[dict[str, Any]]:
    from tests.bench.footprint import footprint as measure

    return measure()


RUN: dict[str, Callable[[str, str], list[dict[str, Any]]]] = {
    "webhook": webhook, "fanout": live("fanout"), "sockets": live("sockets"), "footprint": footprint, "growth": growth, "import": imports,
}


def shown(row: dict[str, Any]) -> str:
    """A line for people."""
    first = f"{row['name']:24} {row['db']:9} {row.get('size', ''):5}"
    if "cpu_min" not in row:
        return first + "  " + "  ".join(f"{key} {value}" for key, value in row.items() if key not in ("name", "db", "size", "parts") and value is not None)
    floor = f"  floor {row['floor_ms']:.2f}, {row['ratio']:.1f}x" if row["floor_ms"] else ""
    budget = f"  (budget {row['budget']:g})" if row["budget"] else ""
    wall = f"p50 {row['p50_ms']:.1f}, p99 {row['p99_ms']:.1f} ms"
    return f"{first} {row['cpu_ms']:7.2f} ms CPU [{row['cpu_min']:.2f}..{row['cpu_max']:.2f}]{budget}{floor}  {wall}, n {row['n']}, load {row['load']}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*PAGES, *OTHERS, []], metavar="name", help=" ".join((*PAGES, *OTHERS)))
    parser.add_argument("--db", choices=("sqlite", "postgres"), help="one database only; both without it")
    parser.add_argument("--size", choices=SIZES, default="1m")
    parser.add_argument("--json", action="store_true", help="one object a line")
    asked = parser.parse_args()
    names = asked.names or [*PAGES, *OTHERS]
    tell = lambda rows: [print(json.dumps(row) if asked.json else shown(row), flush=True) for row in rows]  # noqa: E731, T201
    for database in [asked.db] if asked.db else ["sqlite", "postgres"]:
        some = [name for name in names if name in PAGES]
        if some:
            tell(pages(some, database, asked.size))
        for name in names:
            if name in RUN:
                tell(RUN[name](database, asked.size))


if __name__ == "__main__":
    KEPT.mkdir(parents=True, exist_ok=True, mode=0o700)
    sys.exit(main())
