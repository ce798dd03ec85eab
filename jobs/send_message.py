"""Send one text of the outbox: claim and commit, call the carrier with nothing held, write down what came of it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app

from inbox import channels, clock, media_link, throttle
from inbox.channels.base import Credentials, Doubtful, Outgoing, PermanentFailure, Sent, TemporaryFailure, Uncertain
from inbox.models import Attachment, Carrier, Consent, Dispatch, Inbox, Message, Registration, UsageDay, db, transaction
from inbox.models.consent import hold_still
from inbox.models.gate import Answer, capped
from inbox.models.undo import give_up, stopped_at_claim
from inbox.models.usage import daily_cap, next_day, today

LOOK_FOR = timedelta(seconds=30)  # a slow carrier may still take it while we wait for an answer, and its own list may lag behind
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
    work = _claim(dispatch_id) if _its_turn(dispatch_id) else None
    if work is None:
        return
    if work.checking:
        _look(work)
    else:
        _send(work)


def _its_turn(dispatch_id: int) -> bool:
    """Whether the campaign may send so much now (MSG-1); a short wait is waited here, a longer one put off.

    Asked before the claim, so that nothing is held, and not for a text that waits for an earlier one: what it took, nobody would give back.
    """
    row = db.session.execute(
        sa.select(Dispatch.lane, Message.segments, Inbox.phone, sa.func.coalesce(Inbox.carrier_id, 0), Registration.id, Registration.limits)
        .join(Message, Message.id == Dispatch.message_id)
        .join(Inbox, Inbox.id == Message.inbox_id)
        .outerjoin(Carrier, Carrier.id == Inbox.carrier_id)
        .join(Registration, Registration.team_id == Inbox.team_id)
        .where(Dispatch.id == dispatch_id, Dispatch.state == "queued", Dispatch.next_at <= clock.now(), ~Dispatch.blocked())
        .where(sa.func.coalesce(Carrier.kind, "").not_in(sorted(channels.UNREGISTERED)))
    ).one_or_none()
    db.session.commit()
    if row is None:
        return True
    lane, segments, phone, carrier_id, registration_id, limits = row
    wait = throttle.wait_for(throttle.bucket(carrier_id, registration_id, limits or {}, phone or ""), segments or 1, lane)
    if wait > 0:
        with transaction():
            Dispatch.pace(dispatch_id, wait + random.uniform(0, 0.5))  # noqa: S311
    return wait <= 0


def _claim(dispatch_id: int) -> Work | None:
    with transaction():
        dispatch = db.session.get(Dispatch, dispatch_id)
        if dispatch is not None:
            hold_still(dispatch.message.account_id, dispatch.message.peer)
        claim = dispatch.claim_it() if dispatch else None
        if dispatch is None or claim is None:
            return None
        message = dispatch.message
        checking = dispatch.state == "checking"
        if not checking and not _still_allowed(dispatch, message, claim):
            return None
        carrier = message.conversation.inbox.texting
        return Work(
            dispatch_id=dispatch.id, claim=claim, checking=checking, tried_at=dispatch.tried_at, known_as=message.provider_id,
            adapter=carrier.adapter, credentials=carrier.credentials, outgoing=_outgoing(carrier, message),
        )


def _still_allowed(dispatch: Dispatch, message: Message, claim: str) -> bool:
    """The gate once more: consent or registration may have gone since the text was queued, or the night begun."""
    if stopped_at_claim(dispatch, claim):
        return False
    exempt = (*dispatch.exempt, "cap") if dispatch.counted_on == today() else tuple(dispatch.exempt)
    judgement = message.judged(exempt)
    if judgement.refusal and dispatch.undo_until is not None:
        give_up(dispatch, claim, judgement.refusal.sentence)
    elif judgement.refusal:
        dispatch.refused(claim, judgement.refusal.sentence, None)
    elif judgement.until:
        dispatch.put_off(claim, judgement.until, judgement.stored())
    return judgement.refusal is None and judgement.until is None and _counted(dispatch, message, claim)


def _counted(dispatch: Dispatch, message: Message, claim: str) -> bool:
    """Take the text's segments from the day's cap, or leave it for tomorrow."""
    inbox = message.conversation.inbox
    registration = inbox.registration if inbox.needs_registration else None
    cap = daily_cap(registration)
    if registration is None or cap is None or dispatch.count(claim, message.segments or 1, registration.id, cap):
        return True
    _tomorrow(dispatch, message, claim, capped(cap))
    return False


def _tomorrow(dispatch: Dispatch, message: Message, claim: str, sentence: str) -> None:
    until = next_day()
    full = Answer("cap", False, sentence, until).stored()
    dispatch.put_off(claim, until, [*(answer for answer in message.verdict if answer["rule"] != "cap"), full])


def _outgoing(carrier: Carrier, message: Message) -> Outgoing:
    conversation = message.conversation
    return Outgoing(
        ref=message.ref,
        sender=conversation.inbox.phone or "",
        to=message.peer,
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
    except Doubtful as error:
        with transaction():
            _row(work).look_again(work.claim, LOOK_EVERY, failed=error.code)
    except TemporaryFailure as error:
        with transaction():
            if error.tomorrow:
                _used_up(_row(work), work.claim, error)
                return
            _row(work).later(work.claim, error.reason, error.code, error.retry_after)
    except Uncertain:
        # The row stays "sending" until its lease is over; whoever claims it then looks before anything is sent.
        with transaction():
            _row(work).look_again(work.claim, LOOK_EVERY)
    else:
        _accepted(work, sent)


def _used_up(dispatch: Dispatch, claim: str, error: TemporaryFailure) -> None:
    """The carrier counts what others sent for the same business, too: by it, today's cap is reached."""
    message = dispatch.message
    registration = message.conversation.inbox.registration
    cap = daily_cap(registration)
    if registration is not None and cap is not None:
        UsageDay.fill(registration.id, cap)
    _tomorrow(dispatch, message, claim, f"{error.reason} It goes out after midnight Pacific time.")


