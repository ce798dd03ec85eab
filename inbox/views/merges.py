"""Merging conversations and contacts, and taking it back (CONV-8)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, redirect, request, url_for
from sqlalchemy.orm import joinedload

from inbox.models import Contact, Conversation, Merging, Refused, db, transaction
from inbox.models.merging.parting import part_conversations
from inbox.models.merging.people import alike, merge_contacts, part_contacts, preview
from inbox.models.merging.talks import MOST, merge_conversations
from inbox.permissions import Permission
from inbox.views.access import contact_or_404, conversation_or_404, member, requires
from inbox.views.consents import standing
from inbox.views.conversations import back_to
from inbox.views.hypermedia import fragment, go, is_fragment, page

bp = Blueprint("merges", __name__)
LISTED = 20
UNDO_WORDS = "You can undo this for 30 days: More, Merge."


# -- conversations --------------------------------------------------------------------------------------------------------


@bp.get("/c/<conversation>/merge")
@requires(Permission.CONVERSATIONS_MERGE)
def edit(conversation: str) -> Response:
    """Which others become part of this one, and what was merged into it; those named `c` are ticked."""
    return _ask(_mine(conversation), ticked=request.args.getlist("c")[:MOST])


@bp.post("/c/<conversation>/merge")
@requires(Permission.CONVERSATIONS_MERGE)
def create(conversation: str) -> Response:
    """Merge the chosen ones into this one."""
    found, chosen = _mine(conversation), request.form.getlist("c")[:MOST]
    others = _by_ids(chosen)
    try:
        if len(others) != len(set(chosen)):
            raise Refused("One of these is not there any more. Choose again.", field="c")
        with transaction():
            merge_conversations(found, others, by=member())
    except Refused as refused:
        return _refused(refused, lambda status, sentence: _ask(found, status, sentence, chosen))
    flash(f"The conversations are one now. {UNDO_WORDS}")
    return go(back_to(found))


@bp.post("/c/<conversation>/merges/<merging>/undo")
@requires(Permission.CONVERSATIONS_MERGE)
def undo(conversation: str, merging: str) -> Response:
    """Take a merge into this conversation back."""
    found = _mine(conversation)
    row = db.session.scalar(sa.select(Merging).where(Merging.public_id == merging, Merging.conversation_id == found.id)) or abort(404)
    try:
        with transaction():
            part_conversations(row, by=member())
    except Refused as refused:
        return _refused(refused, lambda status, sentence: _ask(found, status, sentence))
    flash("The conversations are apart again.")
    return go(back_to(found))


@bp.post("/merges/chosen")
@requires(Permission.CONVERSATIONS_MERGE)
def chosen() -> Response:
    """From a list: on to the question what becomes of the chosen conversations; nothing is merged yet."""
    found = _by_ids(request.form.getlist("c")[: MOST + 1])
    if not 2 <= len(found) <= MOST:
        raise Refused(f"Choose 2 to {MOST} conversations to merge.")
    newest = max(found, key=lambda talk: (not talk.archived, talk.last_activity_at))
    return go(url_for("merges.edit", conversation=newest.public_id, c=[talk.public_id for talk in found if talk.id != newest.id]))


def _mine(public_id: str) -> Conversation:
    found = conversation_or_404(public_id)
    member().require(Permission.CONVERSATIONS_MERGE, on=found)
    return found


def _by_ids(ids: list[str]) -> list[Conversation]:
    query = Conversation.scope(member()).options(joinedload(Conversation.contact), joinedload(Conversation.inbox), joinedload(Conversation.assignee))
    return list(db.session.scalars(query.where(Conversation.public_id.in_([id for id in ids if id])).order_by(Conversation.last_activity_at.desc())).unique())


def _ask(found: Conversation, status: int = 200, problem: str = "", ticked: list[str] | None = None) -> Response:
    """The form: other conversations with this contact in this inbox, and those chosen elsewhere."""
    query = Conversation.scope(member()).options(joinedload(Conversation.contact), joinedload(Conversation.inbox), joinedload(Conversation.assignee))
    query = query.where(Conversation.contact_id == found.contact_id, Conversation.inbox_id == found.inbox_id, Conversation.spam_at.is_(None), Conversation.id != found.id)
    others = list(db.session.scalars(query.order_by(Conversation.last_activity_at.desc(), Conversation.id.desc()).limit(LISTED)).unique())
    more = [talk for talk in _by_ids(ticked or []) if talk.id not in {found.id, *(other.id for other in others)}]
    return page("merges/conversations.html", status, conversation=found, others=[*others, *more], ticked=ticked or [], problem=problem, merged=Merging.of_conversation(found))


def _refused(refused: Refused, again: Any) -> Response:
    """The page once more with the reason; who may not do this at all gets the usual answer."""
    if refused.status == 403:
        raise refused
    db.session.rollback()
    return again(refused.status, refused.sentence)


# -- contacts -------------------------------------------------------------------------------------------------------------


@bp.get("/contacts/<contact>/merge")
@requires(Permission.CONTACTS_MERGE)
def find(contact: str) -> Response:
    """Whom to merge with: those who look like the same person, or whom `q` finds."""
    return _find(contact_or_404(contact, Permission.CONTACTS_MERGE))


@bp.get("/contacts/<contact>/alike")
@requires(Permission.CONTACTS_MERGE)
def hint(contact: str) -> Response:
    """For the card: who looks like the same person, if anybody does."""
    row = contact_or_404(contact, Permission.CONTACTS_MERGE)
    if not is_fragment():
        return redirect(url_for("merges.find", contact=row.public_id), 303)  # type: ignore[return-value]
    return fragment("merges/_alike.html", contact=row, alike=alike(row, by=member()))


@bp.get("/contacts/<contact>/merge/<other>")
@requires(Permission.CONTACTS_MERGE)
def compare(contact: str, other: str) -> Response:
    """What the merged contact will have."""
    row, second = contact_or_404(contact, Permission.CONTACTS_MERGE), contact_or_404(other, Permission.CONTACTS_MERGE)
    if row.id == second.id:
        return redirect(url_for("merges.find", contact=row.public_id), 303)  # type: ignore[return-value]
    return _compare(row, second)


@bp.post("/contacts/<contact>/merge/<other>")
@requires(Permission.CONTACTS_MERGE)
def unite(contact: str, other: str) -> Response:
    """Merge them; each line of the preview is a field that says `theirs` where the other's value wins."""
    row, second = contact_or_404(contact, Permission.CONTACTS_MERGE), contact_or_404(other, Permission.CONTACTS_MERGE)
    theirs = {choice.key: request.form.get(f"w{n}") == "theirs" for n, choice in enumerate(preview(row, second))}
    try:
        with transaction():
            _, kept = merge_contacts(row, second, by=member(), theirs=theirs, talks=request.form.get("talks") == "1")
    except Refused as refused:
        return _refused(refused, lambda status, sentence: _compare(row, second, status, sentence))
    flash(f"The contacts are one now. You can undo this for 30 days. {' '.join(kept)}".strip())
    return go(url_for("contacts.show", contact=row.public_id))


