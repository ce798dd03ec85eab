"""Carrier registration of a team: where it stands, the form, and asking again (REG-1, REG-2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, redirect, request, url_for

from inbox import clock
from inbox.channels.base import Issue
from inbox.forms import registrations as fields
from inbox.models import Carrier, Inbox, Refused, Registration, db, transaction
from inbox.models.registration import PENDING
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.hypermedia import fragment, is_fragment, page

bp = Blueprint("registrations", __name__)

PILLS = {
    "draft": ("Not started", "", "pencil"), "submitted": ("In review", "info", "loader-circle"), "in_review": ("In review", "info", "loader-circle"),
    "approved": ("Approved", "ok", "check"), "rejected": ("Rejected", "bad", "circle-alert"), "suspended": ("Suspended", "bad", "circle-alert"),
    "expired": ("Expired", "bad", "circle-alert"),
}


DONE = 6  # past the last stage


@dataclass(frozen=True)
class Stage:
    """One line of the timeline; `look` is done, now, todo or bad."""

    look: str
    icon: str
    title: str
    text: str = ""
    at: datetime | None = None
    since: bool = False


def registration_or_404(public_id: str) -> Registration:
    """A registration of the member's account."""
    query = sa.select(Registration).where(Registration.public_id == public_id, Registration.account_id == member().account_id)
    return db.session.scalar(query) or abort(404)


@bp.get("/registrations/<registration>")
@requires(Permission.REGISTRATION_MANAGE)
def show(registration: str) -> Any:
    return page("registrations/show.html", **_panel(registration_or_404(registration)))


@bp.get("/registrations/<registration>/panel")
@requires(Permission.REGISTRATION_MANAGE)
def panel(registration: str) -> Any:
    """The page's one fragment: asked for again while the carriers think, and pushed when they decide."""
    return fragment("registrations/_registration.html", **_panel(registration_or_404(registration)))


def _panel(row: Registration, sentence: str = "") -> dict[str, Any]:
    words, tone, symbol = PILLS[row.state]
    return {
        "registration": row, "inboxes": inboxes_of(row), "pill": words, "tone": tone, "symbol": symbol, "stages": stages(row), "pending": row.state in PENDING,
        "issues": [(issue, fields.ENTRIES.get(issue.field or "")) for issue in row.found_issues()], "checked": _ago(row.checked_at), "sentence": sentence,
    }


def inboxes_of(row: Registration) -> list[Inbox]:
    return list(db.session.scalars(sa.select(Inbox).where(Inbox.team_id == row.team_id, Inbox.owner_id.is_(None)).order_by(Inbox.id)))


def _ago(at: datetime | None) -> str:
    """“6 minutes ago”, in steps that do not change with every look."""
    if at is None:
        return ""
    seconds = max(0, (clock.now() - at).total_seconds())
    if seconds < 60:
        return "less than a minute ago"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} minute{'' if minutes == 1 else 's'} ago"
    hours = minutes // 60
    return f"{hours} hour{'' if hours == 1 else 's'} ago" if hours < 48 else f"{hours // 24} days ago"


def stages(row: Registration) -> list[Stage]:
    """The timeline: created, sent, business verified, campaign reviewed, number linked, texting on (REG-2)."""
    reached = _reached(row)
    return [_look(stage, at, reached, row) for at, stage in enumerate(_plan(row, reached))]


def _plan(row: Registration, reached: int) -> list[Stage]:
    """Every stage with what there is to say about it now."""
    first = next(iter(inboxes_of(row)), None)
    times = {state: datetime.fromisoformat(at) for state, at in row.history}
    decided = row.decided_at if row.state in ("approved", "suspended", "expired") else None
    reserved = "The number is reserved" + (" and calls are forwarded already." if first and first.forward_to else ".")
    needed = "Carriers need to know who texts and what for." if reached <= 1 else ""
    compared = "The name is compared with its tax ID. Usually minutes, at most a day."
    matched = f"{row.form.get('brand_legal_name', '')} matched its tax ID."
    shown = "The inbox is in the sidebar of everyone in it." if reached == DONE else "The inbox appears in the sidebar and in Compose for everyone you add."
    if reached <= 3:
        campaign = Stage("", "shield-check", "Campaign under carrier review", "Usually 2 to 5 business days.", times.get("in_review"), since=reached == 3)
    else:
        campaign = Stage("", "shield-check", "Campaign reviewed", "", decided)
    return [
        Stage("", "inbox", "Inbox created", reserved if first else "", first.created_at if first else row.created_at),
        Stage("", "pencil", "Form sent", needed, row.submitted_at),
        Stage("", "building-2", "Business verified", compared if reached <= 2 else matched),
        campaign,
        Stage("", "phone", "Number linked", "", first.joined_at if first else None),
        Stage("", "send", "Texting on", shown, decided),
    ]


