"""Team manager: who is here, as what, with which seats (SEAT-2, SEAT-4, SEAT-5), and the page of one person."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, flash, redirect, request, url_for

from inbox.models import Conversation, Inbox, Invitation, Member, NoSeatLeft, Role, db, transaction
from inbox.models.handover import Handover, imagined
from inbox.models.member import normalize_email
from inbox.permissions import Permission
from inbox.views.access import member, member_or_404, requires
from inbox.views.hypermedia import either, fragment, is_fragment, page
from inbox.views.roles_form import roles_form

bp = Blueprint("members", __name__)

SORTS = {"name": "Name", "active": "Last active"}


def person_or_404(public_id: str) -> Member:
    """A colleague who was not removed."""
    found = member_or_404(public_id)
    return found if found.removed_at is None else abort(404)


# -- the list ----------------------------------------------------------------------------------------------------


@bp.get("/settings/members")
@requires(Permission.MEMBERS_VIEW)
def index() -> Any:
    return either("members/index.html", "members/_team.html", **team())


def team() -> dict[str, Any]:
    """What the list shows: `q` and `sort` of the address narrow and order it."""
    who = member()
    q = " ".join(request.args.get("q", "").split())[:100]
    sort = request.args.get("sort", "name") if request.args.get("sort") in SORTS else "name"
    everyone = Member.of(who.account_id)
    found = [person for person in everyone if _matches(person, q)]
    if sort == "active":
        found.sort(key=lambda person: person.last_seen_at.timestamp() if person.last_seen_at else 0, reverse=True)
    open_ones = (Conversation.account_id == who.account_id, Conversation.assignee_id.is_not(None), Conversation.archived_at.is_(None))
    held = db.session.execute(sa.select(Conversation.assignee_id, sa.func.count()).where(*open_ones).group_by(Conversation.assignee_id))
    return {
        "q": q, "sort": sort, "sorts": SORTS, "people": [person for person in found if person.active], "ended": [person for person in everyone if not person.active],
        "count": sum(person.active for person in everyone), "held": dict(held.all()), "account": who.account,
        "may_invite": who.can(Permission.MEMBERS_INVITE), "may_seat": who.can(Permission.SEATS_MANAGE), "may_seats": who.can(Permission.SEATS_VIEW),
        "may_end": who.can(Permission.MEMBERS_END), "seat_why": lambda person: seat_why(who, person), "back": "",
    } | pending(who)


def _matches(person: Member, q: str) -> bool:
    """Whether every word stands in the name, the address or a role."""
    text = f"{person.name} {person.email} {' '.join(person.role_names)}".casefold()
    return all(word in text for word in normalize_email(q).split())


def pending(who: Member) -> dict[str, Any]:
    """Pending invitations, the names of their roles, and links to copy while no mail server is set up, for those who may invite."""
    if not who.can(Permission.MEMBERS_INVITE):
        return {"pending": [], "bounced": frozenset(), "links": {}, "role_label": str}
    invitations, sheets = Invitation.pending(who.account), {sheet.key: sheet for sheet in Role.sheets(who.account_id)}
    home = current_app.config["PUBLIC_URL"].rstrip("/")
    links = {
        row.id: f"{home}/invitations/{row.token}"
        for row in invitations
        if not current_app.config["MAIL_SERVER"] and row.state == "pending" and row.role in sheets and sheets[row.role].permissions <= who.permissions_everywhere
    }
    names = {key: sheet.name for key, sheet in sheets.items()}
    return {"pending": invitations, "bounced": Invitation.bounced(invitations), "links": links, "role_label": lambda key: names.get(key, "Unknown role")}


def seat_why(who: Member, person: Member) -> str:
    """Why the seat switch of this person does nothing; empty when it works."""
    may = who.can(Permission.SEATS_MANAGE)
    if not may:
        return may.why
    if person.seated:
        return ""
    if not person.seat_eligible:
        names = " and ".join(person.role_names)
        return f"{names} only {'allow' if len(person.role_names) > 1 else 'allows'} looking, so a seat would be wasted." if names else "Holds no role, so a seat would be wasted."
    return "All seats are used." if who.account.seats_free <= 0 else ""


# -- seats -------------------------------------------------------------------------------------------------------


@bp.get("/settings/members/<person>/seat")
@requires(Permission.SEATS_MANAGE)
def seat(person: str) -> Any:
    """What taking the seat away would move, and to whom."""
    row = person_or_404(person)
    return ask_seat(row) if row.seated else redirect(_back(row), 303)


def ask_seat(row: Member, sentence: str = "", status: int = 200) -> Response:
    handover = Handover.of(row, imagined(row, seated=False), reader=member())
    response = either(
        "members/handover.html", "members/_handover.html", status, person=row, handover=handover, sentence=sentence, live=is_fragment() and not request.values.get("back"),
        title=f"Take {row.name}’s seat away?", lead=f"{row.name} can go on reading, but not reply, assign or be assigned.", submit="Take the seat away",
        action=url_for("members.change_seat", person=row.public_id, **_narrowed()), hidden={"value": "off", "confirmed": "1", "back": request.values.get("back", "")},
        cancel=_back(row), typed="",
    )
    if status >= 400 and is_fragment():
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#ask", "innerHTML"
    return response


@bp.post("/settings/members/<person>/seat")
@requires(Permission.SEATS_MANAGE)
def change_seat(person: str) -> Any:
    """Give a seat, or take it away and hand on what the person holds."""
    row, by = person_or_404(person), member()
    if request.form.get("value") == "on":
        return _give_seat(row, by)
    if row.seated and request.form.get("confirmed") != "1":
        return redirect(url_for("members.seat", person=row.public_id, back=request.form.get("back") or None), 303)
    key = request.form.get("successor", "")
    heir = Handover.of(row, imagined(row, seated=False), reader=by).heir(key) if key else None
    if key and heir is None:
        return ask_seat(row, "Choose someone with a seat, or nobody.", 422)
    with transaction():
        row.account.unseat(row, by=by, successor=heir)
    return _seated(row, f"{row.name} has no seat anymore and can only read.")


def _give_seat(row: Member, by: Member) -> Any:
    try:
        with transaction():
            row.account.seat(row, by=by)
    except NoSeatLeft as error:  # another admin pressed a moment before
        db.session.rollback()
        return _seated(row, error.sentence, 409)
    return _seated(row, f"{row.name} has a seat.")


def _seated(row: Member, sentence: str, status: int = 200) -> Any:
    """The list as it is now, with what happened said; a plain form goes back to where it was."""
    if is_fragment() and not request.form.get("back"):
        return fragment("members/team.oob.html", status, sentence=sentence, **team())
    flash(sentence)
    return redirect(_back(row), 303)


def _narrowed() -> dict[str, Any]:
    """What the list was narrowed to, to come back to it."""
    return {name: request.args[name] for name in ("q", "sort") if request.args.get(name)}


def _back(row: Member) -> str:
    """Where the person who pressed came from: the list, or the page of the member."""
    return url_for("members.show", person=row.public_id) if request.values.get("back") == "person" else url_for("members.index", **_narrowed())


# -- one person --------------------------------------------------------------------------------------------------


@bp.get("/settings/members/<person>")
@requires(Permission.MEMBERS_VIEW)
def show(person: str) -> Any:
    row = person_or_404(person)
    return page("members/show.html", **shown(row), roles=roles_form(row, member()))


def shown(row: Member) -> dict[str, Any]:
    """Everything the page of a member says about them: nothing of their profile (ACC-5)."""
    who = member()
    inboxes = db.session.scalars(sa.select(Inbox).where(Inbox.account_id == who.account_id, Inbox.owner_id.is_(None)).order_by(Inbox.name))
    here = [inbox for inbox in inboxes if inbox.id in row.reach]
    known = [inbox for inbox in here if inbox.id in who.reach or who.can(Permission.INBOXES_MANAGE, on=inbox)]
    return {
        "person": row, "account": who.account, "seat_why": lambda person: seat_why(who, person), "may_seat": who.can(Permission.SEATS_MANAGE),
        "end_why": end_why(who, row), "inboxes": [(inbox, bool(who.can(Permission.INBOXES_MEMBERS, on=inbox))) for inbox in known],
        "more": len(here) - len(known), "back": "person", "q": "", "sort": "",
    }


def end_why(who: Member, row: Member) -> str:
    """Why the reader cannot end this person's access; empty when they can."""
    may = who.can(Permission.MEMBERS_END)
    if not may:
        return may.why
    if "owner" in row.roles:
        return "The owner cannot leave. Transfer the ownership first."
    if row.id == who.id:
        return "Someone else has to end your own access."
    return "" if who.covers(row) else f"{row.name} holds a role that allows things your own role does not."

