"""Facts for open pages: publish after commit, subscribe in the process that holds the sockets.

A fact is tiny: `{"what": "message", "conversation": 7, "inbox": 3, "account": 1, ...}`. It never holds content: each socket checks again what its
viewer may see and renders its own fragment. A missing fact is harmless, pages ask what changed when they reconnect.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from inbox.extensions import after_commit, redis

log = logging.getLogger(__name__)
CHANNEL = "inbox:facts"
Fact = dict[str, Any]
Listener = Callable[[Fact], None]

_listeners: set[Listener] = set()
_closers: set[Callable[[], None]] = set()
_lock = threading.Lock()
_thread: threading.Thread | None = None


def publish(what: str, **facts: Any) -> None:
    """Tell every open page of the account that something happened, once the transaction has committed."""
    fact: Fact = {"what": what, **facts}
    after_commit(lambda: _send(fact))


def _send(fact: Fact) -> None:
    try:
        redis.client.publish(CHANNEL, json.dumps(fact))
    except Exception:
        log.warning("a fact was not published: %s", fact["what"])
        _deliver(fact)  # the pages of this process at least


def listen(listener: Listener) -> None:
    """Call `listener(fact)` for every fact from now on; it must be quick and must not raise."""
    with _lock:
        _listeners.add(listener)
    _start()


def unlisten(listener: Listener) -> None:
    with _lock:
        _listeners.discard(listener)


def on_close(closer: Callable[[], None]) -> None:
    """Register what closes this process's sockets when it stops."""
    _closers.add(closer)


def close_all() -> None:
    """Close every socket with "service restart"; called when the web process is told to stop."""
    for closer in list(_closers):
        closer()


def _start() -> None:
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="facts", daemon=True)
            _thread.start()


def _run() -> None:
    delay = 0.1
    lost = False
    while True:
        try:
            with redis.client.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
                pubsub.subscribe(CHANNEL)
                if lost:  # publish/subscribe has no memory
                    _deliver({"what": "resync"})
                delay, lost = 0.1, False
                while True:
                    message = pubsub.get_message(timeout=20)
                    if message:
                        _deliver(json.loads(message["data"]))
        except Exception:
            lost = True
            log.warning("the fact stream broke; trying again in %.1f s", delay)
            time.sleep(delay)
            delay = min(delay * 2, 5)


def _deliver(fact: Fact) -> None:
    with _lock:
        listeners = list(_listeners)
    for listener in listeners:
        try:
            listener(fact)
        except Exception:
            log.exception("a listener failed")
