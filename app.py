#!/usr/bin/env python3
"""Start the shared inbox: make its environment once, then run every part of it.

Only the standard library is used here, because nothing else is installed yet.
"""
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - also read by the old Pythons it turns away
    sys.stderr.write(
        f"The shared inbox needs Python 3.11 or newer; this is Python {sys.version_info[0]}.{sys.version_info[1]}. "
        "Install a newer one and start it with that.\n"
    )
    sys.exit(2)

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import IO, NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "install.log"
LOCKS = {"run": ["requirements.lock"], "test": ["requirements.lock", "tests/requirements.lock"]}

HELP = """\
Usage: python3 app.py [command]

  (no command)       install what is missing, then run the whole system on http://localhost:8000
  --demo             the same, with a lived-in demo account
  setup              only install
  test [arguments]   run every check, or pytest alone with the given arguments
  web                run one part in the foreground, for deployments (needs REDIS_URL);
  worker [queues]    web brings the database up to date before it serves
  scheduler
  live               the sockets of open pages alone, for thousands of them (PostgreSQL); a proxy sends /live to its LIVE_PORT
  sandbox            the sandbox carrier with its phone simulator

Environment
  PORT, HOST         where pages are served (8000 on 127.0.0.1); the sandbox carrier takes PORT + 1 or SANDBOX_PORT
  LIVE_PORT          where “live” listens (PORT)
  INBOX_DATA         directory for the database, uploads and keys (./instance)
  DATABASE_URL       sqlite:///path or postgresql://user@host/name
  REDIS_URL          a Redis or Valkey server of your own; without it an embedded one is started
  PUBLIC_URL         the address that customers and providers reach
  LOG_LEVEL          debug, info, warning or error (warning)
"""


class SetupError(Exception):
    """The environment could not be made; the text says why in one sentence."""


def main(argv: list[str]) -> int:
    """Run the command that the arguments name; most commands replace this process."""
    command, rest = (argv[0], argv[1:]) if argv else ("run", [])
    if command in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    problem = usage_problem(command, rest)
    if problem:
        print(problem + " See: python3 app.py --help", file=sys.stderr)
        return 2
    try:
        install("test" if command == "test" else "run")
    except SetupError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped while installing; the next start goes on from here.", file=sys.stderr)
        return 130
    if command == "setup":
        print("Installed. Start with: python3 app.py")
        return 0
    return become(command, rest)


def usage_problem(command: str, rest: list[str]) -> str | None:
    """Say what is wrong with the command line, if anything."""
    if command not in ("run", "--demo", "setup", "test", "web", "worker", "scheduler", "live", "sandbox"):
        return f"There is no command “{command}”."
    if rest and command not in ("test", "worker"):
        return f"“{command}” takes no further arguments."
    return None


def become(command: str, rest: list[str]) -> NoReturn:
    """Replace this process by the one that does the work, inside the environment."""
    environ = dict(os.environ)
    if environ.get("INBOX_DATA"):
        environ["INBOX_DATA"] = os.path.abspath(os.path.expanduser(environ["INBOX_DATA"]))
    os.chdir(ROOT)
    if command == "test":
        arguments = [str(ROOT / "tests" / "run.py"), *rest]
    else:
        arguments = ["-m", "inbox.supervisor", "run" if command == "--demo" else command, *rest]
        arguments += ["--demo"] if command == "--demo" else []
    sys.stdout.flush()
    os.execve(str(PYTHON), [str(PYTHON), *arguments], environ)


def install(purpose: str) -> None:
    """Make `.venv` hold what the lock files name; do nothing when it already does."""
    wanted = fingerprint(purpose)
    stamp = VENV / (".installed-" + purpose)
    if stamped(stamp, wanted):
        return
    try:
        VENV.mkdir(exist_ok=True)
        guard = (VENV / ".setup.lock").open("w")
    except OSError as error:
        raise SetupError(f"Cannot write to {VENV}: {error.strerror}.") from None
    with guard:
        wait_for_turn(guard)
        if stamped(stamp, wanted):
            return
        print("Installing the packages (once; up to a minute) ...", flush=True)
        with open(LOG, "w") as log:
            make_venv(log)
            install_packages(purpose, log)
        stamp.write_text(wanted)


