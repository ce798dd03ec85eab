"""Add-ons: more seats, or fewer (SEAT-1, SEAT-2)."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, Response, flash, request, url_for

from inbox import realtime
from inbox.forms import put
from inbox.forms.billing import SeatsForm
from inbox.models import Refused, Standing, Subscription, transaction
from inbox.models.money import dollars
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.fresh import fresh
from inbox.views.hypermedia import fragment, go, is_fragment, page

bp = Blueprint("addons", __name__)


@bp.get("/settings/add-ons")
@requires(Permission.SEATS_VIEW)
def index() -> Response:
    """Seats used and available; `seats` is the total somebody thinks of, and its price is shown."""
    subscription = Subscription(member().account)
    wanted = _wanted(subscription)
    context = _context(subscription, wanted)
    return fragment("addons/_preview.html", **context) if is_fragment() else page("addons/index.html", **context)


def _wanted(subscription: Subscription) -> int:
    """The total in the address; what it is now when there is none. A button beside the field takes or gives one."""
    text = request.args.get("seats", "").strip()
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else subscription.account.seats_paid
    step = {"more": 1, "fewer": -1}.get(request.args.get("step", ""), 0)
    return max(0, wanted + step)


def _context(subscription: Subscription, wanted: int, form: SeatsForm | None = None, problem: str = "") -> dict[str, Any]:
    """What page and preview show; `problem` says why the wanted number cannot be."""
    if not problem:
        try:
            subscription.check(wanted)
        except Refused as error:
            problem = error.sentence
    cost = 0 if problem else subscription.cost(wanted)
    return {
        "short": cost > max(0, Standing.of(subscription.account.id).balance),
        "subscription": subscription, "account": subscription.account, "wanted": wanted, "problem": problem, "form": form,
        "cost": cost, "nonce": secrets.token_urlsafe(18), "may_buy": member().can(Permission.BILLING_MANAGE),
    }


@bp.post("/settings/add-ons")
@fresh
@requires(Permission.BILLING_MANAGE)
def update() -> Response:
    """Buy or give back, at the price that was shown; the same form posted again changes nothing more."""
    form, account = SeatsForm(), member().account
    subscription = Subscription(account)
    if not form.validate():
        wanted = form.seats.data if isinstance(form.seats.data, int) else account.seats_paid
        return _again(subscription, max(0, min(wanted, 999_999)), 422, next(error for field in form for error in field.errors))
    before, wanted = form.seen.data or 0, form.seats.data or 0
    try:
        with transaction():
            subscription.change(wanted, seen=before, quote=form.quote.data or 0, nonce=form.nonce.data or "", by=member())
            realtime.publish("access", account=account.id, member=member().id)
    except Refused as error:
        put(form, error)
        return _again(subscription, wanted, error.status, error.sentence)
    flash(_said(subscription, wanted - before))
    return go(url_for("addons.index"))


def _again(subscription: Subscription, wanted: int, status: int, problem: str) -> Response:
    """The page once more, with the number kept and the reason said."""
    return page("addons/index.html", status, **_context(Subscription(member().account), wanted, problem=problem))


def _said(subscription: Subscription, more: int) -> str:
    seats = f"{abs(more)} {'seat' if abs(more) == 1 else 'seats'}"
    if more == 0:
        return f"The number of seats stays {subscription.account.seats_paid}."
    monthly = f"From {subscription.next_booking:%B} {subscription.next_booking.day} on: {dollars(subscription.monthly())} a month."
    return f"{seats} {'added' if more > 0 else 'given back'}. {monthly}"
