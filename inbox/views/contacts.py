"""Contacts: search, read, edit."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Blueprint, Response, flash, request, url_for
from sqlalchemy.orm import joinedload

from inbox.forms.contacts import ContactForm
from inbox.models import Contact, Conversation, Member, Refused, db, transaction
from inbox.permissions import Permission
from inbox.views.access import contact_or_404, member, requires
from inbox.views.consents import standing
from inbox.views.hypermedia import either, go, page

bp = Blueprint("contacts", __name__)
PAGE = 40


@bp.get("/contacts")
@requires(Permission.CONTACTS_VIEW)
def index() -> Response:
    """Contacts by name; `q` searches names and numbers, `after` is the last contact of the page before."""
    words = request.args.get("q", "")[:100].replace("\x00", "")
    found = Contact.search(member(), words, after=_after(), limit=PAGE + 1)
    more = found[PAGE - 1] if len(found) > PAGE else None
    return either("contacts/index.html", "contacts/_list.html", contacts=found[:PAGE], more=more, words=words, paged=bool(request.args.get("after")))


def _after() -> tuple[str, int] | None:
    last = request.args.get("after", "")
    if not last:
        return None
    found = db.session.scalar(Contact.visible_to(member()).where(Contact.public_id == last))
    return (found.name, found.id) if found else None


@bp.get("/contacts/<contact>")
@requires(Permission.CONTACTS_VIEW)
def show(contact: str) -> Response:
    row = contact_or_404(contact)
    talks = (
        Conversation.scope(member())
        .options(joinedload(Conversation.inbox), joinedload(Conversation.assignee))
        .where(Conversation.contact_id == row.id)
        .order_by(Conversation.last_activity_at.desc())
        .limit(50)
    )
    found = standing(row, member())
    return page("contacts/show.html", contact=row, conversations=db.session.scalars(talks).unique().all(), standing=found, opted_out=found.opted_out)


@bp.get("/contacts/<contact>/edit")
@requires(Permission.CONTACTS_EDIT)
def edit(contact: str) -> Response:
    row = contact_or_404(contact, Permission.CONTACTS_EDIT)
    form = _form(row)
    form.first.data, form.last.data, form.email.data = row.first_name, row.last_name, row.email or ""
    form.owner.data = row.owner.public_id if row.owner else ""
    return page("contacts/edit.html", contact=row, form=form)


@bp.post("/contacts/<contact>")
@requires(Permission.CONTACTS_EDIT)
def update(contact: str) -> Response:
    row = contact_or_404(contact, Permission.CONTACTS_EDIT)
    form = _form(row)
    if form.validate():
        try:
            with transaction():
                row.edit(by=member(), first=form.first.data or "", last=form.last.data or "", email=form.email.data, owner=_owner(form.owner.data or ""))
            flash("Saved.")
            return go(url_for("contacts.show", contact=row.public_id))
        except Refused as refused:
            if refused.field is None:
                raise
            form[refused.field].errors = [refused.sentence]
    return page("contacts/edit.html", 422, contact=row, form=form)


def _form(row: Contact) -> ContactForm:
    form = ContactForm()
    people = [m for m in Member.of(row.account_id) if m.id == row.owner_id or m.can(Permission.CONVERSATIONS_REPLY)]
    form.owner.choices = [("", "Nobody"), *((m.public_id, m.name) for m in people)]
    return form


def _owner(public_id: str) -> Member | None:
    if not public_id:
        return None
    found = db.session.scalar(sa.select(Member).where(Member.public_id == public_id, Member.account_id == member().account_id))
    if found is None:
        raise Refused("Choose someone from the list.", field="owner")
    return found
