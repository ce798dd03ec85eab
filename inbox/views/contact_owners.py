"""Who owns a contact, changed where it is shown."""

from __future__ import annotations

from flask import Blueprint, Response, request, url_for

from inbox.models import Contact, Refused, transaction
from inbox.permissions import Permission
from inbox.views.access import contact_or_404, member, requires
from inbox.views.contacts import named, possible_owners
from inbox.views.hypermedia import either, fragment, go, is_fragment

bp = Blueprint("contact_owners", __name__)


@bp.get("/contacts/<contact>/owner")
@requires(Permission.CONTACTS_OWN)
def edit(contact: str) -> Response:
    return _choose(contact_or_404(contact, Permission.CONTACTS_OWN))


@bp.post("/contacts/<contact>/owner")
@requires(Permission.CONTACTS_OWN)
def update(contact: str) -> Response:
    row = contact_or_404(contact, Permission.CONTACTS_OWN)
    try:
        with transaction():
            row.entrust_to(named(request.form.get("owner", "")), by=member())
    except Refused as refused:
        if refused.field != "owner":
            raise
        return _choose(row, 422, refused.sentence)
    if is_fragment():
        return fragment("contacts/_owner.html", contact=row)
    return go(url_for("contacts.show", contact=row.public_id))


def _choose(row: Contact, status: int = 200, problem: str = "") -> Response:
    return either("contacts/owner.html", "contacts/_owner_form.html", status, contact=row, owners=possible_owners(row), problem=problem)
