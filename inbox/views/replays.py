"""Replays of what carriers sent: choose a range, see what would change, then have it changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, redirect, request, url_for

from inbox import clock
from inbox import phone as phones
from inbox.extensions import limiter
from inbox.forms import put
from inbox.forms.audit import day
from inbox.forms.replays import ReplayForm
from inbox.models import Carrier, Inbox, Refused, Replay, db, transaction
from inbox.models.replay import KINDS, WORDS
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.fresh import fresh
from inbox.views.helpers import zone
from inbox.views.hypermedia import fragment, go, is_fragment, page
from inbox.views.security import per_member

bp = Blueprint("replays", __name__)
WEEK = timedelta(days=6)  # before today


@dataclass(frozen=True)
class Line:
    """One difference as this reader may see it; `at` is when the request came."""

    at: datetime
    kind: str
    what: str
    inbox: str
    person: str | None
    detail: str


@bp.get("/settings/health/replays")
@requires(Permission.INBOXES_MANAGE)
def index() -> Response:
    """The newest replays, and the form of another; `carrier`, `kind`, `since` and `until` fill it in."""
    Carrier.require(member())
    today = clock.now().astimezone(zone()).date()
    asked = {name: value for name in ("carrier", "kind", "since", "until") if (value := request.args.get(name))}
    return _page(_form(formdata=None, data={"since": (today - WEEK).isoformat(), "until": today.isoformat(), **asked}))


@bp.post("/settings/health/replays")
@limiter.limit("20 per minute", key_func=per_member)
@requires(Permission.INBOXES_MANAGE)
def create() -> Any:
    """Start the rehearsal."""
    Carrier.require(member())
    form = _form()
    if not form.validate():
        return _page(form, 422)
    carrier = next(each for each in Carrier.all_of(member().account_id) if each.public_id == form.carrier.data)
    number = next((inbox.phone or "" for inbox in _inboxes() if inbox.public_id == form.inbox.data), "")
    first, last = day(form.since.data), day(form.until.data)
    if first is None or last is None:
        abort(400)
    try:
        with transaction():
            made = Replay.start(carrier, since=_midnight(first), until=_midnight(last + timedelta(days=1)), kind=form.kind.data or "", number=number, by=member())
    except Refused as error:
        put(form, error)
        return _page(form, error.status)
    return redirect(url_for("replays.show", replay=made.public_id), 303)


@bp.get("/settings/health/replays/<replay>")
@requires(Permission.INBOXES_MANAGE)
def show(replay: str) -> Response:
    row = _replay_or_404(replay)
    return page("health/replay.html", replay=row, lines=_lines(row), kinds=KINDS)


@bp.get("/settings/health/replays/<replay>/progress")
@requires(Permission.INBOXES_MANAGE)
def progress(replay: str) -> Response:
    """The moving part, asked for every two seconds; a state that has ended reloads the page once."""
    row = _replay_or_404(replay)
    if not row.moving or not is_fragment():
        return go(url_for("replays.show", replay=row.public_id))
    return fragment("health/_progress.html", replay=row)


@bp.post("/settings/health/replays/<replay>/run")
@fresh
@requires(Permission.INBOXES_MANAGE)
def run(replay: str) -> Response:
    """Apply for good what the rehearsal went through."""
    row = _replay_or_404(replay)
    with transaction():
        row.run(by=member())
    return go(url_for("replays.show", replay=row.public_id))


@bp.post("/settings/health/replays/<replay>/cancel")
@requires(Permission.INBOXES_MANAGE)
def cancel(replay: str) -> Response:
    row = _replay_or_404(replay)
    with transaction():
        row.cancel(by=member())
    flash("Stopped. What was applied before stays." if row.done else "Stopped. Nothing was changed.")
    return go(url_for("replays.show", replay=row.public_id))


def _replay_or_404(public_id: str) -> Replay:
    Carrier.require(member())
    return db.session.scalar(sa.select(Replay).where(Replay.public_id == public_id, Replay.account_id == member().account_id)) or abort(404)


def _midnight(of: Any) -> datetime:
    return datetime.combine(of, time(), zone())


def _inboxes() -> list[Inbox]:
    """The shared inboxes with a number."""
    query = sa.select(Inbox).where(Inbox.account_id == member().account_id, Inbox.owner_id.is_(None), Inbox.phone.is_not(None))
    return list(db.session.scalars(query.order_by(Inbox.name)))


def _form(**arguments: Any) -> ReplayForm:
    form = ReplayForm(**arguments)
    form.carrier.choices = [(each.public_id, each.label) for each in Carrier.all_of(member().account_id)]
    form.kind.choices = [("", "Everything"), *KINDS.items()]
    form.inbox.choices = [("", "All numbers"), *((inbox.public_id, f"{inbox.name}, {inbox.phone_display}") for inbox in _inboxes())]
    return form


def _page(form: ReplayForm, status: int = 200) -> Response:
    return page("health/replays.html", status, form=form, replays=Replay.of(member().account_id))


def _lines(row: Replay) -> list[Line]:
    """The differences; a customer's number only where the reader may open the inbox, nothing but the fact of personal inboxes."""
    who, past = member(), row.state not in ("checking", "checked")
    ids = {each["inbox"] for each in row.differences if each.get("inbox")}
    inboxes = {inbox.id: inbox for inbox in db.session.scalars(sa.select(Inbox).where(Inbox.id.in_(ids), Inbox.account_id == who.account_id))}
    lines = []
    for each in row.differences:
        inbox, words = inboxes.get(each.get("inbox", 0)), WORDS[each["what"]]
        readable = inbox is not None and inbox.id in who.readable_inbox_ids
        name = "" if inbox is None else inbox.name if inbox.owner_id is None or readable else "A personal inbox"
        person = phones.display(each["address"]) if readable and each.get("address") else ""
        what = f"{words[0]} {words[3] if past else f'would {words[2]}'}"
        detail = f"{each['before']} → {each['after']}" if "before" in each else str(each.get("detail") or "")
        lines.append(Line(datetime.fromisoformat(each["received"]), KINDS.get(str(each["kind"]), ""), what[0].upper() + what[1:], name, person, detail))
    return lines
