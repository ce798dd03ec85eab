"""The account's identity provider, and whether everybody needs a second factor (ACC-7)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for

from inbox import oidc
from inbox.extensions import limiter
from inbox.forms import put
from inbox.forms.security import ProviderForm
from inbox.models import IdentityProvider, Refused, SignInPolicy, db, transaction
from inbox.models.second_factor import has_second_factor
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.fresh import fresh
from inbox.views.hypermedia import page
from inbox.views.provider_sign_in import client, return_address
from inbox.views.security import per_member

bp = Blueprint("single_sign_on", __name__)


@bp.get("/settings/single-sign-on")
@requires(Permission.SECURITY_MANAGE)
def edit() -> Any:
    row = IdentityProvider.of(member().account_id)
    form = ProviderForm(formdata=None, obj=row)
    form.domains.data = "\n".join(row.domains) if row else member().email.rpartition("@")[2]
    form.enabled.data = row.enabled if row else True
    return _show(form)


@bp.post("/settings/single-sign-on")
@limiter.limit("20 per minute", key_func=per_member)
@fresh
@requires(Permission.SECURITY_MANAGE)
def update() -> Any:
    """Keep the settings once the provider answers to them; "check" tries them and keeps nothing."""
    form, who = ProviderForm(), member()
    if not form.validate():
        return _show(form, 422)
    row = IdentityProvider.of(who.account_id)
    secret = form.secret.data or (row.secret if row and row.issuer == form.issuer.data else "")
    ours = client(who.account, form.issuer.data, form.client_id.data, secret)
    try:
        _tried(ours)
        if "check" in request.form:
            return _show(form, checked=True)
        with transaction():
            IdentityProvider.put(
                member().account, issuer=form.issuer.data, client_id=form.client_id.data, secret=form.secret.data or "", domains=form.domain_list,
                enabled=bool(form.enabled.data), exclusive=bool(form.exclusive.data), by=member(),
            )
    except Refused as error:
        put(form, error)
        return _show(form, 422)
    flash("Saved. Try it in a private window before you close this one.")
    return redirect(url_for("single_sign_on.edit"), 303)


def _tried(ours: oidc.Client) -> None:
    """Ask the provider; what is wrong is said at the field."""
    if not ours.secret:
        raise Refused("Enter the client secret that the provider shows for this issuer.", field="secret")
    db.session.commit()  # nothing is held while the provider is asked
    try:
        oidc.check(ours)
    except oidc.Wrong as error:
        raise Refused(str(error), field=error.field) from None


@bp.post("/settings/single-sign-on/removal")
@fresh
@requires(Permission.SECURITY_MANAGE)
def remove() -> Any:
    row = IdentityProvider.of(member().account_id)
    if row is not None:
        with transaction():
            row.remove(by=member())
    flash("Single sign-on is removed. People sign in with their passwords; whoever has none uses “Forgot your password?”.")
    return redirect(url_for("single_sign_on.edit"), 303)


@bp.post("/settings/single-sign-on/second-factor")
@fresh
@requires(Permission.SECURITY_MANAGE)
def second_factor() -> Any:
    """Whether everybody needs a second factor; whoever demands it has one."""
    wanted = bool(request.form.get("wanted"))
    if wanted and not has_second_factor(member()):
        raise Refused("Set up a second factor for yourself first, under Sign-in & security.")
    with transaction():
        SignInPolicy.require_second_factor(member().account, wanted, by=member())
    flash("From their next click on, people without a second factor are led to set one up." if wanted else "A second factor is everybody’s own choice again.")
    return redirect(url_for("single_sign_on.edit"), 303)


def _show(form: ProviderForm, status: int = 200, *, checked: bool = False) -> Response:
    who = member()
    return page(
        "single_sign_on/edit.html", status, form=form, row=IdentityProvider.of(who.account_id), back=return_address(who.account), checked=checked,
        required=SignInPolicy.of(who.account_id).second_factor, own_factor=has_second_factor(who),
    )
