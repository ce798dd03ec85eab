"""Carrier registration of a team: where it stands, the form, and asking again (REG-1, REG-2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from datetime import time as midnight
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, redirect, request, url_for
from sqlalchemy.orm import joinedload

from inbox import clock
from inbox.channels.base import Issue
from inbox.forms import registrations as fields
from inbox.models import Carrier, Conversation, Inbox, Refused, Registration, db, transaction
from inbox.models.registration import PENDING
from inbox.models.usage import nearly_full
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.helpers import hand, number
from inbox.views.hypermedia import fragment, is_fragment, page

bp = Blueprint("registrations", __name__)

PILLS = {
    "draft": ("Not started", "", "pencil"), "submitted": ("In review", "info", "loader-circle"), "in_review": ("In review", "info", "loader-circle"),
    "approved": ("Approved", "ok", "check"), "rejected": ("Rejected", "bad", "circle-alert"), "suspended": ("Suspended", "bad", "circle-alert"),
    "expired": ("Expired", "bad", "circle-alert"),
}


DONE = 7  # past the last stage
STEPS = {"profile": 2, "brand": 3, "campaign": 4}  # where each review stands in the timeline
HOW_LONG = {"profile": "Usually hours, at most 3 days", "brand": "Usually minutes, at most 5 business days", "campaign": "Usually 10 to 15 business days"}


@dataclass(frozen=True)
class Stage:
    """One line of the timeline; `look` is done, now, todo or bad."""

    look: str
    icon: str
    title: str
    text: str = ""
    at: datetime | None = None
    since: bool = False
    expected: str = ""
    late: bool = False


def registration_or_404(public_id: str) -> Registration:
    """A registration of a team whose registration the member may manage."""
    query = sa.select(Registration).where(Registration.public_id == public_id, Registration.account_id == member().account_id)
    found = db.session.scalar(query)
    return found if found and member().can(Permission.REGISTRATION_MANAGE, on=found) else abort(404)


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
        "wrote": _wrote(row) if row.state != "approved" else [],
        "due": _date(due[1]) if row.state in PENDING and not row.overdue("campaign") and (due := row.expected("campaign")) else "",
        "limits": limits_in_words(row.limits) if row.state == "approved" else [],
        "full": nearly_full(row) if row.state == "approved" else None,
    }


def limits_in_words(limits: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an approved campaign may send, as a fact and what it means; empty while the carriers have not said."""
    if not limits.get("mps"):
        return []
    mps, cap, score = float(limits["mps"]), limits.get("daily_cap"), limits.get("score")
    rate = f"{mps:g} segments a second"
    each = "That is about " + (f"{number(int(mps * 60))} short texts a minute." if mps < 10 else f"{int(mps)} short texts every second.")
    day = (f"{number(int(cap))} segments a day", "To T-Mobile customers, for everything your business texts. It starts anew at midnight Pacific time.") if cap else (
        "No daily limit", "As many segments a day as the rate allows.")
    found = [(rate, each), day]
    if score is not None:
        found.append((f"Business score {score} of 100", "The carriers set the limits by it. A second review by them can raise it."))
    return found


def inboxes_of(row: Registration) -> list[Inbox]:
    return list(db.session.scalars(sa.select(Inbox).where(Inbox.team_id == row.team_id, Inbox.owner_id.is_(None)).order_by(Inbox.id)))


def _wrote(row: Registration) -> list[Conversation]:
    """The newest open conversations of the team's inboxes that cannot text yet, of those the member may open."""
    waiting = [inbox.id for inbox in inboxes_of(row) if not inbox.registered]
    query = Conversation.scope(member()).options(joinedload(Conversation.contact)).where(Conversation.inbox_id.in_(waiting), Conversation.archived_at.is_(None))
    return list(db.session.scalars(query.order_by(Conversation.last_activity_at.desc()).limit(5))) if waiting else []


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
    """The timeline: created, sent, profile, brand, campaign, number, texting on; each with its date or when to expect it (REG-2)."""
    reached = _reached(row)
    return [_look(stage, at, reached, row) for at, stage in enumerate(_plan(row, reached))]


