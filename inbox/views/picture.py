"""What an open page shows, and the fragments that bring it up to date: each drawn for one reader, who may stand for all that read the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from flask import Flask, g, render_template
from sqlalchemy.orm import joinedload
from werkzeug.test import EnvironBuilder

from inbox.models import Conversation, Filter, Inbox, Member, ScheduledMessage, db
from inbox.realtime import Fact
from inbox.views import frames, lists, personal, screens


@dataclass(frozen=True)
class Shown:
    """What a page shows, as ids that were checked."""

    inbox: int = 0
    work: bool = False  # the list is of all the reader's inboxes
    filter: Filter = field(default_factory=Filter)
    conversation: int = 0
    fence: int = 0
    last_message: int = 0
    last_event: int = 0
    heading: str = "h2"
    sound: str = "off"  # which new texts the page lets hear, and how loud
    volume: int = 0

    @property
    def listed(self) -> bool:
        """Whether the page shows a list at all."""
        return bool(self.inbox or self.work)

    @property
    def args(self) -> dict[str, str]:
        """What a conversation's address carries so that the list stays as it is."""
        return lists.list_args(self.work, self.filter) if self.listed else {}

    def but(self, **changes: Any) -> Shown:
        return replace(self, **changes)


@contextmanager
def scope(app: Flask) -> Iterator[None]:
    """One picture of the database to read from: nothing that is committed later is seen, so nobody is shown what came after their access ended."""
    builder = EnvironBuilder(path="/live", base_url=app.config["PUBLIC_URL"], headers=[("Connection", "Upgrade"), ("Upgrade", "websocket")])
    with app.app_context(), app.request_context(builder.get_environ()):
        try:
            if db.engine.dialect.name == "postgresql":
                db.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield
        finally:
            db.session.remove()


def read_as(who: Member) -> Member:
    """From now on templates are drawn for this reader; nothing of the reader before is remembered."""
    for name in list(g):
        g.pop(name)
    g._login_user, g.csrf_token = who, frames.TOKEN
    return who


def made(who: Member, texts: Sequence[str]) -> tuple[frames.Frame, ...]:
    """Frames of these texts as this reader may see them."""
    return tuple(frames.Frame(text) for text in personal.frames(who, [text for text in texts if text]))


def find(who: Member, *conditions: Any) -> Conversation | None:
    """A conversation that this reader may open."""
    found: Conversation | None = db.session.scalar(
        Conversation.scope(who).options(joinedload(Conversation.contact), joinedload(Conversation.inbox), joinedload(Conversation.assignee)).where(*conditions)
    )
    return found


def gone(who: Member, where: Any) -> str:
    """It is not there for this member any more: because their access ended, or because it was merged into another one."""
    led = sa.select(Conversation.merged_into_id).where(where, Conversation.account_id == who.account_id)
    return render_template("conversations/gone.oob.html", into=find(who, Conversation.id.in_(led)))


def inbox_of(who: Member, id: int) -> Inbox | None:
    """The list's inbox, while the reader may see it."""
    return next((inbox for inbox in Inbox.visible_to(who) if inbox.id == id), None) if id else None


def rows(who: Member, shown: Shown, ids: Sequence[int]) -> list[str]:
    """The rows of these conversations in the list that is shown, and the end of those that are no longer in it."""
    inbox = inbox_of(who, shown.inbox)
    if inbox is None and not (shown.work and lists.works(who, shown.filter.view)):
        return []
    found = Conversation.listing(who, inbox, shown.filter, only=list(ids))
    away = [id for id in ids if id not in {row.id for row in found}]
    return [_rows(found, shown), "".join(f'<hx-partial hx-target="#row-{id}" hx-swap="delete"></hx-partial>' for id in away)]


def rows_since(who: Member, shown: Shown, since: int) -> list[str]:
    """The newest rows, of those that moved after this moment (ms)."""
    inbox = inbox_of(who, shown.inbox)
    found = [r for r in Conversation.listing(who, inbox, shown.filter, limit=10) if int(r.last_activity_at.timestamp() * 1000) >= since]
    return [_rows(found, shown)]


def _rows(found: list[Any], shown: Shown) -> str:
    return render_template("conversations/rows.oob.html", rows=found, args=shown.args, view=shown.filter.view) if found else ""


def conversation(who: Member, shown: Shown, about: Sequence[Fact]) -> tuple[list[str], Shown]:
    """The open conversation after these facts about it (none: only who may reply, and how), and what the page shows then."""
    found = find(who, Conversation.id == shown.conversation)
    if found is None:
        return [gone(who, Conversation.id == shown.conversation)], shown.but(conversation=0)
    if not about:
        return strip(who, found, shown)
    whats = {fact["what"] for fact in about}
    texts, shown = thread(found, shown, [f["message"] for f in about if f.get("message")], anew=any(f.get("merged") for f in about))
    lock, shown = strip(who, found, shown)
    texts += lock + [f'<hx-partial hx-target="#m-{id}" hx-swap="delete"></hx-partial>' for f in about for id in f.get("away", ())]
    if "scheduled" in whats:
        texts.append(render_template("scheduled/changed.oob.html", conversation=found, scheduled=ScheduledMessage.of(found)))
    if "conversation" in whats:
        texts.append(render_template("conversations/head.oob.html", conversation=found, sentence="", heading=shown.heading, args=shown.args))
    return texts, shown


def missed(who: Member, shown: Shown, drawn: str) -> tuple[list[str], Shown]:
    """What happened to the open conversation between the drawing of the page, with the lock in this state, and now."""
    found = find(who, Conversation.id == shown.conversation)
    if found is None:
        return [], shown
    texts, shown = thread(found, shown, [])
    lock, shown = strip(who, found, shown, drawn)
    return texts + lock, shown


def thread(found: Conversation, shown: Shown, changed: list[int], *, anew: bool = False) -> tuple[list[str], Shown]:
    """What is new, and what changed; with `anew` the newest page, because older messages came into it."""
    drawn = screens.draw(found.thread(limit=screens.THREAD)[0]) if anew else screens.tail(found, shown.last_message, shown.last_event)
    new = {d.message.id for d in drawn if d.message}
    for id in dict.fromkeys(changed):
        message = screens.message_with_author(id) if id not in new else None
        if message is not None and message.conversation_id == found.id:
            drawn += screens.one(message)
    shown = shown.but(last_message=max([shown.last_message, *new]), last_event=max([shown.last_event, *(d.event.id for d in drawn if d.event)]))
    return [render_template("messages/changed.oob.html", conversation=found, thread=drawn)] if drawn else [], shown


def strip(who: Member, found: Conversation, shown: Shown, drawn: str = "") -> tuple[list[str], Shown]:
    """The lock as this reader sees it; nothing when it is drawn so already, and the page's own request for the lock may be under way."""
    made = screens.strip(found, who, fence=shown.fence)
    if made.state in ("mine", "idle"):
        shown = shown.but(fence=made.fence)
    elif made.state in ("free", "theirs"):
        shown = shown.but(fence=0)
    return [] if made.state == drawn else [render_template("locks/lock.oob.html", conversation=found, strip=made)], shown
