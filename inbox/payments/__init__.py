"""Adapters between the product and whoever moves the money; none of them knows the database."""

from __future__ import annotations

from inbox.payments.base import Provider
from inbox.payments.manual import Manual

_PROVIDERS: dict[str, Provider] = {Manual.key: Manual()}
DEFAULT = Manual.key


def get(key: str) -> Provider:
    """The adapter of a payment provider; KeyError when there is none."""
    return _PROVIDERS[key]
