"""Search over everything the member may read, and what they searched for lately (CONV-9)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, request, url_for

from inbox.extensions import limiter
from inbox.models import Inbox, RecentSearch, transaction
from inbox.models.search.finding import Found, find
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.helpers import zone
from inbox.views.hypermedia import either, fragment, go, is_fragment
from inbox.views.security import per_member

bp = Blueprint("search", __name__)
HINTS = (
    ("from:", "who wrote it: a customer, a colleague or me"), ("to:", "which customer it went to"), ("in:", "an inbox"), ("tag:", "a tag"),
    ("assignee:", "a colleague, me or none"), ("is:", "open, archived, unread, snoozed, spam, needs-reply, mine, unassigned or failed"),
    ("has:", "attachment, link, note or draft"), ("before: after: on:", "a day, like 2026-03-09, today or yesterday"),
    ("“two words”", "next to each other"), ("-word", "without that word"),
)


@bp.get("/search")
@requires(Permission.CONVERSATIONS_VIEW)
@limiter.limit("100 per minute", key_func=per_member)
def index() -> Response:
    """What is found for `q`; `after` is the cursor of the page before."""
    typed, after = _within(request.args.get("in", "")) + request.args.get("q", "")[:10_000], request.args.get("after", "")
    try:
        found = find(member(), typed, after=after, zone=zone())
    except (ValueError, OverflowError):
        abort(400, "That is not a place in what was found. Start the search again.")
    template = "search/_more.html" if after else "search/_found.html"
    return either("search/index.html", template, **_context(found, typed, after))


def _within(public_id: str) -> str:
    """The filter for the inbox whose list somebody searches from; nothing for one they do not read."""
    inbox = next((box for box in Inbox.visible_to(member()) if box.public_id == public_id), None) if public_id else None
    if inbox is None:
        return ""
    return f'in:"{inbox.name}" ' if '"' not in inbox.name and len(inbox.name) < 100 else f"in:{inbox.api_code} "


def _context(found: Found, typed: str, after: str = "") -> dict[str, Any]:
    asked = not found.query.empty or bool(found.query.problems)
    chips = [(operator.name, said, found.query.less(operator)) for operator, said in found.chips]
    return {"found": found, "q": typed, "after": after, "asked": asked, "chips": chips, "recent": [] if asked else RecentSearch.of(member()), "hints": HINTS}


@bp.post("/search/recent")
@requires(Permission.CONVERSATIONS_VIEW)
def create() -> Response:
    """Remember a search somebody stayed with."""
    with transaction():
        RecentSearch.keep(member(), request.form.get("q", ""))
    return Response(status=204) if is_fragment() else go(url_for("search.index"))


@bp.post("/search/recent/clear")
@requires(Permission.CONVERSATIONS_VIEW)
def destroy() -> Response:
    """Forget the member's searches."""
    with transaction():
        RecentSearch.forget(member())
    if is_fragment():
        return fragment("search/_found.html", **_context(find(member(), "", zone=zone()), ""))
    return go(url_for("search.index"))
