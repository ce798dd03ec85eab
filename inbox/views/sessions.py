"""Signing in and out."""

from __future__ import annotations

import ipaddress
import json
import re
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Blueprint, Response, current_app, flash, g, redirect, request, session, url_for
from flask_login import current_user, login_user, logout_user

from inbox import realtime
from inbox.extensions import limiter
from inbox.forms.sessions import SignInForm
from inbox.models import Account, LoginSession, Member, db, transaction
from inbox.models.member import normalize_email
from inbox.views.access import SESSION_TOKEN, member, public, signed_in
from inbox.views.hypermedia import page

bp = Blueprint("sessions", __name__)

WRONG = "That e-mail and password do not belong together. Check both and try again."
FREE_TRIES = 5
LONGEST_WAIT = 30.0
FORGET_AFTER = 900.0


class Tries:
    """Failed sign-ins per address, in memory: each one past the fifth makes the next wait longer, at most 30 seconds.

    Browsers on a network where the member signed in before have a count of their own, so that strangers who guess
    cannot slow down the real person.
    """

    def __init__(self) -> None:
        self._failed: dict[tuple[str, str], tuple[int, float]] = {}
        self._lock = threading.Lock()

    def wait(self, key: tuple[str, str]) -> int:
        """Seconds until the next try is looked at; a try that comes earlier does not count."""
        with self._lock:
            count, last = self._failed.get(key, (0, 0.0))
        if count < FREE_TRIES:
            return 0
        left = last + min(LONGEST_WAIT, 2.0 ** (count - FREE_TRIES + 1)) - time.monotonic()
        return max(0, int(left + 0.999))

    def failed(self, key: tuple[str, str]) -> None:
        now = time.monotonic()
        with self._lock:
            if len(self._failed) > 10_000:
                self._failed = {k: v for k, v in self._failed.items() if now - v[1] < FORGET_AFTER}
            count, last = self._failed.get(key, (0, 0.0))
            self._failed[key] = (count + 1 if now - last < FORGET_AFTER else 1, now)

    def forget(self, key: tuple[str, str]) -> None:
        with self._lock:
            self._failed.pop(key, None)


tries = Tries()


def network() -> str:
    """The caller's address, or its /64 when it is IPv6: one house holds that many addresses."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
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


def start_session(who: Member) -> None:
    """Sign a member in with a new server-side session; whatever the cookie held before is gone (SECURITY S43)."""
    with transaction():
        before = LoginSession.find(session.get(SESSION_TOKEN, ""))
        if before:
            before.revoke()
        token = LoginSession.start(who, ip=request.remote_addr or "", user_agent=request.user_agent.string)
    session.clear()
    session[SESSION_TOKEN] = token
    session.permanent = True
    login_user(who)


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
    key = _tries_key(email)
    wait = tries.wait(key)
    if wait:
        response = _show(form, 429, sentence=f"Too many tries for this address. Wait {wait} second{'' if wait == 1 else 's'}, then try again.")
        response.headers["Retry-After"] = str(wait)
        return response
    who = Member.authenticate(email, password[:1000])
    if who is None:
        tries.failed(key)
        return _show(form, 422, sentence=WRONG)
    tries.forget(key)
    target = form.next.data
    start_session(who)
    return redirect(target or url_for("home.index"), 303)


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


def _tries_key(email: str) -> tuple[str, str]:
    """Known networks of a member count apart from everyone else's tries on that address."""
    known = db.session.scalar(
        sa.select(LoginSession.id).join(Member).where(Member.email == email, LoginSession.ip == (request.remote_addr or "?")).limit(1)
    )
    return (email, network() if known else "")


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
    return page("sessions/new.html", status, form=form, sentence=sentence, cast=demo_cast() if cast is None else cast, password=password)
