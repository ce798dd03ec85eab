"""Real browsers against the real system: every part runs as `python3 app.py` starts it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask.sessions import SecureCookieSessionInterface
from playwright.sync_api import Browser, BrowserContext, Page

from inbox import config, create_app
from inbox.extensions import db
from inbox.models import LoginSession, Member, transaction
from tests.conftest import FERNET, free_port, postgres_url
from tests.world import World

ROOT = Path(__file__).parent.parent.parent
AXE = (ROOT / "tests/vendor/axe.min.js").read_text()
ARTIFACTS = ROOT / "tests/.artifacts"

class House:
    """A running system with an app of this process on the same data, to look behind the pages."""

    def __init__(self, data: Path, database_url: str | None = None) -> None:
        self.data, self.port, self.sandbox_port = data, free_port(), free_port()
        self.url = f"http://localhost:{self.port}"
        self.simulator = f"http://localhost:{self.sandbox_port}"
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("TEST_", "PYTEST", "REDIS_URL", "DATABASE_URL"))}
        environ |= {"INBOX_DATA": str(data), "PORT": str(self.port), "SANDBOX_PORT": str(self.sandbox_port), "SANDBOX_FAST_REVIEW": "1", "THREADS": "60", "ENCRYPTION_KEY": FERNET}
        environ.pop("SANDBOX_URL", None)
        if database_url:
            environ["DATABASE_URL"] = database_url
        self.environ = environ
        self.lines: queue.Queue[str] = queue.Queue()
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inbox.supervisor", "run"], cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()
        self._wait_ready()
        self.app = create_app(config.load(environ))

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.log.append(line)
            self.lines.put(line)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + 240  # a busy machine starts slowly
        while time.monotonic() < deadline:
            try:
                if "is ready" in self.lines.get(timeout=1):
                    return
            except queue.Empty:
                if self.process.poll() is not None:
                    break
        self.process.kill()
        raise AssertionError("The system did not start:\n" + "".join(self.log))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        assert self.process.stdout
        self.process.stdout.close()
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()

    def cookie(self, member: Member) -> str:
        """The cookie of a browser that signed in a moment ago."""
        with self.app.app_context(), transaction():
            token = LoginSession.start(member, ip="127.0.0.1", user_agent="test")
        serializer = SecureCookieSessionInterface().get_signing_serializer(self.app)
        assert serializer
        return str(serializer.dumps({"token": token, "_user_id": member.public_id, "_fresh": True}))

    def world(self) -> World:
        with self.app.app_context():
            return World(self.app)

    def restore(self) -> None:
        """Give the cast the roles and seats they began with."""
        began: dict[int, tuple[list[str], bool]] = self.__dict__.setdefault("began", {})
        with self.app.app_context(), transaction():
            dana = db.session.get_one(Member, self.cast.dana.id)  # type: ignore[attr-defined]
            for known in self.cast.people:  # type: ignore[attr-defined]
                who = db.session.get_one(Member, known.id)
                roles, seated = began.setdefault(who.id, (who.roles, who.seated))
                if who.account_id != dana.account_id or (who.roles, who.seated) == (roles, seated):
                    continue
                if who.roles != roles:
                    who.set_roles([(role, None) for role in roles], by=dana)
                if seated:
                    dana.account.seat(who, by=dana)
                else:
                    dana.account.unseat(who, by=dana)


@pytest.fixture(scope="session")
def standing(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A running system with the cast of tests/world.py in it, as the tests before left it."""
    yield from _house(database, tmp_path_factory)


@pytest.fixture
def lived_in(standing: House) -> House:
    """The running system, its cast with the roles and seats they began with, whatever test came before."""
    standing.restore()
    return standing


@pytest.fixture(scope="module")
def empty_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A running system nobody has opened yet."""
    house = House(tmp_path_factory.mktemp("fresh") / "data")
    yield house
    house.stop()


def _house(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp(f"house-{database}")
    url = None
    admin = None
    name = f"inbox_house_{os.getpid()}"
    if database == "postgresql":
        server = postgres_url()
        if server is None:
            pytest.skip("PostgreSQL is missing: run `python3 app.py test`, which starts one.")
        admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with admin.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        url = sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    house = House(folder / "data", url)
    house.cast = house.world()  # type: ignore[attr-defined]
    yield house
    house.stop()
    if admin is not None:
        with admin.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


NO_NETWORK = ("Failed to load resource", "WebSocket", "htmx:ws:error", "An unknown error occurred when fetching the script")  # what a browser says by itself


class Person:
    """Somebody at a browser, signed in; collects what the console complains about."""

    def __init__(self, context: BrowserContext, house: House, member: Member | None) -> None:
        self.context, self.house = context, house
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15000)
        self.complaints: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" and not any(word in m.text for word in NO_NETWORK) else None)
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        if member is not None:
            context.add_cookies([{"name": "session", "value": house.cookie(member), "url": house.url}])

    def open(self, path: str) -> Page:
        self.page.goto(self.house.url + path)
        return self.page

    def picture(self, name: str) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"{name}.png")

    def check_accessible(self) -> None:
        """axe, WCAG 2.2 AA: no violation."""
        self.page.evaluate(AXE)
        result: Any = self.page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
        found = [(v["id"], [n["html"][:160] for n in v["nodes"][:3]]) for v in result["violations"]]
        assert not found, f"{self.page.url}: {found}"


@pytest.fixture
def person(browser: Browser) -> Iterator[Callable[..., Person]]:
    """person(house, member, **context options) -> somebody signed in; every one is checked for console errors at the end."""
    people: list[Person] = []

    def make(house: House, member: Member | None = None, **options: Any) -> Person:
        options.setdefault("viewport", {"width": 1440, "height": 900})
        options.setdefault("reduced_motion", "reduce")
        somebody = Person(browser.new_context(**options), house, member)
        people.append(somebody)
        return somebody

    yield make
    complaints = [c for p in people for c in p.complaints]
    for p in people:
        p.context.close()
    assert not complaints, complaints


from tests.browser.furnished import furnished  # noqa: E402, F401 - a house of its own for walks over all pages
