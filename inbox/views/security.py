"""One's own sign-in: password, address, second factors, signed-in browsers (ACC-7); nobody else's, ever."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, g, redirect, session, url_for
from flask_login import logout_user
from flask_wtf import FlaskForm

from inbox.extensions import limiter
from inbox.forms import put
from inbox.forms.security import AddressForm, NewPasswordForm, PasskeyNameForm
from inbox.models import LoginSession, MailedLink, Passkey, RecoveryCode, Refused, SignInPolicy, Totp, db, transaction
from inbox.models.reset import change_password
from inbox.views.access import SESSION_TOKEN, member, signed_in
from inbox.views.fresh import fresh
from inbox.views.hypermedia import page

bp = Blueprint("security", __name__)


def per_member() -> str:
    """The key of limits on what one does while signed in."""
    return str(session.get("_user_id", ""))


@bp.get("/settings/security")
@signed_in
def index() -> Any:
    return show()


@bp.post("/settings/security/password")
@limiter.limit("10 per minute", key_func=per_member)
@fresh
@signed_in
def password() -> Any:
    """A new password ends every other session (SECURITY S44)."""
    form = NewPasswordForm()
    if not form.validate():
        return show(422, password_form=form)
    try:
        with transaction():
            change_password(member(), form.password.data, keep=g.login_session)
            token = g.login_session.renew()  # a copy of this browser's cookie dies, too
    except Refused as error:
        put(form, error)
        return show(422, password_form=form)
    if token:
        session[SESSION_TOKEN] = token
    flash("The password is changed. All other browsers are signed out.")
    return redirect(url_for("security.index"), 303)


@bp.post("/settings/security/address")
@limiter.limit("5 per minute; 20 per hour", key_func=per_member)
@fresh
@signed_in
def address() -> Any:
    """Another e-mail address counts once the link that is mailed there was opened."""
    form = AddressForm()
    if not form.validate():
        return show(422, address_form=form)
    try:
        with transaction():
            MailedLink.ask_address(member(), form.email.data)
    except Refused as error:
        put(form, error)
        return show(422, address_form=form)
    flash(f"Open the link in the mail to {form.email.data}. Until then nothing changes.")
    return redirect(url_for("security.index"), 303)


@bp.post("/settings/security/sessions/<int:row_id>/revoke")
@signed_in
def revoke(row_id: int) -> Any:
    row = db.session.scalar(sa.select(LoginSession).where(LoginSession.id == row_id, LoginSession.member_id == member().id)) or abort(404)
    with transaction():
        row.revoke()
    flash("That browser is signed out.")
    return redirect(url_for("security.index"), 303)


@bp.post("/settings/security/sign-out-everywhere")
@signed_in
def sign_out_everywhere() -> Any:
    with transaction():
        LoginSession.end_all(member())
    logout_user()
    session.clear()
    flash("You are signed out everywhere.")
    response = redirect(url_for("sessions.new"), 303)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def show(status: int = 200, **forms: FlaskForm) -> Response:
    """The whole page; `forms` are those that were sent and need another look."""
    who = member()
    filled = {"password_form": NewPasswordForm(formdata=None), "address_form": AddressForm(formdata=None, prefix=""), "passkey_form": PasskeyNameForm(formdata=None), **forms}
    passkeys = Passkey.of(who)
    app = Totp.of(who)
    return page(
        "security/index.html", status, **filled, app=app, passkeys=passkeys, codes_left=RecoveryCode.left(who) if app or passkeys else 0, sessions=LoginSession.living(who),
        current=g.login_session, browser=browser, waiting=MailedLink.pending_address(who), required=SignInPolicy.of(who.account_id).second_factor,
    )


def browser(user_agent: str) -> str:
    """“Firefox on Windows”, as well as the header tells."""
    names = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
    systems = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "Mac"), ("Linux", "Linux"))
    name = next((name for mark, name in names if mark in user_agent), "A browser")
    system = next((system for mark, system in systems if mark in user_agent), "")
    return f"{name} on {system}" if system else name
