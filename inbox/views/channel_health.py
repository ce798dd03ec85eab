"""How the carriers stand: credentials, webhooks, numbers, what fails and what waits."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, abort, current_app, flash, redirect, url_for

from inbox import refusals, selftest, vitals
from inbox.channels.base import ChannelError
from inbox.extensions import limiter
from inbox.models import Carrier, CarrierCheck, Event, Inbox, db, transaction, trouble
from inbox.models.carrier_check import CREDENTIALS, NUMBERS, WEBHOOK
from inbox.models.replay import KINDS
from inbox.models.trouble import Waiting
from inbox.permissions import Permission
from inbox.views.access import inbox_or_404, member, requires
from inbox.views.fresh import fresh
from inbox.views.hypermedia import fragment, go, is_fragment, page
from inbox.views.security import per_member
from inbox.vitals import Signal

bp = Blueprint("channel_health", __name__)
TEXT_LATE, TEXT_STUCK = 60.0, 600.0  # seconds a text may wait
OFTEN = "20 per minute"


def carrier_of(public_id: str) -> Carrier:
    """A carrier of the account, for those who manage all of its inboxes."""
    Carrier.require(member())
    return db.session.scalar(sa.select(Carrier).where(Carrier.public_id == public_id, Carrier.account_id == member().account_id)) or abort(404)


@bp.get("/settings/health")
@requires(Permission.INBOXES_MANAGE)
def index() -> Any:
    """What is known of every carrier; nothing is tried by looking."""
    who = member()
    Carrier.require(who)
    carriers, found = Carrier.all_of(who.account_id), signals()
    return page(
        "health/index.html", carriers=carriers, checks=CarrierCheck.of(who.account_id), turned_away=refusals.counts([carrier.id for carrier in carriers]),
        names=_names(), public_url=current_app.config["PUBLIC_URL"], signals=found, worst=vitals.worst(found), failed=trouble.failed(who),
        refused=trouble.refused(who.account_id), registrations=trouble.registrations(who.account_id), kinds=KINDS, days=trouble.DAYS,
    )


@bp.get("/settings/health/queues")
@requires(Permission.INBOXES_MANAGE)
def queues() -> Any:
    """What waits, asked for every ten seconds."""
    Carrier.require(member())
    if not is_fragment():
        return go(url_for("channel_health.index"))
    found = signals()
    return fragment("health/_signals.html", signals=found, worst=vitals.worst(found))


def signals() -> list[Signal]:
    """The account's own waiting texts and requests, then the parts of the server."""
    account_id = member().account_id
    texts, requests = trouble.texts_waiting(account_id), trouble.requests_waiting(account_id)
    return [
        _waiting("Texts to send", texts, "text", TEXT_LATE, TEXT_STUCK, "Check the credentials below and the workers."),
        _waiting("Requests of carriers", requests, "request", vitals.LATE, vitals.STUCK, "Nothing is lost: they are applied as soon as a worker takes them."),
        *vitals.parts(),
    ]


def _waiting(name: str, found: Waiting, noun: str, late: float, stuck: float, advice: str) -> Signal:
    if not found.count:
        return Signal(name, "ok", "nothing waits")
    state, many = vitals.level(found.seconds, late, stuck), "1,000 or more" if found.count >= 1000 else str(found.count)
    words = f"{many} {noun + ' waits' if found.count == 1 else noun + 's wait'}, the first for {vitals.lasted(found.seconds)}"
    return Signal(name, state, words, "" if state == "ok" else advice)


def _names() -> dict[int, Inbox]:
    """The shared inboxes of the account, by id."""
    return {inbox.id: inbox for inbox in db.session.scalars(sa.select(Inbox).where(Inbox.account_id == member().account_id, Inbox.owner_id.is_(None)))}


# -- trying ------------------------------------------------------------------------------------------------------


@bp.post("/settings/health/<carrier>/credentials")
@limiter.limit(OFTEN, key_func=per_member)
@requires(Permission.INBOXES_MANAGE)
def try_credentials(carrier: str) -> Any:
    """Ask the carrier whether it takes the credentials; nothing of the database is held meanwhile."""
    row = carrier_of(carrier)
    adapter, given, carrier_id = row.adapter, row.credentials, row.id
    db.session.rollback()
    return _kept(carrier_id, CREDENTIALS, selftest.credentials(adapter, given))