def _look(stage: Stage, at: int, reached: int, row: Registration) -> Stage:
    """The stage as done, going on, in trouble, or still to come."""
    trouble = row.state in ("rejected", "suspended", "expired")
    look = "done" if at < reached else "todo" if at > reached else "bad" if trouble else "now"
    symbol = {"done": "check", "bad": "circle-alert"}.get(look, stage.icon)
    if look == "now" and row.state in PENDING:
        symbol = "loader-circle"
    return replace(stage, look=look, icon=symbol, at=stage.at if look in ("done", "now") else None)


def _reached(row: Registration) -> int:
    """The index of the stage that is going on, or DONE."""
    if row.state == "approved":
        return DONE
    if row.state == "draft":
        return 1
    if row.state in ("suspended", "expired"):
        return 5
    return 3 if row.provider_state.startswith("campaign") or row.provider_state == "brand approved" else 2


@bp.post("/registrations/<registration>/check")
@requires(Permission.REGISTRATION_MANAGE)
def check(registration: str) -> Any:
    """Ask the carriers now; the answer comes by itself."""
    row, sentence = registration_or_404(registration), "Asking the carriers. The answer shows here."
    try:
        with transaction():
            row.check_now(by=member())
    except Refused as error:
        sentence = error.sentence
    if is_fragment():
        return fragment("registrations/_registration.html", **_panel(row, sentence))
    flash(sentence)
    return redirect(url_for("registrations.show", registration=row.public_id), 303)


# -- the form ----------------------------------------------------------------------------------------------------


@bp.get("/registrations/<registration>/edit")
@requires(Permission.REGISTRATION_MANAGE)
def edit(registration: str) -> Any:
    row = registration_or_404(registration)
    if not row.editable:
        flash("The registration is with the carriers; it can be changed when they answer.")
        return redirect(url_for("registrations.show", registration=row.public_id), 303)
    return _form(row, _values(row), row.found_issues() if row.state == "rejected" else [])


@bp.post("/registrations/<registration>")
@requires(Permission.REGISTRATION_MANAGE)
def update(registration: str) -> Any:
    """Keep what was typed, valid or not; with "submit", send it when nothing is wrong."""
    row = registration_or_404(registration)
    typed = fields.read(request.form)
    with transaction():
        row.write(typed, by=member())
    if request.form.get("action") != "submit":
        flash("Saved as a draft.")
        return redirect(url_for("registrations.show", registration=row.public_id), 303)
    issues = row.check()
    if issues:
        return _form(row, _values(row), issues, 422)
    with transaction():
        row.submit(by=member())
    flash("Sent to the carriers. You can close this page; we’ll e-mail all admins.")
    return redirect(url_for("registrations.show", registration=row.public_id), 303)


@bp.post("/registrations/<registration>/check-field")
@requires(Permission.REGISTRATION_MANAGE)
def check_field(registration: str) -> Any:
    """What is wrong with one field of the form as typed so far; nothing is saved."""
    row = registration_or_404(registration)
    entry = fields.ENTRIES.get(request.args.get("field", "")) or abort(404)
    values = {**_values(row), **fields.read(request.form)}
    issues = [issue for issue in _check(row, values) if issue.field == entry.name]
    return fragment("registrations/_note.html", entry=entry, value=values.get(entry.name, ""), problem=issues[0].message if issues else "")


def _check(row: Registration, values: dict[str, Any]) -> list[Issue]:
    adapter = Carrier.of(row.account_id).adapter
    return [*adapter.check_brand(values), *adapter.check_campaign(values)]


def _values(row: Registration) -> dict[str, Any]:
    """What the form shows: what was typed, and suggestions for what nobody touched yet."""
    who = member()
    return {**fields.suggestions(who.account.name, who.account.country, who.email, who.name), **row.form}


def _form(row: Registration, values: dict[str, Any], issues: list[Issue], status: int = 200) -> Response:
    """The form with each problem at its field; what fits no field stands above."""
    at: dict[str, str] = {}
    for issue in issues:
        if issue.field in fields.ENTRIES:
            at.setdefault(issue.field, issue.message)
    whole = [issue.message for issue in issues if issue.field not in fields.ENTRIES]
    adapter = Carrier.of(row.account_id).adapter
    return page(
        "registrations/edit.html", status, registration=row, parts=fields.PARTS, values=values, problems=at, whole=whole, use_cases=adapter.use_cases(),
        inboxes=inboxes_of(row), entries=fields.ENTRIES, checked=status == 422,
    )