def _look(work: Work) -> None:
    """An earlier try may have gone out: ask the carrier, never send again."""
    if work.known_as is not None:
        with transaction():
            dispatch = _row(work)
            dispatch.accepted(work.claim, work.known_as, dispatch.message.state, None)
        return
    waited, reachable, listed, found = clock.now() - work.tried_at, True, work.adapter.caps.lookup, None
    try:
        found = _find(work)
    except PermanentFailure:
        listed = False
    except (TemporaryFailure, Uncertain):
        reachable = False
    if found is not None:
        _accepted(work, found)
        return
    with transaction():
        if waited < (LOOK_FOR if reachable else WAIT_FOR_CARRIER):
            _row(work).look_again(work.claim, LOOK_EVERY)
        elif reachable and listed and (code := _row(work).failed_try()):
            _row(work).not_taken(work.claim, work.adapter.explain(code), code)
        else:
            looked = ", and the text is not in its list" if work.adapter.caps.lookup else " and keeps no list to look it up in"
            _row(work).unknown(work.claim, f"The carrier did not answer{looked}. It may have been sent.")


def _find(work: Work) -> Sent | None:
    """The text in the carrier's list, if it is there and cannot be another one with the same words."""
    known: set[str] = set()
    while True:
        found: Sent | None = work.adapter.find(work.credentials, work.outgoing, work.tried_at, known)
        if found is None or found.provider_id in known:
            return None
        mine = _row(work).message
        another, twin = mine.belongs_to_another(found.provider_id), mine.has_twin
        db.session.commit()
        if not another:
            return None if twin else found
        known.add(found.provider_id)


def _accepted(work: Work, sent: Sent) -> None:
    with transaction():
        _row(work).accepted(work.claim, sent.provider_id, str(sent.status), sent.segments, sent.price)


def _refused(work: Work, error: PermanentFailure) -> None:
    with transaction():
        dispatch = _row(work)
        if error.opted_out:
            conversation = dispatch.message.conversation
            Consent.put(
                conversation.account_id, conversation.inbox.team_id, dispatch.message.peer, opted_out=True, source="provider", evidence=error.reason,
                inbox_id=conversation.inbox_id, message=dispatch.message,
            )
        dispatch.refused(work.claim, error.reason, error.code)


def _row(work: Work) -> Dispatch:
    return db.session.get_one(Dispatch, work.dispatch_id)
