"""Send one text of the outbox: claim and commit, call the carrier with nothing held, write down what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app

from inbox import clock, media_link
from inbox.channels.base import Credentials, Outgoing, PermanentFailure, Sent, TemporaryFailure, Uncertain
from inbox.models import Attachment, Carrier, Consent, Dispatch, Message, SendAttempt, SendRefused, db, transaction

LOOK_FOR = timedelta(seconds=20)  # the carrier's own list may lag behind
LOOK_EVERY = 4.0  # seconds
WAIT_FOR_CARRIER = timedelta(minutes=15)  # while it can't be asked at all


@dataclass(frozen=True)
class Work:
    """Everything the call needs, read under the claim."""

    dispatch_id: int
    claim: str
    checking: bool
    tried_at: datetime  # when the first try began that may have gone out
    known_as: str | None  # a receipt already told the carrier's id
    adapter: Any
    credentials: Credentials
    outgoing: Outgoing


def send_message(dispatch_id: int) -> None:
    """Send the text, or find out whether an earlier try went out; a row that is not ours to send is left alone."""
    work = _claim(dispatch_id)
    if work is None:
        return
    if work.checking:
        _look(work)
    else:
        _send(work)


def _claim(dispatch_id: int) -> Work | None:
    with transaction():
        dispatch = db.session.get(Dispatch, dispatch_id)
        claim = dispatch.claim_it() if dispatch else None
        if dispatch is None or claim is None:
            return None
        message = dispatch.message
        checking = dispatch.state == "checking"
        if not checking and not _still_allowed(dispatch, message, claim):
            return None
        carrier = Carrier.of(message.account_id)
        return Work(
            dispatch_id=dispatch.id, claim=claim, checking=checking, tried_at=_tried_at(dispatch), known_as=message.provider_id,
            adapter=carrier.adapter, credentials=carrier.credentials, outgoing=_outgoing(carrier, message),
        )


def _still_allowed(dispatch: Dispatch, message: Message, claim: str) -> bool:
    """The gate once more: consent or registration may have gone since the text was queued."""
    try:
        message.conversation.gate(message.body, media=len(message.attachments), exempt=tuple(dispatch.exempt))
    except SendRefused as refusal:
        dispatch.refused(claim, refusal.sentence, None)
        return False
    return True


def _tried_at(dispatch: Dispatch) -> datetime:
    """The start of the oldest try of this round that did not end clearly."""
    open_ended = sa.select(sa.func.min(SendAttempt.started_at)).where(
        SendAttempt.dispatch_id == dispatch.id, SendAttempt.started_at >= dispatch.first_try_at, SendAttempt.outcome.in_(("", "checking"))
    )
    return db.session.scalar(open_ended) or clock.now()


def _outgoing(carrier: Carrier, message: Message) -> Outgoing:
    conversation = message.conversation
    return Outgoing(
        ref=message.ref,
        sender=conversation.inbox.phone or "",
        to=conversation.address,
        text=message.body,
        media_urls=tuple(_media_url(carrier, attachment) for attachment in message.attachments),
        status_callback=f"{carrier.hook('status')}?ref={message.ref}",
    )


def _media_url(carrier: Carrier, attachment: Attachment) -> str:
    sig = media_link.sign(current_app.config["SECRET_KEY"], attachment.public_id)
    return f"{carrier.hook('media')}/{attachment.public_id}?sig={sig}"


def _send(work: Work) -> None:
    try:
        sent = work.adapter.send(work.credentials, work.outgoing)
    except PermanentFailure as error:
        _refused(work, error)
    except TemporaryFailure as error:
        with transaction():
            _row(work).later(work.claim, error.reason, error.code, error.retry_after)
    except Uncertain:
        # The row stays "sending" until its lease is over; whoever claims it then looks before anything is sent.
        with transaction():
            _row(work).look_again(work.claim, LOOK_EVERY)
    else:
        _accepted(work, sent)


def _look(work: Work) -> None:
    """An earlier try may have gone out: ask the carrier, never send again."""
    if work.known_as is not None:
        with transaction():
            dispatch = _row(work)
            dispatch.accepted(work.claim, work.known_as, dispatch.message.state, None)
        return
    waited, reachable, found = clock.now() - work.tried_at, True, None
    try:
        found = work.adapter.find(work.credentials, work.outgoing, work.tried_at)
    except PermanentFailure:
        found = None
    except (TemporaryFailure, Uncertain):
        reachable = False
    if found is not None and not _of_another(work, found):
        _accepted(work, found)
        return
    with transaction():
        if waited < (LOOK_FOR if reachable else WAIT_FOR_CARRIER):
            _row(work).look_again(work.claim, LOOK_EVERY)
        else:
            _row(work).unknown(work.claim, "The carrier did not answer, and the text is not in its list. It may have been sent.")


def _of_another(work: Work, found: Sent) -> bool:
    """Whether what was found is an earlier text with the same words, which we know already."""
    mine = _row(work).message
    taken = db.session.scalar(sa.select(Message.id).where(Message.inbox_id == mine.inbox_id, Message.provider_id == found.provider_id, Message.id != mine.id))
    db.session.commit()
    return taken is not None


def _accepted(work: Work, sent: Sent) -> None:
    with transaction():
        _row(work).accepted(work.claim, sent.provider_id, str(sent.status), sent.segments)


def _refused(work: Work, error: PermanentFailure) -> None:
    with transaction():
        dispatch = _row(work)
        if error.opted_out:
            conversation = dispatch.message.conversation
            Consent.put(conversation.account_id, conversation.inbox.team_id, conversation.address, opted_out=True, source="provider", evidence=error.reason)
        dispatch.refused(work.claim, error.reason, error.code)


def _row(work: Work) -> Dispatch:
    return db.session.get_one(Dispatch, work.dispatch_id)
