"""Signing in through the account's identity provider (ACC-7): nobody joins who is neither a member nor invited."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, abort, current_app, flash, g, redirect, request, session, url_for
from flask_login import current_user

from inbox import clock, oidc
from inbox.extensions import limiter
from inbox.models import Account, IdentityProvider, Invitation, Member, ProviderIdentity, Refused, db, transaction
from inbox.models.member import normalize_email
from inbox.views.access import member, public, signed_in
from inbox.views.fresh import confirm as mark_confirmed
from inbox.views.hypermedia import page
from inbox.views.sessions import admit, network, safe_path

bp = Blueprint("provider_sign_in", __name__)

KEPT = "single_sign_on"  # the session's entry while the browser is at the provider
PATIENCE = 600  # seconds it may stay there
UNKNOWN = "Nobody here signs in with that address. Ask for an invitation."


def client_of(row: IdentityProvider) -> oidc.Client:
    return client(row.account, row.issuer, row.client_id, row.secret)


def client(account: Account, issuer: str, client_id: str, secret: str) -> oidc.Client:
    return oidc.Client(issuer, client_id, secret, return_address(account), tuple(current_app.config["TRUSTED_ISSUERS"]))


def return_address(account: Account) -> str:
    """Where the account's provider sends people back; registered there. One for each account, so that no provider's answer counts for another's."""
    return f"{current_app.config['PUBLIC_URL'].rstrip('/')}/sign-in/sso/return/{account.public_id}"


@bp.get("/sign-in/sso")
@public
def new() -> Any:
    """Which provider: the only one, or the one behind an address."""
    email = request.args.get("email", "")[:254]
    provider = IdentityProvider.for_address(email) if email else IdentityProvider.only()
    sentence = "No single sign-on is set up for that address." if email and provider is None else ""
    then = safe_path(request.args.get("next")) or ""
    return page("single_sign_on/new.html", 422 if sentence else 200, provider=provider, email=email, sentence=sentence, then=then, offered=IdentityProvider.any())


@bp.get("/sign-in/sso/start")
@limiter.limit("20 per minute", key_func=network)
@public
def start() -> Any:
    """Off to the provider. A link and no form: the policy of these pages lets forms go nowhere else."""
    email, then = request.args.get("email", "")[:254], safe_path(request.args.get("next")) or ""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":  # another site's link begins nothing: people see where they go, and click
        return redirect(url_for("provider_sign_in.new", email=email or None, next=then or None), 303)
    provider = (IdentityProvider.for_address(email) if email else IdentityProvider.only()) or abort(404)
    return _leave(provider, "sign-in", then, **({"login_hint": email} if email else {}))


@bp.get("/sign-in/sso/confirm")
@limiter.limit("20 per minute", key_func=network)
@signed_in
def confirm() -> Any:
    """Prove anew at the provider who one is, for changes that matter."""
    provider = IdentityProvider.of(member().account_id)
    if provider is None or not provider.enabled:
        abort(404)
    return _leave(provider, "confirm", "", prompt="login", max_age="0", login_hint=member().email)


def _leave(provider: IdentityProvider, purpose: str, then: str, **extra: str) -> Any:
    ticket, ours = oidc.Ticket.new(), client_of(provider)
    db.session.commit()  # nothing is held while the provider is asked
    try:
        target = oidc.address(oidc.discover(ours), ours, ticket, **extra)
    except oidc.Wrong as error:
        return _back(str(error))
    session[KEPT] = {**vars(ticket), "provider": provider.id, "at": int(clock.now().timestamp()), "purpose": purpose, "next": then}
    return redirect(target, 303)


@bp.get("/sign-in/sso/return/<account>")
@limiter.limit("30 per minute", key_func=network)
@public
def create(account: str) -> Any:
    """Back from the provider: every check of the answer, then a member of the provider's own account, or nobody."""
    kept = session.pop(KEPT, None)
    state, code = request.args.get("state", ""), request.args.get("code", "")
    if not isinstance(kept, dict) or not 0 <= clock.now().timestamp() - kept["at"] < PATIENCE or not secrets.compare_digest(state.encode(), kept["state"].encode()):
        return _back("That sign-in was not begun in this browser, or took too long. Try again.")
    provider = db.session.get(IdentityProvider, kept["provider"])
    if provider is None or not provider.enabled or not code or provider.account.public_id != account:
        return _back("The provider did not sign you in." if provider else UNKNOWN)
    ours = client_of(provider)
    db.session.commit()  # nothing is held while the provider is asked
    try:
        found = oidc.claims(oidc.discover(ours), ours, oidc.Ticket(kept["state"], kept["nonce"], kept["verifier"]), code)
        email = _address(provider, found)
    except oidc.Wrong as error:
        return _back(str(error))
    if kept["purpose"] == "confirm":
        return _confirmed(provider, email, found)
    try:
        with transaction():
            who = _member(provider, email, found)
    except Refused as error:
        return _back(error.sentence)
    return admit(who, kept["next"], by_provider=True)


def _address(provider: IdentityProvider, found: dict[str, Any]) -> str:
    """The address the provider vouches for."""
    email = found.get("email")
    if not isinstance(email, str) or not email:
        raise oidc.Wrong("The provider does not tell your e-mail address. Ask your administrator to release it.")
    if found.get("email_verified") not in (True, "true"):
        raise oidc.Wrong("The provider has not verified your e-mail address.")
    if not provider.serves(email):
        raise oidc.Wrong("Addresses of that domain do not sign in here.")
    return normalize_email(email)


def _member(provider: IdentityProvider, email: str, found: dict[str, Any]) -> Member:
    """The active member of the account with that address, or the invited person, who joins now; nobody with more rights than whoever set this up."""
    who = ProviderIdentity.known(provider, found["sub"]) or db.session.scalar(sa.select(Member).where(Member.email == email, Member.account_id == provider.account_id))
    if who is None:
        invitation = next((row for row in Invitation.pending(provider.account) if row.email == email and row.state == "pending"), None)
        if invitation is None:
            raise Refused(UNKNOWN)
        name = found.get("name")
        who = invitation.accept(name=name[:120] if isinstance(name, str) and name.strip() else email.partition("@")[0], password=secrets.token_urlsafe(32))
    if not who.active:
        raise Refused(UNKNOWN)
    if not who.permissions <= provider.set_by.permissions_everywhere:
        raise Refused("Your role allows more than that of the person who set up single sign-on. Sign in with your password.")
    ProviderIdentity.bind(provider, found["sub"], who)
    return who


def _confirmed(provider: IdentityProvider, email: str, found: dict[str, Any]) -> Any:
    """The person at the provider is the one who is signed in here, and gave proof just now: providers that do not say when confirm nothing."""
    at = found.get("auth_time")
    recent = isinstance(at, int | float) and clock.now().timestamp() - at < 300
    bound = current_user.is_authenticated and ProviderIdentity.known(provider, found["sub"])
    here = current_user.is_authenticated and (bound.id == member().id if bound else member().email == email)
    if not here or not recent or not member().permissions <= provider.set_by.permissions_everywhere or not mark_confirmed(g.login_session):
        return _back("At the provider you are somebody else, or signed in long ago. Nothing is confirmed.")
    return page("single_sign_on/confirmed.html")


def _back(sentence: str) -> Any:
    flash(sentence)
    with suppress(KeyError):
        del session[KEPT]
    return redirect(url_for("sessions.new"), 303)
