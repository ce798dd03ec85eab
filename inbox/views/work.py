"""Lists across all inboxes one reads: my own work, and all of it for those who manage every conversation (CONV-1)."""

from __future__ import annotations

from flask import Blueprint, Response, request

from inbox.permissions import Permission
from inbox.views import lists
from inbox.views.access import member, requires
from inbox.views.hypermedia import fragment, is_fragment, page
from inbox.views.keeping import keepable

bp = Blueprint("work", __name__)


@bp.get("/work/mine")
@requires(Permission.CONVERSATIONS_VIEW)
def mine() -> Response:
    """What is assigned to the reader, whose customer wrote last first."""
    return _index("mine")


@bp.get("/work/all")
@requires(Permission.CONVERSATIONS_ALL)
def all() -> Response:  # noqa: A001 - the name of the view
    """Every open conversation of every inbox the reader sees."""
    return _index("all")


@bp.get("/work/mine/sync")
@requires(Permission.CONVERSATIONS_VIEW)
def sync_mine() -> Response:
    return _sync("mine")


@bp.get("/work/all/sync")
@requires(Permission.CONVERSATIONS_ALL)
def sync_all() -> Response:
    return _sync("all")


def _index(view: str) -> Response:
    pane = lists.list_pane(member(), None, view, request.args, after=request.args.get("after", ""))
    if is_fragment():
        return fragment("conversations/_rows.html", pane=pane)
    return keepable(page("conversations/index.html", pane=pane, at_view=view, **lists.marks(pane)))


def _sync(view: str) -> Response:
    """The top of the list as it is now, for a page that may have missed something."""
    pane = lists.list_pane(member(), None, view, request.args)
    return fragment("conversations/sync_list.oob.html", pane=pane, at_view=view, **lists.marks(pane))
