"""The account's own fields of contacts: made, renamed, put in order and deleted in the settings."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, request, url_for

from inbox import placeholders
from inbox.models import ContactField, Refused, db, transaction
from inbox.models.contact_field import COUNTED, KINDS
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.hypermedia import either, go, is_fragment, page

bp = Blueprint("contact_fields", __name__)
bp.add_app_template_filter(placeholders.key, "field_key")


@bp.get("/settings/contact-fields")
@requires(Permission.CONTACTS_FIELDS)
def index() -> Response:
    return _index()


@bp.post("/settings/contact-fields")
@requires(Permission.CONTACTS_FIELDS)
def create() -> Response:
    try:
        with transaction():
            made = ContactField.create(*_typed(), by=member())
    except Refused as refused:
        if refused.field is None:
            raise
        return _index(422, problem=refused.sentence, at=refused.field)
    flash(f"{made.name} is there. Every contact’s page has it now.")
    return go(url_for("contact_fields.index"))


@bp.get("/settings/contact-fields/<field>")
@requires(Permission.CONTACTS_FIELDS)
def edit(field: str) -> Response:
    return _edit(_field_or_404(field))


@bp.post("/settings/contact-fields/<field>")
@requires(Permission.CONTACTS_FIELDS)
def update(field: str) -> Response:
    found = _field_or_404(field)
    try:
        with transaction():
            found.edit(*_typed(), by=member())
    except Refused as refused:
        if refused.field is None:
            raise
        return _edit(found, 422, problem=refused.sentence, at=refused.field)
    flash("Saved.")
    return go(url_for("contact_fields.index"))


@bp.post("/settings/contact-fields/<field>/place")
@requires(Permission.CONTACTS_FIELDS)
def move(field: str) -> Response:
    """One place up or down."""
    found = _field_or_404(field)
    with transaction():
        found.move(-1 if request.form.get("to") == "up" else 1, by=member())
    return _index() if is_fragment() else go(url_for("contact_fields.index"))


@bp.post("/settings/contact-fields/<field>/delete")
@requires(Permission.CONTACTS_FIELDS)
def destroy(field: str) -> Response:
    found = _field_or_404(field)
    name = found.name
    with transaction():
        found.destroy(by=member())
    flash(f"{name} is deleted. What contacts had there comes back when you make a field of that name again.")
    return go(url_for("contact_fields.index"))


def _typed() -> tuple[str, str, list[str]]:
    return request.form.get("name", ""), request.form.get("kind", "text"), request.form.get("choices", "").splitlines()


def _field_or_404(public_id: str) -> ContactField:
    return db.session.scalar(sa.select(ContactField).where(ContactField.public_id == public_id, ContactField.account_id == member().account_id)) or abort(404)


def _context(found: ContactField | None, **typed: Any) -> dict[str, Any]:
    """What stands in the form: what was typed, else what is kept."""
    posted = request.form if typed else {}
    kept = {"name": found.name, "kind": found.kind, "choices": "\n".join(found.choices)} if found else {"name": "", "kind": "text", "choices": ""}
    return {name: posted.get(name, value) for name, value in kept.items()} | {"kinds": KINDS, "problem": "", "at": "", **typed}


def _index(status: int = 200, **typed: Any) -> Response:
    fields = ContactField.of(member().account_id)
    uses, all_of_them = ContactField.uses(member().account_id, fields)
    context = _context(None, **typed)
    return either("contact_fields/index.html", "contact_fields/_list.html", status, fields=fields, uses=uses, exact=all_of_them, counted=COUNTED, **context)


def _edit(found: ContactField, status: int = 200, **typed: Any) -> Response:
    uses, exact = ContactField.uses(found.account_id, [found])
    return page("contact_fields/edit.html", status, field=found, uses=uses[found.id], exact=exact, counted=COUNTED, **_context(found, **typed))
