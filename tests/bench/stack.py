"""The system as it is deployed, on a seeded database, with an agent who is signed in; CPU is read from /proc for every process, the database's too."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

from tests.bench.seeding import Seeded
from tests.conftest import FERNET, free_port
from tests.run import PRODUCT_NAMES, ROOT
from tests.world import PASSWORD

TICK = 1000 / os.sysconf("SC_CLK_TCK")
START = 120  # seconds until the stack must answer
HTMX = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Current-URL": "http://localhost/"}


@dataclass
class Figure:
    """One measured thing: ms of CPU and on the clock for each request; the floor is the same work with nothing around it."""

    name: str
    db: str
    size: str
    cpu: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    budget: float = 0.0
    unit: str = "ms"

    @property
    def cpu_ms(self) -> float:
        return statistics.median(self.cpu)

    def row(self) -> dict[str, Any]:
        """As one line of JSON."""
        walls = sorted(self.wall) or [0.0]
        floor = statistics.median(self.floor) if self.floor else None
        return {
            "name": self.name, "db": self.db, "size": self.size, "cpu_ms": round(self.cpu_ms, 2), "cpu_min": round(min(self.cpu), 2), "cpu_max": round(max(self.cpu), 2),
            "floor_ms": round(floor, 2) if floor else None, "ratio": round(self.cpu_ms / floor, 2) if floor else None, "p50_ms": round(walls[len(walls) // 2], 1),
            "p99_ms": round(walls[min(len(walls) - 1, int(len(walls) * 0.99))], 1), "n": len(self.wall), "load": round(os.getloadavg()[0], 1), "budget": self.budget or None,
        }


def processes() -> dict[int, tuple[int, float, str]]:
    """Every process: its parent, its CPU so far in ms with that of its ended children, and its command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                found[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])) * TICK, (entry / "cmdline").read_text().replace("\0", " "))
    return found


def tree(root: int, known: dict[int, tuple[int, float, str]]) -> set[int]:
    """A process and everything below it."""
    found, wave = {root}, {root}
    while wave:
        wave = {pid for pid, (parent, _, _) in known.items() if parent in wave} - found
        found |= wave
    return found


class Client:
    """A browser's requests on one connection, with its cookies."""

    def __init__(self, port: int) -> None:
        self.port, self.cookies, self.token = port, {}, ""  # type: ignore[var-annotated]
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, data: dict[str, Any] | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        sent = {"Host": f"localhost:{self.port}", "Accept": "text/html", "Accept-Encoding": "gzip", **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        body = None
        if data is not None:
            body = urlencode({"csrf_token": self.token, **data})
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            self.connection.request(method, path, body, sent)
            answer = self.connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):  # kept alive too long
            self.connection.close()
            self.connection.request(method, path, body, sent)
            answer = self.connection.getresponse()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
        return answer.status, answer.read()

    def sign_in(self, email: str) -> None:
        """As that person; the token for forms is that of the page after it."""
        _, page = self.ask("GET", "/sign-in", headers={"Accept-Encoding": "identity"})
        self.token = csrf(page)
        status, page = self.ask("POST", "/sign-in", {"email": email, "password": PASSWORD})
        assert status == 303, (status, page[:500])
        status, page = self.ask("GET", "/settings/profile", headers={"Accept-Encoding": "identity"})
        assert status == 200, status
        self.token = csrf(page)


