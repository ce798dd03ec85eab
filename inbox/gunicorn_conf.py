"""How gunicorn serves the pages and the websockets: one process, threads for what is asked, and one that watches the sockets of all open pages."""

import contextlib
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from inbox.config import load

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a worker's heartbeat file must not wait for a disk
CLOSING_PATIENCE = 2.0  # seconds; a slow reader must not hold up the stop

settings = load()

bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
threads = int(os.environ.get("THREADS") or 40)
worker_connections = 2000
timeout = 60
graceful_timeout = 5
keepalive = 15
worker_tmp_dir = SHARED_MEMORY if Path(SHARED_MEMORY).is_dir() else None
control_socket_disable = True
accesslog = None
errorlog = "-"
loglevel = settings.log_level.lower()
proc_name = "inbox-web"


def post_worker_init(worker: Any) -> None:
    """Allow as many open pages as the system does; tell them to reconnect when this process is asked to stop."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a limit that it does not give
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    earlier = signal.getsignal(signal.SIGTERM)

    def close_sockets_first(number: int, frame: FrameType | None) -> None:
        close_all = getattr(sys.modules.get("inbox.realtime"), "close_all", None)
        if close_all is not None:
            closing = threading.Thread(target=close_all, daemon=True)
            closing.start()
            closing.join(CLOSING_PATIENCE)
        if callable(earlier):
            earlier(number, frame)

    signal.signal(signal.SIGTERM, close_sockets_first)
