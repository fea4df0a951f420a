"""How many requests the polling of one credential may make: a token bucket that all processes share through Redis.

It holds at most :data:`BURST` of an hour's requests and fills at the rest of the hour's rate, so that no hour ever
sees more than the hourly number. Without Redis nobody polls: webhooks still say what happens.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

import redis

from events import live

BURST = 20
_KEY = "moorage:forge-calls:"

# KEYS bucket | now, rate per second, burst, how many. Answers the seconds to wait, as text; 0: taken.
_TAKE = """
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local now, rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local tokens = tonumber(kept[1]) or burst
local passed = math.max(0, now - (tonumber(kept[2]) or now))
tokens = math.min(burst, tokens + passed * rate)
local wait = 0
if wanted > 0 and tokens < wanted then wait = (wanted - tokens) / rate else tokens = tokens - wanted end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(math.max(now, tonumber(kept[2]) or now)))
redis.call('EXPIRE', KEYS[1], 86400)
return tostring(wait)
"""
_SETTLE = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HINCRBYFLOAT', KEYS[1], 'tokens', -tonumber(ARGV[1])) end
return 1
"""


def take(credential: str, *, calls: int, per_hour: int, now: datetime) -> float:
    """Take so many requests out of the credential's bucket: 0, or the seconds until they are there."""
    burst = min(BURST, per_hour // 2)
    rate = (per_hour - burst) / 3600
    if burst < calls:
        return 3600.0  # the operator allows next to nothing
    try:
        waits = live.client().eval(_TAKE, 1, _KEY + credential, now.timestamp(), rate, burst, calls)
        return float(cast(bytes, waits))
    except redis.RedisError:
        return 60.0


def settle(credential: str, *, calls: int) -> None:
    """What a look took beyond what it had taken out, or (below 0) what it did not need. A debt is worked off."""
    try:
        if calls:
            live.client().eval(_SETTLE, 1, _KEY + credential, calls)
    except redis.RedisError:
        return  # the bucket is gone with it, and polling with the bucket
