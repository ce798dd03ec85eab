"""Who may use the control plane and the pages: this machine, from these pages."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from flask import request

from .wire import Refusal, carrier

LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}
SAFE = {"GET", "HEAD", "OPTIONS"}


def is_open() -> bool:
    return os.environ.get("SANDBOX_OPEN", "") == "1"


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


def check_peer() -> None:
    """Refuse strangers, foreign host names (a name that was bent to this address) and other sites' forms."""
    if not is_open():
        if not _is_loopback(request.remote_addr):
            raise Refusal(403, 20003, "The simulator answers on this machine only. Set SANDBOX_OPEN=1 to open it.")
        name = urlsplit(f"//{request.host}").hostname or ""
        if name not in LOOPBACK_NAMES | {urlsplit(carrier().base_url).hostname}:
            raise Refusal(403, 20003, f"The simulator is not known as {name}.")
    if request.method in SAFE:
        return
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise Refusal(403, 20003, "This request came from another site.")
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(403, 20003, "This request came from another site.")
