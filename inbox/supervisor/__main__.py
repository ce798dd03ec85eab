"""The command behind `python3 app.py`: the whole system, or one part of it in the foreground."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from inbox.config import ROOT, ConfigError, Settings, load
from inbox.supervisor.house import House, Signals, health_check
from inbox.supervisor.part import Part, say
from inbox.supervisor.prepare import (
    StartError,
    answers_ping,
    back_up,
    check_ports,
    migration_pending,
    ready_socket_directory,
    sole_use,
    valkey_binary,
)

PYTHON = sys.executable
DEFAULT_QUEUES = ("send", "auto", "default", "mail", "bulk")
SANDBOX_HIDES = ("SECRET_KEY", "ENCRYPTION_KEY", "DATABASE_URL", "REDIS_URL", "MAIL_PASSWORD")
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a worker's heartbeat file must not wait for a disk
LOUD = ("DEBUG", "INFO")


def main(argv: list[str]) -> int:
    """Run what the first argument names; every expected failure is one sentence."""
    command, rest = argv[0], argv[1:]
    os.umask(0o077)  # messages and keys are for this user alone
    try:
        settings = load()
        for warning in settings.warnings():
            say(warning)
        if command == "run":
            return run(settings, demo="--demo" in rest)
        become(settings, command, rest)
    except (ConfigError, StartError) as error:
        print(error, file=sys.stderr)
        return getattr(error, "code", 2)
    except KeyboardInterrupt:
        return 130


def run(settings: Settings, demo: bool) -> int:
    """Run the whole system until it is asked to stop."""
    with sole_use(settings.data_dir) as lock:
        check_ports(settings)
        house = House(Signals(), lock)
        try:
            return _run(settings, demo, house)
        finally:
            house.stop()


def _run(settings: Settings, demo: bool, house: House) -> int:
    environ = child_environ(settings)
    if not os.environ.get("REDIS_URL"):
        start_valkey(settings, house, environ)
    if not house.signals.stops:
        migrate(settings, house.run_errand)
    if house.signals.stops:
        return 0
    house.start(app_parts(settings, environ))

    def on_ready() -> None:
        if demo and not make_demo(house, environ):
            return
        simulator = f"  (phone simulator: {simulator_address(settings)})" if settings.sandboxed else ""
        print(f"Shared inbox is ready: {settings.public_url}{simulator}", flush=True)
        if demo:
            print("The sign-in page lists the demo addresses and their password.", flush=True)

    return house.watch(health_check(settings), on_ready)


def make_demo(house: House, environ: dict[str, str]) -> bool:
    """Make the lived-in account unless it exists; False when the system is being stopped."""
    say("Making the demo account ...")
    part = Part("demo", [PYTHON, "-m", "flask", "--app", "inbox", "demo"], environ)
    code = house.run_errand(part)
    if code:
        say(f"The demo account is not complete: {part.last_words()}. The next start with --demo goes on from here.")
    return code is not None


def start_valkey(settings: Settings, house: House, environ: dict[str, str]) -> None:
    """Start the embedded server on a private socket and wait until it answers."""
    binary = valkey_binary()
    ready_socket_directory(settings)
    part = Part("valkey", [binary, *valkey_arguments(settings)], environ, quiet=settings.log_level not in LOUD)
    house.start([part])
    house.await_part(part, lambda: answers_ping(settings.socket_path), 30)


def valkey_arguments(settings: Settings) -> list[str]:
    """No network port, everything on disk, nothing ever dropped for lack of memory."""
    return [
        *("--port", "0", "--unixsocket", str(settings.socket_path), "--unixsocketperm", "700"),
        *("--dir", str(settings.data_dir), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        *("--maxmemory-policy", "noeviction", "--loglevel", "warning", "--daemonize", "no"),
    ]


def migrate(settings: Settings, run_errand: Callable[[Part], int | None]) -> None:
    """Bring the database up to date, with a copy of the SQLite file from before."""
    if not migration_pending(settings):
        return
    copy = back_up(settings)
    directory = str(ROOT / "inbox" / "migrations")
    command = [PYTHON, "-m", "flask", "--app", "inbox", "db", "upgrade", "--directory", directory]
    part = Part("migrate", command, child_environ(settings), quiet=settings.log_level not in LOUD)
    code = run_errand(part)
    if code:
        for line in part.tail:
            say(line, part.name)
        kept = f" A copy from before is {copy}." if copy else ""
        raise StartError(f"The database could not be brought up to date: {part.last_words()}.{kept}")


def app_parts(settings: Settings, environ: dict[str, str]) -> list[Part]:
    """Every part of the product itself; two workers, so that neither slow mail nor one text to thousands holds up a reply."""
    parts = [
        Part("web", web_command(), environ),
        Part("worker-1", [PYTHON, "-m", "jobs.worker", "send", "auto", "default"], environ),
        Part("worker-2", [PYTHON, "-m", "jobs.worker", "default", "send", "auto", "mail", "bulk"], environ),
        Part("scheduler", [PYTHON, "-m", "jobs.schedule"], environ),
    ]
    if settings.sandboxed:
        parts.insert(0, Part("sandbox", sandbox_command(settings), sandbox_environ(environ)))
    return parts


def web_command() -> list[str]:
    return [PYTHON, "-m", "gunicorn", "-c", str(ROOT / "inbox" / "gunicorn_conf.py"), "inbox:create_app()"]


def sandbox_command(settings: Settings) -> list[str]:
    """The carrier answers this machine only: its pages know no sign-in."""
    shared_memory = ["--worker-tmp-dir", SHARED_MEMORY] if os.path.isdir(SHARED_MEMORY) else []
    return [
        *(PYTHON, "-m", "gunicorn", "--bind", f"127.0.0.1:{settings.sandbox_port}", "--workers", "1"),
        *("--worker-class", "gthread", "--threads", "32", "--graceful-timeout", "1", "--no-control-socket"),
        *("--log-level", settings.log_level.lower(), *shared_memory, "inbox.sandbox:create_sandbox()"),
    ]


def simulator_address(settings: Settings) -> str:
    return settings.sandbox_url.replace("//127.0.0.1:", "//localhost:")


def child_environ(settings: Settings) -> dict[str, str]:
    """The environment of every part: what we got, and each setting spelled out."""
    environ = {**os.environ, **settings.environ(), "PYTHONUNBUFFERED": "1"}
    if sys.platform == "darwin":
        environ["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"  # workers fork for each job
    return environ


def sandbox_environ(environ: dict[str, str]) -> dict[str, str]:
    """The carrier gets none of the product's keys."""
    return {name: value for name, value in environ.items() if name not in SANDBOX_HIDES}


