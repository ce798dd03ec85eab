"""The first run, and further accounts where the operator allows them (ACC-1)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, abort, current_app, flash, redirect, url_for
from flask_login import current_user

from inbox.extensions import limiter
from inbox.forms import put
from inbox.forms.welcome import WelcomeForm
from inbox.models import Account, Carrier, Member, Refused, db, transaction
from inbox.views.access import public
from inbox.views.hypermedia import page
from inbox.views.sessions import network, start_session

bp = Blueprint("welcome", __name__)

TOO_LATE = "Someone finished the setup a moment ago. Sign in with the account they made, or ask them to invite you."
_FIRST_RUN_LOCK = 7202611  # any number that nothing else locks


@bp.get("/welcome")
@public
def new() -> Any:
    if Account.any():
        return redirect(url_for("sessions.new"), 303)
    return _show(WelcomeForm())


@bp.post("/welcome")
@limiter.limit("20 per minute", key_func=network)
@public
def create() -> Any:
    if Account.any():
        flash(TOO_LATE)
        return redirect(url_for("sessions.new"), 303)
    return _open(WelcomeForm(), first=True)


@bp.get("/signup")
@public
def signup() -> Any:
    if not current_app.config["SIGNUP_OPEN"]:
        abort(404)
    if not Account.any():
        return redirect(url_for("welcome.new"), 303)
    if current_user.is_authenticated:
        return redirect(url_for("home.index"), 303)
    return _show(WelcomeForm(), first=False)


@bp.post("/signup")
@limiter.limit("5 per minute; 30 per hour", key_func=network)
@public
def create_further() -> Any:
    if not current_app.config["SIGNUP_OPEN"]:
        abort(404)
    return _open(WelcomeForm(), first=False)


class _TooLate(Exception):
    """Another first run committed between looking and locking."""


def _open(form: WelcomeForm, *, first: bool) -> Any:
    if not form.validate_on_submit():
        return _show(form, 422, first=first)
    try:
        with transaction():
            if first:
                _only_once()
            _, owner = _account(form)
    except _TooLate:
        flash(TOO_LATE)
        return redirect(url_for("sessions.new"), 303)
    except Refused as error:
        put(form, error)
        return _show(form, 422, first=first)
    start_session(owner)
    return redirect(url_for("get_started.show"), 303)


def _only_once() -> None:
    """Of two first runs at once the second sees the first's account; SQLite's write lock orders them, PostgreSQL needs one."""
    if db.session.get_bind().dialect.name == "postgresql":
        db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_FIRST_RUN_LOCK)))
    if Account.any():
        raise _TooLate


def _account(form: WelcomeForm) -> tuple[Account, Member]:
    account, owner = Account.open(
        name=form.account_name.data, owner_name=form.name.data, email=form.email.data, password=form.password.data,
        time_zone=form.time_zone.data, country=form.country.data,
    )
    Carrier.open(account, current_app.config["CARRIER"])
    return account, owner


def _show(form: WelcomeForm, status: int = 200, *, first: bool = True) -> Any:
    return page("welcome/new.html", status, form=form, first=first)