def wait_for_turn(guard: IO[str]) -> None:
    """Let a setup that is already under way in another process finish first."""
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Waiting for another setup to finish ...", flush=True)
        fcntl.flock(guard, fcntl.LOCK_EX)


def fingerprint(purpose: str) -> str:
    """Name the exact content that the environment must have."""
    digest = hashlib.sha256()
    for name in LOCKS[purpose]:
        try:
            digest.update((ROOT / name).read_bytes())
        except OSError:
            raise SetupError(f"The lock file {name} is missing; restore it from the repository.") from None
    return digest.hexdigest()


def stamped(stamp: Path, wanted: str) -> bool:
    """Tell whether an earlier install of exactly this content finished here."""
    try:
        return PYTHON.exists() and stamp.read_text() == wanted
    except OSError:
        return False


def make_venv(log: IO[str]) -> None:
    """Make the environment unless its Python already runs."""
    probe = "import sys; sys.exit(sys.version_info < (3, 11))"
    if PYTHON.exists() and subprocess.call([str(PYTHON), "-c", probe], stdout=log, stderr=log) == 0:
        return
    for name in ("bin", "lib", "lib64", "include"):
        path = VENV / name
        path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)
    run([sys.executable, "-m", "venv", "--without-pip", str(VENV)], log, "Could not make the environment .venv")


def install_packages(purpose: str, log: IO[str]) -> None:
    """Install the locked packages by uv, or by whichever pip this machine has."""
    options = ["--require-hashes", "--only-binary", ":all:"]
    for name in LOCKS[purpose]:
        options += ["-r", str(ROOT / name)]
    sentence = f"Could not install the packages of {' and '.join(LOCKS[purpose])}"
    uv = shutil.which("uv")
    if uv:
        run([uv, "pip", "install", "--python", str(PYTHON), *options], log, sentence)
    else:
        pip = find_pip(log)
        run([*pip, "install", "--no-compile", "--disable-pip-version-check", "--no-input", *options], log, sentence)


def find_pip(log: IO[str]) -> list[str]:
    """Find a pip that can install into the environment, which may have none itself (Debian without python3-venv)."""
    if subprocess.call([str(PYTHON), "-m", "pip", "--version"], stdout=log, stderr=log) == 0:
        return [str(PYTHON), "-m", "pip"]
    ensurepip = [str(PYTHON), "-m", "ensurepip"]
    if importlib.util.find_spec("ensurepip") and subprocess.call(ensurepip, stdout=log, stderr=log) == 0:
        return [str(PYTHON), "-m", "pip"]
    outer = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    if subprocess.call([*outer, "--version"], stdout=log, stderr=log) == 0:
        return outer
    raise SetupError(
        "No pip was found to install the packages with: run `apt install python3-venv` (Debian, Ubuntu) "
        "or install uv, then start again."
    )


def run(command: list[str], log: IO[str], sentence: str) -> None:
    """Run one installing step, its output kept in the log file."""
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    log.flush()
    try:
        code = subprocess.call(command, stdout=log, stderr=log, cwd=str(ROOT), env=environ)
    except OSError as error:
        raise SetupError(f"{sentence}: {error}. The log is {LOG}") from None
    if code:
        raise SetupError(f"{sentence}: {last_reason()} The log is {LOG}")


def last_reason() -> str:
    """Pick the line of the log that says most about the failure."""
    lines = [line.strip() for line in LOG.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if line.lower().startswith("error")] or lines
    text = telling[0].split(":", 1)[-1].strip() if telling else "no reason was given"
    return text[:300].rstrip(".") + "."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
