"""Which statements the product runs, how each database goes about them, and whether that stays quick however many rows there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from inbox.extensions import db

BIG = 1_000  # rows from which a table may not be walked
WALKED = 6_000  # rows that one step of a plan may touch
SORTED = 2_100  # rows that may be put in order
STEPS = 150_000  # instructions of SQLite's machine; looking at each of 10,000 rows takes more
READS = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)
WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """A statement as the driver got it."""

    sql: str
    parameters: Any

    @property
    def shape(self) -> str:
        """The same for statements that differ in values only."""
        return re.sub(r"\((?:\s*(?:\?|%\(\w+\)s(?:::\w+)?)\s*,?)+\)", "(..)", self.sql)


@contextmanager
def statements() -> Iterator[list[Asked]]:
    """What is asked of the database meanwhile; where a transaction begins is no question."""
    seen: list[Asked] = []

    def note(_connection: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, many: bool) -> None:
        if READS.match(sql) or WRITES.match(sql):
            seen.append(Asked(sql, parameters[0] if many else parameters))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


class Judge:
    """Looks at plans in one database; remembers how large its tables are and what it has judged."""

    def __init__(self) -> None:
        self.lite = db.engine.dialect.name == "sqlite"
        self.rows = {table.name: self._count(table) for table in db.metadata.sorted_tables}
        self.judged: dict[tuple[str, str], list[str]] = {}

    def _count(self, table: sa.Table) -> int:
        with db.engine.connect() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0

    def __call__(self, asked: list[Asked]) -> list[str]:
        """What is wrong with these statements, a line for each fault."""
        faults: list[str] = []
        for one in asked:
            key = (one.shape, repr(one.parameters)[:2000])
            if key not in self.judged:
                self.judged[key] = self._of_sqlite(one) if self.lite else self._of_postgresql(one)
            faults += [f"{fault}\n    {' '.join(one.sql.split())[:1500]}\n    {str(one.parameters)[:300]}" for fault in self.judged[key]]
        return list(dict.fromkeys(faults))

    # -- SQLite ---------------------------------------------------------------------------------------------------------

    def _of_sqlite(self, one: Asked) -> list[str]:
        with db.engine.connect() as connection:
            raw = connection.connection.driver_connection
            plan = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {one.sql}", one.parameters)]
            called = _names(one.sql)
            faults = [f"walks all of a table: {line}" for line in plan if self._walks(line, called, one.sql)]
            steps = 0
            if READS.match(one.sql):
                steps = _machine_steps(raw, one)
                if steps > STEPS:
                    faults.append(f"takes {steps:,} steps: {plan}")
            elif any(" TEMP B-TREE FOR ORDER BY" in line for line in plan):
                faults.append(f"sorts what it changes: {plan}")
        return faults

    def _walks(self, line: str, called: dict[str, str], sql: str) -> bool:
        """Whether a line of a plan says that a large table is read from one end to the other without an index."""
        found = re.match(r"SCAN (\S+)(?!.* USING (COVERING )?INDEX)(?!.*VIRTUAL TABLE)", line)
        if found is None or (sql.startswith("INSERT") and not re.search(rf"\b{found[1]}\b", sql)):  # rows that could name a new one are looked for only while one is missing
            return False
        return self.rows.get(called.get(found[1], found[1]), 0) > BIG

    # -- PostgreSQL -----------------------------------------------------------------------------------------------------

    def _of_postgresql(self, one: Asked) -> list[str]:
        run = bool(READS.match(one.sql)) and "FOR " not in one.sql and "advisory" not in one.sql
        options = "FORMAT JSON" + (", ANALYZE, TIMING OFF" if run else "")
        with db.engine.connect() as connection:
            raw = connection.connection.driver_connection
            raw.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            found = raw.execute(f"EXPLAIN ({options}) {one.sql}", one.parameters or None).fetchone()[0]
            connection.rollback()
        plan = found if isinstance(found, list) else json.loads(found)
        return [fault for node in _nodes(plan[0]["Plan"]) for fault in self._of_node(node, run)]

    def _of_node(self, node: dict[str, Any], run: bool) -> list[str]:
        kind, table = node["Node Type"], node.get("Relation Name", "")
        loops = node.get("Actual Loops", 1)
        rows = (node["Actual Rows"] if run else node["Plan Rows"]) * loops
        thrown = sum(node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck", "Join Filter")) * loops
        words = "_words" in json.dumps(node)  # the search looks through so many at a time, and no more: see WIDTH and MANY in its engine
        faults = []
        if kind == "Seq Scan" and self.rows.get(table, 0) > BIG and (not run or rows + thrown > BIG):
            faults.append(f"walks all of a table: {table} ({rows + thrown:,.0f} rows)")
        elif run and "Scan" in kind and rows + thrown > WALKED and (rows + thrown) / max(1, loops) > 100 and not words:
            faults.append(f"touches {rows + thrown:,.0f} rows: {kind} {table} {node.get('Index Name', '')}")
        if kind in ("Sort", "Incremental Sort"):
            below = node["Plans"][0]
            many = (below["Actual Rows"] if run else below["Plan Rows"]) * below.get("Actual Loops", 1)
            if many > SORTED and not words:
                faults.append(f"sorts {many:,.0f} rows by {node.get('Sort Key')}")
        return faults


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from _nodes(below)


def _names(sql: str) -> dict[str, str]:
    """What each alias of a statement stands for."""
    return {alias: table for table, alias in re.findall(r'(?:FROM|JOIN|,)\s+"?(\w+)"?\s+AS\s+(\w+)', sql)}


def _machine_steps(raw: Any, one: Asked) -> int:
    """How many instructions SQLite's machine runs for a question, in hundreds; it stops counting at ten times what is allowed."""
    done = 0

    def count() -> int:
        nonlocal done
        done += 100
        return int(done > 10 * STEPS)

    raw.set_progress_handler(count, 100)
    try:
        raw.execute(one.sql, one.parameters).fetchall()
    except Exception as error:
        if "interrupted" not in str(error):
            raise
    finally:
        raw.set_progress_handler(None, 100)
    return done


def report(found: dict[str, list[str]]) -> None:
    """Fail with every fault and where it was met."""
    met: dict[str, list[str]] = {}
    for where, faults in found.items():
        for fault in faults:
            met.setdefault(fault.split("\n")[0], []).append(f"{where}: {fault}")
    assert not met, "\n".join(f"- {len(places)} x {places[0]}" for places in met.values())
