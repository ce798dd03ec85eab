"""Profile & collaborators, the owner's part: who works in the inbox, and who may get notifications (ACC-3, ACC-4)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for

from inbox.forms.people import AddressesForm
from inbox.models import Member, Notification, transaction
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.fresh import fresh
from inbox.views.hypermedia import page
from inbox.views.invitations import Verdict, invite_all
from inbox.views.members import pending

bp = Blueprint("collaborators", __name__)
INBOX = frozenset({Permission.CONVERSATIONS_VIEW, Permission.CONVERSATIONS_REPLY, Permission.MESSAGE})


def collaborators() -> list[Member]:
    """The active members who hold an inbox permission, by name."""
    return [person for person in Member.of(member().account_id) if person.active and person.permissions & INBOX]


@bp.get("/settings/collaborators")
@requires(Permission.COLLABORATORS_MANAGE)
def index() -> Any:
    who, people = member(), collaborators()
    missing = sum(person.active for person in Member.of(who.account_id)) - len(people)
    return page("collaborators/index.html", people=people, forbidden=Notification.not_allowed(who.account_id), missing=missing, **pending(who))


@bp.post("/settings/collaborators")
@requires(Permission.COLLABORATORS_MANAGE)
def update() -> Any:
    """Save the switches: only those that were moved since the page was shown."""
    was, wanted = set(request.form.getlist("was")), set(request.form.getlist("allowed"))
    moved = [person for person in collaborators() if (person.public_id in was) != (person.public_id in wanted) and person.public_id in request.form.getlist("person")]
    with transaction():
        for person in moved:
            Notification.allow(person, person.public_id in wanted, by=member())
    flash(f"Saved. {len(moved)} {'person’s notifications were' if len(moved) == 1 else 'people’s notifications were'} changed." if moved else "Nothing changed.")
    return redirect(url_for("collaborators.index"), 303)


@bp.get("/settings/collaborators/invitations")
@requires(Permission.COLLABORATORS_MANAGE)
def invite() -> Any:
    return _invite_page(AddressesForm(formdata=None))


@bp.post("/settings/collaborators/invitations")
@fresh
@requires(Permission.COLLABORATORS_MANAGE)
def send() -> Any:
    """Invite every pasted address as Back Office Manager and say what became of each."""
    member().require(Permission.MEMBERS_INVITE)
    form = AddressesForm()
    if not form.validate():
        return _invite_page(form, 422)
    verdicts = invite_all(form.emails)
    return _invite_page(form, 200 if any(v.tone == "ok" for v in verdicts) else 422, verdicts)


def _invite_page(form: AddressesForm, status: int = 200, verdicts: list[Verdict] | None = None) -> Response:
    return page("collaborators/invite.html", status, form=form, verdicts=verdicts or [])