def _plan(row: Registration, reached: int) -> list[Stage]:
    """Every stage with what there is to say about it now."""
    inboxes = inboxes_of(row)
    first = next(iter(inboxes), None)
    decided = row.decided_at if row.state in ("approved", "suspended", "expired") else None
    reserved = "The number is reserved" + (" and calls are forwarded already." if first and first.forward_to else ".")
    needed = "Carriers need to know who texts and what for." if reached <= 1 else ""
    matched = f"{row.form.get('brand_legal_name', '')} matched its tax ID."
    shown = "The inbox is in the sidebar of everyone in it." if reached == DONE else "The inbox appears in the sidebar and in Compose for everyone you add."
    joined = [inbox.joined_at for inbox in inboxes if inbox.joined_at]
    read = "People at the carriers read what you text and how customers agree." if reached <= STEPS["campaign"] else ""
    checked = "The carrier checks that the business details are complete." if reached <= STEPS["profile"] else ""
    linked = f"{len(joined)} of {len(inboxes)} numbers joined." if joined and len(inboxes) > 1 and reached > STEPS["campaign"] else ""
    then = row.expected("campaign")
    last = f"usually by {_date(then[1])}" if then and row.state in PENDING and not row.overdue("campaign") else ""
    return [
        Stage("", "inbox", "Inbox created", reserved if first else "", first.created_at if first else row.created_at),
        Stage("", "pencil", "Form sent", needed, row.submitted_at),
        _review(row, "profile", "user-check", "Customer profile accepted", checked, reached),
        _review(row, "brand", "building-2", "Business verified", "The name is compared with its tax ID." if reached <= STEPS["brand"] else matched, reached),
        _review(row, "campaign", "shield-check", "Campaign reviewed", read, reached, decided),
        Stage("", "phone", "Number assigned", linked, min(joined, default=None), expected=last),
        Stage("", "send", "Texting on", shown, decided, expected=last),
    ]


def _review(row: Registration, step: str, symbol: str, title: str, text: str, reached: int, decided: datetime | None = None) -> Stage:
    """A stage the carriers decide: its date once they did, until then when to expect it."""
    at, mine, expected = row.accepted(step) or decided, STEPS[step], row.expected(step) if row.state in PENDING else None
    if reached > mine:
        return Stage("", symbol, title, text, at)
    words = ""
    if expected:
        words = f"usually {_date(expected[0])} – {_date(expected[1])}" if step == "campaign" else f"usually by {_date(expected[1])}"
    late = reached == mine and row.overdue(step)
    if late:
        ask = row.refs.get("campaign") or row.refs.get("brand")
        text = "This takes longer than usual. Nothing is lost, and you need not do anything." + (f" To ask the carrier’s support, name {ask}." if ask else "")
    else:
        text = f"{text} {HOW_LONG[step]}."
    return Stage("", symbol, title, text, expected=words, late=late)


def _date(day: date) -> str:
    return hand().date(datetime.combine(day, midnight()))


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
        return DONE - 1
    if row.provider_state.startswith("campaign") or row.provider_state == "brand approved":
        return STEPS["campaign"]
    return STEPS["brand"] if row.state == "rejected" or row.accepted("profile") else STEPS["profile"]


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
    problems, tips = _first(_check(row, values)), _first(Carrier.of(row.account_id).adapter.advise(values))
    beside = [other for other in fields.beside(entry) if values.get(other.name) or other.kind == "switch"]
    return fragment("registrations/_notes.html", entry=entry, beside=beside, values=values, problems=problems, tips=tips)


def _first(issues: list[Issue]) -> dict[str, str]:
    """The first problem of each field of the form, in words."""
    at: dict[str, str] = {}
    for issue in issues:
        if issue.field in fields.ENTRIES:
            at.setdefault(issue.field or "", issue.words)
    return at


def _check(row: Registration, values: dict[str, Any]) -> list[Issue]:
    adapter = Carrier.of(row.account_id).adapter
    return [*adapter.check_brand(values), *adapter.check_campaign(values)]


def _values(row: Registration) -> dict[str, Any]:
    """What the form shows: what was typed, and suggestions for what nobody touched yet."""
    who = member()
    return {**fields.suggestions(who.account.name, who.account.country, who.email, who.name), **row.form}


def _form(row: Registration, values: dict[str, Any], issues: list[Issue], status: int = 200) -> Response:
    """The form with each problem at its field; what fits no field stands above."""
    at = _first(issues)
    whole = [issue.words for issue in issues if issue.field not in fields.ENTRIES]
    adapter = Carrier.of(row.account_id).adapter
    return page(
        "registrations/edit.html", status, registration=row, parts=fields.PARTS, values=values, problems=at, whole=whole, tips=_first(adapter.advise(values)),
        use_cases=adapter.use_cases(), inboxes=inboxes_of(row), entries=fields.ENTRIES, checked=status == 422,
    )
