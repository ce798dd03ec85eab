"""What live pages cost: `python -m tests.bench.live fanout|sockets [sqlite|postgresql] [--json]`. Real processes, raw sockets, 127.0.0.1.

fanout: one event to a thousand open pages, beside flask-sock alone sending the same bytes; sockets: memory of each, a burst to all of them, pages meanwhile,
and a click on the lock with five hundred pages open.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import resource
import secrets
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from inbox import clock, config, create_app, realtime
from inbox.extensions import db, redis
from inbox.models import Conversation, Grant, Inbox, InboxMember, LoginSession, Member, transaction
from inbox.models.member import digest
from tests.bench.webhook import cpu_of, server_cpu
from tests.conftest import free_port
from tests.run import ROOT, postgres, valkey
from tests.world import World

VIEWERS, EVENTS, CLICKS, BURST = 1000, 20, 60, 30
MEMBERS = 500
SOCKETS = {"sqlite": 1000, "postgresql": 5000}
PATIENCE = 120.0


# -- processes --------------------------------------------------------------------------------------------------------


class House:
    """The product's processes on a database of their own: `web`, and `live` beside it on PostgreSQL."""

    def __init__(self, stack: contextlib.ExitStack, database: str) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="live-", ignore_cleanup_errors=True)))
        servers = self.folder / "servers"
        servers.mkdir()
        self.folder.chmod(0o711)
        self.port, self.live_port = free_port(), free_port()
        url = f"sqlite:///{self.folder}/inbox.db" if database == "sqlite" else stack.enter_context(postgres(servers)).replace("+psycopg", "")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("TEST_", "SANDBOX_"))}
        self.environ = environ | {
            "INBOX_DATA": str(self.folder / "data"), "DATABASE_URL": url, "REDIS_URL": stack.enter_context(valkey(servers)), "PORT": str(self.port), "LOG_LEVEL": "ERROR",
            "PUBLIC_URL": f"http://localhost:{self.port}", "SANDBOX_PORT": str(free_port()), "LIVE_PORT": str(self.live_port), "LIVE_SOCKETS": "10000",
        }
        self.app = create_app(config.load(self.environ))
        self.parts = {"web": self.port}
        if database != "sqlite":
            self.parts["live"] = self.live_port
        from flask_migrate import upgrade

        stack.enter_context(self.app.app_context())
        upgrade()
        self.world = World(self.app)
        self.fill()
        self.pids: list[int] = []
        self.processes = {name: self.start(stack, [sys.executable, "-m", "inbox.supervisor", name], port) for name, port in self.parts.items()}
        self.sockets_at = self.parts.get("live", self.port)
        self.sockets_pid = self.worker_of(self.processes["live" if "live" in self.parts else "web"])

    def fill(self) -> None:
        """Five hundred more agents, a few hundred conversations."""
        world = self.world
        with transaction():
            front = db.session.get_one(Inbox, world.front.id)
            for n in range(MEMBERS):
                member = Member(account_id=world.harbor.id, email=f"agent{n}@harbor.example", name=f"Agent Number{n}", password_hash="-", user_id=f"V{n}", seated=True).save()
                Grant(member_id=member.id, role="agent").save()
                InboxMember(inbox_id=front.id, member_id=member.id, added_at=clock.now()).save()
        for n in range(100):
            world.text(f"Is order {n} ready?", sender=f"+1415555{1000 + n}")
        self.conversation = world.conversation()
        db.session.commit()

    def start(self, stack: contextlib.ExitStack, command: list[str], port: int, **more: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, cwd=ROOT, env=self.environ | more)

        def stop() -> None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

        stack.callback(stop)
        wait_until(lambda: accepts(port), "a part to start")
        self.pids += [process.pid]
        return process

    def worker_of(self, process: subprocess.Popen[bytes]) -> int:
        """The worker of a gunicorn."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: bool(children.read_text().split()), "a worker")
        return int(children.read_text().split()[0])

    def cpu(self) -> float:
        """ms of CPU of every process of the product, the database and Redis."""
        told: Any = redis.client.info("cpu")
        ours = sum(cpu_of(self.worker_of(process)) + cpu_of(process.pid) for process in self.processes.values())
        return ours + server_cpu() + float(told["used_cpu_user"] + told["used_cpu_sys"]) * 1000

    def browsers(self, count: int) -> list[str]:
        """Cookies of so many signed-in browsers, of five hundred members."""
        members = db.session.execute(db.select(Member.id, Member.public_id).where(Member.name.like("Agent Number%")).order_by(Member.id)).all()
        signer: Any = SecureCookieSessionInterface().get_signing_serializer(self.app)
        made = []
        with transaction():
            for n in range(count):
                id, public_id = members[n % len(members)]
                token = secrets.token_urlsafe(16)
                db.session.add(LoginSession(member_id=id, token_digest=digest(token), confirmed_at=clock.now()))
                made.append(signer.dumps({"token": token, "_user_id": public_id, "_fresh": True, "csrf_token": secrets.token_hex(20)}))
        return made


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.02)


def memory(pid: int) -> int:
    """Bytes of a process that are its own, shared ones divided among those who share them."""
    return int(re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1)) * 1024  # type: ignore[union-attr]


# -- the other side ------------------------------------------------------------------------------------------------------


def masked(text: str, opcode: int = 1) -> bytes:
    """A client's frame; the mask is nought, which is a mask like any other."""
    payload = text.encode()
    length = len(payload)
    return bytes((0x80 | opcode, 0x80 | (length if length < 126 else 126))) + (length.to_bytes(2, "big") if length > 125 else b"") + bytes(4) + payload