@bp.post("/settings/health/<carrier>/webhook")
@limiter.limit(OFTEN, key_func=per_member)
@requires(Permission.INBOXES_MANAGE)
def try_webhook(carrier: str) -> Any:
    """Call our own public address as the carrier would."""
    row = carrier_of(carrier)
    adapter, given, hook, carrier_id = row.adapter, row.credentials, row.hook("test"), row.id
    db.session.rollback()
    found = selftest.webhook(adapter, given, hook, key=current_app.config["SECRET_KEY"], public_url=current_app.config["PUBLIC_URL"])
    return _kept(carrier_id, WEBHOOK, found)


@bp.post("/settings/health/<carrier>/numbers")
@limiter.limit(OFTEN, key_func=per_member)
@requires(Permission.INBOXES_MANAGE)
def try_numbers(carrier: str) -> Any:
    """Compare where the numbers' texts and calls go with where they should."""
    row = _with_numbers(carrier)
    return _kept(row.id, NUMBERS, _compared(row))


@bp.post("/settings/health/<carrier>/numbers/<inbox>")
@limiter.limit(OFTEN, key_func=per_member)
@fresh
@requires(Permission.INBOXES_MANAGE)
def fix_number(carrier: str, inbox: str) -> Any:
    """Point a number at this server again, and look whether it helped."""
    row, box = _with_numbers(carrier), inbox_or_404(inbox, manage=True)
    if box.carrier_id != row.id or box.number_sid is None:
        abort(404)
    adapter, given, number_sid, hooks, inbox_id = row.adapter, row.credentials, box.number_sid, _hooks(row), box.id
    db.session.rollback()
    try:
        adapter.configure_number(given, number_sid, hooks["messages"], hooks["voice"], hooks["status"])
    except ChannelError as error:
        flash(error.reason)
        return go(url_for("channel_health.index"))
    with transaction():
        Event.record("inbox.number_pointed", account=member().account_id, by=member(), inbox=inbox_id)
    row = carrier_of(carrier)
    return _kept(row.id, NUMBERS, _compared(row))


@bp.post("/settings/health/<carrier>/address")
@fresh
@requires(Permission.INBOXES_MANAGE)
def use_address(carrier: str) -> Any:
    """Have the carrier call the address that the server's settings name by now."""
    row, wanted = carrier_of(carrier), current_app.config["PUBLIC_URL"]
    with transaction():
        before = row.public_url
        if before != wanted:
            row.public_url = wanted
            Event.record("carrier.changed", account=row.account_id, by=member(), carrier=row.id, name=row.label, before={"public_url": before}, after={"public_url": wanted})
    flash(f"From now on {row.label} is told {wanted}. Test the webhooks{' and compare the numbers' if row.adapter.caps.numbers else ''} next.")
    return redirect(url_for("channel_health.index"), 303)


def _with_numbers(public_id: str) -> Carrier:
    row = carrier_of(public_id)
    return row if row.adapter.caps.numbers else abort(404)


def _hooks(row: Carrier) -> dict[str, str]:
    return {kind: row.hook(kind) for kind in ("messages", "voice", "status")}


def _compared(row: Carrier) -> selftest.Finding:
    wanted = {inbox.phone: inbox.id for inbox in CarrierCheck.inboxes_of(row) if inbox.phone}
    adapter, given, hooks = row.adapter, row.credentials, _hooks(row)
    db.session.rollback()
    return selftest.numbers(adapter, given, wanted, hooks)


def _kept(carrier_id: int, kind: str, found: selftest.Finding) -> Any:
    """Keep what a check showed and show it: its part of the page for htmx, else the page."""
    with transaction():
        row = db.session.scalar(sa.select(Carrier).where(Carrier.id == carrier_id).with_for_update(read=True)) or abort(404)
        CarrierCheck.put(row.id, kind, well=found.well, sentence=found.sentence, field=found.field, details=list(found.details))
    if not is_fragment():
        return redirect(url_for("channel_health.index"), 303)
    return fragment("health/_check.html", carrier=row, kind=kind, check=CarrierCheck.of(member().account_id).get((row.id, kind)), names=_names())
