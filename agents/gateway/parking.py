"""Keys that a provider wants left alone until a time it named: known to all through Redis.

Whoever comes meanwhile is told how long to wait. Each run gets a place in the line, so that they do not all come back
in the same moment. Without Redis a gateway knows what it heard itself.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar, cast

import redis
from django.conf import settings

from agents.providers import Model
from events import live

log = logging.getLogger(__name__)

STAGGER_S = 1.0
_KEY = "moorage:parked:"
LONGEST_S = 24 * 3600.0
_QUOTA_REST_S = 900.0  # a quota that is used up, with no word on when it is renewed
_PLAIN_REST_S = 5.0
_QUOTA = re.compile(rb"insufficient_quota|billing_hard_limit|quota[^\"]{0,40}exceeded|exceeded[^\"]{0,40}quota", re.I)
_NO_CREDIT = "Your credit balance is too low"  # as Anthropic says, with 400
_OVERLOADED = (503, 529)
_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")


@dataclass(frozen=True, slots=True)
class Parked:
    """Until when a key rests, and this run's own wait."""

    rest_s: float
    wait_s: float
    reason: str


T = TypeVar("T")
_FREE_S = 0.25
_free_at: dict[str, float] = {}
_lock = threading.Lock()
_paused_until: dict[str, float] = {}  # by URL
_own: dict[str, tuple[float, str, dict[str, int]]] = {}  # until, reason, place by run


def credential(model: Model) -> str:
    """Names a key at a provider without telling it."""
    said = f"{model.dialect}\0{model.base_url}\0{model.api_key}"
    return hashlib.sha256(said.encode()).hexdigest()[:24]


def park(name: str, *, rest_s: float, reason: str) -> None:
    """Leave the key alone for so long. A later end that is known already stays."""
    rest_s = min(max(rest_s, 0.1), LONGEST_S)
    _free_at.pop(name, None)
    until = time.time() + rest_s
    with _lock:
        before = _own.get(name)
        if before is None or before[0] < until:
            fresh = before is None or before[0] <= time.time()
            _own[name] = (until, reason, {} if fresh or before is None else before[2])

    def tell(client: redis.Redis) -> None:
        if client.pttl(_KEY + name) < rest_s * 1000:
            client.set(_KEY + name, reason, px=int(rest_s * 1000))

    _with_redis(tell)


def parked(name: str, *, run: str) -> Parked | None:
    """How long this run has to wait; None when the key is free, as asked within a quarter of a second."""
    if time.monotonic() - _free_at.get(name, float("-inf")) < _FREE_S:
        return None

    def ask(client: redis.Redis) -> tuple[Parked | None]:
        key, line = _KEY + name, f"{_KEY}{name}:line"
        left_ms = client.pttl(key)
        if left_ms <= 0:
            _free_at[name] = time.monotonic()
            return (None,)
        reason = (cast("bytes | None", client.get(key)) or b"").decode("utf-8", "replace")
        place = client.zscore(line, run)
        if place is None:
            place = float(client.zcard(line))
            client.zadd(line, {run: place}, nx=True)
        client.pexpire(line, left_ms + 1000)
        return (Parked(left_ms / 1000, left_ms / 1000 + place * STAGGER_S, reason),)

    answer = _with_redis(ask)
    return answer[0] if answer is not None else _known_here(name, run)


def _with_redis(work: Callable[[redis.Redis], T]) -> T | None:
    """What Redis says; None where it is away, which no call pays for twice within a moment."""
    url = settings.REDIS_URL
    if time.monotonic() < _paused_until.get(url, 0.0):
        return None
    try:
        return work(live.client())
    except redis.RedisError as error:
        _paused_until[url] = time.monotonic() + live.PAUSE_S
        log.warning("parked keys are known to this process alone", extra={"error": type(error).__name__})
        return None


def _known_here(name: str, run: str) -> Parked | None:
    with _lock:
        until, reason, line = _own.get(name, (0.0, "", {}))
        left_s = until - time.time()
        if left_s <= 0:
            _own.pop(name, None)
            return None
        place = line.setdefault(run, len(line))
    return Parked(left_s, left_s + place * STAGGER_S, reason)


@dataclass(frozen=True, slots=True)
class Rest:
    """For how long a provider wants no call with this key, in seconds, and why."""

    seconds: float
    reason: str


def rest_of(status: int, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Rest | None:
    """The rest that a refusal asks for; None where it asks for none. ``headers`` by names in lower case.

    Reads what OpenAI, Anthropic and RFC 9110 say. A provider that is overloaded is left alone only where it names a
    time; money that is used up is a quota, whatever number says so.
    """
    told = [wait for name, value in headers.items() if (wait := _told_s(name, value.strip(), headers, now)) is not None]
    if status in _OVERLOADED:
        return Rest(max(told), "it is overloaded") if told else None
    spent = _is_spent(status, body)
    if status != 429 and not spent:
        return None
    reason = "the quota is used up" if spent else "too many requests"
    return Rest(max(told, default=_QUOTA_REST_S if spent else _PLAIN_REST_S), reason)


def _is_spent(status: int, body: bytes) -> bool:
    """Whether the refusal is for want of money. A wrong request may be repeated in one, so only its own words count."""
    if status in (402, 429):
        return status == 402 or bool(_QUOTA.search(body[:4000]))
    if status not in (400, 403):
        return False
    try:
        error = json.loads(body)["error"]
        return error.get("code") == "insufficient_quota" or str(error["message"]).startswith(_NO_CREDIT)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _told_s(name: str, value: str, headers: Mapping[str, str], now: datetime) -> float | None:
    if name == "retry-after-ms":
        return _number(value, 1000)
    if name == "retry-after":
        seconds = _number(value)
        return seconds if seconds is not None else _until(value, now)
    if name.startswith("x-ratelimit-reset") or (name.startswith("anthropic-ratelimit-") and name.endswith("-reset")):
        # Each kind has a reset; only that of a kind with nothing left is what we wait for.
        left = headers.get(name.replace("reset", "remaining"))
        if left is None or left.strip() != "0":
            return None
        return _span(value) or _until(value, now)
    return None


def _number(value: str, per: float = 1) -> float | None:
    try:
        seconds = float(value) / per
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _span(value: str) -> float | None:
    """``1h2m3.5s`` or ``20ms``, as OpenAI writes."""
    found = _SPAN.fullmatch(value)
    if not found or not value:
        return None
    hours, minutes, seconds, millis = (_number(part or "0") or 0.0 for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000


def _until(value: str, now: datetime) -> float | None:
    """An HTTP date or RFC 3339 time, as seconds from now."""
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max((at - now).total_seconds(), 0.0)
