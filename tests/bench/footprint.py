"""What the one-command system takes when nobody does anything: memory of all its processes, and how long a second start takes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.stack import Client, processes, tree, wait_for
from tests.conftest import free_port
from tests.run import PRODUCT_NAMES, ROOT

BUDGET_MB, BUDGET_S, QUIET = 200, 3.0, 20


def pss(pid: int) -> float:
    """MB that this process is charged with: shared pages are shared out."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def start(folder: Path) -> tuple[subprocess.Popen[bytes], float, int]:
    """The system by its one command; the seconds until it answered."""
    port = free_port()
    bare = {name: value for name, value in os.environ.items() if name not in PRODUCT_NAMES and not name.startswith("TEST_")}
    environ = {**bare, "INBOX_DATA": str(folder), "PORT": str(port), "SANDBOX_PORT": str(free_port())}
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, str(ROOT / "app.py")], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, start_new_session=True)
    wait_for(port, process)
    return process, time.monotonic() - began, port


def footprint() -> list[dict[str, Any]]:
    """MB of PSS of every process after the first pages were asked for, and seconds until a second start answers; both with its parts."""
    with tempfile.TemporaryDirectory(prefix="footprint-", ignore_cleanup_errors=True) as folder:
        process, _, _ = start(Path(folder))
        stop(process)
        starts = []
        for _ in range(3):
            process, seconds, port = start(Path(folder))
            starts.append(seconds)
            if len(starts) < 3:
                stop(process)
        Client(port).ask("GET", "/sign-in")
        time.sleep(QUIET)
        known = processes()
        parts = {f"{words(known[pid][2])} {pid}": round(pss(pid), 1) for pid in sorted(tree(process.pid, known))}
        stop(process)
    load = round(os.getloadavg()[0], 1)
    return [
        {"name": "footprint", "db": "sqlite", "size": "0", "mb_pss": round(sum(parts.values()), 1), "budget_mb": BUDGET_MB, "parts": parts, "load": load},
        {"name": "second start", "db": "sqlite", "size": "0", "seconds": round(sorted(starts)[1], 2), "budget_s": BUDGET_S, "n": len(starts), "load": load},
    ]


def words(command: str) -> str:
    return next((name for name in ("supervisor", "inbox.sandbox", "inbox:create_app", "jobs.worker", "jobs.schedule", "valkey-server") if name in command), command[-30:])


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(30)
