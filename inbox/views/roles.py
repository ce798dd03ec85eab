"""Roles: the matrix of permissions, and making, naming, editing and deleting custom roles (PERM-1, PERM-2, PERM-5)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, request, url_for

from inbox.forms import put
from inbox.forms.roles import DeleteRoleForm, RoleForm, RoleNameForm
from inbox.models import Denied, NeedsReplacement, Refused, Role, RoleChanged, RoleGone, RoleSheet, db, transaction
from inbox.models.role import copyable, grantable
from inbox.models.role_edit import RoleEdit, effects
from inbox.permissions import ENTRIES, GROUPS, Permission
from inbox.views import matrix
from inbox.views.access import member, requires
from inbox.views.fresh import fresh
from inbox.views.hypermedia import fragment, page

bp = Blueprint("roles", __name__)


@bp.get("/settings/roles")
@requires(Permission.ROLES_VIEW)
def index() -> Any:
    return page("roles/index.html", **matrix.context(member()))


@bp.post("/settings/roles")
@fresh
@requires(Permission.ROLES_MANAGE)
def save() -> Any:
    """All changed columns at once. Unless the reader has seen who gains and loses what, that comes first (PERM-5)."""
    who, edits = member(), matrix.edits(member())
    changed = [edit for edit in edits if edit.changed and edit.wanted != edit.role.permissions]  # pressing Save twice saves once
    if request.form.get("action") == "back":
        return page("roles/index.html", **matrix.context(who, edits))
    if matrix.missing(edits) or any(edit.stale for edit in changed):
        return _conflict(edits)
    if not changed:
        flash("Nothing changed.")
        return redirect(url_for("roles.index"), 303)
    if request.form.get("confirmed") != "1":
        return page("roles/confirm.html", changed=changed, entries=ENTRIES, **_affected(changed))
    try:
        with transaction():
            Role.change_all([(edit.role, edit.wanted, edit.version) for edit in changed], by=who)
    except (RoleChanged, RoleGone):
        return _conflict(matrix.edits(who))
    except Refused as error:
        return page("roles/index.html", error.status, **matrix.context(who, matrix.edits(who), sentence=error.sentence))
    names = " and ".join(edit.role.name for edit in changed)
    flash(f"Saved. {names} {'applies' if len(changed) == 1 else 'apply'} from now on.")
    return redirect(url_for("roles.index", role=changed[0].role.public_id), 303)


@bp.post("/settings/roles/preview")
@requires(Permission.ROLES_MANAGE)
def preview() -> Any:
    """Who would gain or lose what; nothing is written."""
    changed = [edit for edit in matrix.edits(member()) if edit.changed]
    stale = [edit.role.name for edit in changed if edit.stale]
    return fragment("roles/_effects.html", stale=stale, **_affected([] if stale else changed))


def _affected(changed: list[RoleEdit]) -> dict[str, Any]:
    found = effects(member().account_id, {edit.role.id: edit.wanted for edit in changed})
    return {"alike": matrix.alike(found), "effects": found, "any_change": bool(changed)}


def _conflict(edits: list[RoleEdit]) -> Response:
    """Somebody else saved first: the roles as they are now, with the reader's changes on top of them, not saved yet."""
    meanwhile = [
        (edit.role.name, matrix.titles(edit.role.permissions - edit.seen), matrix.titles(edit.seen - edit.role.permissions)) for edit in edits if edit.stale
    ]
    context = matrix.context(member(), [edit.rebased() for edit in edits], conflict=True, meanwhile=meanwhile, gone=matrix.missing(edits))
    return page("roles/index.html", 409, **context)


# -- one role ------------------------------------------------------------------------------------------------------


@bp.get("/settings/roles/new")
@requires(Permission.ROLES_MANAGE)
def new() -> Any:
    """A new role, empty or with the permissions of another (`copy`)."""
    key = request.args.get("copy", "")
    source = _source(key) if key else None
    form = RoleForm(formdata=None, data={"copy": key, "name": f"Copy of {source.name}"[:60] if source else ""})
    return _new(form, source)


def _source(key: str) -> RoleSheet:
    """The role to start from; Owner cannot be duplicated (PERM-2)."""
    if key == "owner":
        raise Refused("Owner cannot be duplicated: ownership moves only by a transfer.", field="copy")
    return Role.sheet_of(member().account_id, key) or abort(404)


def _new(form: RoleForm, source: RoleSheet | None, status: int = 200) -> Response:
    who = member()
    form.copy.choices = {"": "Nothing, an empty role", **{sheet.key: f"The permissions of {sheet.name}" for sheet in Role.sheets(who.account_id) if sheet.key != "owner"}}
    left_out = matrix.titles(source.permissions - copyable(source, who)) if source else []
    return page("roles/new.html", status, form=form, source=source, left_out=left_out)


