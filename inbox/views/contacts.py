"""Contacts: the list, the card, new ones, and changes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, request, url_for

from inbox import personal
from inbox.forms import put
from inbox.forms.contacts import ContactForm, NewContactForm
from inbox.models import Contact, ContactField, Member, Refused, Tag, db, transaction
from inbox.models.contact_list import CONSENTS, ContactFilter, about, listed, tags_of
from inbox.models.timeline import timeline
from inbox.permissions import Permission
from inbox.views import screens
from inbox.views.access import contact_or_404, member, requires
from inbox.views.consents import standing
from inbox.views.hypermedia import either, fragment, go, is_fragment, page

bp = Blueprint("contacts", __name__)
PAGE = 40
FIELD = "field-"  # before the public id of an own field, in the names of a form


@bp.get("/contacts")
@requires(Permission.CONTACTS_VIEW)
def index() -> Response:
    """Contacts by name; the arguments are the filter, `after` is the last contact of the page before."""
    wanted = _filter()
    found = listed(member(), wanted, after=_after(), limit=PAGE + 1)
    more, shown = (found[PAGE - 1] if len(found) > PAGE else None), found[:PAGE]
    context: dict[str, Any] = {"contacts": shown, "more": more, "filter": wanted, "words": wanted.words, "about": about(member(), shown), "paged": bool(request.args.get("after"))}
    owners, tags = Member.of(member().account_id), Tag.of(member().account_id)
    return either("contacts/index.html", "contacts/_list.html", **context, chips=_chips(wanted, owners, tags), owners=owners, tags=tags, consents=CONSENTS)


def _filter() -> ContactFilter:
    asked = {name: request.args.get(name, "")[:100].replace("\x00", "") for name in ("q", "owner", "tag", "consent")}
    consent = asked["consent"] if asked["consent"] in CONSENTS else ""
    return ContactFilter(asked["q"], asked["owner"], asked["tag"], consent, request.args.get("blocked") == "1")


def _chips(wanted: ContactFilter, owners: list[Member], tags: list[Tag]) -> list[tuple[str, str, dict[str, str]]]:
    """What narrows the list: its kind, its words, and the arguments without it."""
    people = {"me": "Me", "none": "Nobody", **{m.public_id: m.name for m in owners}}
    said = {
        "owner": ("Contact owner", people.get(wanted.owner, "Somebody unknown") if wanted.owner else ""),
        "tag": ("Tag", next((t.name for t in tags if t.public_id == wanted.tag), "Unknown") if wanted.tag else ""),
        "consent": ("Opt-in", CONSENTS.get(wanted.consent, "")), "blocked": ("Blocked", "Yes" if wanted.blocked else ""),
    }
    return [(label, words, wanted.args(**{name: ""})) for name, (label, words) in said.items() if words]


def _after() -> tuple[str, int] | None:
    last = request.args.get("after", "")
    if not last:
        return None
    found = db.session.scalar(Contact.visible_to(member()).where(Contact.public_id == last))
    return (found.name, found.id) if found else None


@bp.get("/contacts/new")
@requires(Permission.CONTACTS_EDIT)
def new() -> Response:
    form = _form(NewContactForm())
    form.phone.data = request.args.get("phone", "")[:40]
    return page("contacts/new.html", form=form, **_inputs(None))


@bp.post("/contacts")
@requires(Permission.CONTACTS_EDIT)
def create() -> Response:
    form = _form(NewContactForm())
    if form.validate():
        try:
            with transaction():
                made = Contact.create(by=member(), phone=form.phone.data or "", **_typed(form))
            flash("Saved.")
            return go(url_for("contacts.show", contact=made.public_id))
        except Refused as refused:
            return page("contacts/new.html", _put(form, refused), form=form, **_inputs(None, refused))
    return page("contacts/new.html", 422, form=form, **_inputs(None))


@bp.get("/contacts/<contact>")
@requires(Permission.CONTACTS_VIEW)
def show(contact: str) -> Response:
    """The card; `after` is the cursor of an earlier page of what happened."""
    row, who = contact_or_404(contact), member()
    try:
        entries, more = timeline(row, who, request.args.get("after", ""))
    except (ValueError, OverflowError):
        abort(400, "That is not a place in what happened with this contact.")
    if is_fragment() and request.args.get("after"):
        return fragment("contacts/_entries.html", contact=row, entries=entries, more=more)
    found = standing(row, who)
    return page(
        "contacts/show.html", contact=row, entries=entries, more=more, paged=bool(request.args.get("after")), standing=found, opted_out=found.opted_out,
        numbers=row.numbers()[1:], fields=ContactField.shown_of(row, who.language), tags=tags_of(row, who), local_time=screens.customer_time(row.phone or ""),
    )


@bp.get("/contacts/<contact>/edit")
@requires(Permission.CONTACTS_EDIT)
def edit(contact: str) -> Response:
    row = contact_or_404(contact, Permission.CONTACTS_EDIT)
    form = _form(ContactForm(), row)
    form.first.data, form.last.data, form.email.data = row.first_name, row.last_name, row.email or ""
    form.owner.data = row.owner.public_id if row.owner else ""
    return page("contacts/edit.html", contact=row, form=form, **_inputs(row))


@bp.post("/contacts/<contact>")
@requires(Permission.CONTACTS_EDIT)
def update(contact: str) -> Response:
    row = contact_or_404(contact, Permission.CONTACTS_EDIT)
    form = _form(ContactForm(), row)
    if form.validate():
        try:
            with transaction():
                row.edit(by=member(), **_typed(form))
            flash("Saved.")
            return go(url_for("contacts.show", contact=row.public_id))
        except Refused as refused:
            return page("contacts/edit.html", _put(form, refused), contact=row, form=form, **_inputs(row, refused))
    return page("contacts/edit.html", 422, contact=row, form=form, **_inputs(row))


def _put(form: Any, refused: Refused) -> int:
    """The refusal at its field; one that is about no field of the form is everybody's problem."""
    own = {field.key for field in ContactField.of(member().account_id)}
    if refused.field not in own:
        if refused.field is None:
            raise refused
        put(form, refused)
    return refused.status


