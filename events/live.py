"""The live stream: one bounded Redis stream that every web process reads once (:mod:`events.hub`).

The stream is a courtesy, the journal is the truth: what is lost here is replayed from there by cursor.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any

import redis
from django.conf import settings

from events.recorded import Recorded

log = logging.getLogger(__name__)

STREAM = "moorage:live"
LENGTH = 20_000  # events kept in Redis; about 10 MB
PAUSE_S = 2.0  # after a failure: no request pays for a dead Redis twice in that time

_lock = threading.Lock()
_client: redis.Redis | None = None
_paused_until = 0.0


def client() -> redis.Redis:
    """This process's connection pool to Redis."""
    global _client  # one pool per process
    with _lock:
        if _client is None:
            _client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=1)
        return _client


def wire(event: Recorded) -> dict[str, Any]:
    """The JSON form of an event, as sockets and server-sent events carry it."""
    return {
        "topic": event.topic,
        "seq": event.seq,
        "kind": event.kind,
        "actor": event.actor,
        "reason": event.reason,
        "timestamp": event.created_at.isoformat().replace("+00:00", "Z"),
        "data": event.data,
    }


def publish(event: Recorded) -> bool:
    """Append one event to the stream. False when Redis did not take it."""
    return publish_raw(wire(event))


def publish_raw(message: dict[str, Any]) -> bool:
    """Append one message that has a ``topic``. False when Redis did not take it, at once while it is known to be down."""
    global _paused_until
    if time.monotonic() < _paused_until:
        return False
    try:
        client().xadd(STREAM, {"m": json.dumps(message, separators=(",", ":"))}, maxlen=LENGTH, approximate=True)
    except redis.RedisError as error:
        _paused_until = time.monotonic() + PAUSE_S
        log.warning("live stream is away", extra={"error": type(error).__name__})
        return False
    return True
