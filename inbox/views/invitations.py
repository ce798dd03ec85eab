"""Inviting people, and the link they follow (ACC-3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, redirect, request, url_for
from flask_login import current_user
from wtforms import Field

from inbox.extensions import limiter
from inbox.forms import is_address, put
from inbox.forms.people import AcceptForm, InviteForm, addresses
from inbox.models import Inbox, Invitation, Member, Refused, Role, db, transaction
from inbox.models.identity_provider import password_allowed
from inbox.models.invitation import DEFAULT_ROLE
from inbox.models.member import normalize_email
from inbox.models.rights import Denied
from inbox.permissions import Permission
from inbox.views.access import member, public, requires
from inbox.views.fresh import fresh
from inbox.views.hypermedia import page
from inbox.views.links import drop_token, keep_token, kept_token, private
from inbox.views.sessions import network, start_session

bp = Blueprint("invitations", __name__)

AT_ONCE = 50


@dataclass(frozen=True)
class Verdict:
    """What became of one pasted address."""

    address: str
    tone: str  # ok, warn or bad
    words: str
    why: str = ""


def roles_to_give(who: Member) -> dict[str, str]:
    """The roles, default and custom, whose every permission the member holds for the whole account (PERM-5)."""
    return {sheet.key: sheet.name for sheet in Role.sheets(who.account_id) if sheet.key != "owner" and sheet.permissions <= who.permissions_everywhere}


@bp.get("/settings/members/invitations")
@requires(Permission.MEMBERS_INVITE)
def index() -> Any:
    return _show(_form())


@bp.post("/settings/members/invitations")
@fresh
@requires(Permission.MEMBERS_INVITE)
def create() -> Any:
    """Invite every pasted address and say what became of each."""
    form = _form()
    if not form.validate():
        return _show(form, 422)
    seat = bool(member().can(Permission.SEATS_MANAGE)) and bool(form.seat.data) and _eligible(form.role.data)
    chosen = {inbox.id for inbox in _inboxes() if inbox.public_id in request.form.getlist("inboxes")}
    verdicts = invite_all(form.emails, form.role.data, seat, sorted(chosen))
    return _show(form, 200 if any(v.tone == "ok" for v in verdicts) else 422, verdicts)


def invite_all(field: Field, role: str = DEFAULT_ROLE, seat: bool = False, inbox_ids: list[int] | None = None) -> list[Verdict]:
    """Invite every address in a form's field; what cannot be an address stays in it, to be corrected."""
    pasted = addresses(field.data)
    if len(pasted) > AT_ONCE:
        field.errors = [f"Invite at most {AT_ONCE} people at once; this has {len(pasted)}."]
        return []
    verdicts = [_invite(address, role, seat, inbox_ids or []) for address in pasted]
    field.data = "\n".join(verdict.address for verdict in verdicts if verdict.tone == "bad")
    return verdicts


def _invite(address: str, role: str, seat: bool, inbox_ids: list[int]) -> Verdict:
    if not is_address(address):
        return Verdict(address, "bad", "Not an address", "Check it and try again.")
    who = member()
    if any(i.email == normalize_email(address) for i in Invitation.pending(who.account)):
        return Verdict(address, "warn", "Pending", "Was invited already; resend it from the list.")
    try:
        with transaction():
            Invitation.send(who.account, address, by=who, role=role, seat=seat, inbox_ids=inbox_ids)
    except Refused as error:
        return Verdict(address, "warn", "Already a member" if error.field == "email" else "Not sent", error.sentence)
    return Verdict(address, "ok", "Sent")


def _eligible(role: str) -> bool:
    """Whether who gets the role could use a seat."""
    sheet = Role.sheet_of(member().account_id, role)
    return sheet is not None and sheet.seated


def _inboxes() -> list[Inbox]:
    """The shared inboxes the inviter may share: live ones they are in."""
    return [inbox for inbox in Inbox.visible_to(member()) if inbox.owner_id is None]


