"""Where a change comes from: an IP address, "job", "carrier" or "command line". Entry points say it; events note it (ACC-8)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

COMMAND_LINE, JOB, CARRIER, UNKNOWN = "command line", "job", "carrier", "unknown"
WORDS = {COMMAND_LINE: "the command line", JOB: "a background job", CARRIER: "the carrier", UNKNOWN: "an unknown address", "": "not recorded"}

_origin: ContextVar[str] = ContextVar("origin", default=COMMAND_LINE)


def current() -> str:
    """Where the work at hand comes from; nobody said so means a command."""
    return _origin.get()


def use(origin: str = COMMAND_LINE) -> None:
    """From now on, in this thread of work, things come from there."""
    _origin.set(origin)


@contextmanager
def coming_from(origin: str) -> Iterator[None]:
    """Whatever happens inside comes from there."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


def address(text: str | None) -> str:
    """The IP address in its usual spelling, or "unknown" for anything that is none (SECURITY S10)."""
    try:
        ip = ipaddress.ip_address(text or "")
    except ValueError:
        return UNKNOWN
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:  # may hold any characters and says nothing outside the machine
            return UNKNOWN
        ip = ip.ipv4_mapped or ip
    return str(ip)
