"""Fuzzes the product: `.venv/bin/python -m tests.fuzz webhooks [--count N] [--seed N] [--postgres] [--payloads FOLDER ...] [--json]`.

Every thousand requests begin with an empty database, and the two accounts take turns in being attacked. Ends with 1 when something was found.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

CHUNK = 1000


@contextlib.contextmanager
def opened(postgres: bool) -> Iterator[tuple[Flask, str]]:
    """An app on a new, migrated database that need not survive a crash, and the name of its kind."""
    from flask_migrate import upgrade

    from inbox.extensions import db
    from tests.conftest import make_app
    from tests.run import postgres as server

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True)))
        app = make_app(folder, stack.enter_context(server(folder)) if postgres else f"sqlite:///{folder}/inbox.db", 9)
        kind = "postgresql" if postgres else "sqlite"
        with app.app_context():
            if not postgres:
                sa.event.listen(db.engine, "connect", lambda connection, record: connection.execute("pragma synchronous=off") and None)
            upgrade()
            db.engine.dispose()
            if not postgres:
                shutil.copy(folder / "inbox.db", folder / "template.db")
            yield app, kind
            db.session.remove()
            db.engine.dispose()


def webhooks(options: argparse.Namespace) -> dict[str, Any]:
    """Attack until the count is reached; what came of it."""
    from inbox import background, clock, realtime
    from tests.conftest import _empty
    from tests.fuzz.payloads import RECORDED, recorded
    from tests.fuzz.webhooks import Attack, Report

    rung: list[tuple[str, tuple[Any, ...]]] = []
    background._ring = lambda job, args, on: rung.append((job, tuple(args)))
    realtime._send = lambda fact: None
    payloads, total, began, spent = recorded(RECORDED, *options.payloads), Report(), time.monotonic(), time.process_time()
    with opened(options.postgres) as (app, kind):
        for chunk in range((options.count + CHUNK - 1) // CHUNK):
            _empty(app, kind)
            clock.reset()
            attack = Attack(app, lambda: rung, f"{options.seed}:{chunk}", payloads=payloads, swapped=bool(chunk % 2))
            part = attack.run(min(CHUNK, options.count - chunk * CHUNK))
            total.add(part)
            if not options.json:
                print(*part.findings, sep="\n\n", end="\n" if part.findings else "")
                print(f"{total.sent} sent, {total.stored} stored, {len(total.findings)} findings, {time.monotonic() - began:.0f} s", flush=True)
            if len(total.findings) >= 20:
                break
    return {
        "database": kind, "seed": options.seed, "sent": total.sent, "stored": total.stored, "applied": total.applied, "with a problem": total.problems,
        "statuses": {str(status): count for status, count in sorted(total.statuses.items())}, "findings": total.findings,
        "seconds": round(time.monotonic() - began, 1), "cpu seconds": round(time.process_time() - spent, 1),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("what", choices=["webhooks"])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of this machine instead of SQLite")
    parser.add_argument("--payloads", type=Path, action="append", default=[], help="a folder with more recorded requests, of any provider")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    logging.disable(logging.ERROR)
    result = webhooks(options)
    if options.json:
        print(json.dumps(result))
    else:
        print(json.dumps({name: value for name, value in result.items() if name != "findings"}, indent=1))
    return 1 if result["findings"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