def live_environ(environ: dict[str, str]) -> dict[str, str]:
    """The web server with another port and few threads: they only open sockets, which one thread watches afterwards."""
    port, most = environ.get("LIVE_PORT") or environ["PORT"], environ.get("LIVE_SOCKETS") or "10000"
    own = {"PORT": port, "THREADS": "8", "LIVE_SOCKETS": most, "WEB_CONCURRENCY": "1"}
    return {name: value for name, value in environ.items() if name != "SANDBOX_PORT"} | own


def become(settings: Settings, command: str, rest: list[str]) -> NoReturn:
    """Replace this process by one part, for deployments that start each part themselves."""
    if command != "sandbox" and not os.environ.get("REDIS_URL"):
        raise StartError(f"REDIS_URL is not set: “{command}” alone needs the Redis or Valkey server that all parts share.")
    if command == "sandbox" and not settings.sandboxed:
        raise StartError("TWILIO_ACCOUNT_SID is set, so texts go through Twilio and there is no sandbox carrier to run.")
    if command == "live" and not settings.database_url.startswith("postgresql"):
        raise StartError("“live” needs PostgreSQL: with SQLite the web part serves the sockets of open pages too. Set DATABASE_URL.")
    environ = child_environ(settings)
    if command == "web":
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        migrate(settings, _run_alone)
    commands = {
        "web": web_command(),
        "live": web_command(),
        "worker": [PYTHON, "-m", "jobs.worker", *(rest or DEFAULT_QUEUES)],
        "scheduler": [PYTHON, "-m", "jobs.schedule"],
        "sandbox": sandbox_command(settings),
    }
    os.chdir(ROOT)
    chosen = {"sandbox": sandbox_environ, "live": live_environ}.get(command, dict)(environ)
    os.execve(PYTHON, commands[command], chosen)  # noqa: S606 - our own commands


def _run_alone(part: Part) -> int | None:
    process = part.start()
    process.wait()
    part.drain()
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
