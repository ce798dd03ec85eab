"""The supervisor with small stand-in commands: restarts, giving up, order of stopping, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from inbox.config import ROOT

DRIVER = """
import json, os, sys
from pathlib import Path
from inbox.supervisor.house import House, Signals
from inbox.supervisor.part import Part
from inbox.supervisor.prepare import sole_use

with sole_use(Path(sys.argv[1])) as lock:
    house = House(Signals(), lock)
    try:
        commands = json.loads(sys.argv[2]).items()
        house.start([Part(name, [sys.executable, "-u", "-c", code], dict(os.environ)) for name, code in commands])
        code = house.watch(lambda: None, lambda: print("ready", flush=True))
    finally:
        house.stop()
sys.exit(code)
"""
PATIENT = """
import os, signal, sys, time
def leave(number, frame):
    print("leaving", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("pid", os.getpid(), flush=True)
while True:
    time.sleep(60)
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child == 0:
    os.setsid()
print("pid", os.getpid(), flush=True)
while True:
    time.sleep(60)
"""


class Run:
    """A driver under way, with the lines it has written so far."""

    def __init__(self, directory: Path, commands: dict[str, str]) -> None:
        self.output = directory / "output.txt"
        self.file: IO[bytes] = self.output.open("wb")
        command = [sys.executable, "-c", DRIVER, str(directory), json.dumps(commands)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self.file, stderr=self.file)

    @property
    def text(self) -> str:
        return self.output.read_text()

    def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.text
            time.sleep(0.02)

    def pids(self, name: str) -> list[int]:
        words = [line.split() for line in self.text.splitlines()]
        return [int(line[2]) for line in words if line[:2] == [name, "pid"]]


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], Run]]:
    """Start drivers; whatever is still there at the end is killed."""
    runs: list[Run] = []

    def start(commands: dict[str, str]) -> Run:
        runs.append(Run(tmp_path, commands))
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.process.wait()
        run.file.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_parts_stop_in_order_and_valkey_is_the_last(drive: Callable[[dict[str, str]], Run]) -> None:
    run = drive(dict.fromkeys(("valkey", "sandbox", "web", "worker-1", "scheduler"), PATIENT))
    run.until(lambda: len(run.text.split("pid")) == 6 and "ready" in run.text)
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(12) == 0
    left = [line.split()[0] for line in run.text.splitlines() if line.endswith("leaving")]
    assert left[0] == "web" and left[-2:] == ["sandbox", "valkey"] and len(left) == 5


def test_a_part_that_dies_is_started_again(drive: Callable[[dict[str, str]], Run]) -> None:
    run = drive({"web": PATIENT, "worker-1": PATIENT})
    run.until(lambda: len(run.pids("worker-1")) == 1)
    os.kill(run.pids("worker-1")[0], signal.SIGKILL)
    run.until(lambda: len(run.pids("worker-1")) == 2)
    assert "stopped by signal SIGKILL; it is started again." in run.text
    assert len(run.pids("web")) == 1
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(12) == 0


def test_a_part_that_keeps_dying_ends_everything_with_a_sentence(drive: Callable[[dict[str, str]], Run]) -> None:
    run = drive({"web": PATIENT, "worker-1": "import sys; sys.exit('no such table')"})
    assert run.process.wait(40) == 1
    assert "worker-1 stopped 5 times within a minute, so everything is stopped." in run.text
    assert "Its last line: no such table" in run.text
    assert not alive(run.pids("web")[0])


def test_a_second_ctrl_c_kills_what_does_not_stop_even_grandchildren(drive: Callable[[dict[str, str]], Run]) -> None:
    run = drive({"web": STUBBORN})
    run.until(lambda: len(run.pids("web")) == 2 and "ready" in run.text)
    began = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    run.until(lambda: time.monotonic() - began > 0.5)
    assert run.process.poll() is None
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(3) == 0
    assert time.monotonic() - began < 4
    if sys.platform == "linux":
        assert not any(alive(pid) for pid in run.pids("web"))


def test_a_stubborn_part_is_killed_within_ten_seconds(drive: Callable[[dict[str, str]], Run]) -> None:
    run = drive({"worker-1": STUBBORN})
    run.until(lambda: len(run.pids("worker-1")) == 2 and "ready" in run.text)
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(10) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel ends children of a killed process")
def test_children_end_when_the_supervisor_is_killed_outright(drive: Callable[[dict[str, str]], Run]) -> None:
    run = drive({"web": PATIENT, "valkey": PATIENT})
    run.until(lambda: len(run.pids("web") + run.pids("valkey")) == 2)
    run.process.kill()
    run.process.wait()
    run.until(lambda: not any(alive(pid) for pid in run.pids("web") + run.pids("valkey")), 6)
