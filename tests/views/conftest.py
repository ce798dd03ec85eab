"""An app with an empty database in a temporary directory, and the sandbox carrier on a thread."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import ChoiceLoader, DictLoader
from werkzeug.serving import make_server

from inbox import STATIC, config, create_app
from inbox.extensions import db
from inbox.models import Account, Carrier, Grant, Member, transaction

PASSWORD = "quiet river stone"
SID, TOKEN = "AC" + "1" * 32, "2" * 32


@pytest.fixture(scope="session")
def carrier_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from inbox.sandbox import create_sandbox
    from inbox.sandbox.app import close_sandbox

    sandbox = create_sandbox(str(tmp_path_factory.mktemp("carrier") / "sandbox.db"), SID, TOKEN)
    server = make_server("127.0.0.1", 0, sandbox, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    sandbox.config["ADDRESS"] = f"http://127.0.0.1:{server.server_port}"
    sandbox.extensions["sandbox"].set_setting("review", "fast")
    yield sandbox
    server.shutdown()
    server.server_close()
    thread.join()
    close_sandbox(sandbox)


def build_app(tmp_path: Path, address: str) -> Flask:
    settings = config.load({"INBOX_DATA": str(tmp_path), "SANDBOX_URL": address, "REDIS_URL": "redis://127.0.0.1:1/0", "LOG_LEVEL": "CRITICAL"})
    app = create_app(settings, TESTING=True, PROPAGATE=True, RATELIMIT_ENABLED=False)
    app.config["CARRIER"] = {
        "account_sid": SID, "auth_token": TOKEN, "api_base": address, "messaging_base": address, "trusthub_base": address, "trusted": True,
        "public_url": "http://localhost:8000",
    }
    empty = dict.fromkeys(("navigation/_navigation.html", "navigation/_settings.html", "navigation/_tabbar.html"), "")
    app.jinja_loader = ChoiceLoader([app.jinja_loader, DictLoader(empty)])  # type: ignore[list-item]
    app.test_client_class = OwnContext
    asset = app.jinja_env.globals["asset"]
    app.jinja_env.globals["asset"] = lambda path: asset(path) if (STATIC / path).exists() else f"/static/none/{path}"  # type: ignore[operator]
    app.url_build_error_handlers.append(lambda error, endpoint, values: f"/{endpoint}")
    return app


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory, carrier_server: Any) -> Path:
    """A file with every table and no row, to be copied."""
    folder = tmp_path_factory.mktemp("empty")
    app = build_app(folder, carrier_server.config["ADDRESS"])
    with app.app_context():
        db.create_all()
        db.session.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
        db.session.remove()
        db.engine.dispose()
    return folder / "inbox.db"


@pytest.fixture
def app(tmp_path: Path, carrier_server: Any, empty_database: Path) -> Iterator[Flask]:
    shutil.copy(empty_database, tmp_path / "inbox.db")
    app = build_app(tmp_path, carrier_server.config["ADDRESS"])
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


class OwnContext(FlaskClient):
    """Each request gets an application context of its own, as on a real server, although the test holds one."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        with self.application.app_context():
            response = super().open(*args, **kwargs)
        db.session.rollback()
        db.session.expire_all()
        return response


class Browser:
    """A test client that fetches a page's token before it posts its form."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def get(self, url: str, status: int = 200, **kwargs: Any) -> str:
        response = self.client.get(url, **kwargs)
        assert response.status_code == status, (response.status_code, response.headers.get("Location"), response.text[-1500:])
        return response.headers["Location"] if 300 <= status < 400 else response.text

    def post(self, url: str, form: dict[str, Any] | None = None, status: int = 303, page: str | None = None, **kwargs: Any) -> str:
        seen = self.client.get(page or "/sign-in", follow_redirects=True).text
        token = re.search(r'name="csrf_token" value="([^"]+)"', seen) or re.search(r"X-CSRFToken&#34;: &#34;([^&]+)|X-CSRFToken\": \"([^\"]+)", seen)
        assert token, seen[:500]
        value = next(part for part in token.groups() if part)
        response = self.client.post(url, data={"csrf_token": value, **(form or {})}, **kwargs)
        assert response.status_code == status, (response.status_code, response.headers.get("Location"), response.text[-3000:])
        return response.headers["Location"] if 300 <= status < 400 else response.text

    def sign_in(self, email: str, password: str = PASSWORD) -> Browser:
        self.post("/sign-in", {"email": email, "password": password}, page="/sign-in")
        return self


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app)


@pytest.fixture
def owner(app: Flask) -> Member:
    """Dana, who owns Harbor Vet Clinic."""
    with transaction():
        account, dana = Account.open(name="Harbor Vet Clinic", owner_name="Dana Whitfield", email="dana@harborvet.test", password=PASSWORD, time_zone="America/Los_Angeles")
        Carrier.open(account, app.config["CARRIER"])
        account.seats_paid = 3
    return dana


def add_member(owner: Member, name: str, role: str, *, seat: bool = False) -> Member:
    with transaction():
        who = Member.join(owner.account, email=f"{name.split()[0].lower()}@harborvet.test", name=name, password=PASSWORD)
        db.session.add(Grant(member_id=who.id, role=role))
        db.session.flush()
        db.session.refresh(who)
        if seat:
            owner.account.seat(who, by=owner)
    return who
