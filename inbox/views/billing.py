"""Plan and balance: where the account stands, funds that come in, the ledger that explains it (ACC-2)."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Flask, Response, abort, current_app, flash, g, request, url_for

from inbox.forms import put
from inbox.forms.billing import FundsForm
from inbox.models import LedgerEntry, Payment, Refused, Standing, Subscription, db, transaction
from inbox.models.ledger import KINDS
from inbox.models.money import dollars, parse, plain
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.fresh import fresh
from inbox.views.helpers import local
from inbox.views.hypermedia import either, go, page

bp = Blueprint("billing", __name__)
bp.add_app_template_filter(dollars, "dollars")
bp.add_app_template_filter(lambda at: local(at).strftime("%b %d, %Y").replace(" 0", " "), "calendar_date")
PAGE = 50
KEYS = 9_999_999_999  # more rows than a ledger can have


def standing() -> Standing:
    """Where the reader's account is; asked once a request."""
    if "standing" not in g:
        g.standing = Standing.of(member().account_id)
    return g.standing


@bp.app_context_processor
def _strip() -> dict[str, Any]:
    return {"money_standing": standing}


@bp.get("/settings/billing")
@requires(Permission.BILLING_VIEW)
def index() -> Response:
    """Plan, balance and ledger; `kind` filters the ledger, `before` is the last entry of the page before."""
    who, kind = member(), _kind()
    before = request.args.get("before", "")
    key = int(before) if before.isascii() and before.isdigit() and int(before) <= KEYS else None
    entries = LedgerEntry.page(who.account_id, kind=kind, before=key, limit=PAGE + 1)
    return either(
        "billing/index.html", "billing/_ledger.html", entries=entries[:PAGE], more=entries[PAGE - 1] if len(entries) > PAGE else None, kind=kind, kinds=KINDS,
        paged=key is not None, account=who.account, subscription=Subscription(who.account), now=standing(),
        pending=Payment.pending(who.account_id), may_pay=who.can(Permission.BILLING_MANAGE),
    )


def _kind() -> str:
    kind = request.args.get("kind", "")
    return kind if kind in KINDS else ""


# -- funds ---------------------------------------------------------------------------------------------------------


@bp.get("/settings/billing/payments/new")
@requires(Permission.BILLING_MANAGE)
def new() -> Response:
    return _funds(FundsForm(formdata=None, nonce=secrets.token_urlsafe(18)))


def _funds(form: FundsForm, status: int = 200) -> Response:
    return page("billing/new.html", status, form=form, now=standing())


@bp.post("/settings/billing/payments")
@fresh
@requires(Permission.BILLING_MANAGE)
def create() -> Response:
    """Write a payment down; the same form posted again leads to the same payment."""
    form = FundsForm()
    if not form.validate():
        return _funds(form, 422)
    try:
        with transaction():
            payment = Payment.start(member().account, parse(form.amount.data or ""), note=form.note.data or "", nonce=form.nonce.data or "", by=member())
    except Refused as error:
        put(form, error)
        return _funds(form, 422)
    outcome = payment.adapter.begin(payment.charge)
    with transaction():
        payment.settle(outcome, by=member())
    return go(url_for("billing.show", payment=payment.public_id))


@bp.get("/settings/billing/payments/<payment>")
@requires(Permission.BILLING_VIEW)
def show(payment: str) -> Response:
    """One payment, and what is left to do about it."""
    row = _payment_or_404(payment)
    return page("billing/show.html", payment=row, now=standing(), may_pay=member().can(Permission.BILLING_MANAGE))


def _payment_or_404(public_id: str) -> Payment:
    return db.session.scalar(sa.select(Payment).where(Payment.public_id == public_id, Payment.account_id == member().account_id)) or abort(404)


@bp.post("/settings/billing/payments/<payment>/confirmation")
@fresh
@requires(Permission.BILLING_MANAGE)
def confirm(payment: str) -> Response:
    """The money is there: book it, once."""
    row = _payment_or_404(payment)
    db.session.commit()  # nothing is held while the provider is asked
    outcome = row.adapter.confirm(row.charge)
    with transaction():
        settled = row.settle(outcome, by=member())
    flash(f"{dollars(row.amount)} added to the balance." if settled and row.state == "confirmed" else _ended(row))
    return go(url_for("billing.index") if row.state == "confirmed" else url_for("billing.show", payment=row.public_id))


@bp.post("/settings/billing/payments/<payment>/cancellation")
@fresh
@requires(Permission.BILLING_MANAGE)
def cancel(payment: str) -> Response:
    """The money did not come."""
    row = _payment_or_404(payment)
    with transaction():
        settled = row.cancel(by=member())
    flash("The payment is cancelled. Nothing was booked." if settled else _ended(row))
    return go(url_for("billing.index"))


def _ended(payment: Payment) -> str:
    if payment.state == "pending":
        return "The payment is still under way."
    return f"This payment was confirmed before; {dollars(payment.amount)} are in the balance." if payment.state == "confirmed" else f"This payment had ended. {payment.problem}"


# -- the ledger as a file ------------------------------------------------------------------------------------------


@bp.get("/settings/billing/ledger.csv")
@requires(Permission.BILLING_VIEW)
def export() -> Response:
    """The whole ledger or one kind of it, newest first, exact to the millionth."""
    rows = _csv(current_app._get_current_object(), member().account_id, _kind())  # type: ignore[attr-defined]
    return Response(rows, mimetype="text/csv", headers={"Content-Disposition": 'attachment; filename="ledger.csv"'})


def _csv(app: Flask, account_id: int, kind: str) -> Iterator[str]:
    """The lines, read a page at a time: no connection is held while a slow reader takes them."""
    yield _line(["Time (UTC)", "Kind", "What", "By", "Amount (USD)", "Balance (USD)", "Reference"])
    before: int | None = None
    while True:
        with app.app_context():
            entries = LedgerEntry.page(account_id, kind=kind, before=before, limit=500)
            lines = "".join(_line(_cells(entry)) for entry in entries)
        if not entries:
            return
        before = entries[-1].id
        yield lines


def _cells(entry: LedgerEntry) -> list[str]:
    by = entry.by.name if entry.by else ""
    return [entry.at.isoformat(timespec="seconds"), KINDS[entry.kind], entry.note, by, plain(entry.amount), plain(entry.balance), entry.reference]


def _line(cells: list[str]) -> str:
    """One line; a text that a spreadsheet would take for a formula is marked as text, amounts stay numbers."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([f"'{cell}" if n not in (4, 5) and cell[:1] in "=+-@\t\r" and cell else cell for n, cell in enumerate(cells)])
    return out.getvalue()
