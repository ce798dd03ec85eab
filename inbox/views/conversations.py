"""The inbox: lists and conversations."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, current_app, request, url_for

from inbox import clock
from inbox.models import Conversation, ScheduledMessage
from inbox.models.conversation import VIEWS
from inbox.permissions import Permission
from inbox.views import lists, screens
from inbox.views.access import conversation_or_404, inbox_or_404, member, requires
from inbox.views.helpers import epoch_ms
from inbox.views.hypermedia import fragment, is_fragment, page
from inbox.views.keeping import keepable

bp = Blueprint("conversations", __name__)
bp.add_app_template_filter(screens.linked, "linked")
bp.add_app_template_filter(screens.folded, "folded")
bp.add_app_template_global(screens.noted, "noted")
bp.add_app_template_global(screens.explain, "explain")
bp.add_app_template_global(screens.held, "held")
bp.add_app_template_global(screens.event_words, "event_words")
bp.add_app_template_global(screens.ledger_words, "ledger_words")
bp.add_app_template_global(epoch_ms, "epoch")
bp.add_app_template_global(lambda: epoch_ms(clock.now()), "now_ms")


@bp.app_template_global()
def has_page(endpoint: str) -> bool:
    """Whether there is such a page: no link ever leads nowhere."""
    return endpoint in current_app.view_functions


@bp.get("/i/<inbox>/<view>")
@requires(Permission.CONVERSATIONS_VIEW)
def index(inbox: str, view: str) -> Response:
    pane = lists.list_pane(member(), inbox_or_404(inbox), view, request.args, after=request.args.get("after", ""))
    if is_fragment():
        return fragment("conversations/_rows.html", pane=pane)
    return keepable(page("conversations/index.html", pane=pane, at_view=view, **lists.marks(pane)))


@bp.get("/i/<inbox>/<view>/sync")
@requires(Permission.CONVERSATIONS_VIEW)
def sync_list(inbox: str, view: str) -> Response:
    """The top of the list as it is now, for a page that may have missed something."""
    pane = lists.list_pane(member(), inbox_or_404(inbox), view, request.args)
    return fragment("conversations/sync_list.oob.html", pane=pane, at_view=view, **lists.marks(pane))


@bp.get("/c/<conversation>")
@requires(Permission.CONVERSATIONS_VIEW)
def show(conversation: str) -> Response:
    found = conversation_or_404(conversation)
    if is_fragment():
        pane = screens.conversation_pane(found, member(), at=request.args.get("at", ""))
        return fragment("conversations/open.html", c=pane, args=_args(found), heading="h2")
    return whole(found, at=request.args.get("at", ""))


@bp.get("/c/<conversation>/older")
@requires(Permission.CONVERSATIONS_VIEW)
def older(conversation: str) -> Response:
    """The messages before the one with id `before`."""
    found = conversation_or_404(conversation)
    before = number("before")
    if not before:
        abort(400, "Say which message to start before.")
    if not is_fragment():
        return whole(found, before=before)
    items, more = found.thread(before=before, limit=screens.THREAD)
    return fragment("conversations/_older.html", conversation=found, thread=screens.draw(items), older=more, args=_args(found))


@bp.get("/c/<conversation>/newer")
@requires(Permission.CONVERSATIONS_VIEW)
def newer(conversation: str) -> Response:
    """The messages after the one with id `after`, for a thread that was opened further up."""
    found = conversation_or_404(conversation)
    after = number("after")
    if not after:
        abort(400, "Say which message to start after.")
    if not is_fragment():
        return whole(found, at=str(after))
    part = found.stretch(after=after, limit=screens.THREAD)
    above = found.stretch(around=after, limit=1).items
    drawn = screens.draw(part.items, above[-1] if above else None)
    return fragment("conversations/newer.oob.html", conversation=found, thread=drawn, newer=part.newer, last_key=number("key"), args=_args(found))


@bp.get("/c/<conversation>/sync")
@requires(Permission.CONVERSATIONS_VIEW)
def sync(conversation: str) -> Response:
    """What changed since: newer messages and events, every recent state, the lock and the header."""
    found = conversation_or_404(conversation)
    return fragment("conversations/sync.oob.html", **news(found, since=number("since"), event=number("event"), fence=number("lock")))


def news(found: Conversation, *, since: int, event: int, fence: int) -> dict[str, Any]:
    """The context of a catching-up answer."""
    who = member()
    fresh = screens.tail(found, since, event)
    newest = {d.message.id for d in fresh if d.message}
    items, _ = found.thread(limit=12)
    recent = [d for d in screens.draw(items) if d.message and (d.message.outgoing or d.message.kind == "call") and d.message.id not in newest]
    return {"conversation": found, "thread": [*recent, *fresh], "strip": screens.strip(found, who, fence=fence), "args": _args(found), "scheduled": ScheduledMessage.of(found)}


def whole(found: Conversation, status: int = 200, *, before: int | None = None, at: str = "", **changes: Any) -> Response:
    """The whole page of a conversation; `changes` put back what a refused form held."""
    who = member()
    fence = int(changes.pop("fence", 0))
    c = screens.conversation_pane(found, who, before=before, at=at, fence=fence, auto=status == 200)
    for name, value in changes.items():
        setattr(c, name, value)
    args = _args(found)
    pane = lists.list_pane(who, None if args.get("in") else found.inbox, args["view"], args)
    return page("conversations/show.html", status, c=c, pane=pane, args=args, at_view=args["view"], heading="h1", **lists.marks(pane))


def _args(found: Conversation) -> dict[str, str]:
    args = screens.page_args()
    if args.get("in") and not (args["in"] == lists.AT_WORK and lists.works(member(), args.get("view", ""))):
        del args["in"]
    if args.get("view") not in VIEWS:
        args["view"] = lists.home_view(found, member())
    return args


def number(name: str) -> int:
    """A number of the address; 0 when it is missing or not one."""
    text = request.values.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def back_to(found: Conversation) -> str:
    """The address of a conversation with the list beside it as it was."""
    args: dict[str, Any] = {**screens.page_args()}
    return url_for("conversations.show", conversation=found.public_id, **args)
