"""The live stream: one bounded Redis stream that every web process reads once (:mod:`events.hub`).

The stream is a courtesy, the journal is the truth: what is lost here is replayed from there by cursor.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import datetime
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from events.recorded import Recorded

log = logging.getLogger(__name__)

STREAM = "moorage:live"
LENGTH = 20_000  # events kept in Redis; about 10 MB
PAUSE_S = 2.0  # after a failure: no request pays for a dead Redis twice in that time
# Topics without a journal: each message is the whole state, only the last one counts, and ``seq`` is a time in ms.
SNAPSHOT_TOPICS = ("queue", "metrics")

_lock = threading.Lock()
_clients: dict[str, redis.Redis] = {}
_paused_until: dict[str, float] = {}


def client() -> redis.Redis:
    """This process's connection pool to Redis."""
    url = settings.REDIS_URL
    with _lock:
        if url not in _clients:
            # One try more on a connection that Redis has closed meanwhile. redis-py's own default would have a
            # request wait for three tries with growing pauses, and would try again after a time-out.
            again = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
            _clients[url] = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1, retry=again)
        return _clients[url]


def snapshot_key(topic: str) -> str:
    """The Redis key that holds the last message of a snapshot topic."""
    return f"{STREAM}:last:{topic}"


def wire(event: Recorded) -> dict[str, Any]:
    """The JSON form of an event, as the stream carries it from process to process."""
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
    """Append one message with ``topic``, ``seq``, ``timestamp`` and ``data``. False when Redis did not take it.

    Answers at once while Redis is known to be down. A message of a snapshot topic is also kept for late comers.
    """
    url, topic = settings.REDIS_URL, message["topic"]
    if away():
        return False
    text = json.dumps(message, separators=(",", ":"))
    try:
        with client().pipeline(transaction=False) as pipe:
            if topic in SNAPSHOT_TOPICS:
                pipe.set(snapshot_key(topic), text)
            pipe.xadd(STREAM, {"m": text}, maxlen=LENGTH, approximate=True)
            pipe.execute()
    except redis.RedisError as error:
        _paused_until[url] = time.monotonic() + PAUSE_S
        log.warning("live stream is away", extra={"error": type(error).__name__})
        return False
    return True


def away() -> bool:
    """Redis did not answer this process a moment ago: whoever would wait for it longer need not try."""
    return time.monotonic() < _paused_until.get(settings.REDIS_URL, 0.0)


def publish_snapshot(topic: str, data: dict[str, Any], *, now: datetime) -> bool:
    """Publish the present state of a snapshot topic; its ``seq`` is the time in milliseconds."""
    return publish_raw(
        {
            "topic": topic,
            "seq": int(now.timestamp() * 1000),
            "kind": f"{topic}.status",
            "actor": "system",
            "reason": "",
            "timestamp": now.isoformat().replace("+00:00", "Z"),
            "data": data,
        }
    )
