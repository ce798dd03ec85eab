"""The end of somebody's access: deactivated, which can be undone, or removed for good; what they hold is handed on first (SEAT-5)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for

from inbox.models import Member, Refused, transaction
from inbox.models.handover import Handover, imagined
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.fresh import fresh
from inbox.views.hypermedia import either
from inbox.views.members import end_why, person_or_404

bp = Blueprint("endings", __name__)


@bp.get("/settings/members/<person>/deactivation")
@requires(Permission.MEMBERS_END)
def deactivation(person: str) -> Any:
    """What ending the access would move, and to whom."""
    row = _endable(person)
    return _ask(row, remove=False) if row.active else _to(row)


@bp.post("/settings/members/<person>/deactivation")
@fresh
@requires(Permission.MEMBERS_END)
def deactivate(person: str) -> Any:
    row = _endable(person)
    if request.form.get("confirmed") != "1":
        return redirect(url_for("endings.deactivation", person=row.public_id), 303)
    handover, key = _handover(row), request.form.get("successor", "")
    if key and handover.heir(key) is None:
        return _ask(row, remove=False, sentence="Choose someone with a seat, or nobody.", status=422)
    with transaction():
        row.deactivate(by=member(), to=handover.heir(key))
    flash(f"{row.name} is signed out everywhere and cannot come back in until you reactivate them.")
    return _to(row)


@bp.post("/settings/members/<person>/reactivation")
@fresh
@requires(Permission.MEMBERS_END)
def reactivate(person: str) -> Any:
    """Let them sign in again, as before but without a seat."""
    row = person_or_404(person)
    with transaction():
        row.reactivate(by=member())
    flash(f"{row.name} can sign in again, without a seat.")
    return _to(row)


@bp.get("/settings/members/<person>/removal")
@requires(Permission.MEMBERS_END)
def removal(person: str) -> Any:
    """What removing somebody for good would move; their name is typed to confirm."""
    return _ask(_endable(person), remove=True)


@bp.post("/settings/members/<person>/removal")
@fresh
@requires(Permission.MEMBERS_END)
def remove(person: str) -> Any:
    row = _endable(person)
    handover, key = _handover(row), request.form.get("successor", "")
    if " ".join(request.form.get("typed", "").split()).casefold() != row.name.casefold():
        return _ask(row, remove=True, sentence=f"Type {row.name} to confirm. Nothing was changed.", status=422)
    if key and handover.heir(key) is None:
        return _ask(row, remove=True, sentence="Choose someone with a seat, or nobody.", status=422)
    with transaction():
        row.remove(by=member(), to=handover.heir(key))
    flash(f"{row.name} was removed. Their name stays on what they wrote.")
    return redirect(url_for("members.index"), 303)


def _endable(person: str) -> Member:
    """Somebody whose access the reader may end."""
    row = person_or_404(person)
    why = end_why(member(), row)
    if why:
        raise Refused(why)
    return row


def _handover(row: Member) -> Handover:
    return Handover.of(row, imagined(row, ended=True), reader=member())


def _to(row: Member) -> Any:
    return redirect(url_for("members.show", person=row.public_id), 303)


def _ask(row: Member, *, remove: bool, sentence: str = "", status: int = 200) -> Response:
    """The dialog, as a page of its own without htmx."""
    verb, action = ("Remove", "endings.remove") if remove else ("Deactivate", "endings.deactivate")
    lead = (
        f"{row.name} is taken out of the team for good: signed out everywhere, roles and inboxes gone, the address free for a new invitation. Their name stays on what they wrote."
        if remove
        else f"{row.name} is signed out everywhere and cannot sign in. Roles and inboxes are kept, the seat is free, and you can undo this."
    )
    return either(
        "members/handover.html", "members/_handover.html", status, person=row, handover=_handover(row), sentence=sentence, live=False,
        title=f"{verb} {row.name}?", lead=lead, submit=verb, action=url_for(action, person=row.public_id),
        hidden={"confirmed": "1"}, cancel=url_for("members.show", person=row.public_id), typed=row.name if remove else "",
        was=request.form.get("typed", ""),
    )
