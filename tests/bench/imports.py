"""Prints what a contact import costs: `.venv/bin/python -m tests.bench.imports [--rows 10000,50000] [--postgresql URL] [--profile]`.

Each size in a process of its own, as a worker's job: seconds of CPU (user and system, PostgreSQL's own added) for the check, the run and the undo, and the most
memory that the process held. Every row is a new contact with an owner, an e-mail, a Contact ID, a custom field and an opt-in.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import io
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from flask_migrate import upgrade

from inbox.models import Contact, ContactImport, Member, db, transaction
from jobs.check_import import check_import
from jobs.run_import import run_import
from jobs.undo_import import undo_import
from tests.conftest import make_app
from tests.run import answering_postgres, valkey
from tests.world import World

COLUMNS = ["first_name", "last_name", "phone", "email", "external_id", "user_id", "field", "opt_in"]


def table(rows: int, owner: str) -> bytes:
    """A file of so many people, every one with a number of their own."""
    out = io.StringIO()
    out.write("First name,Last name,Mobile,E-mail,Contact ID,UserID,Plan,Opt-in\n")
    for i in range(rows):
        out.write(f"Ana{i % 97},Silva{i % 89},+1415{2_000_000 + i},ana{i}@example.org,C{i},{owner if i % 2 else ''},{'Gold' if i % 3 else 'Silver'},yes\n")
    return out.getvalue().encode()


def spent(backend: int | None) -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    there = int(Path(f"/proc/{backend}/schedstat").read_text().split()[0]) / 1e9 if backend else 0.0
    return used.ru_utime + used.ru_stime + there


def contacts() -> str:
    """Every contact with every column, in short."""
    found = hashlib.sha256()
    for row in db.session.execute(sa.select(*Contact.__table__.columns).order_by(Contact.id).execution_options(yield_per=2000)):
        found.update(repr(tuple(row)).encode())
    db.session.rollback()
    return found.hexdigest()


def one(rows: int, url: str | None, profile: bool) -> None:
    """One import, checked, run and undone."""
    folder = Path(tempfile.mkdtemp(prefix="imports-"))
    app = make_app(folder, fresh(url) if url else f"sqlite:///{folder}/inbox.db", 9)
    with app.app_context():
        upgrade()
        world = World(app)
        with transaction():
            found = ContactImport.upload("people.csv", table(rows, world.maya.user_id or ""), by=world.dana)
            found.start_check(COLUMNS, header=True, clear=False, by=world.dana)
        number, dana, before = found.id, world.dana.id, contacts()
        db.session.remove()
        figures: dict[str, float] = {}
        step("check", lambda: check_import(number), figures, profile)
        with transaction():
            db.session.get_one(ContactImport, number).run(by=db.session.get_one(Member, dana))
        step("run", lambda: run_import(number), figures, profile)
        done = db.session.get_one(ContactImport, number)
        assert (done.state, done.counts.get("create")) == ("done", rows), (done.state, done.counts)
        figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        with transaction():
            db.session.get_one(ContactImport, number).undo(by=db.session.get_one(Member, dana))
        step("undo", lambda: undo_import(number), figures, profile)
        figures["peak_mb_undo"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures["restored"] = contacts() == before
        print(json.dumps(figures))  # noqa: T201


def step(name: str, work: Callable[[], None], figures: dict[str, float], profile: bool) -> None:
    backend = None if db.engine.dialect.name == "sqlite" else db.session.scalar(sa.text("SELECT pg_backend_pid()"))
    began, clocked, looking = spent(backend), time.perf_counter(), cProfile.Profile()
    looking.runcall(work) if profile else work()
    figures[name] = round(spent(backend) - began, 1)
    figures[f"{name}_clock"] = round(time.perf_counter() - clocked, 1)
    if profile:
        pstats.Stats(looking, stream=sys.stderr).sort_stats("tottime").print_stats(18)
    db.session.remove()


def fresh(url: str) -> str:
    """An empty database of that address."""
    server = sa.create_engine(sa.make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        name = sa.make_url(url).database
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    return url


def measured(rows: int, database: str) -> dict[str, float]:
    """One import of that many rows in a process of its own, on a database of that kind."""
    command = [sys.executable, "-m", "tests.bench.imports", "--one", "--rows", str(rows)]
    if database == "postgres":
        server = answering_postgres()
        assert server, "no PostgreSQL server answers"
        command += ["--postgresql", f"postgresql+psycopg://{server['user']}@/inbox_bench_imports?host={server['host']}"]
    with tempfile.TemporaryDirectory() as folder, valkey(Path(folder)) as url:
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "TEST_REDIS_URL": url}).stdout  # noqa: S603
    return dict(json.loads(output.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="10000,50000")
    parser.add_argument("--postgresql", help="address of a database that it makes anew")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        one(int(asked.rows), asked.postgresql, asked.profile)
        return
    for rows in asked.rows.split(","):
        command = [sys.executable, "-m", "tests.bench.imports", "--one", "--rows", rows, *(["--postgresql", asked.postgresql] if asked.postgresql else []), *(["--profile"] if asked.profile else [])]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])  # noqa: S603
        print(f"{int(rows):7,} rows: " + ", ".join(f"{name} {value}" for name, value in found.items()), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
