"""Calling a customer from their conversation: our carrier rings the member's own phone first (CH-3)."""

from __future__ import annotations

from secrets import token_urlsafe

from flask import Blueprint, Response, flash, redirect

from inbox import phone as phones
from inbox.forms import put
from inbox.forms.calls import CallForm
from inbox.models import Call, Conversation, Denied, Refused, transaction
from inbox.models.call import why_no_call
from inbox.models.contact import WITHHELD
from inbox.permissions import Permission
from inbox.views import screens
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.conversations import back_to
from inbox.views.hypermedia import either, fragment, is_fragment

bp = Blueprint("calls", __name__)


@bp.app_template_global()
def may_call(conversation: Conversation) -> bool:
    """Whether the button to call is shown at all: not where the carrier makes no calls, nor for callers who hid their number."""
    return bool(conversation.inbox.texting.adapter.caps.calls) and conversation.address != WITHHELD


@bp.get("/c/<conversation>/call")
@requires(Permission.CONVERSATIONS_REPLY)
def new(conversation: str) -> Response:
    """Ask which phone to ring."""
    found, who = conversation_or_404(conversation), member()
    who.require(Permission.CONVERSATIONS_REPLY, on=found)
    form = CallForm(formdata=None, data={"phone": phones.display(who.phone) if who.phone else "", "nonce": token_urlsafe(18)})
    return _ask(found, form)


@bp.post("/c/<conversation>/call")
@requires(Permission.CONVERSATIONS_REPLY)
def create(conversation: str) -> Response:
    """Place the call, once for each form."""
    found, form = conversation_or_404(conversation), CallForm()
    nonce = form.nonce.data or ""
    if not 0 < len(nonce) <= 40:
        nonce = form.nonce.data = token_urlsafe(18)
    try:
        with transaction():
            call = Call.place(found, by=member(), phone=form.phone.data or "", nonce=nonce)
    except Refused as refused:
        if isinstance(refused, Denied):
            raise
        put(form, refused)
        return _ask(found, form, refused.status)
    if not is_fragment():
        flash(f"Your phone {phones.display(call.agent_number)} rings. Pick up, and we call {found.contact.name}.")
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    message = screens.message_with_author(call.message_id)
    return fragment("calls/placed.oob.html", 201, conversation=found, call=call, thread=screens.one(message) if message else [])


def _ask(found: Conversation, form: CallForm, status: int = 200) -> Response:
    return either("calls/new.html", "calls/_new.html", status, conversation=found, form=form, why=why_no_call(found))
