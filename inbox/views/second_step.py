"""The second step of signing in: a code of the app, a recovery code, or a passkey (ACC-7)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, flash, redirect, request, session, url_for

from inbox import clock
from inbox.extensions import limiter
from inbox.forms.security import CodeForm
from inbox.models import Member, Passkey, RecoveryCode, Totp, db, transaction
from inbox.models.second_factor import forget_code_tries, take_code_try
from inbox.views.access import public
from inbox.views.ceremonies import verified
from inbox.views.hypermedia import page
from inbox.views.sessions import PENDING, mark, network, place, start_session

bp = Blueprint("second_step", __name__)

PATIENCE = 600  # seconds a half-done sign-in waits for its code
OVER = "Sign in again: that took too long."
TOO_MANY = "Too many wrong codes. Wait a quarter of an hour, then sign in again."


def pending() -> Member | None:
    """Who has given the password and still owes the second proof; this signs nobody in."""
    kept = session.get(PENDING)
    if not isinstance(kept, dict) or not 0 <= clock.now().timestamp() - kept["at"] < PATIENCE:
        return None
    who = db.session.scalar(sa.select(Member).where(Member.public_id == kept["member"]))
    return who if who and who.active and mark(who) == kept["mark"] else None


@bp.get("/sign-in/code")
@public
def new() -> Any:
    who = pending()
    return _show(who, CodeForm(formdata=None), recovery="recovery" in request.args) if who else _again()


@bp.post("/sign-in/code")
@limiter.limit("20 per minute", key_func=network)
@public
def create() -> Any:
    who, form = pending(), CodeForm()
    if who is None:
        return _again()
    recovery = "recovery" in request.form
    if request.form.get("passkey"):
        with transaction():
            accepted = verified(request.form["passkey"], request.form.get("ticket", ""), "second", who) is not None
        form.code.errors = ["That passkey was not accepted. Try again."]
        return _enter(who) if accepted else _show(who, form, 422)
    if not form.validate():
        return _show(who, form, 422, recovery=recovery)
    where = place(who.email)
    with transaction():
        counted = take_code_try(who, where)
    if not counted:
        session.pop(PENDING, None)
        flash(TOO_MANY)
        return redirect(url_for("sessions.new"), 303)
    with transaction():
        right = _accept(who, form.code.data, recovery)
        if right:
            forget_code_tries(who, where)
    if right:
        return _enter(who)
    form.code.errors = ["That recovery code is unknown or was used before." if recovery else "That code is not right, or was used before. Wait for the next one."]
    return _show(who, form, 422, recovery=recovery)


def _accept(who: Member, code: str, recovery: bool) -> bool:
    if recovery:
        return RecoveryCode.use(who, code)
    app = Totp.of(who)
    return app is not None and app.accept(code)


def _enter(who: Member) -> Any:
    kept = session[PENDING]
    start_session(who, by_provider=kept["provider"])
    return redirect(kept["next"] or url_for("home.index"), 303)


def _again() -> Any:
    session.pop(PENDING, None)
    flash(OVER)
    return redirect(url_for("sessions.new"), 303)


def _show(who: Member, form: CodeForm, status: int = 200, *, recovery: bool = False) -> Response:
    has_app, has_passkey = Totp.of(who) is not None, bool(Passkey.of(who))
    return page("sessions/code.html", status, form=form, recovery=recovery, has_app=has_app, has_passkey=has_passkey)