@bp.post("/contacts/<contact>/merges/<merging>/undo")
@requires(Permission.CONTACTS_MERGE)
def part(contact: str, merging: str) -> Response:
    """Take a merge into this contact back."""
    row = contact_or_404(contact, Permission.CONTACTS_MERGE)
    made = db.session.scalar(sa.select(Merging).where(Merging.public_id == merging, Merging.contact_id == row.id)) or abort(404)
    try:
        with transaction():
            part_contacts(made, by=member())
    except Refused as refused:
        return _refused(refused, lambda status, sentence: _find(row, status, sentence))
    flash("They are two contacts again.")
    return go(url_for("contacts.show", contact=row.public_id))


def _find(row: Contact, status: int = 200, problem: str = "") -> Response:
    who, words = member(), request.args.get("q", "")[:100].replace("\x00", "")
    found = Contact.search(who, words, limit=LISTED + 1) if words.strip() else []
    may = set(db.session.scalars(Contact.visible_to(who, Permission.CONTACTS_MERGE, among=[c.id for c in found]).with_only_columns(Contact.id))) if found else set()
    shown = [c for c in found if c.id in may and c.id != row.id][:LISTED]
    return page("merges/find.html", status, contact=row, words=words, found=shown, alike=alike(row, by=who), merged=Merging.of_contact(row), problem=problem)


def _compare(row: Contact, other: Contact, status: int = 200, problem: str = "") -> Response:
    talks = Conversation.scope(member()).with_only_columns(Conversation.contact_id, Conversation.inbox_id)
    talks = talks.where(Conversation.contact_id.in_([row.id, other.id]), Conversation.spam_at.is_(None))
    inboxes: dict[int, set[int]] = {row.id: set(), other.id: set()}
    for contact_id, inbox_id in db.session.execute(talks.distinct()):
        inboxes[contact_id].add(inbox_id)
    both = bool(inboxes[row.id] & inboxes[other.id]) and bool(member().can(Permission.CONVERSATIONS_MERGE))
    numbers = [[*one.numbers()] for one in (row, other)]
    out = ["Blocked" if one.blocked else "Opted out" if standing(one, member()).out else "Allowed" for one in (row, other)]
    return page("merges/compare.html", status, contact=row, other=other, choices=preview(row, other), numbers=numbers, texts=out, both=both, problem=problem)
