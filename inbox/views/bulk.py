"""Many conversations at once: chosen ones, or every match of a list; how far it is, and taking it back (CONV-8)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, redirect, request, url_for

from inbox.models import Bulk, Conversation, Filter, Inbox, Member, Refused, Tag, db, transaction
from inbox.models.bulk_change import ACTIONS, Order
from inbox.models.conversation import VIEWS
from inbox.models.conversation.snoozing import moment
from inbox.permissions import Permission
from inbox.views import lists
from inbox.views.access import member, member_or_404, requires
from inbox.views.helpers import long_time, number, zone
from inbox.views.hypermedia import fragment, is_fragment, page
from inbox.views.snoozes import offered

bp = Blueprint("bulk", __name__)
MOST_CHOSEN = 1_000
COUNTED = 100  # matches are counted no further before it starts


@bp.get("/bulk")
@requires(Permission.CONVERSATIONS_VIEW)
def index() -> Response:
    """What the reader changed last."""
    mine = sa.select(Bulk).where(Bulk.member_id == member().id).order_by(Bulk.id.desc()).limit(20)
    return page("bulk/index.html", bulks=list(db.session.scalars(mine)))


@bp.get("/bulk/matches")
@requires(Permission.CONVERSATIONS_VIEW)
def matches() -> Response:
    """How many a list holds, in words for a button; counted up to a hundred."""
    inbox, filter = _list(request.args)
    return Response(f"Select all{_many(_count(inbox, filter))} that match", content_type="text/plain; charset=utf-8")


@bp.post("/bulk")
@requires(Permission.CONVERSATIONS_VIEW)
def create() -> Response:
    """Change what is chosen; without an action, ask which."""
    chosen, every = request.form.getlist("c")[:MOST_CHOSEN], request.form.get("all") == "1"
    inbox, filter = _list(request.form)
    action = request.form.get("action", "")
    if action not in ACTIONS:
        if not chosen and not every:
            raise Refused("Nothing is selected. Choose conversations first.")
        return _ask(inbox, filter, chosen, every)
    try:
        order = _order(action)
        with transaction():
            made = Bulk.start(order, by=member(), chosen=chosen, inbox=inbox if every else None, filter=filter if every else None)
    except Refused as refused:
        if refused.field is None:
            raise
        return _ask(inbox, filter, chosen, every, 422, refused.sentence)
    if not is_fragment():
        return redirect(url_for("bulk.show", bulk=made.public_id), 303)  # type: ignore[return-value]
    response = fragment("bulk/_result.html", bulk=made)
    response.headers["HX-Retarget"], response.headers["HX-Reswap"], response.headers["HX-Trigger"] = "#bulk-result", "outerHTML", "bulk"
    return response


@bp.get("/bulk/<bulk>")
@requires(Permission.CONVERSATIONS_VIEW)
def show(bulk: str) -> Response:
    """How far it is, and what came of it."""
    found = _bulk_or_404(bulk)
    return fragment("bulk/_result.html", bulk=found) if is_fragment() else page("bulk/show.html", bulk=found)


@bp.post("/bulk/<bulk>/undo")
@requires(Permission.CONVERSATIONS_VIEW)
def undo(bulk: str) -> Response:
    """Put back what still is as it left it."""
    found = _bulk_or_404(bulk)
    with transaction():
        found.undo(by=member())
    return fragment("bulk/_result.html", bulk=found) if is_fragment() else redirect(url_for("bulk.show", bulk=found.public_id), 303)  # type: ignore[return-value]


def _bulk_or_404(public_id: str) -> Bulk:
    """A change of one's own; other people's are theirs."""
    return db.session.scalar(sa.select(Bulk).where(Bulk.public_id == public_id, Bulk.member_id == member().id)) or abort(404)


def _list(args: Any) -> tuple[Inbox | None, Filter]:
    """The list a form came from; one the member does not have is a 404."""
    who, view, key = member(), args.get("view", "all"), args.get("list", lists.AT_WORK)
    inbox = next((inbox for inbox in Inbox.visible_to(who) if inbox.public_id == key), None)
    if view not in VIEWS or (inbox is None and key != lists.AT_WORK):
        abort(404)
    return inbox, lists.read_filter(view, args, who)[0]


def _order(action: str) -> Order:
    who, form = member(), request.form
    if action == "assign":
        to = form.get("to", "")
        return Order(action, member=None if to == "nobody" else who if to == "me" else member_or_404(to) if to else _choose("to", "Choose who gets them."))
    if action in ("tag", "untag"):
        asked = form.get("tag", "")
        return Order(action, tag=next((tag for tag in Tag.of(who.account_id) if tag.public_id == asked), None) or _choose("tag", "Choose a tag from the list."))
    if action == "snooze":
        until = moment(form.get("until", ""), form.get("at", ""), zone())
        return Order(action, until=until, words=long_time(until))
    return Order(action)


def _choose(field: str, sentence: str) -> Any:
    raise Refused(sentence, field=field)


def _count(inbox: Inbox | None, filter: Filter) -> int:
    some = Conversation.matching(member(), inbox, filter).limit(COUNTED + 1).subquery()
    return db.session.scalar(sa.select(sa.func.count()).select_from(some)) or 0


def _many(count: int) -> str:
    return f" {number(count)}" if count <= COUNTED else ""


def _ask(inbox: Inbox | None, filter: Filter, chosen: list[str], every: bool, status: int = 200, problem: str = "") -> Response:
    """The form with everything that can be done."""
    who = member()
    people = inbox.assignable() if inbox else [m for m in Member.of(who.account_id) if m.active and m.can(Permission.CONVERSATIONS_REPLY)]
    mine = Conversation.scope(who).with_only_columns(Conversation.id).where(Conversation.public_id.in_(chosen))
    known = db.session.scalar(sa.select(sa.func.count()).select_from(mine.subquery())) or 0
    count = _count(inbox, filter)
    template = "bulk/_choose.html" if is_fragment() else "bulk/new.html"
    may = {action: bool(who.can(permission)) for action, (permission, _, _) in ACTIONS.items()}
    return (fragment if is_fragment() else page)(
        template, status, chosen=chosen, known=known, every=every, matching=_many(count), count=count, may=may,
        people=sorted(people, key=lambda m: m.name), tags=Tag.of(who.account_id), list_key=inbox.public_id if inbox else lists.AT_WORK,
        filter=filter, problem=problem, back=_back(inbox, filter), **offered(),
    )


def _back(inbox: Inbox | None, filter: Filter) -> str:
    if inbox is None and not lists.works(member(), filter.view):
        return "/"
    args: dict[str, Any] = {**filter.args()}
    return lists.list_url(inbox, filter.view, **args)
