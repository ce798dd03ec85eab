"""Inviting people, and the link they follow (ACC-3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, redirect, request, url_for
from flask_login import current_user

from inbox.extensions import limiter
from inbox.forms import is_address, put
from inbox.forms.people import AcceptForm, InviteForm, addresses
from inbox.models import Inbox, Invitation, Member, Refused, db, transaction
from inbox.models.invitation import DEFAULT_ROLE
from inbox.models.member import normalize_email
from inbox.permissions import DEFAULT_ROLES, GIVEN, Permission
from inbox.views.access import member, public, requires
from inbox.views.hypermedia import page
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
    """The roles whose every permission the member holds (PERM-5)."""
    return {key: DEFAULT_ROLES[key][0] for key in GIVEN if DEFAULT_ROLES[key][1] <= who.permissions}


@bp.get("/settings/members/invitations")
@requires(Permission.MEMBERS_INVITE)
def index() -> Any:
    return _show(_form())


@bp.post("/settings/members/invitations")
@requires(Permission.MEMBERS_INVITE)
def create() -> Any:
    """Invite every pasted address and say what became of each."""
    form = _form()
    if not form.validate():
        return _show(form, 422)
    pasted = addresses(form.emails.data)
    if len(pasted) > AT_ONCE:
        form.emails.errors = [f"Invite at most {AT_ONCE} people at once; this has {len(pasted)}."]
        return _show(form, 422)
    may_seat = bool(member().can(Permission.SEATS_MANAGE)) and bool(form.seat.data)
    chosen = {inbox.id for inbox in _inboxes() if inbox.public_id in request.form.getlist("inboxes")}
    verdicts = [_invite(address, form.role.data, may_seat, sorted(chosen)) for address in pasted]
    left = [verdict.address for verdict in verdicts if verdict.tone == "bad"]
    form.emails.data = "\n".join(left)
    return _show(form, 200 if any(v.tone == "ok" for v in verdicts) else 422, verdicts)


def _invite(address: str, role: str, seat: bool, inbox_ids: list[int]) -> Verdict:
    if not is_address(address):
        return Verdict(address, "bad", "Not an address", "Check it and try again.")
    who = member()
    if any(i.email == normalize_email(address) for i in Invitation.pending(who.account)):
        return Verdict(address, "warn", "Pending", "Was invited already; resend it from the list.")
    try:
        with transaction():
            Invitation.send(who.account, address, by=who, role=role, seat=seat and bool(_eligible(role)), inbox_ids=inbox_ids)
    except Refused as error:
        return Verdict(address, "warn", "Already a member" if error.field == "email" else "Not sent", error.sentence)
    return Verdict(address, "ok", "Sent")


def _eligible(role: str) -> bool:
    from inbox.permissions import SEATED

    return bool(DEFAULT_ROLES[role][1] & SEATED)


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
@requires(Permission.MEMBERS_INVITE)
def resend(invitation: str) -> Any:
    row = invitation_or_404(invitation)
    with transaction():
        row.resend(by=member())
    flash(f"A new link is on its way to {row.email}. The old one stopped working.")
    return redirect(url_for("members.index"), 303)


@bp.post("/settings/members/invitations/<invitation>/revoke")
@requires(Permission.MEMBERS_INVITE)
def revoke(invitation: str) -> Any:
    row = invitation_or_404(invitation)
    with transaction():
        row.revoke(by=member())
    flash(f"The invitation of {row.email} is withdrawn.")
    return redirect(url_for("members.index"), 303)


# -- the link ----------------------------------------------------------------------------------------------------


@bp.get("/invitations/<token>")
@limiter.limit("60 per minute", key_func=network)
@public
def show(token: str) -> Any:
    invitation = Invitation.find(token)
    return _accept_page(invitation, AcceptForm(formdata=None), token) if invitation else _gone()


@bp.post("/invitations/<token>")
@limiter.limit("20 per minute", key_func=network)
@public
def accept(token: str) -> Any:
    """Make the member and sign them in; a link that is over looks the same whatever ended it."""
    invitation, form = Invitation.find(token), AcceptForm()
    if invitation is None:
        return _gone()
    if not form.validate():
        return _accept_page(invitation, form, token, 422)
    try:
        with transaction():
            who = invitation.accept(name=form.name.data, password=form.password.data)
    except Refused as error:
        if Invitation.find(token) is None:
            return _gone()
        put(form, error)
        return _accept_page(invitation, form, token, 422)
    start_session(who)
    flash(f"Welcome to {who.account.name}.")
    return _private(redirect(url_for("home.index"), 303))  # type: ignore[arg-type]


def _accept_page(invitation: Invitation, form: AcceptForm, token: str, status: int = 200) -> Response:
    signed_in_as = current_user.email if current_user.is_authenticated else ""
    return _private(page("invitations/accept.html", status, invitation=invitation, form=form, token=token, signed_in_as=signed_in_as))


def _gone() -> Response:
    return _private(page("invitations/gone.html", 404))


def _private(response: Response) -> Response:
    """The address holds a secret: it must not travel on as a referrer (SECURITY S46)."""
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
