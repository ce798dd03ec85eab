"""The roles of one person: changed in a list, told in words what that gives and takes, then saved (PERM-3, PERM-5, SEAT-5)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, request, url_for

from inbox.models import Member, Refused, db, transaction
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.fresh import fresh
from inbox.views.hypermedia import fragment, go, is_fragment, page
from inbox.views.members import person_or_404, shown
from inbox.views.roles_form import Pair, RolesForm, places_of, roles_form

bp = Blueprint("member_roles", __name__)
MOST = 40  # rows in one form


@bp.post("/settings/members/<person>/roles/preview")
@requires(Permission.ROLES_ASSIGN)
def preview(person: str) -> Any:
    """The list with a row more or less, and in words what saving it would change; nothing is saved."""
    row = person_or_404(person)
    return _answer(row, roles_form(row, member(), _wanted()))


@bp.post("/settings/members/<person>/roles")
@fresh
@requires(Permission.ROLES_ASSIGN)
def update(person: str) -> Any:
    """Save what was reviewed; anything else is reviewed first."""
    row = person_or_404(person)
    wanted = _wanted()
    form = roles_form(row, member(), wanted)
    if form.why:
        raise Refused(form.why)
    if request.form.get("saved", "") != form.saved:
        form.sentence = f"Somebody else changed {row.name}’s roles meanwhile. Look at what your choice changes now."
        return _answer(row, form, 409)
    if form.sentence:
        return _answer(row, form, 422)
    if not form.changed:
        flash("Nothing changed.")
        return go(url_for("members.show", person=row.public_id))
    if request.form.get("reviewed", "") != form.reviewed:
        return _answer(row, form)
    key = request.form.get("successor", "")
    heir = form.handover.heir(key) if key and form.handover else None
    if key and heir is None:
        form.sentence = "Choose someone with a seat, or nobody."
        return _answer(row, form, 422)
    try:
        with transaction():
            row.set_roles(places_of(row, wanted), by=member(), to=heir)
    except Refused as error:
        db.session.rollback()
        form.sentence = error.sentence
        return _answer(row, form, error.status)
    flash(f"Saved. {row.name} is {' and '.join(row.role_names) or 'without a role'} now.")
    return go(url_for("members.show", person=row.public_id))


def _answer(row: Member, form: RolesForm, status: int = 200) -> Response:
    if is_fragment():
        return fragment("members/_roles.html", status, person=row, roles=form)
    return page("members/show.html", status, **shown(row), roles=form)


def _wanted() -> list[Pair]:
    """The (role key, team public id) pairs of the form without empty rows, doubles and the one to drop."""
    roles, teams = request.form.getlist("role")[:MOST], request.form.getlist("team")
    pairs = [(role, teams[i] if i < len(teams) else "") for i, role in enumerate(roles)]
    drop = request.form.get("drop", "")
    if drop.isascii() and drop.isdigit() and len(drop) < 4 and int(drop) < len(pairs):
        pairs.pop(int(drop))
    return list(dict.fromkeys(pair for pair in pairs if pair[0]))
