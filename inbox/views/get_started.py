"""The first steps of a new account, ticked off from the data (ACC-9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, redirect, request, url_for

from inbox import clock
from inbox.models import ContactImport, Event, Inbox, InboxDraft, Invitation, Member, Registration, db, transaction
from inbox.permissions import Permission
from inbox.views.access import member, requires, signed_in
from inbox.views.hypermedia import either

bp = Blueprint("get_started", __name__)


@dataclass(frozen=True)
class Step:
    """One line of the checklist. `why` says what is missing when there is nothing to press yet."""

    key: str
    icon: str
    title: str
    text: str
    done: bool
    label: str = ""
    url: str = ""
    why: str = ""
    pill: str = ""
    tone: str = ""


@bp.get("/get-started")
@signed_in
def show() -> Any:
    who = member()
    steps = checklist(who)
    watching = any(step.pill for step in steps) and not steps[0].done
    return either(
        "get_started/show.html", "get_started/_checklist.html",
        steps=steps, done=sum(step.done for step in steps), watching=watching, draft=_draft(who), dismissed=who.account.checklist_dismissed_at is not None,
        may_dismiss=who.can(Permission.ACCOUNT_MANAGE), helper=who.can(Permission.INBOXES_CREATE),
    )


@bp.post("/get-started/dismissal")
@requires(Permission.ACCOUNT_MANAGE)
def dismiss() -> Any:
    with transaction():
        member().account.checklist_dismissed_at = None if request.form.get("value") == "off" else clock.now()
    return redirect(url_for("get_started.show"), 303)


def checklist(who: Member) -> list[Step]:
    first = _first_inbox(who)
    return [first, _invite(who), _import(who), _send(who, ready=first.done)]


def _draft(who: Member) -> InboxDraft | None:
    return InboxDraft.of(who) if who.can(Permission.INBOXES_CREATE) else None


def _first_inbox(who: Member) -> Step:
    inboxes = list(db.session.scalars(sa.select(Inbox).where(Inbox.account_id == who.account_id, Inbox.owner_id.is_(None)).order_by(Inbox.id)))
    key, icon, title = "inbox", "inbox", "Create your first shared inbox"
    live = next((inbox for inbox in inboxes if inbox.registered), None)
    if live:
        return Step(key, icon, title, f"{live.name}, {live.phone_display} is on." if _may_know(who, live) else "It is on.", True)
    may = who.can(Permission.INBOXES_CREATE)
    if not inboxes:
        label = "Continue" if may and InboxDraft.of(who) else "Get started"
        return Step(key, icon, title, "About three minutes. Carriers review the first inbox of a team before texts go out.", False,
                    label if may else "", url_for("inboxes.new", step="details") if may else "", may.why)
    registration = inboxes[0].registration
    return _waiting(who, inboxes[0], registration)


def _may_know(who: Member, inbox: Inbox) -> bool:
    """Names of inboxes are for those who are in them or set them up."""
    return inbox.id in who.readable_inbox_ids or any(who.can(permission, on=inbox) for permission in (Permission.INBOXES_MANAGE, Permission.REGISTRATION_MANAGE))


def _waiting(who: Member, inbox: Inbox, registration: Registration | None) -> Step:
    """The inbox exists, the carriers have not approved it."""
    key, icon, title, name = "inbox", "inbox", "Create your first shared inbox", f"{inbox.name}, {inbox.phone_display}" if _may_know(who, inbox) else "An inbox"
    state = registration.state if registration else "draft"
    may = who.can(Permission.REGISTRATION_MANAGE, on=registration or inbox)
    url = url_for("registrations.show", registration=registration.public_id) if registration and may else ""
    words = {
        "draft": ("Finish registration", f"{name} is ready. Register it with the carriers so that it can text.", "Not registered", "warn"),
        "submitted": ("See progress", f"{name} is with the carriers. We’ll e-mail all admins.", "In review", "info"),
        "in_review": ("See progress", f"{name} is with the carriers. We’ll e-mail all admins.", "In review", "info"),
        "rejected": ("Fix and resubmit", "The carriers want changes. Each one is marked at its field.", "Rejected", "bad"),
    }
    label, text, pill, tone = words.get(state, ("Open registration", "The registration needs attention before texts can go out.", "Off", "bad"))
    return Step(key, icon, title, text, False, label if may else "", url, may.why, pill, tone)


def _invite(who: Member) -> Step:
    people = db.session.scalar(sa.select(sa.func.count(Member.id)).where(Member.account_id == who.account_id)) or 0
    waiting = len(Invitation.pending(who.account))
    may = who.can(Permission.MEMBERS_INVITE)
    text = "They get a link by e-mail and choose their own password."
    if people > 1 or waiting:
        text = f"{people} {'person is' if people == 1 else 'people are'} in" + (f", {waiting} invited." if waiting else ".")
    return Step("invite", "user-plus", "Invite your team", text, people > 1 or bool(waiting), "Invite" if may else "", url_for("invitations.index") if may else "", may.why)


def _import(who: Member) -> Step:
    done = db.session.scalar(sa.select(ContactImport.id).where(ContactImport.account_id == who.account_id, ContactImport.state == "done").limit(1))
    may = who.can(Permission.CONTACTS_IMPORT)
    text = "Your contacts are here." if done else "From a CSV file, with the people who own them."
    return Step("import", "upload", "Import contacts", text, bool(done), "Import" if may else "", url_for("imports.new") if may else "", may.why)


def _send(who: Member, *, ready: bool) -> Step:
    sent = db.session.scalar(sa.select(Event.id).where(Event.account_id == who.account_id, Event.kind == "message.sent").limit(1))
    may = bool(Inbox.sendable_by(who))
    why = "" if may else (who.can(Permission.CONVERSATIONS_COMPOSE).why or ("You are not in an inbox yet." if ready else "Opens when your first inbox is on."))
    text = "The conversation has begun." if sent else "To a customer, or to your own phone."
    return Step("send", "send", "Send a first text", text, bool(sent), "Compose" if may else "", url_for("compose.new") if may else "", why)