def _form() -> InviteForm:
    form = InviteForm()
    form.role.choices = roles_to_give(member())
    if request.method == "GET":
        form.role.data = DEFAULT_ROLE if DEFAULT_ROLE in form.role.choices else next(iter(form.role.choices), "")
    return form


def _show(form: InviteForm, status: int = 200, verdicts: list[Verdict] | None = None) -> Response:
    who = member()
    return page(
        "invitations/new.html", status, form=form, verdicts=verdicts or [], inboxes=_inboxes(), ticked=set(request.form.getlist("inboxes")), account=who.account,
        seats=who.can(Permission.SEATS_MANAGE),
    )


def invitation_or_404(public_id: str) -> Invitation:
    query = sa.select(Invitation).where(Invitation.public_id == public_id, Invitation.account_id == member().account_id)
    return db.session.scalar(query) or abort(404)


@bp.post("/settings/members/invitations/<invitation>/resend")
@fresh
@requires(Permission.MEMBERS_INVITE)
def resend(invitation: str) -> Any:
    row = invitation_or_404(invitation)
    sheet = Role.sheet_of(row.account_id, row.role)
    if sheet is not None and not sheet.permissions <= member().permissions_everywhere:
        raise Denied(f"You cannot invite someone as {sheet.name}: it allows things your own role does not.")
    with transaction():
        row.resend(by=member())
    flash(f"A new link is on its way to {row.email}. The old one stopped working.")
    return _back()


@bp.post("/settings/members/invitations/<invitation>/revoke")
@requires(Permission.MEMBERS_INVITE)
def revoke(invitation: str) -> Any:
    row = invitation_or_404(invitation)
    with transaction():
        row.revoke(by=member())
    flash(f"The invitation of {row.email} is withdrawn.")
    return _back()


def _back() -> Any:
    """To the list the button stood in."""
    collaborators = request.form.get("back") == "collaborators" and member().can(Permission.COLLABORATORS_MANAGE)
    return redirect(url_for("collaborators.index" if collaborators else "members.index"), 303)


# -- the link ----------------------------------------------------------------------------------------------------


@bp.get("/invitations/<token>")
@limiter.limit("60 per minute", key_func=network)
@public
def land(token: str) -> Any:
    """The link of the mail: its token moves into the session (SECURITY S46)."""
    return keep_token("invitation", token, url_for("invitations.show")) if Invitation.find(token) else _gone()


@bp.get("/join")
@public
def show() -> Any:
    invitation = Invitation.find(kept_token("invitation"))
    return _accept_page(invitation, AcceptForm(formdata=None)) if invitation else _gone()


@bp.post("/join")
@limiter.limit("20 per minute", key_func=network)
@public
def accept() -> Any:
    """Make the member and sign them in; a link that is over looks the same whatever ended it."""
    invitation, form = Invitation.find(kept_token("invitation")), AcceptForm()
    if invitation is None:
        return _gone()
    if not form.validate():
        return _accept_page(invitation, form, 422)
    try:
        with transaction():
            who = invitation.accept(name=form.name.data, password=form.password.data)
    except Refused as error:
        if Invitation.find(kept_token("invitation")) is None:
            return _gone()
        put(form, error)
        return _accept_page(invitation, form, 422)
    if not password_allowed(who):
        drop_token()
        flash("You are in. Everybody here signs in with single sign-on.")
        return private(redirect(url_for("provider_sign_in.new", email=who.email), 303))  # type: ignore[arg-type]
    start_session(who)
    flash(f"Welcome to {who.account.name}.")
    return private(redirect(url_for("home.index"), 303))  # type: ignore[arg-type]


def _accept_page(invitation: Invitation, form: AcceptForm, status: int = 200) -> Response:
    signed_in_as = current_user.email if current_user.is_authenticated else ""
    return private(page("invitations/accept.html", status, invitation=invitation, form=form, signed_in_as=signed_in_as))


def _gone() -> Response:
    drop_token()
    return private(page("invitations/gone.html", 404))