def csrf(page: bytes) -> str:
    found = re.search(rb'X-CSRFToken(?:"|&#34;|&quot;)\s*:\s*(?:"|&#34;|&quot;)([^"&]+)', page) or re.search(rb'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert found, page[:400]
    return found.group(1).decode()


class Stack:
    """A running system: its parts' processes, and what they have spent."""

    def __init__(self, made: Seeded, port: int, process: subprocess.Popen[bytes], floor_port: int, floor: subprocess.Popen[bytes]) -> None:
        self.made, self.port, self.process, self.floor_port, self.floor = made, port, process, floor_port, floor
        self.database = "postgres" if made.url.startswith("postgresql") else "sqlite"
        self.postmaster = postmaster(made.url) if self.database == "postgres" else 0

    def spent(self, root: int, words: tuple[str, ...] = ()) -> float:
        """ms of CPU so far of the processes below `root` whose command has one of the words, and of the database server."""
        known = processes()
        mine = [known[pid][1] for pid in tree(root, known) if pid in known and (not words or any(word in known[pid][2] for word in words))]
        server = [known[pid][1] for pid in tree(self.postmaster, known) if pid in known] if self.postmaster else []
        return sum(mine) + sum(server)

    def freeze(self, stop: bool) -> None:
        """Workers and the scheduler stand still while pages are measured: what a request sets off there is measured apart."""
        known = processes()
        for pid in tree(self.process.pid, known):
            if pid in known and ("jobs.worker" in known[pid][2] or "jobs.schedule" in known[pid][2]):
                os.kill(pid, signal.SIGSTOP if stop else signal.SIGCONT)

    def settle(self) -> None:
        """Freeze the workers between two of their transactions."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            time.sleep(1)
            self.freeze(True)
            if not self.held():
                return
            self.freeze(False)
        raise SystemExit("The workers did not come to rest in time.")

    def held(self) -> bool:
        """Whether somebody is in a transaction that writes."""
        if self.database == "sqlite":
            connection = sqlite3.connect(self.made.url.removeprefix("sqlite:///"), timeout=0.2, isolation_level=None)
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            finally:
                connection.close()
            return False
        with psycopg.connect(self.made.url.replace("postgresql+psycopg", "postgresql")) as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND (state = 'active' OR state LIKE 'idle in transaction%')"
            found = connection.execute(query).fetchone()
            return bool(found and found[0])

    def measure(self, figure: Figure, ask: Callable[[int], Any], *, floor: Callable[[int], Any] | None = None, rounds: int = 7, each: int = 30, warm: int = 5) -> Figure:
        """Rounds of requests, the product's and the floor's in turn; the medians of the rounds count."""
        for n in range(warm):
            ask(-1 - n)
            if floor:
                floor(-1 - n)
        for turn in range(rounds):
            before = self.spent(self.process.pid)
            for n in range(each):
                began = time.perf_counter()
                ask(turn * each + n)
                figure.wall.append((time.perf_counter() - began) * 1000)
            figure.cpu.append((self.spent(self.process.pid) - before) / each)
            if floor:
                before = self.spent(self.floor.pid)
                for n in range(each):
                    floor(turn * each + n)
                figure.floor.append((self.spent(self.floor.pid) - before) / each)
        return figure


def postmaster(url: str) -> int:
    """The server's first process, on this machine."""
    plain = url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(plain) as connection:
        backend = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert backend
        return int(Path(f"/proc/{backend[0]}/stat").read_text().rpartition(")")[2].split()[1])


def environ(made: Seeded, port: int) -> dict[str, str]:
    bare = {name: value for name, value in os.environ.items() if name not in PRODUCT_NAMES and not name.startswith("TEST_")}
    return bare | {
        "INBOX_DATA": str(made.folder), "DATABASE_URL": made.url, "PORT": str(port), "SANDBOX_PORT": str(free_port()), "SECRET_KEY": "k" * 40, "ENCRYPTION_KEY": FERNET,
        "LOG_LEVEL": "ERROR",
    }


@contextlib.contextmanager
def running(made: Seeded) -> Iterator[Stack]:
    """Every part of the product, and beside it the floor on the same kind of server."""
    port, floor_port = free_port(), free_port()
    process = subprocess.Popen([sys.executable, "-m", "inbox.supervisor", "run"], cwd=ROOT, env=environ(made, port), stdout=subprocess.DEVNULL, start_new_session=True)
    command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "-w", "1", "--threads", "40", "--keep-alive", "15", "-b", f"127.0.0.1:{floor_port}", "--log-level", "error", "tests.bench.floor:app"]
    floor = subprocess.Popen(command, cwd=ROOT, env={**environ(made, port), "FLOOR_DATABASE": made.url}, start_new_session=True)
    stack = Stack(made, port, process, floor_port, floor)
    try:
        wait_for(port, process)
        wait_for(floor_port, floor)
        stack.settle()
        yield stack
    finally:
        stack.freeze(False)
        for each in (process, floor):
            each.terminate()
            each.wait(30)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        assert process.poll() is None, "it stopped"
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, _ = Client(port).ask("GET", "/healthz")
            if status == 200:
                return
        time.sleep(0.2)
    raise SystemExit("The system did not start in time.")
