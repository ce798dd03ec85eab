"""The live socket: facts in, fragments out, rendered for the one who looks and checked again at every delivery."""

from __future__ import annotations

import json
import logging
import os
import socket as sockets
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import sqlalchemy as sa
from flask import Blueprint, Flask, Response, current_app, make_response, render_template, request
from flask_login import current_user
from simple_websocket import ConnectionClosed, Server
from sqlalchemy.orm import joinedload

from inbox import realtime
from inbox.extensions import sock
from inbox.models import Conversation, Filter, Inbox, Member, ScheduledMessage, db
from inbox.models.conversation import VIEWS
from inbox.realtime import Fact
from inbox.views import heard, lists, personal, screens
from inbox.views.access import signed_in

bp = Blueprint("live", __name__)
log = logging.getLogger(__name__)

QUEUE = 200  # facts a connection may be behind before it is dropped; it reconnects and asks what changed
RECHECK = 60.0  # seconds between two looks at the sign-in session
MARGIN = 10_000  # milliseconds between a text's stamp and its commit, at the worst
NAVIGATION_EVERY = 1.0  # seconds between two pictures of the side navigation
MANY = 20  # conversations changed at once: the list is sent whole
RESTART, SIGNED_OUT = 1012, 4401
LOCAL = {"localhost", "127.0.0.1", "::1"}


class WholeSocket:
    """A socket whose sends are complete and never interleave; the connection's own thread and its pings share it."""

    def __init__(self, raw: sockets.socket) -> None:
        self._raw = raw
        self._sending = threading.Lock()

    def send(self, data: bytes) -> int:
        with self._sending:
            self._raw.sendall(data)
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


@dataclass
class Shown:
    """What the page shows, as ids that were checked."""

    inbox: int = 0
    work: bool = False  # the list is of all the reader's inboxes
    filter: Filter = field(default_factory=Filter)
    conversation: int = 0
    fence: int = 0
    last_message: int = 0
    last_event: int = 0
    heading: str = "h2"
    at: str = ""  # the list's inbox by its public id, for the navigation
    sound: str = "off"  # which new texts the page lets hear, and how loud
    volume: int = 0

    @property
    def listed(self) -> bool:
        """Whether the page shows a list at all."""
        return bool(self.inbox or self.work)


class Connection:
    """One open page: a bounded queue that the hub fills and the page's own thread empties."""

    def __init__(self, ws: Server, member: Member) -> None:
        self.ws = ws
        self.member_id, self.account_id = member.id, member.account_id
        self.facts: deque[Fact] = deque()
        self.shown = Shown()
        self.closing: int = 0
        self.navigation_at = 0.0
        self.navigation_due = False

    def offer(self, fact: Fact) -> None:
        """Queue a fact and wake the thread; a page that is too far behind is cut off."""
        if len(self.facts) >= QUEUE:
            self.cut()
            return
        self.facts.append(fact)
        self.ws.event.set()

    def cut(self) -> None:
        with suppress(OSError):
            self.ws.sock.shutdown(sockets.SHUT_RDWR)

    def close(self, code: int) -> None:
        self.closing = code
        self.ws.event.set()

    def take(self) -> list[Fact]:
        facts = []
        while self.facts:
            facts.append(self.facts.popleft())
        return facts


