"""Adapters between the product and the carriers; none of them knows the database."""

from __future__ import annotations

from inbox.channels.twilio import Twilio

_ADAPTERS = {Twilio.key: Twilio()}


def get(key: str) -> Twilio:
    """The adapter of a channel; KeyError when there is none."""
    return _ADAPTERS[key]
