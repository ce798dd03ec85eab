"""Place a call a member asked for: claim and commit, ask the carrier once with nothing held, write down what came of it."""

from __future__ import annotations

from inbox.channels.base import ChannelError, Uncertain
from inbox.models import Call, db, transaction

UNSURE = "The carrier did not confirm it. If your phone doesn’t ring, try once more."


def place_call(call_id: int) -> None:
    """Ring the member's phone, once: a call is never placed again by itself, because somebody would be rung twice."""
    with transaction():
        call = db.session.get(Call, call_id)
        ring = call.claim() if call else None
        if call is None or ring is None:
            return
        carrier = call.inbox.texting
        adapter, credentials = carrier.adapter, carrier.credentials
    try:
        provider_id = adapter.place_call(credentials, ring)
    except ChannelError as error:
        with transaction():
            db.session.get_one(Call, call_id).fail(UNSURE if isinstance(error, Uncertain) else error.reason)
    else:
        with transaction():
            db.session.get_one(Call, call_id).placed(provider_id)
