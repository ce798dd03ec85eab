"""One's own passkeys, and signing in with one (ACC-7)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, jsonify, redirect, request, url_for

from inbox.extensions import limiter
from inbox.forms import put
from inbox.forms.security import PasskeyNameForm
from inbox.models import Member, Passkey, Refused, db, transaction
from inbox.models.identity_provider import password_allowed
from inbox.views.access import member, public, signed_in
from inbox.views.ceremonies import NOT_ACCEPTED, authentication, registered, registration, verified
from inbox.views.fresh import fresh
from inbox.views.hypermedia import page
from inbox.views.second_factors import show_codes
from inbox.views.second_step import pending
from inbox.views.security import per_member, show
from inbox.views.sessions import EXCLUSIVE, network, safe_path, start_session

bp = Blueprint("passkeys", __name__)


@bp.post("/settings/security/passkeys/challenge")
@limiter.limit("30 per minute", key_func=per_member)
@signed_in
def challenge() -> Response:
    """What the browser has to sign, to add a passkey or to confirm who it is."""
    with transaction():
        return jsonify(registration(member()) if request.form.get("purpose") == "register" else authentication("confirm", member()))


@bp.post("/settings/security/passkeys")
@limiter.limit("20 per minute", key_func=per_member)
@fresh
@signed_in
def create() -> Any:
    form = PasskeyNameForm()
    if not form.validate():
        return show(422, passkey_form=form)
    try:
        codes = registered(request.form.get("passkey", ""), request.form.get("ticket", ""), form.name.data, member())
    except Refused as error:
        put(form, error)
        return show(422, passkey_form=form)
    if codes:
        return show_codes(codes, "Your passkey is added")
    flash("The passkey is added.")
    return redirect(url_for("security.index"), 303)


@bp.get("/settings/security/passkeys/<passkey>")
@signed_in
def edit(passkey: str) -> Any:
    row = passkey_or_404(passkey)
    return page("security/passkey.html", row=row, form=PasskeyNameForm(formdata=None, obj=row))


@bp.post("/settings/security/passkeys/<passkey>")
@signed_in
def update(passkey: str) -> Any:
    row, form = passkey_or_404(passkey), PasskeyNameForm()
    if not form.validate():
        return page("security/passkey.html", 422, row=row, form=form)
    with transaction():
        row.rename(form.name.data)
    flash("Saved.")
    return redirect(url_for("security.index"), 303)


@bp.post("/settings/security/passkeys/<passkey>/removal")
@fresh
@signed_in
def remove(passkey: str) -> Any:
    row = passkey_or_404(passkey)
    with transaction():
        row.remove(by=member())
    flash("The passkey is removed. It stays in your device until you delete it there, too.")
    return redirect(url_for("security.index"), 303)


def passkey_or_404(public_id: str) -> Passkey:
    return db.session.scalar(sa.select(Passkey).where(Passkey.public_id == public_id, Passkey.member_id == member().id)) or abort(404)


# -- signing in ---------------------------------------------------------------------------------------------------


@bp.post("/sign-in/passkey/challenge")
@limiter.limit("30 per minute", key_func=network)
@public
def sign_in_challenge() -> Response:
    """What the browser has to sign, to sign in or as the second step of it; the same for everybody who is not half signed in."""
    who: Member | None = pending() if request.form.get("purpose") == "second" else None
    with transaction():
        return jsonify(authentication("second" if who else "sign-in", who))


@bp.post("/sign-in/passkey")
@limiter.limit("20 per minute", key_func=network)
@public
def sign_in() -> Any:
    """A passkey that checked its person is both proofs at once."""
    with transaction():
        row = verified(request.form.get("passkey", ""), request.form.get("ticket", ""), "sign-in", None)
    if row is None or not password_allowed(row.member):
        flash(NOT_ACCEPTED if row is None else EXCLUSIVE)
        return redirect(url_for("sessions.new"), 303)
    start_session(row.member)
    return redirect(safe_path(request.form.get("next")) or url_for("home.index"), 303)