@bp.post("/settings/roles/new")
@requires(Permission.ROLES_MANAGE)
def create() -> Any:
    who, form = member(), RoleForm()
    form.copy.choices = {"": "", **{sheet.key: sheet.name for sheet in Role.sheets(who.account_id)}}
    if not form.validate():
        return _new(form, None, 422)
    try:
        source = _source(form.copy.data) if form.copy.data else None
        kept = copyable(source, who) if source else frozenset()
        with transaction():
            role = Role.create(
                who.account, name=form.name.data or "", description=form.description.data or "", permissions=kept, by=who, copied=source.name if source else ""
            )
    except Refused as error:
        put(form, error)
        return _new(form, None, error.status)
    left = matrix.titles(source.permissions - kept) if source else []
    flash(f"{role.name} is there. Tick what it allows." if not left else f"{role.name} is there, without {', '.join(left)}: your own role does not allow that.")
    return redirect(url_for("roles.index", role=role.public_id), 303)


def _sheet_or_404(key: str) -> RoleSheet:
    return Role.sheet_of(member().account_id, key) or abort(404)


def _role_or_404(key: str) -> Role:
    """A custom role of the account."""
    sheet = _sheet_or_404(key)
    if sheet.row is None:
        raise Refused("Default roles cannot be changed or deleted. Duplicate one to make your own.")
    return sheet.row


@bp.get("/settings/roles/<role>")
@requires(Permission.ROLES_VIEW)
def show(role: str) -> Any:
    sheet = _sheet_or_404(role)
    form = RoleNameForm(formdata=None, obj=sheet.row)
    return _show(sheet, form)


def _show(sheet: RoleSheet, form: RoleNameForm, status: int = 200) -> Response:
    who = member()
    people = [(person, [grant for grant in person.grants if grant.role == sheet.key]) for person in Role.holding(who.account_id, sheet.key)]
    allowed = [(title, [entry for entry in entries if entry.permission in sheet.permissions]) for title, entries in GROUPS.items()]
    may = who.can(Permission.ROLES_MANAGE)
    why_not = "" if sheet.permissions <= grantable(who) else "It allows things your own role does not, so somebody else has to delete it."
    return page(
        "roles/show.html", status, sheet=sheet, form=form, people=people, allowed=[(title, entries) for title, entries in allowed if entries], may=may, why_not=why_not
    )


@bp.post("/settings/roles/<role>")
@requires(Permission.ROLES_MANAGE)
def update(role: str) -> Any:
    """Rename it or describe it anew."""
    row, form = _role_or_404(role), RoleNameForm()
    if not form.validate():
        return _show(row.sheet, form, 422)
    try:
        with transaction():
            row.rename(form.name.data or "", description=form.description.data or "", by=member())
    except Refused as error:
        put(form, error)
        db.session.refresh(row)
        return _show(row.sheet, form, error.status)
    flash(f"Saved. The role is called {row.name}.")
    return redirect(url_for("roles.show", role=row.public_id), 303)


@bp.get("/settings/roles/<role>/deletion")
@requires(Permission.ROLES_MANAGE)
def deletion(role: str) -> Any:
    """Who holds it, and what they get instead."""
    return _deletion(_role_or_404(role), DeleteRoleForm(formdata=None))


def _deletion(row: Role, form: DeleteRoleForm, status: int = 200, chosen: RoleSheet | None = None) -> Response:
    who = member()
    mine = grantable(who)
    options = [(sheet, sheet.permissions <= mine) for sheet in Role.sheets(who.account_id) if sheet.key not in ("owner", row.public_id)]
    found = effects(who.account_id, {row.id: chosen.permissions}) if chosen else []
    return page(
        "roles/delete.html", status, role=row, form=form, people=row.holders(), invited=row.invitations(), options=options, chosen=chosen,
        alike=matrix.alike(found), effects=found, any_change=True, stale=[],
    )


@bp.post("/settings/roles/<role>/deletion")
@fresh
@requires(Permission.ROLES_MANAGE)
def destroy(role: str) -> Any:
    """First press: what the replacement changes. Second press: delete."""
    row, form = _role_or_404(role), DeleteRoleForm()
    name, key = row.name, form.replacement.data or ""
    chosen = Role.sheet_of(row.account_id, key) if key and key != row.public_id else None
    if request.form.get("confirmed") != "1" and chosen and chosen.permissions <= grantable(member()):
        return _deletion(row, form, chosen=chosen)
    try:
        with transaction():
            row.destroy(by=member(), replacement=key)
    except (NeedsReplacement, Denied, Refused) as error:
        if error.status == 409:
            raise
        put(form, error)
        return _deletion(row, form, error.status)
    flash(f"The role {name} is gone.")
    return redirect(url_for("roles.index"), 303)
