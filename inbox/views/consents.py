"""What customers allow: recorded by hand, asked about a text, blocked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, request, url_for

from inbox import clock
from inbox.forms import put
from inbox.forms.consent import ConsentForm
from inbox.models import Consent, Contact, Conversation, Inbox, Member, Refused, transaction
from inbox.models.consent import decider, visible
from inbox.models.conversation.receiving import OptOutAnswered
from inbox.permissions import Permission
from inbox.views import screens
from inbox.views.access import contact_or_404, conversation_or_404, member, requires
from inbox.views.conversations import back_to
from inbox.views.helpers import local
from inbox.views.hypermedia import fragment, go, is_fragment, page
from inbox.views.messages import _message_or_404

bp = Blueprint("consents", __name__)


@dataclass(frozen=True)
class Standing:
    """What a contact allows, as far as a member may know: the history, and the inboxes where they opted out."""

    history: list[tuple[Consent, bool]]
    inboxes: list[Inbox]
    out: list[Inbox]
    silent: bool  # they have said nothing anywhere

    @property
    def opted_out(self) -> bool:
        """Whether no inbox of this member may text them."""
        return bool(self.out) and len(self.out) == len(self.inboxes)


def standing(contact: Contact, who: Member) -> Standing:
    """Two queries, whatever the number of inboxes."""
    inboxes = Inbox.visible_to(who)
    changes = Consent.changes(contact.account_id, contact.phone) if contact.phone else []
    decides = {inbox.id: decider(changes, inbox, contact.phone or "") for inbox in inboxes}
    out = [inbox for inbox in inboxes if (found := decides[inbox.id]) is not None and found.opted_out]
    return Standing(visible(changes, inboxes), inboxes, out, not changes)


@bp.get("/contacts/<contact>/consent")
@requires(Permission.CONTACTS_EDIT)
def edit(contact: str) -> Response:
    """The form to record what they said; `inbox` and `wants` of the address choose beforehand."""
    row = contact_or_404(contact, Permission.CONTACTS_EDIT)
    form = _form()
    form.inbox.data = request.args.get("inbox") or (form.inbox.choices[0][0] if len(form.inbox.choices) == 1 else "")
    form.wants.data = request.args.get("wants") if request.args.get("wants") in ("in", "out") else "in"
    form.how.data, form.on.data = "phone", local(clock.now()).date()
    return page("contacts/consent.html", contact=row, form=form)


@bp.post("/contacts/<contact>/consent")
@requires(Permission.CONTACTS_EDIT)
def update(contact: str) -> Response:
    row, form = contact_or_404(contact, Permission.CONTACTS_EDIT), _form()
    try:
        inbox = next((i for i in _inboxes() if i.public_id == form.inbox.data), None)
        if inbox is None:
            raise Refused("Choose which inbox this is about.", field="inbox")
        if form.wants.data not in ("in", "out"):
            raise Refused("Choose what they want.", field="wants")
        with transaction():
            changed = Consent.by_hand(
                inbox, row, opted_out=form.wants.data == "out", how=form.how.data or "", on=request.form.get("on", ""), evidence=form.evidence.data or "", by=member()
            )
    except Refused as refused:
        if refused.field is None and refused.status != 422:
            raise
        put(form, refused)
        return page("contacts/consent.html", refused.status, contact=row, form=form)
    flash("Recorded." if changed else "That is what we knew already; nothing changed.")
    return go(url_for("contacts.show", contact=row.public_id))


def _inboxes() -> list[Inbox]:
    """The inboxes one is in whose team's contacts one may edit."""
    return [inbox for inbox in Inbox.visible_to(member()) if member().can(Permission.CONTACTS_EDIT, on=inbox)]


def _form() -> Any:
    form = ConsentForm()
    inboxes = [(i.public_id, f"{i.name} {i.phone_display}") for i in _inboxes()]
    form.inbox.choices = inboxes if len(inboxes) == 1 else [("", "Choose an inbox"), *inboxes]
    return form


@bp.post("/contacts/<contact>/block")
@requires(Permission.CONTACTS_EDIT)
def block(contact: str) -> Response:
    return _set_blocked(contact, Contact.block, "{} is blocked. Their texts are kept, but nobody is told of them.")


@bp.post("/contacts/<contact>/unblock")
@requires(Permission.CONTACTS_EDIT)
def unblock(contact: str) -> Response:
    return _set_blocked(contact, Contact.unblock, "{} is no longer blocked.")


def _set_blocked(contact: str, change: Callable[..., None], sentence: str) -> Response:
    row = contact_or_404(contact, Permission.CONTACTS_EDIT)
    talk = _talk(row)
    with transaction():
        change(row, by=member(), conversation=talk)
    flash(sentence.format(row.name))
    return go(back_to(talk) if talk else url_for("contacts.show", contact=row.public_id))


def _talk(contact: Contact) -> Conversation | None:
    """The conversation with the contact that the button was pressed in, if it was."""
    if not request.form.get("conversation"):
        return None
    found = conversation_or_404(request.form["conversation"])
    return found if found.contact_id == contact.id else abort(404)


@bp.post("/messages/<message>/opt-out")
@requires(Permission.CONVERSATIONS_REPLY)
def answer(message: str) -> Response:
    """What a text that may be an opt-out means: `out` is yes or no. The first answer counts, and everybody sees it."""
    found = _message_or_404(message)
    talk, out = found.conversation, request.form.get("out")
    if out not in ("yes", "no"):
        raise Refused("Choose whether they want no more texts.")
    try:
        with transaction():
            talk.answer_opt_out(found, out == "yes", by=member())
    except OptOutAnswered as late:
        if not is_fragment():
            flash(late.sentence)
            return redirect(back_to(talk), 303)  # type: ignore[return-value]
        return _redrawn(talk, found.id, late.status)
    if not is_fragment():
        return redirect(back_to(talk), 303)  # type: ignore[return-value]
    return _redrawn(talk, found.id)


def _redrawn(talk: Conversation, message_id: int, status: int = 200) -> Response:
    found = screens.message_with_author(message_id)
    return fragment(
        "messages/opt_out.oob.html", status, conversation=talk, thread=screens.one(found) if found else [], strip=screens.strip(talk, member())
    )
