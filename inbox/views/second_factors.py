"""One's own authenticator app and recovery codes (ACC-7)."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, abort, flash, redirect, url_for

from inbox.extensions import limiter
from inbox.forms import put
from inbox.forms.security import CodeForm
from inbox.models import RecoveryCode, Refused, Totp, db, transaction
from inbox.models.event import Event
from inbox.models.second_factor import CODE_TRIES, forget_code_tries, has_second_factor, take_code_try
from inbox.views.access import member, signed_in
from inbox.views.fresh import fresh
from inbox.views.hypermedia import page
from inbox.views.security import per_member

bp = Blueprint("second_factors", __name__)


@bp.post("/settings/security/app")
@limiter.limit("10 per minute", key_func=per_member)
@fresh
@signed_in
def create() -> Any:
    """Begin to set up an app: a secret that counts once its first code was typed."""
    with transaction():
        Totp.begin(member())
    return redirect(url_for("second_factors.new"), 303)


@bp.get("/settings/security/app")
@fresh
@signed_in
def new() -> Any:
    begun = _begun()
    return _scan(begun, CodeForm(formdata=None)) if begun else redirect(url_for("security.index"), 303)


@bp.post("/settings/security/app/confirmation")
@limiter.limit("20 per minute", key_func=per_member)
@fresh
@signed_in
def confirm() -> Any:
    """The first code switches the app on; the recovery codes are shown this once."""
    form, who = CodeForm(), member()
    begun = _begun() or abort(404)
    if not form.validate():
        return _scan(begun, form, 422)
    with transaction():
        counted = take_code_try(who, "setup")
    if not counted:
        form.code.errors = [f"{CODE_TRIES} codes were wrong. Wait a quarter of an hour, then try again."]
        return _scan(begun, form, 429)
    try:
        with transaction():
            codes = begun.confirm(form.code.data, by=who)
            forget_code_tries(who, "setup")
    except Refused as error:
        put(form, error)
        return _scan(begun, form, 422)
    return show_codes(codes, "Your app is set up")


@bp.post("/settings/security/app/removal")
@fresh
@signed_in
def remove() -> Any:
    who = member()
    with transaction():
        app = Totp.of(who)
        if app is not None:
            app.turn_off(by=who)
    flash("The app is turned off.")
    return redirect(url_for("security.index"), 303)


@bp.post("/settings/security/recovery-codes")
@limiter.limit("10 per minute", key_func=per_member)
@fresh
@signed_in
def codes() -> Any:
    """Ten new codes; the ones before stop working."""
    who = member()
    if not has_second_factor(who):
        raise Refused("Recovery codes stand in for an app or a passkey. Set one of them up first.")
    with transaction():
        fresh_codes = RecoveryCode.renew(who)
        Event.record("recovery.renewed", account=who.account_id, by=who, member=who.id, name=who.name)
    return show_codes(fresh_codes, "New recovery codes")


def show_codes(codes: list[str], title: str) -> Response:
    """The only time that recovery codes are shown."""
    return page("security/codes.html", codes=codes, heading=title)


def _begun() -> Totp | None:
    """The member's app that waits for its first code."""
    row: Totp | None = db.session.query(Totp).filter_by(member_id=member().id, confirmed_at=None).one_or_none()
    return row


def _scan(begun: Totp, form: CodeForm, status: int = 200) -> Response:
    who = member()
    return page("security/app.html", status, form=form, picture=_picture(begun.address(who)), secret=begun.secret)


def _picture(text: str) -> str:
    """A QR code as the address of an image, drawn here: the secret goes nowhere else."""
    import segno

    drawn = io.BytesIO()
    segno.make(text, error="m").save(drawn, kind="svg", scale=5, border=3, dark="#000", light="#fff", xmldecl=False)
    return "data:image/svg+xml," + quote(drawn.getvalue().decode())
