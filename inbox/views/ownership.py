"""Handing the account to somebody else (PERM-2)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for

from inbox.forms import put
from inbox.forms.roles import OwnershipForm
from inbox.models import Member, Refused, transaction
from inbox.models.role_edit import in_order
from inbox.permissions import DEFAULT_ROLES, ENTRIES, Permission
from inbox.views.access import member, requires
from inbox.views.fresh import fresh
from inbox.views.hypermedia import page

bp = Blueprint("ownership", __name__)
GIVEN_UP = in_order(DEFAULT_ROLES["owner"][1] - DEFAULT_ROLES["admin"][1])  # the former owner is an Admin


@bp.get("/settings/ownership")
@requires(Permission.OWNERSHIP_TRANSFER)
def edit() -> Any:
    return _page(OwnershipForm(formdata=None, data={"member": request.args.get("member", "")}))


def _candidates() -> list[Member]:
    who = member()
    return [person for person in Member.of(who.account_id) if person.active and person.id != who.id]


def _page(form: OwnershipForm, status: int = 200) -> Response:
    form.member.choices = {"": "Choose a person", **{person.public_id: f"{person.name}, {person.email}" for person in _candidates()}}
    return page("ownership/edit.html", status, form=form, account=member().account, given_up=[ENTRIES[permission].title for permission in GIVEN_UP])


@bp.post("/settings/ownership")
@fresh
@requires(Permission.OWNERSHIP_TRANSFER)
def transfer() -> Any:
    """Both are told by mail; the former owner stays as an Admin."""
    who, form = member(), OwnershipForm()
    if not form.validate():
        return _page(form, 422)
    chosen = next((person for person in _candidates() if person.public_id == form.member.data), None)
    try:
        if (form.account.data or "").casefold() != " ".join(who.account.name.split()).casefold():
            raise Refused("Type the name of the account exactly as shown.", field="account")
        if chosen is None:
            raise Refused("Choose an active member of this account.", field="member")
        with transaction():
            chosen.take_ownership(by=who)
    except Refused as error:
        put(form, error)
        return _page(form, error.status)
    flash(f"{chosen.name} owns {who.account.name} now. You are an Admin.")
    return redirect(url_for("members.index"), 303)
