"""A forgotten password, and the links that prove an address (ACC-7).

A link's token is moved into the session at once: the address bar, the history and referrers never keep it (SECURITY S46).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, flash, redirect, request, session, url_for
from flask_login import current_user

from inbox.extensions import limiter
from inbox.forms import put
from inbox.forms.security import AddressForm, NewPasswordForm
from inbox.models import Attempt, MailedLink, Refused, transaction
from inbox.models.attempt import mailbox
from inbox.views.access import public
from inbox.views.hypermedia import page
from inbox.views.links import drop_token, keep_token, kept_token, private
from inbox.views.sessions import network

bp = Blueprint("passwords", __name__)

MAILS, WINDOW = 3, timedelta(hours=1)


@bp.get("/password/forgot")
@public
def forgot() -> Any:
    return page("passwords/forgot.html", form=AddressForm(formdata=None), sent="sent" in request.args)


@bp.post("/password/forgot")
@limiter.limit("5 per minute; 30 per hour", key_func=network)
@public
def ask() -> Any:
    """The answer and the work are the same for known, unknown and ended members; at most three mails an hour go to one mailbox (SECURITY S42)."""
    form = AddressForm()
    if not form.validate():
        return page("passwords/forgot.html", 422, form=form, sent=False)
    with transaction():
        if Attempt.take("reset", mailbox(form.email.data), limit=MAILS, within=WINDOW):
            MailedLink.ask_reset(form.email.data)
    return redirect(url_for("passwords.forgot", sent=1), 303)


@bp.get("/password/reset/<token>")
@limiter.limit("60 per minute", key_func=network)
@public
def land(token: str) -> Any:
    return keep_token("password", token, url_for("passwords.edit")) if MailedLink.find(token, "password") else _gone()


@bp.get("/password/reset")
@public
def edit() -> Any:
    link = MailedLink.find(kept_token("password"), "password")
    return private(page("passwords/reset.html", form=NewPasswordForm(formdata=None), link=link)) if link else _gone()


@bp.post("/password/reset")
@limiter.limit("20 per minute", key_func=network)
@public
def update() -> Any:
    """The new password ends every session; signing in with it asks for the second factor as ever (SECURITY S48)."""
    link, form = MailedLink.find(kept_token("password"), "password"), NewPasswordForm()
    if link is None:
        return _gone()
    if not form.validate():
        return private(page("passwords/reset.html", 422, form=form, link=link))
    try:
        with transaction():
            link.set_password(form.password.data)
    except Refused as error:
        if MailedLink.find(kept_token("password"), "password") is None:
            return _gone()
        put(form, error)
        return private(page("passwords/reset.html", 422, form=form, link=link))
    session.clear()
    flash("The password is changed. Sign in with it.")
    return private(redirect(url_for("sessions.new"), 303))  # type: ignore[arg-type]


# -- a new address ------------------------------------------------------------------------------------------------


@bp.get("/address/<token>")
@limiter.limit("60 per minute", key_func=network)
@public
def land_address(token: str) -> Any:
    return keep_token("address", token, url_for("passwords.address")) if MailedLink.find(token, "address") else _gone()


@bp.get("/address")
@public
def address() -> Any:
    link = MailedLink.find(kept_token("address"), "address")
    return private(page("passwords/address.html", link=link, form=AddressForm(formdata=None))) if link else _gone()


@bp.post("/address")
@limiter.limit("20 per minute", key_func=network)
@public
def set_address() -> Any:
    """Opening the link in the mail and pressing the button proves the address."""
    link = MailedLink.find(kept_token("address"), "address")
    if link is None:
        return _gone()
    try:
        with transaction():
            who = link.set_address()
    except Refused as error:
        form = AddressForm(formdata=None)
        put(form, error, email="form")
        return private(page("passwords/address.html", 422, link=link, form=form))
    drop_token()
    flash(f"You sign in with {who.email} from now on.")
    return private(redirect(url_for("security.index" if current_user.is_authenticated else "sessions.new"), 303))  # type: ignore[arg-type]


def _gone() -> Response:
    drop_token()
    return private(page("passwords/gone.html", 404))
