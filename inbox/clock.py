"""The product's one clock, which tests may move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_offset = timedelta(0)


def now() -> datetime:
    """The current moment, aware and in UTC."""
    return datetime.now(UTC) + _offset


def shift(seconds: float) -> None:
    """Move the clock of this process by some seconds, on top of earlier shifts."""
    global _offset
    _offset += timedelta(seconds=seconds)


def reset() -> None:
    """Put the clock back to real time."""
    global _offset
    _offset = timedelta(0)
