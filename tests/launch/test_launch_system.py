"""The whole system as a person starts it: `python3 app.py` until it is ready, what can go wrong beside it, and its end."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from inbox.config import ROOT
from inbox.supervisor.prepare import answers_ping, sole_use, valkey_binary

PATIENCE = 90  # seconds for a start on a busy machine


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def wait_until(condition: Callable[[], bool], why: Callable[[], str], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


class Started:
    """One `python3 app.py` under way, or one part of it."""

    def __init__(self, data: Path, ports: list[int], *arguments: str, **environ: str) -> None:
        self.data, (self.port, self.sandbox_port) = data, ports
        self.output = data.parent / f"output-{time.monotonic_ns()}.txt"
        self.file: IO[bytes] = self.output.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py"), *arguments],
            cwd=data.parent,  # a person may be anywhere
            env=self.environ(**environ),
            stdout=self.file,
            stderr=subprocess.STDOUT,
        )

    def environ(self, **more: str) -> dict[str, str]:
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        ports = {"PORT": str(self.port), "SANDBOX_PORT": str(self.sandbox_port)}
        return {**keep, **ports, "INBOX_DATA": str(self.data), **more}

    @property
    def text(self) -> str:
        return self.output.read_text()

    @property
    def ready(self) -> bool:
        assert self.process.poll() is None, self.text
        return "Shared inbox is ready: " in self.text

    def answers(self, *wanted: int) -> bool:
        """The health check answers, with the wanted status if one is named."""
        assert self.process.poll() is None, self.text
        status = get(self.port, "/healthz")[0]
        return status in wanted if wanted else status != 0

    def parts(self) -> dict[str, int]:
        """The noted processes by what is special in their commands."""
        lines = [line.split("\t") for line in (self.data / "app.lock").read_text().splitlines()[1:]]
        return {command: int(pid) for pid, command in lines}

    def leftovers(self) -> list[str]:
        """Commands of processes that still work for this data directory."""
        found = []
        mark = f"INBOX_DATA={self.data}".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if entry.name != str(os.getpid()) and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
        return found

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.file.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start the system or a part of it on ports and data of this test."""
    ports = free_ports(2)
    with contextlib.ExitStack() as stack:

        def go(*arguments: str, **environ: str) -> Started:
            started = Started(tmp_path / "data", ports, *arguments, **environ)
            stack.callback(started.close)
            return started

        yield go


def test_the_system_starts_serves_and_stops_without_a_trace(start: Callable[..., Started]) -> None:
    system = start()
    wait_until(lambda: system.ready, lambda: system.text)
    address = f"http://localhost:{system.port}  (phone simulator: http://localhost:{system.sandbox_port})"
    assert [line for line in system.text.splitlines() if "http" in line] == [f"Shared inbox is ready: {address}"]

    status, body = get(system.port, "/healthz")
    assert status == 200, body
    assert {"database", "redis", "workers", "scheduler"} <= json.loads(body).keys()
    assert get(system.sandbox_port, "/")[0] in (200, 302, 303)

    second = start()
    assert second.process.wait(30) == 3
    assert second.text.count("\n") == 1 and f"process {system.process.pid}" in second.text

    worker = next(pid for command, pid in system.parts().items() if command.endswith("jobs.worker send auto default"))
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: worker not in system.parts().values(), lambda: system.text)
    wait_until(lambda: system.answers(200), lambda: system.text)

    began = time.monotonic()
    system.process.send_signal(signal.SIGINT)
    assert system.process.wait(20) == 0, system.text
    assert time.monotonic() - began < 11
    assert system.leftovers() == []
    assert "Traceback" not in system.text
    assert [path.name for path in system.data.iterdir() if path.stat().st_mode & 0o077] == []
    with sole_use(system.data):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel ends children of a killed process")
def test_after_a_kill_nothing_is_left_and_the_next_start_works(start: Callable[..., Started]) -> None:
    system = start()
    wait_until(lambda: system.ready, lambda: system.text)
    system.process.kill()
    system.process.wait()
    again = start()
    wait_until(lambda: again.ready, lambda: again.text)
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(20) == 0, again.text
    assert again.leftovers() == []


def test_a_taken_port_ends_the_start_before_anything_runs(start: Callable[..., Started]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        system = start(PORT=str(port))
        assert system.process.wait(30) == 2
    assert system.text.startswith(f"Port {port} is taken by another program")
    assert "python3 app.py" in system.text and system.text.count("\n") == 1
    assert system.leftovers() == []


@pytest.mark.parametrize("part", ["web", "worker", "scheduler"])
def test_a_part_alone_asks_for_the_shared_redis(start: Callable[..., Started], part: str) -> None:
    alone = start(part)
    assert alone.process.wait(30) == 2
    assert alone.text.startswith("REDIS_URL is not set: ") and alone.text.count("\n") == 1


def test_live_alone_asks_for_postgresql(start: Callable[..., Started]) -> None:
    alone = start("live", REDIS_URL="unix:///nowhere/v.sock?db=0")
    assert alone.process.wait(30) == 2
    assert alone.text.startswith("“live” needs PostgreSQL") and alone.text.count("\n") == 1


@pytest.mark.parametrize(("name", "value"), [("PORT", "abc"), ("DATABASE_URL", "mysql://x/y"), ("HOST", "192.0.2.1")])
def test_a_bad_setting_is_one_sentence(start: Callable[..., Started], name: str, value: str) -> None:
    system = start(**{name: value})
    assert system.process.wait(30) == 2
    assert system.text.startswith(name) and system.text.count("\n") == 1


def test_the_parts_run_one_by_one_for_deployments(start: Callable[..., Started], tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    path = tmp_path / "redis" / "v.sock"
    if len(str(path)) > 100:
        pytest.fail("the temporary directory's path is too long for a socket; set TMPDIR to a shorter one")
    arguments = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(path.parent)]
    with subprocess.Popen([valkey_binary(), *arguments], stdout=subprocess.DEVNULL) as valkey:
        try:
            wait_until(lambda: answers_ping(path), lambda: "Valkey did not start")
            parts = {name: start(name, REDIS_URL=f"unix://{path}?db=0") for name in ("sandbox", "web")}
            wait_until(lambda: parts["web"].answers(), lambda: parts["web"].text)
            parts |= {name: start(name, REDIS_URL=f"unix://{path}?db=0") for name in ("worker", "scheduler")}
            wait_until(lambda: parts["web"].answers(200), lambda: "".join(part.text for part in parts.values()))
            for part in parts.values():
                part.process.send_signal(signal.SIGTERM)
            assert {name: part.process.wait(20) for name, part in parts.items()} == dict.fromkeys(parts, 0)
        finally:
            valkey.terminate()
