"""Starting a conversation: which inbox, to whom, what."""

from __future__ import annotations

from secrets import token_urlsafe

import sqlalchemy as sa
from flask import Blueprint, Response, flash, request, url_for

from inbox import phone as phones
from inbox.forms.compose import ComposeForm
from inbox.models import Contact, Conversation, Denied, Inbox, Refused, db, transaction
from inbox.models.gate import Path
from inbox.permissions import Permission
from inbox.views import screens
from inbox.views.access import member, requires
from inbox.views.counting import Meter, meter
from inbox.views.hypermedia import fragment, go, is_fragment, page
from inbox.views.uploads import kept_uploads, take_uploads

bp = Blueprint("compose", __name__)
CHOSEN = "contact:"


@bp.get("/compose")
@requires(Permission.CONVERSATIONS_COMPOSE)
def new() -> Response:
    form = ComposeForm(request.args, meta={"csrf": False}) if request.args.get("to") else ComposeForm()
    form.nonce.data = token_urlsafe(18)
    return _form(form)


@bp.get("/compose/contacts")
@requires(Permission.CONTACTS_VIEW)
def contacts() -> Response:
    """Suggestions for the To field."""
    words = request.args.get("to", "").strip()
    found = Contact.search(member(), words, limit=8) if len(words) >= 2 else []
    return fragment("compose/_contacts.html", contacts=[c for c in found if c.phone])


@bp.get("/compose/meter")
@requires(Permission.CONVERSATIONS_COMPOSE)
def meter_of() -> Response:
    """How a text is counted and what it costs, for the recipient and the inbox of the form."""
    form = ComposeForm(request.args, meta={"csrf": False})
    return fragment("messages/_count.html", meter=_meter(form, Inbox.sendable_by(member())), body="", files=0)


@bp.post("/compose")
@requires(Permission.CONVERSATIONS_COMPOSE)
def create() -> Response:
    """Send the first text; it lands in Archived until the customer answers."""
    form = ComposeForm()
    try:
        inbox = chosen_inbox(form)
        uploads = take_uploads(inbox)
        with transaction():
            to = address_of(form.to.data or "", inbox)
            message = Conversation.compose(inbox, to, form.body.data or "", by=member(), nonce=(form.nonce.data or "")[:40] or None, uploads=uploads)
    except Denied:
        raise
    except Refused as refused:
        return refused_form(form, refused)
    asked, waits = message.path == Path.OPT_IN, screens.held(message)
    sent = f"Held: {waits}." if waits else "Sent. It is in Archived until they answer."
    flash("We asked them for a YES first. Your text is kept as a draft in the conversation." if asked else sent)
    return go(url_for("conversations.show", conversation=message.conversation.public_id))


def refused_form(form: ComposeForm, refused: Refused) -> Response:
    """The form again with everything typed, and the sentence where it belongs."""
    target = form[refused.field] if refused.field in ("inbox", "to", "body", "media") else None
    if refused.field == "at":
        form.at_error = refused
    elif target is not None:
        target.errors = [*target.errors, refused.sentence]
    else:
        form.form_errors.append(refused.sentence)
    return _form(form, refused.status)


def chosen_inbox(form: ComposeForm) -> Inbox:
    """The chosen inbox; there is no default when there is a choice."""
    found = [i for i in Inbox.sendable_by(member()) if i.public_id == form.inbox.data]
    if not found:
        raise Refused("Choose which inbox this goes out from.", field="inbox")
    return found[0]


def address_of(text: str, inbox: Inbox) -> str:
    """What was typed: a number, or the name of exactly one contact."""
    text = text.strip()
    if chosen := _chosen(text):
        return chosen.phone or ""
    region = phones.region_of(inbox.phone or "") or "US"
    if not text:
        raise Refused("Say who this goes to.", field="to")
    if phones.normalize(text, region) or not member().can(Permission.CONTACTS_VIEW):
        return text
    named = list(
        db.session.scalars(Contact.visible_to(member()).where(sa.func.lower(Contact.name) == text.lower(), Contact.phone.is_not(None)).limit(2))
    )
    if len(named) > 1:
        raise Refused(f"Several contacts are called {text}. Write the number.", field="to")
    return named[0].phone or text if named else text


def _chosen(text: str) -> Contact | None:
    """The contact that a link to this page named, as contact:<id>; their number need not be known to whoever writes."""
    if not text.startswith(CHOSEN):
        return None
    return db.session.scalar(Contact.visible_to(member()).where(Contact.public_id == text.removeprefix(CHOSEN), Contact.phone.is_not(None)))


def _form(form: ComposeForm, status: int = 200) -> Response:
    inboxes = Inbox.sendable_by(member())
    if status == 200 and len(inboxes) == 1:
        form.inbox.data = inboxes[0].public_id
    template = "compose/_form.html" if is_fragment() and status != 200 else "compose/new.html"
    takes = max((i.texting.adapter.caps for i in inboxes), key=lambda caps: caps.max_media, default=None)
    return page(
        template, status, form=form, chosen=_chosen(form.to.data or ""), inboxes=inboxes,
        meter=_meter(form, inboxes), uploads=kept_uploads(), takes=takes if takes and takes.max_media else None,
    )


def _meter(form: ComposeForm, inboxes: list[Inbox]) -> Meter:
    """The meter of the chosen inbox; while nobody is named, for a number of its own country."""
    inbox = next((i for i in inboxes if i.public_id == form.inbox.data), None)
    if inbox is None:
        return Meter("", False, 0, 0, 0)
    try:
        address = phones.normalize(address_of(form.to.data or "", inbox), phones.region_of(inbox.phone or "") or "US")
    except Refused:
        address = None
    ending = Conversation.first_text_ending(inbox, address, member())
    return meter(inbox.texting.adapter, address or inbox.phone or "", ending=ending, plain=inbox.plain_texts)