class Crowd:
    """Open sockets that read whatever comes; each notes when it has seen a mark."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.sockets: list[socket.socket] = []
        self.mark, self.tails = b"", {}  # type: ignore[var-annotated]
        self.seen: dict[socket.socket, float] = {}
        self.kept: bytes | None = None  # what the first socket was told, when that is wanted
        self.lost, self.gone = 0, set()  # type: ignore[var-annotated]

    def open(self, port: int, cookies: list[str], origin: str, at_once: int = 40) -> None:
        """Shake hands with so many at a time."""
        waiting: list[socket.socket] = []
        for n, cookie in enumerate(cookies):
            one = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            host = origin.rpartition("/")[2]
            one.sendall(
                f"GET /live HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
                f"Origin: {origin}\r\nCookie: session={cookie}\r\n\r\n".encode()
            )
            waiting.append(one)
            if len(waiting) == at_once or n == len(cookies) - 1:
                for each in waiting:
                    answer = b""
                    while b"\r\n\r\n" not in answer:
                        if not (part := each.recv(1)):
                            raise OSError(f"the socket was refused: {answer!r}")
                        answer += part
                    assert answer.startswith(b"HTTP/1.1 101"), answer
                    each.setblocking(False)
                    self.selector.register(each, selectors.EVENT_READ)
                    self.sockets.append(each)
                waiting = []
                self.drain(0)

    def say(self, text: str, mark: bytes, since: int = 0, at_once: int = 50) -> None:
        """Everybody from this one on says it, and waits for the answer."""
        frame = masked(text)
        for start in range(since, len(self.sockets), at_once):
            part = [one for one in self.sockets[start : start + at_once] if one not in self.gone]
            self.expect(mark)
            for one in part:
                one.sendall(frame)
            self.read(lambda part=part: all(one in self.seen for one in part))  # type: ignore[misc]

    def expect(self, mark: bytes) -> None:
        self.mark, self.tails = mark, {}
        self.seen.clear()

    def read(self, done: Callable[[], bool] | None = None, seconds: float = PATIENCE) -> bool:
        """Read until everybody has seen the mark (or `done`); False when that takes too long."""
        deadline = time.monotonic() + seconds
        done = done or (lambda: len(self.seen) >= len(self.sockets) - self.lost)
        while not done():
            if time.monotonic() > deadline:
                return False
            for key, _ in self.selector.select(0.05):
                self._take(key.fileobj)  # type: ignore[arg-type]
        return True

    def drain(self, quiet: float = 0.3) -> None:
        """Read until nothing comes for a while."""
        while ready := self.selector.select(quiet):
            for key, _ in ready:
                self._take(key.fileobj)  # type: ignore[arg-type]

    def _take(self, one: socket.socket) -> None:
        try:
            data = one.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(one)
            self.lost += 1
            self.gone.add(one)
            return
        if b"\x89\x00" in data:  # a sign of life is asked for, perhaps among other news
            one.send(masked("", 10))
        if self.kept is not None and one is self.sockets[0]:
            self.kept += data
        if one not in self.seen and self.mark in self.tails.get(one, b"") + data:
            self.seen[one] = time.monotonic()
        self.tails[one] = data[-64:]

    def close(self) -> None:
        for one in self.sockets:
            one.close()
        self.selector.close()


def texts_of(data: bytes) -> list[str]:
    """The texts in a server's frames."""
    found, at = [], 0
    while at + 2 <= len(data):
        opcode, length, at = data[at] & 15, data[at + 1], at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if opcode == 1:
            found.append(data[at : at + length].decode())
        at += length
    return found


def spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 2), "min": round(min(values), 2), "max": round(max(values), 2)}


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"p50": round(ordered[len(ordered) // 2], 1), "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1), "max": round(ordered[-1], 1)}


def show(house: House, conversation: bool) -> str:
    found = house.conversation
    more: dict[str, Any] = {"conversation": found.public_id, "state": "free", "message": found.last_message_id} if conversation else {}
    return json.dumps({"show": {"inbox": house.world.front.public_id, "view": "all", "now": 2**52, **more}})


@contextlib.contextmanager
def running(database: str) -> Iterator[tuple[contextlib.ExitStack, House]]:
    """The processes, and an app of this one on the same data."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        house = House(stack, database)
        try:
            yield stack, house
        finally:
            db.session.remove()
            db.engine.dispose()


# -- the figures -----------------------------------------------------------------------------------------------------------


def fanout(database: str) -> dict[str, Any]:
    """One event to a thousand viewers of the same conversation: CPU of each delivery, and until all are served, beside flask-sock alone."""
    with running(database) as (stack, house):
        crowd, bare = Crowd(), Crowd()
        stack.callback(crowd.close)
        stack.callback(bare.close)
        origin = house.environ["PUBLIC_URL"]
        cookies = house.browsers(VIEWERS)
        events: dict[str, Callable[[int], Any]] = {"lock": lambda n: _lock(house, n), "text": lambda n: house.world.text(f"Is it ready now, number {n}?")}
        alone = {what: _alone(house, event) for what, event in events.items()}
        crowd.open(house.sockets_at, cookies, origin)
        crowd.say(show(house, True), b'"shown"')
        bare_port = free_port()
        command = [
            *(sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{bare_port}", "-k", "gthread", "--threads", str(VIEWERS + 40), "--worker-connections", str(2 * VIEWERS + 100)),
            *("--no-control-socket", "--worker-tmp-dir", "/dev/shm", "--graceful-timeout", "1", "--log-level", "error", "tests.bench.bare:create()"),
        ]
        floor = house.start(stack, command, bare_port)
        bare.open(bare_port, cookies, origin)
        found: dict[str, Any] = {"database": database, "viewers": VIEWERS, "events": EVENTS}
        for what, event in events.items():
            found[what] = _compare(house, crowd, bare, bare_port, house.worker_of(floor), event, alone[what])
        found["lost"] = crowd.lost
        return found


def _lock(house: House, n: int) -> None:
    """Maya takes the lock, or gives it back."""
    conversation, maya = db.session.get_one(Conversation, house.conversation.id), db.session.get_one(Member, house.world.maya.id)
    with transaction():
        conversation.release(by=maya) if n % 2 else conversation.acquire(by=maya)


def _alone(house: House, event: Callable[[int], Any]) -> float:
    """ms of CPU of an event that nobody looks at: the database's and Redis's part in what is no delivery."""
    event(0), event(1)
    before = house.cpu()
    for n in range(EVENTS):
        event(n)
    return (house.cpu() - before) / EVENTS


def _compare(house: House, crowd: Crowd, bare: Crowd, bare_port: int, bare_pid: int, event: Callable[[int], Any], alone: float) -> dict[str, Any]:
    for n in range(2):  # everything is compiled and read once
        crowd.expect(b'id="lock"')
        event(n)
        assert crowd.read()
        time.sleep(1.1)
        crowd.drain()
    published: list[float] = []  # when the facts of the event went out
    send = realtime._send
    realtime._send = lambda fact: (published.append(time.monotonic()), send(fact))[1]  # type: ignore[func-returns-value]
    ours: list[float] = []
    floor: list[float] = []
    cpu: list[float] = []
    floor_cpu: list[float] = []
    size = frames = 0
    for n in range(EVENTS):
        crowd.expect(b'id="lock"')
        crowd.kept = b""
        before = house.cpu()
        published.clear()
        event(n)
        assert crowd.read(), f"{len(crowd.seen)} of {len(crowd.sockets)}"
        ours.append((max(crowd.seen.values()) - published[0]) * 1000)
        crowd.drain(0.15)
        cpu.append((house.cpu() - before - alone) * 1000 / len(crowd.sockets))
        told, crowd.kept = texts_of(crowd.kept), None
        size, frames = sum(map(len, told)), len(told)
        bare.expect(b'id="lock"')
        before = cpu_of(bare_pid)
        began = time.monotonic()
        asking = threading.Thread(target=_tell, args=(bare_port, told))
        asking.start()
        assert bare.read(), f"{len(bare.seen)} of {len(bare.sockets)} of the bare ones"
        floor.append((max(bare.seen.values()) - began) * 1000)
        asking.join()
        bare.drain(0.1)
        floor_cpu.append((cpu_of(bare_pid) - before) * 1000 / len(bare.sockets))
    realtime._send = send
    return {
        "bytes": size, "frames": frames, "event_alone_ms": round(alone, 2), "cpu_us_per_delivery": spread(cpu) | {"mean": round(statistics.mean(cpu), 1)}, "served_ms": spread(ours),
        "bare_served_ms": spread(floor), "bare_cpu_us_per_delivery": spread(floor_cpu) | {"mean": round(statistics.mean(floor_cpu), 1)},
        "times_bare": round(statistics.median(ours) / statistics.median(floor), 2),
    }


def _tell(port: int, texts: list[str]) -> None:
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    asking.request("POST", "/tell", body="\x00".join(texts).encode())
    asking.getresponse().read()
    asking.close()


def sockets(database: str) -> dict[str, Any]:
    """How much a socket weighs, whether one is lost in a burst, pages meanwhile, and a click on the lock with five hundred open."""
    count = SOCKETS[database]
    with running(database) as (stack, house):
        crowd = Crowd()
        stack.callback(crowd.close)
        origin = house.environ["PUBLIC_URL"]
        cookies = house.browsers(count)
        crowd.open(house.sockets_at, cookies[:20], origin)  # whatever a first request loads
        crowd.say(show(house, False), b'"shown"')
        crowd.drain()
        before = memory(house.sockets_pid)
        began = time.monotonic()
        crowd.open(house.sockets_at, cookies[20:500], origin)
        opened = time.monotonic() - began
        crowd.say(show(house, False), b'"shown"', since=20)
        clicks = _clicks(house, crowd)
        began = time.monotonic()
        crowd.open(house.sockets_at, cookies[500:], origin)
        opened += time.monotonic() - began
        began = time.monotonic()
        crowd.say(show(house, False), b'"shown"', since=500)
        shown = time.monotonic() - began
        weight = (memory(house.sockets_pid) - before) / (count - 20) / 1024
        burst = _burst(house, crowd)
        return {
            "database": database, "sockets": count, "kib_each": round(weight, 1), "kib_each_after_burst": round((memory(house.sockets_pid) - before) / (count - 20) / 1024, 1),
            "opened_s": round(opened, 1), "shown_s": round(shown, 1), "lost": crowd.lost, "burst": burst, "click_to_banner_ms_500_open": clicks,
        }


class Browser:
    """Requests of one signed-in member to the pages."""

    def __init__(self, house: House, name: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=PATIENCE)
        member = db.session.scalars(db.select(Member).where(Member.name == name)).one()
        signer: Any = SecureCookieSessionInterface().get_signing_serializer(house.app)
        with transaction():
            token = LoginSession.start(member, ip="127.0.0.1", user_agent="bench")
        self.headers = {"Host": f"localhost:{house.port}", "Cookie": "session=" + signer.dumps({"token": token, "_user_id": member.public_id, "_fresh": True, "csrf_token": "c" * 40})}
        with house.app.test_request_context():
            from itsdangerous import URLSafeTimedSerializer

            self.csrf = str(URLSafeTimedSerializer(house.app.secret_key, salt="wtf-csrf-token").dumps("c" * 40))

    def get(self, path: str) -> int:
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def post(self, path: str) -> int:
        headers = self.headers | {"HX-Request": "true", "X-CSRFToken": self.csrf, "Content-Type": "application/x-www-form-urlencoded"}
        self.connection.request("POST", path, body="", headers=headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


def _clicks(house: House, crowd: Crowd) -> dict[str, float]:
    """ms from a click on Reply to the row that says so at another viewer, the slowest of all that look."""
    maya, times, path = Browser(house, "Maya Chen"), [], f"/c/{house.conversation.public_id}/lock"
    for _ in range(CLICKS):
        crowd.expect(b"is replying")
        began = time.monotonic()
        asking = threading.Thread(target=maya.post, args=(path,))
        asking.start()
        assert crowd.read(), "nobody was told of the lock"
        times.append((max(crowd.seen.values()) - began) * 1000)
        asking.join()
        crowd.expect(b'id="row-')
        _lock(house, 1)
        crowd.read(seconds=10)
        crowd.drain(0.05)
    return percentiles(times)


def _burst(house: House, crowd: Crowd) -> dict[str, Any]:
    """Thirty texts as fast as they come, pages asked for meanwhile; everybody must have been told the last."""
    took: list[float] = []
    stop = threading.Event()
    dana = Browser(house, "Maya Chen")
    path = f"/i/{house.world.front.public_id}/all"
    dana.get(path)

    def ask() -> None:
        while not stop.is_set():
            began = time.monotonic()
            assert dana.get(path) == 200
            took.append((time.monotonic() - began) * 1000)
            stop.wait(0.1)

    asking = threading.Thread(target=ask)
    crowd.expect(f"Burst {BURST - 1}.".encode())
    before, began = house.cpu(), time.monotonic()
    asking.start()

    def send(app: Flask) -> None:
        with app.app_context():
            front = db.session.get_one(Inbox, house.world.front.id)
            for n in range(BURST):
                house.world.text(f"Burst {n}.", inbox=front)
            db.session.remove()

    sending = threading.Thread(target=send, args=(house.app,))
    sending.start()
    whole = crowd.read()
    served = time.monotonic() - began
    sending.join()
    stop.set()
    asking.join()
    crowd.drain(0.5)
    return {"events": BURST, "all_served_s": round(served, 2), "everybody_told": whole, "told": len(crowd.seen), "cpu_s": round((house.cpu() - before) / 1000, 2), "pages_ms": percentiles(took), "pages": len(took)}


def main(arguments: list[str]) -> None:
    asked = [each for each in arguments if not each.startswith("-")]
    which = {"fanout": fanout, "sockets": sockets}[asked[0] if asked else "fanout"]
    made = [which(database) for database in asked[1:] or ["sqlite", "postgresql"]]
    print(json.dumps(made) if "--json" in arguments else json.dumps(made, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
