"""Signing in and out."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Blueprint, Response, current_app, flash, g, redirect, request, session, url_for
from flask_login import current_user, login_user, logout_user

from inbox import clock, realtime
from inbox.extensions import limiter
from inbox.forms.sessions import SignInForm
from inbox.models import Account, Attempt, IdentityProvider, LoginSession, Member, SignInPolicy, db, transaction
from inbox.models.attempt import mailbox
from inbox.models.identity_provider import password_allowed
from inbox.models.member import digest, normalize_email
from inbox.models.second_factor import has_second_factor
from inbox.views.access import SESSION_TOKEN, member, public, signed_in
from inbox.views.hypermedia import page

bp = Blueprint("sessions", __name__)

PENDING = "pending"  # between the password and the second factor; signs nobody in
WRONG = "That e-mail and password do not belong together. Check both and try again."
EXCLUSIVE = "Your company signs in with single sign-on. Use the button below."


def network() -> str:
    """Where the caller is."""
    return network_of(request.remote_addr or "")


def network_of(text: str) -> str:
    """An address, or its /64 when it is IPv6: one house holds that many addresses."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network(f"{address}/64", strict=False)) if address.version == 6 else str(address)


def safe_path(target: str | None) -> str | None:
    """`target` if it is a path of this site, else None (SECURITY S50)."""
    if not target or len(target) > 2000 or not re.fullmatch(r"/[\x21-\x7e]*", target):
        return None
    if target.startswith("//") or "\\" in target or re.search(r"%(0[0-9a-f]|1[0-9a-f]|5c|7f)", target, re.IGNORECASE):
        return None
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or parts.path.startswith(("//", "/sign-", "/welcome")):
        return None
    return target


def start_session(who: Member, *, by_provider: bool = False) -> None:
    """Sign a member in with a new server-side session; whatever the cookie held before is gone (SECURITY S43)."""
    with transaction():
        before = LoginSession.find(session.get(SESSION_TOKEN, ""))
        if before:
            before.revoke()
        Attempt.sweep()
        due = not by_provider and SignInPolicy.of(who.account_id).second_factor and not has_second_factor(who)
        token = LoginSession.start(who, ip=request.remote_addr or "", user_agent=request.user_agent.string, setup_due=due)
    session.clear()
    session[SESSION_TOKEN] = token
    session.permanent = True
    login_user(who)


def admit(who: Member, target: str = "", *, by_provider: bool = False) -> Any:
    """After the first proof: on to the second one where the member has it, else signed in."""
    if has_second_factor(who):
        session.clear()
        session[PENDING] = {"member": who.public_id, "at": int(clock.now().timestamp()), "mark": mark(who), "next": target, "provider": by_provider}
        return redirect(url_for("second_step.new"), 303)
    start_session(who, by_provider=by_provider)
    return redirect(target or url_for("home.index"), 303)


def mark(who: Member) -> str:
    """Ends half-done sign-ins when the password changes meanwhile."""
    return digest(who.password_hash)[:16]


@bp.get("/sign-in")
@public
def new() -> Any:
    if current_user.is_authenticated:
        return redirect(url_for("home.index"), 303)
    if not Account.any():
        return redirect(url_for("welcome.new"), 303)
    form = SignInForm(formdata=None)
    form.next.data = safe_path(request.args.get("next")) or ""
    cast = demo_cast()
    chosen = request.args.get("as", "")
    if chosen.isascii() and chosen.isdigit() and int(chosen[:4]) < len(cast):
        form.email.data = cast[int(chosen[:4])]["email"]
        return _show(form, cast=cast, password=cast[int(chosen[:4])]["password"])
    return _show(form, cast=cast)


@bp.post("/sign-in")
@limiter.limit("10 per minute", key_func=network)
@public
def create() -> Any:
    form = SignInForm()
    email, password = normalize_email(form.email.data or ""), form.password.data or ""
    form.next.data = safe_path(form.next.data) or ""
    if not email or not password:
        return _show(form, 422, sentence="Enter your e-mail address and your password.")
    key = ("sign-in", mailbox(email), place(email))
    with transaction():
        counted = Attempt.slowly(*key)
    if not counted:
        wait = Attempt.wait(*key)
        response = _show(form, 429, sentence=f"Too many tries for this address. Wait {wait} second{'' if wait == 1 else 's'}, then try again.")
        response.headers["Retry-After"] = str(wait)
        return response
    who = Member.authenticate(email, password[:1000])
    if who is None:
        return _show(form, 422, sentence=WRONG)
    if not password_allowed(who):
        return _show(form, 422, sentence=EXCLUSIVE)
    with transaction():
        Attempt.forget(*key)
    return admit(who, form.next.data)


@bp.post("/sign-out")
@signed_in
def destroy() -> Response:
    who = member()
    with transaction():
        g.login_session.revoke()
        realtime.publish("access", account=who.account_id, member=who.id)
    logout_user()
    session.clear()
    flash("You are signed out.")
    response = redirect(url_for("sessions.new"), 303)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response  # type: ignore[return-value]


def place(email: str) -> str:
    """Known networks of a member count apart from everyone else's tries on that address, so that guessing strangers slow down only themselves."""
    used = db.session.scalars(sa.select(LoginSession.ip).join(Member).where(Member.email == email).distinct())
    here = network()
    return here if here != "unknown" and here in {network_of(ip) for ip in used} else ""


def demo_cast() -> list[dict[str, Any]]:
    """The people of the demo account; empty outside a demo."""
    path = current_app.config["DEMO_FILE"]
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return [row for row in rows if isinstance(row, dict) and {"email", "password", "name", "role"} <= row.keys()] if isinstance(rows, list) else []


def _show(form: SignInForm, status: int = 200, *, sentence: str = "", cast: list[dict[str, Any]] | None = None, password: str = "") -> Response:
    return page(
        "sessions/new.html", status, form=form, sentence=sentence, cast=demo_cast() if cast is None else cast, password=password, single_sign_on=IdentityProvider.any()
    )