def _inputs(row: Contact | None, refused: Refused | None = None) -> dict[str, Any]:
    """The account's own fields with what stands in each: what was typed, else what is kept; and the sentence at the one at fault."""
    kept = (row.fields or {}) if row else {}
    own = [field for field in ContactField.of(member().account_id) if member().sees_personal or not _personal(kept.get(field.key))]
    values = {field.id: request.form.get(FIELD + field.public_id, str(kept.get(field.key) or "")) for field in own}
    return {"own": own, "values": values, "faults": {field.id: refused.sentence for field in own if refused and refused.field == field.key}}


def _personal(value: Any) -> bool:
    """Whether a value holds a number or an address; who may not see it leaves it as it is."""
    return bool(value) and personal.covered(str(value)) != str(value)


def _typed(form: ContactForm) -> dict[str, Any]:
    """What was typed, as the model takes it."""
    own = {field.key: request.form[FIELD + field.public_id] for field in ContactField.of(member().account_id) if FIELD + field.public_id in request.form}
    return {"first": form.first.data or "", "last": form.last.data or "", "email": form.email.data, "owner": named(form.owner.data or ""), "fields": own}


def _form(form: Any, row: Contact | None = None) -> Any:
    form.owner.choices = [("", "Nobody"), *((m.public_id, m.name) for m in possible_owners(row))]
    return form


def possible_owners(row: Contact | None = None) -> list[Member]:
    return [m for m in Member.of(member().account_id) if (row and m.id == row.owner_id) or m.can(Permission.CONVERSATIONS_REPLY)]


def named(public_id: str) -> Member | None:
    """Whom a form names as the owner."""
    if not public_id:
        return None
    found = db.session.scalar(sa.select(Member).where(Member.public_id == public_id, Member.account_id == member().account_id))
    if found is None:
        raise Refused("Choose someone from the list.", field="owner")
    return found
