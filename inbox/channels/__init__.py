"""Adapters between the product and the carriers; none of them knows the database."""

from __future__ import annotations

from inbox.channels.base import Gateway
from inbox.channels.kannel import Kannel
from inbox.channels.twilio import Twilio

_CARRIERS: dict[str, Twilio | Kannel] = {each.kind: each for each in (Twilio(), Kannel())}  # the first of a channel is its usual one
KEYS = frozenset(each.key for each in _CARRIERS.values())
UNREGISTERED = frozenset(kind for kind, each in _CARRIERS.items() if not each.caps.needs_registration)


def get(key: str) -> Twilio | Kannel:
    """The usual adapter of a channel; KeyError when there is none."""
    for each in _CARRIERS.values():
        if each.key == key:
            return each
    raise KeyError(key)


def of_kind(kind: str) -> Twilio | Kannel:
    """The adapter of a kind of carrier; KeyError when there is none."""
    return _CARRIERS[kind]


def gateway() -> Gateway:
    """The adapter of the carrier an account can bring itself."""
    return next(each for each in _CARRIERS.values() if isinstance(each, Kannel))


def explain(key: str, code: str) -> str:
    """What an error code of a channel means, in the words of the carrier whose code it is."""
    speakers = [each for each in _CARRIERS.values() if each.key == key and each.knows(code)]
    return (speakers[0] if speakers else get(key)).explain(code)
