"""The people of the account: roles and seats (ACC-3, SEAT-2, SEAT-5)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, current_app, flash, redirect, request, url_for

from inbox import realtime
from inbox.models import Conversation, Draft, Invitation, Lock, Member, NoSeatLeft, Refused, db, transaction
from inbox.permissions import DEFAULT_ROLES, SEATED, Permission
from inbox.views.access import member, member_or_404, requires
from inbox.views.hypermedia import page
from inbox.views.invitations import roles_to_give

bp = Blueprint("members", __name__)

OWN_ROLE = "Someone else has to change your own role."
TRANSFER = "Ownership moves only by a transfer."


@bp.get("/settings/members")
@requires(Permission.MEMBERS_VIEW)
def index() -> Any:
    who = member()
    people = [person for person in Member.of(who.account_id) if person.active]
    held = db.session.execute(
        sa.select(Conversation.assignee_id, sa.func.count())
        .where(Conversation.account_id == who.account_id, Conversation.assignee_id.is_not(None), Conversation.archived_at.is_(None))
        .group_by(Conversation.assignee_id)
    )
    links = {} if current_app.config["MAIL_SERVER"] else {i.id: _link(i) for i in Invitation.pending(who.account) if i.state == "pending"}
    may_invite = who.can(Permission.MEMBERS_INVITE)
    return page(
        "members/index.html", people=people, held=dict(held.all()), account=who.account, may_invite=may_invite,
        may_seat=who.can(Permission.SEATS_MANAGE), may_role=who.can(Permission.ROLES_MANAGE), roles=roles_to_give(who),
        role_why=lambda person: _role_why(who, person), seat_why=lambda person: _seat_why(who, person),
        pending=Invitation.pending(who.account) if may_invite else [], links=links if may_invite else {}, role_label=lambda key: DEFAULT_ROLES[key][0],
    )


def _link(invitation: Invitation) -> str:
    return f"{current_app.config['PUBLIC_URL'].rstrip('/')}/invitations/{invitation.token}"


def _role_why(who: Member, person: Member) -> str:
    """Why this person's role cannot be changed by the reader; empty when it can."""
    may = who.can(Permission.ROLES_MANAGE)
    if not may:
        return may.why
    if "owner" in person.roles:
        return TRANSFER
    if person.id == who.id:
        return OWN_ROLE
    return "" if person.permissions <= who.permissions else f"{person.name} holds a role that allows things your own role does not."


def _seat_why(who: Member, person: Member) -> str:
    """Why the seat switch is off limits; empty when it works."""
    may = who.can(Permission.SEATS_MANAGE)
    if not may:
        return may.why
    if person.seated:
        return ""
    if not person.seat_eligible:
        return f"{' and '.join(person.role_names) or 'Without a role one'} only allows looking, so a seat would be wasted."
    return "All seats are used. Free one first." if who.account.seats_free <= 0 else ""


@bp.post("/settings/members/<person>/role")
@requires(Permission.ROLES_MANAGE)
def role(person: str) -> Any:
    row, wanted = member_or_404(person), request.form.get("role", "")
    if row.id == member().id:
        raise Refused(OWN_ROLE)
    holds = holdings(row)
    if wanted in DEFAULT_ROLES and row.seated and not DEFAULT_ROLES[wanted][1] & SEATED and holds["conversations"] and request.form.get("confirmed") != "1":
        return page("members/role.html", person=row, wanted=wanted, label=DEFAULT_ROLES[wanted][0], holds=holds)
    with transaction():
        row.change_role(wanted, by=member())
        realtime.publish("access", account=row.account_id, member=row.id)
    flash(f"{row.name} is now {DEFAULT_ROLES[wanted][0]}.")
    return redirect(url_for("members.index"), 303)


def holdings(person: Member) -> dict[str, int]:
    """What the person holds that a missing seat would strand (SEAT-5)."""

    def count(query: Any) -> int:
        return db.session.scalar(query) or 0

    return {
        "conversations": count(sa.select(sa.func.count(Conversation.id)).where(Conversation.assignee_id == person.id, Conversation.archived_at.is_(None))),
        "locks": count(sa.select(sa.func.count(Lock.conversation_id)).where(Lock.holder_id == person.id)),
        "drafts": count(sa.select(sa.func.count(Draft.id)).where(Draft.author_id == person.id)),
    }


@bp.get("/settings/members/<person>/seat")
@requires(Permission.SEATS_MANAGE)
def seat(person: str) -> Any:
    """What taking the seat away would move, and to whom."""
    row = member_or_404(person)
    if not row.seated:
        return redirect(url_for("members.index"), 303)
    return page("members/seat.html", person=row, holds=holdings(row), successors=_successors(row))


def _successors(person: Member) -> list[Member]:
    return [other for other in Member.of(person.account_id) if other.active and other.seated and other.id != person.id]


@bp.post("/settings/members/<person>/seat")
@requires(Permission.SEATS_MANAGE)
def change_seat(person: str) -> Any:
    row, by = member_or_404(person), member()
    if request.form.get("value") == "on":
        return _give_seat(row, by)
    if row.seated and request.form.get("confirmed") != "1" and holdings(row)["conversations"]:
        return redirect(url_for("members.seat", person=row.public_id), 303)
    key = request.form.get("successor", "")
    successor = next((other for other in _successors(row) if other.public_id == key), None)
    if key and successor is None:
        raise Refused("Choose someone with a seat, or nobody.")
    with transaction():
        row.account.unseat(row, by=by, successor=successor)
        realtime.publish("access", account=row.account_id, member=row.id)
    flash(f"{row.name} has no seat anymore and can only read.")
    return redirect(url_for("members.index"), 303)


def _give_seat(row: Member, by: Member) -> Any:
    try:
        with transaction():
            row.account.seat(row, by=by)
            realtime.publish("access", account=row.account_id, member=row.id)
    except NoSeatLeft as error:
        flash(error.sentence)
        return redirect(url_for("members.index"), 303)
    flash(f"{row.name} has a seat.")
    return redirect(url_for("members.index"), 303)
