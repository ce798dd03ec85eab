"""How fast a campaign may send: one bucket of segments for each campaign, kept in Redis; a reply never waits for one text to thousands.

What Redis forgets is a full bucket, and without Redis nothing is slowed down: the carrier's own "too many" then does it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from redis.exceptions import RedisError

from inbox import phone as phones
from inbox.extensions import redis

log = logging.getLogger(__name__)
LONG_CODE, TOLL_FREE = 1.0, 3.0  # segments a second, where the carrier did not say
RESERVE = {"send": 0.0, "auto": 0.25, "bulk": 0.5}  # the part of a bucket that a lane leaves to the lanes above it
PATIENCE = 0.25  # seconds a worker waits itself; it has the texts of other accounts to send, too
WANTED = 2.0  # seconds for which a lane that was sent away keeps lower lanes out
TOLL_FREE_CODES = frozenset({"800", "833", "844", "855", "866", "877", "888"})

# A text larger than the bucket leaves when the bucket is full, and the bucket then owes. Marks say until when a higher lane wants its turn.
_TAKE = """
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1000000
local rate, size, cost, reserve, rank, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local kept = redis.call('HMGET', KEYS[1], 'level', 'at', 'want0', 'want1')
local at = tonumber(kept[2]) or now
local level = math.min(size, (tonumber(kept[1]) or size) + math.max(0, now - at) * rate)
local wait = (math.min(cost, size - reserve) + reserve - level) / rate
for above = 0, rank - 1 do
  local until_then = tonumber(kept[3 + above]) or 0
  if until_then > now then wait = math.max(wait, math.min(until_then - now, 1 / rate)) end
end
if wait > 0.0005 then
  if rank < 2 then redis.call('HSET', KEYS[1], 'want' .. rank, now + math.min(wait + 0.25, keep)) end
else
  level, wait = level - cost, 0
  if rank < 2 then redis.call('HDEL', KEYS[1], 'want' .. rank) end
end
redis.call('HSET', KEYS[1], 'level', level, 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil((size - level) / rate * 1000) + 10000)
return tostring(wait)
"""


@dataclass(frozen=True)
class Bucket:
    """Whose segments are counted together, and how many a second may leave."""

    key: str
    rate: float


def bucket(carrier_id: int, registration_id: int, limits: dict[str, object], sender: str) -> Bucket:
    """The bucket of a campaign at a carrier; toll-free numbers have one of their own, because carriers count them apart."""
    toll_free = phones.area_code(sender) in TOLL_FREE_CODES if sender.startswith("+1") else False
    said = limits.get("mps")
    rate = float(said) if isinstance(said, int | float) and said > 0 and not toll_free else TOLL_FREE if toll_free else LONG_CODE
    return Bucket(f"inbox:throttle:{carrier_id}:{registration_id}:{sender if toll_free else 'all'}", rate)


def take(which: Bucket, segments: int, lane: str) -> float:
    """Take segments from the bucket: 0.0 when they may leave now, else the seconds after which to ask again."""
    size = which.rate  # one second's worth
    values = (which.rate, size, segments, RESERVE[lane] * size, list(RESERVE).index(lane), WANTED)
    try:
        answer = redis.client.eval(_TAKE, 1, which.key, *(str(value) for value in values))
    except RedisError as error:
        log.warning("nothing is slowed down while Redis is away (%s)", type(error).__name__)
        return 0.0
    return float(cast("bytes", answer))


def wait_for(which: Bucket, segments: int, lane: str, sleep: Callable[[float], None] = time.sleep) -> float:
    """Take segments, waiting up to PATIENCE seconds for them; else the seconds after which to come back."""
    left = PATIENCE
    while True:
        wait = take(which, segments, lane)
        if wait <= 0 or wait >= left:
            return wait
        sleep(wait)
        left -= wait
