"""The parts of the product as processes of one run, each of which can be killed outright and started again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import psycopg

from inbox import config
from inbox.supervisor.__main__ import PYTHON, app_parts, valkey_arguments
from inbox.supervisor.part import Part, dies_with
from inbox.supervisor.prepare import valkey_binary
from tests.run import PRODUCT_NAMES, ROOT, accepts, create_database, postgres_programs, unprivileged

PATIENCE = 120.0  # seconds for a start on a busy machine
WRITE_LOCK = "120"  # the byte of SQLite's -shm file that a writer locks


class Stopped(Exception):
    """The system could not be started, or the time is over; the text says which."""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Stopped(f"Waited {seconds:.0f} seconds for {what}.")
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=3, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


class Logged(Part):
    """A part that writes its lines to a file of the run."""

    log: IO[str]

    def _show(self, stream: IO[str]) -> None:
        with stream, contextlib.suppress(ValueError):
            for line in stream:
                self.tail.append(line.rstrip())
                self.log.write(line)
                self.log.flush()


class Postgres:
    """A PostgreSQL cluster of this run alone, as careful with its files as in earnest."""

    def __init__(self, directory: Path) -> None:
        self.place, self.owner, self.log = directory / "pg", unprivileged(), directory / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.place.mkdir()
        self.programs = postgres_programs(self.place if self.owner else None)
        if self.owner:
            directory.chmod(0o711)
            shutil.chown(self.place, self.owner)
        command = [str(self.programs / "initdb"), "-D", str(self.place / "data"), "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--no-locale"]
        with self.log.open("w") as output:
            subprocess.run(command, stdout=output, stderr=output, user=self.owner, cwd="/", check=True)

    @property
    def parameters(self) -> dict[str, object]:
        return {"host": str(self.place), "user": "postgres", "connect_timeout": 2}

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/inbox?host={self.place}"

    def create(self) -> None:
        with psycopg.connect(**self.parameters, dbname="postgres", autocommit=True) as connection:  # type: ignore[arg-type]
            create_database(connection, "inbox")

    def start(self) -> None:
        command = [str(self.programs / "postgres"), "-D", str(self.place / "data"), "-k", str(self.place), "-c", "listen_addresses=", "-c", "max_connections=120"]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, user=self.owner, cwd="/", start_new_session=True, preexec_fn=dies_with(os.getpid()))

    def ready(self) -> bool:
        return accepts(self.parameters)  # type: ignore[arg-type]

    def strike(self, dice: random.Random) -> str:
        """An immediate stop as after a power cut, or the death of one backend, which makes the server throw out everybody."""
        assert self.process is not None
        backends = [pid for pid in _children_of(self.process.pid) if b"inbox" in _command(pid)]
        if backends and dice.random() < 0.4:
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(backends), signal.SIGKILL)
            return "a backend of the database"
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(20)
        self.start()
        return "the database server"

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(10)


class System:
    """Sandbox carrier, Valkey, database, web, two workers and the scheduler, started by the product's own commands."""

    def __init__(self, directory: Path, database: str) -> None:
        self.directory, self.database = directory, database
        self.data = directory / "data"
        self.postgres = Postgres(directory) if database == "postgresql" else None
        self.logs = contextlib.ExitStack()
        self.parts: dict[str, Logged] = {}
        self.due: dict[str, float] = {}
        self.cast: dict[str, Any] = {}  # what tests/faults/cast.py made
        web, sandbox = free_ports(2)
        environ = {name: value for name, value in os.environ.items() if name not in PRODUCT_NAMES and not name.startswith(("TEST_", "PYTEST"))}
        environ |= {"INBOX_DATA": str(self.data), "PORT": str(web), "SANDBOX_PORT": str(sandbox), "PUBLIC_URL": f"http://127.0.0.1:{web}", "THREADS": "32"}
        environ |= {"DATABASE_URL": self.postgres.url} if self.postgres else {}
        self.settings = config.load(environ)
        self.environ = {**environ, **self.settings.environ(), "SANDBOX_FAST_REVIEW": "1", "PYTHONUNBUFFERED": "1"}
        self.url, self.carrier = self.settings.public_url, self.settings.sandbox_url

    # -- starting and stopping --

    def start(self, agents: int) -> None:
        """Start everything and make the account. Only the main thread may: on Linux a child dies with the thread that made it."""
        if self.postgres:
            self.postgres.start()
            wait_until(self.postgres.ready, "PostgreSQL")
            self.postgres.create()
        self._add("valkey", [valkey_binary(), *valkey_arguments(self.settings)])
        sandbox, *others = app_parts(self.settings, self.environ)
        self._add(sandbox.name, sandbox.argv, sandbox.environ)
        wait_until(lambda: answers(self.carrier + "/__sim/clock"), "the sandbox carrier")
        self.cast = json.loads(self._run("-m", "tests.faults.cast", str(agents)).splitlines()[-1])
        for part in others:
            self._add(part.name, part.argv, part.environ)
        wait_until(lambda: answers(self.url + "/healthz"), "the product to be well")

    def _add(self, name: str, argv: list[str], environ: dict[str, str] | None = None) -> None:
        part = Logged(name, argv, environ or self.environ, quiet=True)
        part.log = self.logs.enter_context((self.directory / f"{name}.log").open("a"))
        self.parts[name] = part
        part.start()

    def _run(self, *arguments: str) -> str:
        """Run an errand in the product's surroundings; what it printed."""
        done = subprocess.run([PYTHON, *arguments], cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode:
            raise Stopped(f"{' '.join(arguments[:4])} failed: {done.stderr[-2000:]}")
        return done.stdout

    def stop(self) -> None:
        """Stop everything that this run started, orphans of killed parts included."""
        for part in self.parts.values():
            part.kill()
        for pid in self.leftovers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.postgres:
            self.postgres.stop()
        self.logs.close()

    def leftovers(self) -> list[int]:
        """Processes that still work for this run's data directory."""
        mark = f"INBOX_DATA={self.data}".encode()
        return [pid for pid in _processes() if pid != os.getpid() and mark in _environ(pid)]

    # -- breaking --

    def kill(self, name: str, pause: float) -> None:
        """kill -9 a part and all its processes; `tend` starts it again after the pause."""
        self.parts[name].kill()
        self.due[name] = time.monotonic() + pause

    def wipe(self, pause: float) -> None:
        """Kill Valkey and throw away everything it ever knew."""
        self.kill("valkey", pause)
        shutil.rmtree(self.data / "appendonlydir", ignore_errors=True)

    def kill_writer(self, pause: float, seconds: float = 3.0) -> str | None:
        """Kill the part that holds SQLite's write lock at this very moment; its name, or None when nobody wrote in that time."""
        deadline = time.monotonic() + seconds
        owners = {part.pid: name for name, part in self.parts.items() if part.running}
        while time.monotonic() < deadline:
            for pid in _lock_holders(self.data / "inbox.db-shm"):
                name = owners.get(_group(pid))
                if name in ("web", "worker-1", "worker-2", "scheduler"):
                    self.kill(name, pause)
                    return name
        return None

    def tend(self) -> None:
        """Start again what was killed and has waited; a part that died by itself as well, as the supervisor does."""
        now = time.monotonic()
        for name, part in self.parts.items():
            if name in self.due:
                if self.due[name] <= now:
                    del self.due[name]
                    part.start()
            elif not part.running:
                self.due[name] = now + 0.5

    def tails(self) -> str:
        """The last lines of every part, for a failure's report."""
        return "\n".join(f"{name:<10} {line}" for name, part in self.parts.items() for line in list(part.tail)[-5:])


def _processes() -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        yield int(entry.name)


def _environ(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _children_of(parent: int) -> list[int]:
    found = []
    for pid in _processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(pid)
    return found


def _group(pid: int) -> int:
    with contextlib.suppress(OSError):
        return os.getpgid(pid)
    return 0


def _lock_holders(path: Path) -> list[int]:
    """Who holds the write lock of the SQLite file this index belongs to (Linux)."""
    with contextlib.suppress(OSError):
        inode = f":{path.stat().st_ino}"
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        return [int(row[4]) for row in rows if row[1] == "POSIX" and row[3] == "WRITE" and row[5].endswith(inode) and row[6] == WRITE_LOCK]
    return []
