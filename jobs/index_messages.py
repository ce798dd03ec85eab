"""Put into the search index what was written before there was one."""

from __future__ import annotations

import time

from inbox import background
from inbox.models import search

AT_ONCE = 20.0  # seconds; then others have their turn


def index_messages() -> None:
    """A batch in each transaction; rings for the rest."""
    ends = time.monotonic() + AT_ONCE
    while search.catch_up():
        if time.monotonic() > ends:
            background.enqueue("index_messages", on="mail")
            return
