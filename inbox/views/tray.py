"""The tray: what happened to the reader, newest first (ACC-6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, redirect, request, url_for

from inbox.models import TrayItem, db, transaction
from inbox.models.conversation.replying import summary
from inbox.models.tray import PAGE
from inbox.views.access import member, signed_in
from inbox.views.conversations import number
from inbox.views.helpers import number as grouped
from inbox.views.hypermedia import either, fragment, go, is_fragment

bp = Blueprint("tray", __name__)

# event -> (icon, sentence); {by} is who did it, {what} whom or what it is about
WORDS = {
    "assigned": ("user-check", "{by} assigned {what} to you"),
    "taken_over": ("hand", "{by} took over {what} from you"),
    "back": ("clock", "{what} is back from your snooze"),
    "failed": ("circle-alert", "Your text to {what} did not arrive"),
    "unsent": ("circle-alert", "Your text to {what} could not leave by itself"),
    "scheduled": ("calendar-clock", "Your scheduled text to {what} did not leave"),
    "mentioned": ("at-sign", "{by} mentioned you in a note about {what}"),
    "followed": ("eye", "News from {what}, whom you follow"),
    "free": ("lock-open", "{what} is free: nobody is replying there now"),
    "import": ("upload", "The import of {what} is finished"),
    "stopped": ("circle-alert", "The import of {what} stopped"),
    "approved": ("badge-check", "The carriers approved texts from {what}"),
    "rejected": ("circle-alert", "The carriers rejected texts from {what}"),
    "suspended": ("circle-alert", "The carriers suspended texts from {what}"),
    "expired": ("circle-alert", "The carrier registration of {what} expired"),
}
NEWS = ("bell", "There is news about {what}")


@dataclass(frozen=True)
class Line:
    """An item ready to draw: its sentence in parts, the names marked."""

    item: TrayItem
    icon: str
    parts: list[tuple[str, bool]]
    more: str
    url: str

    @property
    def words(self) -> str:
        """The sentence as it is read aloud."""
        return "".join(text for text, _ in self.parts)


def line(item: TrayItem) -> Line:
    """An item in words, with its place."""
    talk, message, data = item.conversation, item.message, item.data
    if talk is None:
        kind = data.get("state", "") if item.event == "registration" else "stopped" if data.get("failed") else item.event
        rows = f"{grouped(data['rows'])} rows" if data.get("rows") else ""
        where = ("registrations.show", {"registration": data.get("registration")}) if item.event == "registration" else ("imports.show", {"found": data.get("run")})
        return _line(item, kind, data.get("team") or data.get("file") or "", rows, url_for(where[0], **where[1]))
    if data.get("count"):
        return _line(item, item.event, f"{grouped(data['count'])} conversations", "", url_for("work.mine"))
    kind = "unsent" if item.event == "failed" and message is None else item.event
    more = f"{talk.inbox.name}: {summary(message)[:90]}" if message and message.body.strip() and item.event != "failed" else talk.inbox.name
    return _line(item, kind, talk.contact.name, more, url_for("conversations.show", conversation=talk.public_id, at=message.public_id if message else None))


def _line(item: TrayItem, kind: str, what: str, more: str, url: str) -> Line:
    icon, sentence = WORDS.get(kind, NEWS)
    names = {"{by}": item.actor.name if item.actor else "A teammate", "{what}": what}
    parts = [(names.get(part, part), part in names) for part in re.split(r"(\{\w+\})", sentence) if part]
    return Line(item, icon, parts, more, url)


@bp.get("/notifications/tray")
@signed_in
def index() -> Response:
    """The whole page, a page further down, or the list alone for the bell."""
    before = number("before") or None
    items = TrayItem.of(member(), before=before, limit=PAGE + 1)
    lines = [line(item) for item in items[:PAGE]]
    context: dict[str, Any] = {"lines": lines, "more": lines[-1].item.id if len(items) > PAGE else 0, "before": before, "unread": TrayItem.unread(member())}
    if before and is_fragment():
        return fragment("tray/_lines.html", **context)
    return either("tray/index.html", "tray/_tray.html", **context)


@bp.post("/notifications/tray/reading")
@signed_in
def read_all() -> Response:
    """Everything the reader was shown is read: up to the line `upto`."""
    with transaction():
        TrayItem.read_all(member(), number("upto"))
    return index() if is_fragment() else go(url_for("tray.index"))


@bp.post("/notifications/tray/<int:row_id>/reading")
@signed_in
def read(row_id: int) -> Response:
    """One line is read; the answer leads on when the form says so."""
    item = db.session.scalar(sa.select(TrayItem).where(TrayItem.id == row_id, TrayItem.member_id == member().id)) or abort(404)
    with transaction():
        item.read()
    return Response(status=204) if is_fragment() else redirect(url_for("tray.index", before=request.form.get("before") or None), 303)  # type: ignore[return-value]
