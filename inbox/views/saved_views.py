"""Saved views: keeping a filtered list under a name, and putting one's own in order (CONV-2)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, redirect, request, url_for

from inbox.forms import put
from inbox.forms.saved_views import SavedViewForm
from inbox.models import Filter, Inbox, Refused, SavedView, db, transaction
from inbox.models.conversation import VIEWS
from inbox.permissions import Permission
from inbox.views import lists
from inbox.views.access import inbox_or_404, member, requires
from inbox.views.hypermedia import page

bp = Blueprint("saved_views", __name__)


@bp.get("/settings/views")
@requires(Permission.CONVERSATIONS_VIEW)
def index() -> Response:
    return _page()


@bp.get("/settings/views/new")
@requires(Permission.CONVERSATIONS_VIEW)
def new() -> Response:
    """Ask for a name; the list is in the address."""
    inbox, filter = _list()
    return page("saved_views/new.html", form=SavedViewForm(formdata=None), args=lists.new_view_args(inbox, filter), back=_back(inbox, filter))


@bp.post("/settings/views/new")
@requires(Permission.CONVERSATIONS_VIEW)
def create() -> Response:
    inbox, filter = _list()
    form = SavedViewForm()
    try:
        with transaction():
            saved = SavedView.keep(inbox, filter, form.name.data or "", shared=form.shared.data, by=member())
    except Refused as error:
        put(form, error)
        return page("saved_views/new.html", error.status, form=form, args=lists.new_view_args(inbox, filter), back=_back(inbox, filter))
    flash(f"Saved. “{saved.name}” is in the navigation.")
    return redirect(_back(inbox, filter), 303)  # type: ignore[return-value]


@bp.post("/settings/views/<saved>")
@requires(Permission.CONVERSATIONS_VIEW)
def update(saved: str) -> Response:
    """Another name, the team's or one's own."""
    found, form = _found(saved), SavedViewForm()
    try:
        with transaction():
            found.change(form.name.data or "", shared=form.shared.data, by=member())
    except Refused as error:
        return _page(error.status, wrong=found, sentence=error.sentence, typed=form.name.data or "")
    flash(f"Saved. “{found.name}” is {'the team’s' if found.shared else 'only yours'}.")
    return _to_index()


@bp.post("/settings/views/<saved>/place")
@requires(Permission.CONVERSATIONS_VIEW)
def move(saved: str) -> Response:
    """One place up or down."""
    found = _found(saved)
    with transaction():
        found.move(request.form.get("to") == "up", by=member())
    return _to_index()


@bp.post("/settings/views/<saved>/deletion")
@requires(Permission.CONVERSATIONS_VIEW)
def destroy(saved: str) -> Response:
    found = _found(saved)
    name = found.name
    with transaction():
        found.destroy(by=member())
    flash(f"Deleted “{name}”.")
    return _to_index()


def _list() -> tuple[Inbox | None, Filter]:
    """The list that the address names, only as far as the reader may open it."""
    where, view = request.args.get("in", ""), request.args.get("view", "")
    inbox = None if where == lists.AT_WORK else inbox_or_404(where)
    if view not in VIEWS or (inbox is None and not lists.works(member(), view)):
        abort(404)
    return inbox, lists.read_filter(view, request.args, member())[0]


def _back(inbox: Inbox | None, filter: Filter) -> str:
    args: dict[str, Any] = {**filter.args()}
    return lists.list_url(inbox, filter.view, **args)


def _found(public_id: str) -> SavedView:
    """A view the reader may change; every other one does not exist for them."""
    found = db.session.scalar(sa.select(SavedView).where(SavedView.public_id == public_id, SavedView.account_id == member().account_id))
    return found if found is not None and found.yields_to(member()) else abort(404)


def _page(status: int = 200, **more: Any) -> Response:
    who = member()
    names = {inbox.id: inbox.name for inbox in Inbox.visible_to(who)}
    views = [view for view in SavedView.visible_to(who) if view.inbox_id is None or view.inbox_id in names]
    return page("saved_views/index.html", status, views=views, names=names, titles=VIEWS, work=lists.WORK, may_share=bool(who.can(Permission.VIEWS_SHARE)), **more)


def _to_index() -> Response:
    return redirect(url_for("saved_views.index"), 303)  # type: ignore[return-value]
