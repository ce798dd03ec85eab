"""Who has what: whether somebody may do something and why, asked of the same `can` as everywhere (PERM-6)."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import Blueprint, abort, request, url_for

from inbox.models import Inbox, Member, Verdict, db
from inbox.permissions import ENTRIES, GROUPS, INBOXED, LABELS, SEATED, TEAMED, Permission
from inbox.views.access import member, member_or_404, requires
from inbox.views.hypermedia import page

bp = Blueprint("explanations", __name__)
KINDS = ("role", "seat", "inbox")
GIVES = {"role": Permission.ROLES_ASSIGN, "seat": Permission.SEATS_MANAGE, "inbox": Permission.INBOXES_MEMBERS}
FIX = {"role": "roles", "seat": "seats", "inbox": "who is in the inbox"}


class Fact(NamedTuple):
    """A step of the answer, and where it can be changed: (address, words) pairs."""

    met: bool
    words: str
    links: list[tuple[str, str]]


@bp.get("/settings/roles/explain")
@requires(Permission.ROLES_VIEW)
def index() -> Any:
    """The address holds the question: a member and an action, or an action alone for everybody; an inbox where it matters."""
    who = member()
    people = Member.of(who.account_id)
    inboxes = list(db.session.scalars(sa.select(Inbox).where(Inbox.account_id == who.account_id, Inbox.owner_id.is_(None)).order_by(Inbox.name, Inbox.id)))
    person = member_or_404(request.args["member"]) if request.args.get("member") else None
    action = _action()
    inbox = next((row for row in inboxes if row.public_id == request.args["inbox"]), None) or abort(404) if request.args.get("inbox") else None
    matters = action in INBOXED | TEAMED
    on = inbox if matters else None
    context: dict[str, Any] = {
        "people": people, "inboxes": inboxes, "person": person, "action": action, "inbox": inbox, "matters": matters, "on": on, "groups": GROUPS, "entries": ENTRIES,
    }
    if action is None:
        return page("explanations/index.html", **context)
    if person is None:
        return page("explanations/index.html", **context, **_everybody(action, on))
    verdict = person.can(action, on)
    return page("explanations/index.html", **context, verdict=verdict, facts=_facts(verdict, person, who))


def _action() -> Permission | None:
    text = request.args.get("action", "")
    if not text:
        return None
    return Permission(text) if text in Permission._value2member_map_ else abort(404)


def _kinds(verdict: Verdict) -> list[str]:
    """What each of the verdict's steps is about, in their order."""
    kinds = [] if verdict.member and verdict.member.active else ["ended"]
    kinds += ["role"] + (["seat"] if verdict.permission in SEATED else [])
    return kinds + (["inbox"] if verdict.permission in INBOXED and verdict.on is not None else [])


def _facts(verdict: Verdict, person: Member, who: Member) -> list[Fact]:
    people, seats = [(url_for("members.index"), "Team manager")], [(url_for("members.index"), "Seats")]
    links = {
        "ended": people, "seat": seats, "role": [*((url_for("roles.show", role=grant.role), grant.name) for grant in person.grants), *people],
        "inbox": [(url_for("inboxes.members", inbox=verdict.on.public_id), "People of this inbox")] if verdict.on is not None and who.can(Permission.INBOXES_MANAGE) else [],
    }
    return [Fact(step.met, step.words, links[kind]) for kind, step in zip(_kinds(verdict), verdict.steps(), strict=True)]


def _everybody(action: Permission, on: Inbox | None) -> dict[str, Any]:
    """Who may, and why the others may not; the number of queries does not grow with the people."""
    people = Member.with_reach(member().account_id)
    verdicts = [(person, person.can(action, on)) for person in people]
    others = [(person, next(step.words for step in verdict.steps() if not step.met)) for person, verdict in verdicts if not verdict]
    missing = {verdict.code for _, verdict in verdicts if not verdict}
    fixers = [(FIX[kind], [person.name for person in people if person.can(GIVES[kind])]) for kind in KINDS if kind in missing]
    return {"may": [person for person, verdict in verdicts if verdict], "others": others, "fixers": fixers, "label": LABELS[action]}
