"""Signs of life of the parts that nobody can connect to: each writes the time into Redis, /healthz counts the fresh ones."""

from __future__ import annotations

import os
import socket
import time

from inbox.extensions import redis

FRESH = 15.0  # seconds


def name() -> str:
    """This process, unlike any other on any machine that shares the Redis."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _key(part: str) -> str:
    return f"{os.environ.get('RQ_KEY_PREFIX', 'rq')}:alive:{part}"


def beat(part: str) -> None:
    """Say that this worker or scheduler is alive."""
    now = time.time()
    with redis.client.pipeline() as pipe:
        pipe.zadd(_key(part), {name(): now})
        pipe.zremrangebyscore(_key(part), 0, now - 3600)
        pipe.execute()


def leave(part: str) -> None:
    """Say that this process stops on purpose."""
    redis.client.zrem(_key(part), name())


def alive(part: str) -> int:
    """How many of that part gave a sign of life lately."""
    return int(redis.client.zcount(_key(part), time.time() - FRESH, "+inf"))
