"""How many requests to a carrier's address were refused, by day: somebody else's, or signed for another address than ours."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from redis.exceptions import RedisError

from inbox import clock
from inbox.extensions import redis

log = logging.getLogger(__name__)
DAYS = 7


def _key(carrier_id: int, days_ago: int = 0) -> str:
    return f"inbox:refused:{carrier_id}:{(clock.now() - timedelta(days=days_ago)).date()}"


def note(carrier_id: int) -> None:
    """Count one; a Redis that is away loses it."""
    try:
        with redis.client.pipeline() as pipe:
            pipe.incr(_key(carrier_id))
            pipe.expire(_key(carrier_id), (DAYS + 1) * 86400)
            pipe.execute()
    except RedisError:
        log.debug("a refused request was not counted", exc_info=True)


def counts(carrier_ids: Sequence[int]) -> dict[int, int]:
    """The refused requests of the last seven days, for carriers that had any; empty when Redis is away."""
    keys = [_key(carrier_id, day) for carrier_id in carrier_ids for day in range(DAYS)]
    if not keys:
        return {}
    try:
        found = [int(value or 0) for value in redis.client.mget(keys)]
    except RedisError:
        return {}
    sums = {carrier_id: sum(found[place * DAYS : (place + 1) * DAYS]) for place, carrier_id in enumerate(carrier_ids)}
    return {carrier_id: total for carrier_id, total in sums.items() if total}
