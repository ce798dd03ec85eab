"""Asking again who it is, before changes that matter (SECURITY S44).

`@fresh` on a route (above `@requires` or `@signed_in`) lets it run for 15 minutes after the person proved who they are.
After that it answers with a page that asks, carries everything that was typed along, and goes on with the same request
once the answer is right. Files are never carried along: they are chosen again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Blueprint, Response, g, redirect, request, session, url_for
from werkzeug.datastructures import ImmutableMultiDict

from inbox.models import Attempt, LoginSession, Member, transaction
from inbox.models.identity_provider import IdentityProvider
from inbox.models.member import digest
from inbox.models.second_factor import Passkey, Totp, forget_code_tries, take_code_try
from inbox.views.access import SESSION_TOKEN, member, signed_in
from inbox.views.hypermedia import page
from inbox.views.sessions import safe_path

bp = Blueprint("fresh", __name__)
F = TypeVar("F", bound=Callable[..., Any])

PASSWORD, CODE, PASSKEY, TICKET = "confirm_password", "confirm_code", "confirm_passkey", "confirm_ticket"
ANSWERS = frozenset({PASSWORD, CODE, PASSKEY, TICKET})
NOT_CARRIED = ANSWERS | {"csrf_token"}


def fresh(view: F) -> F:
    """Run the view only for somebody who proved who they are within 15 minutes; otherwise ask, and then go on with the same request."""

    @wraps(view)
    def asked(*args: Any, **kwargs: Any) -> Any:
        if not g.login_session.confirmed:
            refusal = _answer() if request.method == "POST" and ANSWERS & request.form.keys() else ask()
            if refusal is not None:
                return refusal
        _drop_answers()
        return view(*args, **kwargs)

    return asked  # type: ignore[return-value]


@bp.post("/confirm")
@signed_in
def create() -> Any:
    """The answer for a page that was to be read, not posted: back to that page."""
    target = safe_path(request.form.get("next")) or url_for("home.index")
    if not g.login_session.confirmed:
        refusal = _answer()
        if refusal is not None:
            return refusal
    return redirect(target, 303)


def ask(sentence: str = "", status: int = 403) -> Response:
    """The page that asks; for htmx it takes the place of the whole page."""
    who = member()
    provider = IdentityProvider.of(who.account_id)
    response = page(
        "fresh/confirm.html", status, sentence=sentence, has_app=Totp.of(who) is not None, has_passkey=bool(Passkey.of(who)), carried=_carried(), action=_action(),
        provider=provider if provider and provider.enabled and provider.serves(who.email) else None, back=_back(), files=bool(request.files),
    )
    if request.headers.get("HX-Request"):
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "body", "innerHTML"
    return response


def _action() -> str:
    """Where the answer goes: the address that was posted to, or back here when a page was read."""
    return request.full_path.rstrip("?") if request.method == "POST" else url_for("fresh.create")


def _carried() -> list[tuple[str, str]]:
    """What was typed, to come along unseen."""
    if request.method != "POST":
        here = request.full_path.rstrip("?") if not request.headers.get("HX-Request") else _back()
        return [("next", here)]
    return [(name, value) for name, value in request.form.items(multi=True) if name not in NOT_CARRIED]


def _back() -> str:
    """The page the person came from, if it is ours."""
    parts = urlsplit(request.headers.get("HX-Current-URL") or request.referrer or "")
    return safe_path(parts.path) or url_for("home.index")


def _drop_answers() -> None:
    """The view sees its own form only."""
    if request.method == "POST" and ANSWERS & request.form.keys():
        request.__dict__["form"] = ImmutableMultiDict((name, value) for name, value in request.form.items(multi=True) if name not in ANSWERS)


def _answer() -> Response | None:
    """Look at the answer: None when it is right (the session is confirmed and has a new token), else the page again."""
    who, row = member(), g.login_session
    with transaction():
        counted = Attempt.slowly("confirm", row.id)
    if not counted:
        wait = Attempt.wait("confirm", row.id)
        return ask(f"Too many tries. Wait {wait} second{'' if wait == 1 else 's'}, then try again.", 429)
    sentence = _wrong(who)
    if sentence:
        return ask(sentence)
    with transaction():
        Attempt.forget("confirm", row.id)
    confirm(row)
    return None


def _wrong(who: Member) -> str:
    """What is wrong with the answer; empty when it proves who it is."""
    form = request.form
    if form.get(PASSKEY):
        from inbox.views.ceremonies import verified

        with transaction():
            return "" if verified(form[PASSKEY], form.get(TICKET, ""), "confirm", who) else "That passkey was not accepted. Try again, or use your password."
    if form.get(CODE):
        with transaction():
            if not take_code_try(who, "confirm"):
                return "Too many codes. Use your password, or wait a quarter of an hour."
        with transaction():
            app = Totp.of(who)
            right = app is not None and app.accept(form[CODE])
            if right:
                forget_code_tries(who, "confirm")
        return "" if right else "That code is not right. Wait for the next one and try again."
    if not form.get(PASSWORD):
        return "Enter your password."
    return "" if Member.authenticate(who.email, form[PASSWORD][:1000]) is not None else "That is not your password."


def confirm(row: LoginSession) -> bool:
    """Mark the session as just confirmed and give it a new token (SECURITY S43); False for a browser that still holds the token before."""
    if digest(session[SESSION_TOKEN]) != row.token_digest:
        return False
    with transaction():
        token = row.renew(confirmed=True)
    if token:
        session[SESSION_TOKEN] = token
    return token is not None
