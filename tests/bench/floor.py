"""The floors: the same rows through the raw driver and a template compiled once, with no framework, on the same kind of server. Served by gunicorn."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import psycopg
from jinja2 import Environment

URL = os.environ.get("FLOOR_DATABASE", "")
LITE = URL.startswith("sqlite")
MARK = "?" if LITE else "%s"
LIST = """
SELECT c.id, c.public_id, c.channel, c.preview, c.preview_kind, c.last_activity_at, c.unread, c.failed, c.owed_since, k.name, w.name, a.name, a.hue, h.name
FROM conversation c JOIN contact k ON k.id = c.contact_id LEFT JOIN member w ON w.id = c.preview_by_id LEFT JOIN member a ON a.id = c.assignee_id
LEFT JOIN conversation_lock l ON l.conversation_id = c.id AND l.holder_id IS NOT NULL LEFT JOIN member h ON h.id = l.holder_id
WHERE c.inbox_id = ? AND c.archived_at IS NULL ORDER BY c.last_activity_at DESC, c.id DESC LIMIT 40
""".replace("?", MARK)
THREAD = "SELECT m.id, m.kind, m.body, m.created_at, m.state, w.name FROM message m LEFT JOIN member w ON w.id = m.author_id WHERE m.conversation_id = ? ORDER BY m.id DESC LIMIT 30".replace("?", MARK)
HEAD = "SELECT c.id, c.public_id, k.name FROM conversation c JOIN contact k ON k.id = c.contact_id WHERE c.public_id = ?".replace("?", MARK)
TAKE = "UPDATE conversation_lock SET fence = fence + 1 WHERE conversation_id = (SELECT id FROM conversation WHERE public_id = ?)".replace("?", MARK)
PAGE = Environment(autoescape=True).from_string(
    "<!doctype html><html><head><title>Floor</title>{{ filler }}</head><body><ol>{% for r in rows %}<li class='conv-row{{ ' unread' if r[6] else '' }}' id='row-{{ r[0] }}'>"
    "<input type='checkbox' name='c' value='{{ r[1] }}' aria-label='Select {{ r[9] }}'><a href='/c/{{ r[1] }}'><strong>{{ r[9] }}</strong></a><time datetime='{{ r[5] }}'>{{ at(r[5]) }}</time>"
    "<p>{{ r[10] or '' }} {{ r[3] }}</p><span class='meta'>{{ r[2] }}{% if r[8] %} Waiting {{ at(r[8]) }}{% endif %}</span>"
    "{% if r[11] %}<span class='av {{ r[12] }}'>{{ r[11] }}</span>{% endif %}{% if r[13] %}<span>{{ r[13] }} is replying</span>{% endif %}</li>{% endfor %}</ol></body></html>"
)
FRAGMENT = Environment(autoescape=True).from_string(
    "<section id='conversation' data-id='{{ head[1] }}'>{{ filler }}<h2>{{ head[2] }}</h2><div role='log'>{% for m in rows %}<article class='msg {{ m[1] }}' id='m-{{ m[0] }}'>"
    "<p>{{ m[5] or '' }} <time datetime='{{ m[3] }}'>{{ at(m[3]) }}</time></p><p class='bub'>{{ m[2] }}</p><span>{{ m[4] }}</span></article>{% endfor %}</div><form><textarea></textarea></form></section>"
)
FILLER = "<!-- " + "head, navigation and composer as text " * 300 + "-->"
_local = threading.local()


def database() -> Any:
    if not hasattr(_local, "connection"):
        if LITE:
            _local.connection = sqlite3.connect(URL.removeprefix("sqlite:///"), isolation_level=None, timeout=10)
            _local.connection.execute("PRAGMA synchronous=full")
        else:
            _local.connection = psycopg.connect(URL.replace("postgresql+psycopg", "postgresql"), autocommit=True)
    return _local.connection


def at(value: Any) -> str:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=moment.tzinfo or UTC).strftime("%b %d, %H:%M")


def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    """GET /list?inbox=, /open?id=, POST /write?id=; /healthz says it runs."""
    path, asked = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"])
    body = b"ok"
    if path == "/list":
        rows = database().execute(LIST, (int(asked["inbox"][0]),)).fetchall()
        body = PAGE.render(rows=rows, at=at, filler=FILLER).encode()
    elif path == "/open":
        head = database().execute(HEAD, (asked["id"][0],)).fetchone()
        body = FRAGMENT.render(head=head, rows=database().execute(THREAD, (head[0],)).fetchall(), at=at, filler=FILLER).encode()
    elif path == "/write":
        database().execute(TAKE, (asked["id"][0],))
    start("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