class Hub:
    """Every open page of this process."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def joined(self, connection: Connection) -> Iterator[None]:
        realtime.listen(self.deliver)
        realtime.on_close(self.close_all)
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)

    def deliver(self, fact: Fact) -> None:
        """Hand a fact to the pages it may concern; never waits."""
        with self._lock:
            everyone = list(self._open)
        account, only = fact.get("account"), fact.get("only")
        for connection in everyone:
            if account in (None, connection.account_id) and only in (None, connection.member_id):
                connection.offer(fact)

    def close_all(self) -> None:
        """Tell every page to come back: this process stops."""
        with self._lock:
            everyone = list(self._open)
        for connection in everyone:
            connection.close(RESTART)


hub = Hub()


def limit() -> int:
    """How many sockets this process takes; the other threads answer pages."""
    return int(os.environ.get("LIVE_SOCKETS") or 80)


@bp.before_request
def check_handshake() -> Response | None:
    """Before the socket opens: who sent the page that asks, is there room, and a socket that sends whole frames."""
    if not _from_us(request.headers.get("Origin", "")):
        return make_response("The page that opens this socket is not one of ours.\n", 403, {"Content-Type": "text/plain"})
    if len(hub) >= limit():
        return make_response("Too many live pages. Try again in a moment.\n", 503, {"Content-Type": "text/plain", "Retry-After": "15"})
    for name in ("werkzeug.socket", "gunicorn.socket"):
        if name in request.environ:
            request.environ[name] = WholeSocket(request.environ[name])
    return None


def _from_us(origin: str) -> bool:
    ours, theirs = urlsplit(current_app.config["PUBLIC_URL"]), urlsplit(origin)
    if not theirs.hostname or theirs.scheme != ours.scheme:
        return False
    if theirs.hostname in LOCAL and ours.hostname in LOCAL:
        return theirs.netloc.rpartition(":")[2] == request.host.rpartition(":")[2] or theirs.port == ours.port
    return (theirs.hostname, theirs.port) == (ours.hostname, ours.port)


@sock.route("/live", bp=bp)
@signed_in
def socket(ws: Server) -> None:
    """Serve one page until it leaves."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    connection = Connection(ws, current_user._get_current_object())
    environ = {k: v for k, v in request.environ.items() if not k.startswith("werkzeug.") and k not in ("wsgi.input",)}
    db.session.remove()
    with hub.joined(connection):
        _serve(app, connection, environ)


def _serve(app: Flask, connection: Connection, environ: dict[str, Any]) -> None:
    ws, next_check = connection.ws, time.monotonic() + RECHECK
    while ws.connected:
        wait = NAVIGATION_EVERY if connection.navigation_due else max(0.1, next_check - time.monotonic())
        ws.event.wait(wait)
        ws.event.clear()
        if connection.closing:
            ws.close(connection.closing)
            return
        said = []
        while ws.input_buffer:
            said.append(ws.input_buffer.pop(0))
        facts = connection.take()
        stale = time.monotonic() >= next_check
        nav = connection.navigation_due and time.monotonic() >= connection.navigation_at
        if not (said or facts or stale or nav):
            continue
        if stale:
            next_check = time.monotonic() + RECHECK
        try:
            frames = _answer(app, connection, environ, said, facts)
        except ConnectionClosed:
            raise
        except Exception:
            log.exception("a live page could not be brought up to date")
            frames = [json.dumps({"resync": True})]
        if frames is None:
            ws.close(SIGNED_OUT)
            return
        try:
            for frame in frames:
                ws.send(frame)
        except OSError:
            return


def _answer(app: Flask, connection: Connection, environ: dict[str, Any], said: list[Any], facts: list[Fact]) -> list[str] | None:
    """The frames for these facts, in a short scope of their own; None when the member is no longer signed in."""
    with app.app_context(), app.request_context(dict(environ)):  # a `g` of its own: nothing is remembered between two batches
        try:
            if not current_user.is_authenticated:
                return None
            who: Member = current_user._get_current_object()
            who.forget_inboxes()
            frames: list[str] = []
            for text in said:
                frames += _listen(connection, who, text)
            return personal.frames(who, frames + Picture(connection, who, facts).frames())
        finally:
            db.session.remove()


# -- what the page says -------------------------------------------------------------------------------------------


def _listen(connection: Connection, who: Member, text: Any) -> list[str]:
    """Take in `{"show": {...}}`: what the page shows, kept only as far as the member may see it."""
    try:
        wish = json.loads(text)["show"]
        asked = {name: str(wish.get(name) or "") for name in ("inbox", "view", "filter", "conversation", "heading", "state")}
        numbers = {name: int(wish.get(name) or 0) for name in ("fence", "message", "event", "now")}
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
    shown = connection.shown = Shown(fence=numbers["fence"], last_message=numbers["message"], last_event=numbers["event"], heading="h1" if asked["heading"] == "h1" else "h2")
    shown.sound, shown.volume = heard.sound_of(who)
    inbox = next((i for i in Inbox.visible_to(who) if i.public_id == asked["inbox"]), None)
    if inbox is not None and asked["view"] in VIEWS:
        shown.inbox, shown.at = inbox.id, inbox.public_id
    elif asked["inbox"] == lists.AT_WORK and lists.works(who, asked["view"]):
        shown.work = True
    if shown.listed:
        shown.filter, _ = lists.read_filter(asked["view"], dict(parse_qsl(asked["filter"])), who)
    frames = []
    if asked["conversation"]:
        found = _find(who, Conversation.public_id == asked["conversation"])
        if found is None:
            frames.append(_gone(who, Conversation.public_id == asked["conversation"]))
        else:
            shown.conversation = found.id
            frames += Picture(connection, who, [{"what": "lock", "conversation": found.id, "inbox": found.inbox_id}]).missed(asked["state"])
    if shown.listed:
        frames += _missed_rows(who, inbox if shown.inbox else None, shown, numbers["now"])
    return [*frames, json.dumps({"shown": True})]


def _missed_rows(who: Member, inbox: Inbox | None, shown: Shown, since: int) -> list[str]:
    """Rows that moved between the drawing of the page and now; a text may be stamped some time before it is committed, hence the margin."""
    rows = [r for r in Conversation.listing(who, inbox, shown.filter, limit=10) if int(r.last_activity_at.timestamp() * 1000) >= since - MARGIN]
    return [_rows(rows, shown)] if rows else []


def _find(who: Member, *conditions: Any) -> Conversation | None:
    found: Conversation | None = db.session.scalar(
        Conversation.scope(who).options(joinedload(Conversation.contact), joinedload(Conversation.inbox), joinedload(Conversation.assignee)).where(*conditions)
    )
    return found


# -- what the page gets -------------------------------------------------------------------------------------------


class Picture:
    """The fragments that bring one page up to date with a batch of facts."""

    def __init__(self, connection: Connection, who: Member, facts: list[Fact]) -> None:
        self.connection, self.shown, self.who, self.facts = connection, connection.shown, who, facts

    def frames(self) -> list[str]:
        whats = {fact["what"] for fact in self.facts}
        if "resync" in whats:
            return [json.dumps({"resync": True})]
        frames = [*self._list(), *self._conversation(), *self._told(), *heard.frames(self.who, self.facts, self.shown)]
        for what in ("registration", "import", "bulk"):
            if what in whats:
                frames.append(json.dumps({"changed": what}))
        if whats & {"message", "conversation", "navigation", "access"}:
            self.connection.navigation_due = True
        return [*frames, *self._navigation()]

    def _touched(self) -> list[int]:
        """The conversations these facts are about, each once."""
        return list(dict.fromkeys(f["conversation"] for f in self.facts if f.get("conversation")))

    def _list(self) -> list[str]:
        shown = self.shown
        here = self.who.readable_inbox_ids if shown.work else {shown.inbox}
        ids = list(dict.fromkeys(f["conversation"] for f in self.facts if f.get("conversation") and f.get("inbox") in here))
        if not shown.listed or not ids:
            return []
        inbox = next((i for i in Inbox.visible_to(self.who) if i.id == shown.inbox), None) if shown.inbox else None
        if inbox is None and not (shown.work and lists.works(self.who, shown.filter.view)):
            return []
        if len(ids) > MANY:
            return [json.dumps({"resync": True})]
        rows = Conversation.listing(self.who, inbox, shown.filter, only=ids)
        gone = [id for id in ids if id not in {row.id for row in rows}]
        frames = [_rows(rows, shown)] if rows else []
        if gone:
            frames.append("".join(f'<hx-partial hx-target="#row-{id}" hx-swap="delete"></hx-partial>' for id in gone))
        return frames

    def _conversation(self) -> list[str]:
        shown = self.shown
        about = [f for f in self.facts if shown.conversation and f.get("conversation") == shown.conversation]
        checking = any(f["what"] in ("access", "navigation") for f in self.facts)
        if not shown.conversation or not (about or checking):
            return []
        found = _find(self.who, Conversation.id == shown.conversation)
        if found is None:
            gone, shown.conversation = shown.conversation, 0
            return [_gone(self.who, Conversation.id == gone)]
        if not about:
            return [self._strip(found)] if checking else []
        frames = [self._thread(found, [f["message"] for f in about if f.get("message")], anew=any(f.get("merged") for f in about)), self._strip(found)]
        frames += [f'<hx-partial hx-target="#m-{id}" hx-swap="delete"></hx-partial>' for f in about for id in f.get("away", ())]
        if any(f["what"] == "scheduled" for f in about):
            frames.append(render_template("scheduled/changed.oob.html", conversation=found, scheduled=ScheduledMessage.of(found)))
        if any(f["what"] == "conversation" for f in about):
            frames.append(render_template("conversations/head.oob.html", conversation=found, sentence="", heading=shown.heading, args=_args(shown)))
        return frames

    def missed(self, state: str) -> list[str]:
        """What happened to the open conversation between the drawing of the page and now."""
        found = _find(self.who, Conversation.id == self.shown.conversation)
        if found is None:
            return []
        return [self._thread(found, []), self._strip(found, drawn=state)]

    def _thread(self, found: Conversation, changed: list[int], *, anew: bool = False) -> str:
        """What is new, and what changed; with `anew` the newest page, because older messages came into it."""
        shown = self.shown
        drawn = screens.draw(found.thread(limit=screens.THREAD)[0]) if anew else screens.tail(found, shown.last_message, shown.last_event)
        new = {d.message.id for d in drawn if d.message}
        for id in dict.fromkeys(changed):
            message = screens.message_with_author(id) if id not in new else None
            if message is not None and message.conversation_id == found.id:
                drawn += screens.one(message)
        shown.last_message = max([shown.last_message, *new])
        shown.last_event = max([shown.last_event, *(d.event.id for d in drawn if d.event)])
        if not drawn:
            return ""
        return render_template("messages/changed.oob.html", conversation=found, thread=drawn)

    def _strip(self, found: Conversation, drawn: str = "") -> str:
        strip = screens.strip(found, self.who, fence=self.shown.fence)
        if strip.state in ("mine", "idle"):
            self.shown.fence = strip.fence
        elif strip.state in ("free", "theirs"):
            self.shown.fence = 0
        if strip.state == drawn:
            return ""  # it is drawn so already, and the page's own request for the lock may be under way
        return render_template("locks/lock.oob.html", conversation=found, strip=strip)

    def _told(self) -> list[str]:
        """"It is free now", for those who asked."""
        frames = []
        for fact in self.facts:
            if fact["what"] == "lock" and self.connection.member_id in fact.get("waiting", ()):
                found = _find(self.who, Conversation.id == fact["conversation"])
                if found is not None:
                    frames.append(render_template("locks/told.oob.html", conversation=found, here=found.id == self.shown.conversation))
                    frames.append(heard.free(self.who, found))
        return frames

    def _navigation(self) -> list[str]:
        connection = self.connection
        if not connection.navigation_due or time.monotonic() < connection.navigation_at:
            return []
        connection.navigation_due, connection.navigation_at = False, time.monotonic() + NAVIGATION_EVERY
        where: dict[str, Any] = {}
        inbox = next((i for i in Inbox.visible_to(self.who) if i.id == self.shown.inbox), None) if self.shown.inbox else None
        if inbox is not None:
            where = {"at_inbox": inbox}
        elif self.shown.work:
            where = {"at_work": True}
        if where:
            args: dict[str, Any] = {**self.shown.filter.args()}
            where |= {"at_view": self.shown.filter.view, "at_list": lists.list_url(inbox, self.shown.filter.view, **args)}
        return [render_template("navigation/navigation.oob.html", **where)]


def _rows(rows: list[Any], shown: Shown) -> str:
    return render_template("conversations/rows.oob.html", rows=rows, args=_args(shown), view=shown.filter.view)


def _args(shown: Shown) -> dict[str, str]:
    return lists.list_args(shown.work, shown.filter) if shown.listed else {}


def _gone(who: Member, where: Any) -> str:
    """It is not there for this member any more: because their access ended, or because it was merged into another one."""
    led = sa.select(Conversation.merged_into_id).where(where, Conversation.account_id == who.account_id)
    return render_template("conversations/gone.oob.html", into=_find(who, Conversation.id.in_(led)))


