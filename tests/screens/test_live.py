"""The live socket: who may open it, what it tells whom, and how it ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
import simple_websocket
from flask.sessions import SecureCookieSessionInterface
from werkzeug.serving import make_server

from inbox import sockets
from inbox.models import LoginSession, db, transaction
from inbox.views import live
from tests.world import World


class Page:
    """A page's socket: what it says, and everything it was told."""

    def __init__(self, server: Server, member, origin: str | None = "ours") -> None:
        headers = {}
        if member is not None:
            headers["Cookie"] = f"session={server.cookie(member)}"
        if origin is not None:
            headers["Origin"] = server.app.config["PUBLIC_URL"] if origin == "ours" else origin
        self.ws = simple_websocket.Client(server.url.replace("http", "ws") + "/live", headers=headers)
        self.told: list[str] = []

    def show(self, **shown) -> None:
        self.ws.send(json.dumps({"show": shown}))
        self.until('"shown"')

    def until(self, words: str, within: float = 5) -> str:
        """Wait until something with these words was told."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            text = self.ws.receive(timeout=0.2)
            if text:
                self.told.append(text)
                if words in text:
                    return text
        raise AssertionError(f"{words!r} was not told; told: {self.told}")

    def quiet(self, seconds: float = 0.7) -> list[str]:
        """Everything that is told within a while."""
        end = time.monotonic() + seconds
        heard = []
        while (left := end - time.monotonic()) > 0:
            text = self.ws.receive(timeout=left)
            if text:
                heard.append(text)
        return heard


class Server:
    def __init__(self, app) -> None:
        self.app = app
        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.pages: list[Page] = []

    def cookie(self, member) -> str:
        with transaction():
            self.token = LoginSession.start(member, ip="127.0.0.1", user_agent="test")
        return str(SecureCookieSessionInterface().get_signing_serializer(self.app).dumps({"token": self.token, "_user_id": member.public_id, "_fresh": True}))

    def page(self, member, origin: str | None = "ours") -> Page:
        page = Page(self, member, origin)
        self.pages.append(page)
        return page

    def tell(self, bell) -> None:
        """Pass on the facts that were published."""
        facts, bell.facts[:] = list(bell.facts), []
        for fact in facts:
            live.hub.deliver(fact)


@pytest.fixture
def server(app) -> Iterator[Server]:
    server = Server(app)
    yield server
    for page in server.pages:
        try:
            page.ws.close()
        except simple_websocket.ConnectionClosed:
            page.ws.sock.close()
        page.ws.thread.join(5)
    end = time.monotonic() + 5
    while len(live.hub) and time.monotonic() < end:
        live.hub.close_all()
        time.sleep(0.02)
    server.server.shutdown()
    server.thread.join(5)
    server.server.server_close()


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://localhost.evil.example", "http://127.0.0.1:1", "https://127.0.0.1"])
def test_S61_a_foreign_page_cannot_open_the_socket(world: World, client, origin) -> None:
    client.sign_in(world.maya)
    headers = {"Origin": origin} if origin else {}
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==", "Sec-WebSocket-Version": "13"}
    answer = client.get("/live", base_url="http://localhost:8000", headers={**headers, **upgrade})
    assert answer.status_code == 403


def test_S61_nobody_without_a_session_opens_the_socket(world: World, server: Server) -> None:
    import http.client

    asking = http.client.HTTPConnection("127.0.0.1", server.server.server_port, timeout=5)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "http://localhost", "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==", "Sec-WebSocket-Version": "13"}
    asking.request("GET", "/live", headers={**upgrade, "Host": "localhost"})
    assert asking.getresponse().status in (303, 401)
    asking.close()


def test_a_full_process_says_503(world: World, client, monkeypatch) -> None:
    monkeypatch.setenv("LIVE_SOCKETS", "0")
    monkeypatch.setattr(live, "limit", lambda: 0)
    client.sign_in(world.maya)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "http://localhost"}
    answer = client.get("/live", headers=upgrade)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_texts_locks_and_rows_reach_the_page_that_shows_them(world: World, server: Server, bell) -> None:
    conversation = world.conversation()
    bell.facts.clear()
    page = server.page(world.theo)
    page.show(inbox=world.front.public_id, view="all", conversation=conversation.public_id, state="free", now=2**52)
    with transaction():
        conversation.acquire(by=world.maya)
    server.tell(bell)
    page.until("Maya Chen is replying")
    world.text("A second text")
    server.tell(bell)
    told = page.until("A second text")
    assert "<textarea" not in "".join(page.told)
    assert "hx-partial" in told
    with transaction():
        conversation.wait_for_lock(by=world.theo)
        conversation.release(by=world.maya)
    server.tell(bell)
    page.until("is free now")


@pytest.mark.parametrize("wish", ["{", "[]", "null", '{"show": 3}', '{"show": {"inbox": "%", "view": "*", "fence": "x"}}', '{"show": {"conversation": ["a"]}}', "\u0000"])
def test_S60_nonsense_is_ignored(world: World, server: Server, wish: str) -> None:
    page = server.page(world.maya)
    page.ws.send(wish)
    page.show(inbox=world.front.public_id, view="all")


def test_S60_other_accounts_and_inboxes_stay_silent(world: World, server: Server, bell) -> None:
    ours, theirs = world.conversation(), world.conversation(inbox=world.pharmacy, sender="+14155550177")
    bell.facts.clear()
    spy, outside = server.page(world.nina), server.page(world.maya)
    spy.ws.send(json.dumps({"show": {"inbox": world.front.public_id, "view": "all", "conversation": ours.public_id}}))
    spy.until("can’t open")
    outside.ws.send(json.dumps({"show": {"inbox": world.pharmacy.public_id, "view": "all", "conversation": theirs.public_id}}))
    outside.until("can’t open")
    spy.quiet(), outside.quiet()
    world.text("CANARY one")
    world.text("CANARY two", inbox=world.pharmacy, sender="+14155550177")
    server.tell(bell)
    assert spy.quiet() == []
    assert not any("CANARY two" in told for told in outside.quiet())


def test_S62_losing_the_inbox_or_the_session_ends_it_at_once(world: World, server: Server, bell) -> None:
    conversation = world.conversation()
    page, other = server.page(world.theo), server.page(world.maya)
    page.show(inbox=world.front.public_id, view="all", conversation=conversation.public_id, state="free", now=2**52)
    bell.facts.clear()
    with transaction():
        world.front.remove_member(world.theo, by=world.dana)
    world.text("CANARY after leaving")
    server.tell(bell)
    heard = page.quiet(1)
    assert any("can’t open" in told for told in heard)
    assert not any("CANARY" in told for told in heard)
    with transaction():
        for session in db.session.query(LoginSession).filter_by(member_id=world.maya.id):
            session.revoke()
    live.hub.deliver({"what": "access", "account": world.harbor.id, "member": world.maya.id})
    with pytest.raises(simple_websocket.ConnectionClosed) as closed:
        other.quiet(3)
    assert closed.value.reason == live.SIGNED_OUT


def test_a_process_that_stops_tells_every_page_to_come_back(world: World, server: Server) -> None:
    page = server.page(world.maya)
    page.show(inbox=world.front.public_id, view="all")
    live.hub.close_all()
    with pytest.raises(simple_websocket.ConnectionClosed) as closed:
        page.quiet(3)
    assert closed.value.reason == live.RESTART


def test_a_page_that_does_not_read_is_cut_off(world: World, server: Server) -> None:
    page = server.page(world.maya)
    page.show(inbox=world.front.public_id, view="all")
    (connection,) = live.hub.pages
    told = sockets.frame(b" " * 60_000)
    end = time.monotonic() + 10
    while connection in live.hub.pages and time.monotonic() < end:
        connection.push(told)
    assert connection not in live.hub.pages
    with pytest.raises((simple_websocket.ConnectionClosed, OSError)):
        page.quiet(3)


def test_a_message_that_is_too_long_closes_the_socket(world: World, server: Server) -> None:
    page = server.page(world.maya)
    page.ws.send("x" * 20_000)
    with pytest.raises((simple_websocket.ConnectionClosed, OSError)):
        page.quiet(3)
