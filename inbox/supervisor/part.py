"""One child process: started in its own session, its lines shown with its name, restarted with growing pauses."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO

from inbox.config import ROOT

TOO_MANY_DEATHS = 5
DEATH_WINDOW = 60.0  # seconds
LONGEST_PAUSE = 8.0  # seconds
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Part:
    """A command that should be running; `quiet` ones show their lines only when they fail."""

    def __init__(self, name: str, argv: Sequence[str], environ: dict[str, str], quiet: bool = False) -> None:
        self.name = name
        self.argv = list(argv)
        self.environ = environ
        self.quiet = quiet
        self.process: subprocess.Popen[str] | None = None
        self.deaths: deque[float] = deque(maxlen=TOO_MANY_DEATHS)
        self.tail: deque[str] = deque(maxlen=15)
        self.due = 0.0
        self._reader: threading.Thread | None = None

    def start(self) -> subprocess.Popen[str]:
        """Start the command; only the main thread may, because on Linux the child dies with the thread that made it."""
        self.due = 0.0
        self.process = subprocess.Popen(  # noqa: S603 - our own commands
            self.argv,
            env=self.environ,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=dies_with(os.getpid()),
        )
        self._reader = threading.Thread(target=self._show, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        return self.process

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def died(self) -> bool:
        """The command ended and nobody has noted it yet."""
        return self.process is not None and self.process.poll() is not None

    def note_death(self, now: float) -> str:
        """Plan the next start and say in words how the command ended."""
        code = self.process.returncode if self.process else 0
        self.drain()
        self.process = None
        self.deaths.append(now)
        self.due = now + min(LONGEST_PAUSE, 0.25 * 2 ** self._recent(now))
        return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"

    def hopeless(self, now: float) -> bool:
        """It died so often in so short a time that another start would not help."""
        return self._recent(now) >= TOO_MANY_DEATHS

    def drain(self) -> None:
        """Wait a moment for the last lines of a command that has ended."""
        if self._reader is not None:
            self._reader.join(timeout=0.5)

    def terminate(self) -> None:
        if self.running and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the command and everything in its session's group at once."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def wait(self, seconds: float) -> bool:
        """Wait until the command has ended; False when it has not in that time."""
        if self.process is None:
            return True
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _recent(self, now: float) -> int:
        return sum(now - then < DEATH_WINDOW for then in self.deaths)

    def _show(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.tail.append(line.rstrip())
                if not self.quiet:
                    say(line.rstrip(), self.name)

    def last_words(self) -> str:
        """The last line it printed, for a sentence about why it failed."""
        return next((line.strip() for line in reversed(self.tail) if line.strip()), "it said nothing")


def say(line: str, name: str = "inbox") -> None:
    """Write one log line with the name of the part it comes from."""
    sys.stderr.write(f"{name:<10} {line}\n")
    sys.stderr.flush()


def adopt_orphans() -> None:
    """Make processes whose parent dies our own children, so that none is left behind (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def reap_adopted(known: set[int]) -> None:
    """Collect adopted children that have ended; those of `known` belong to their parts."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(ChildProcessError):
        for pid in children() - known:
            os.waitpid(pid, os.WNOHANG)


def kill_children() -> None:
    """End whatever child is left, adopted ones included (Linux)."""
    deadline = time.monotonic() + 2
    while (left := children()) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def children() -> set[int]:
    """The process ids of all our direct children (Linux; empty elsewhere)."""
    found = set()
    for name in os.listdir("/proc") if sys.platform == "linux" else []:
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                    found.add(int(name))
    return found


def dies_with(parent: int) -> Callable[[], None] | None:
    """On Linux: have the kernel end the child when the supervisor is killed outright."""
    libc = _libc
    if libc is None:
        return None

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel
