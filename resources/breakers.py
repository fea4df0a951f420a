"""Circuit breakers: one per outside service, shared by every process through Redis.

A service that fails again and again is left alone for a while, and whoever asks for it is told so at once instead of
waiting for a time-out. After the rest one caller probes it: success closes the breaker, failure makes the rest longer.
Without Redis each process keeps its own: a breaker is a courtesy to a struggling service, never a source of errors.

Doors: :func:`guard` around a call of the service, :func:`rest` where it named a time itself, :func:`known` for screens.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar, cast

import redis
from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection, transaction

from events import journal, live
from events.faults import Fault, FaultClass

log = logging.getLogger(__name__)

THRESHOLD = 5  # failures in a row
WINDOW_S = 60.0  # failures further apart than this are not in a row
FIRST_REST_S, LONGEST_REST_S = 5.0, 60.0  # doubled at each failed probe
PROBE_S = 30.0  # a probe that says nothing for so long is given to somebody else
_KEY, _NAMES = "moorage:breaker:", "moorage:breakers"
_TRIES = 20  # so often another process may come in between
_PAUSE_S = 2.0  # after a failure of Redis: no call pays for it twice in that time

T = TypeVar("T")
Change = Callable[["State", float], tuple["State", T]]


class Position(StrEnum):
    """As electricians say it: closed lets calls through."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class ServiceResting(Fault):
    """The service failed again and again and is left alone for a moment."""

    fault_class = FaultClass.TRANSIENT
    code = "service.resting"
    http_status = 503
    remedy = "It is tried again by itself; the health page says when. Look whether the service runs."


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered of a service that failed lately. Times are seconds of the keeper's clock."""

    failures: int = 0
    failed_at: float = 0.0
    reason: str = ""
    opened_at: float = 0.0  # 0: closed
    open_until: float = 0.0
    rest_s: float = 0.0
    probe_until: float = 0.0

    def position(self, now: float) -> Position:
        """Open while it rests; half open once a probe may go through."""
        if not self.opened_at:
            return Position.CLOSED
        return Position.OPEN if now < self.open_until else Position.HALF_OPEN


@dataclass(frozen=True, slots=True)
class Breaker:
    """One service as screens show it."""

    name: str
    position: Position
    failures: int
    reason: str
    opened_at: datetime | None
    next_try_in_s: float
    shared: bool  # False: Redis is away, this is what this process knows


def asked(state: State, now: float) -> tuple[State, float]:
    """Pure: whether a call may go through. Returns the state to keep, and the seconds to wait (0: go)."""
    position = state.position(now)
    if position is Position.CLOSED:
        return state, 0.0
    if position is Position.OPEN:
        return state, state.open_until - now
    if now < state.probe_until:
        return state, state.probe_until - now
    return replace(state, probe_until=now + PROBE_S), 0.0


def failed(state: State, now: float, *, reason: str) -> State:
    """Pure: a call failed. Calls that began before it opened say nothing new of an open breaker."""
    if state.position(now) is Position.OPEN:
        return state
    if state.opened_at:  # the probe failed
        rest = min(state.rest_s * 2, LONGEST_REST_S)
        return replace(
            state, failures=state.failures + 1, failed_at=now, reason=reason, open_until=now + rest, rest_s=rest,
            probe_until=0.0,
        )  # fmt: skip
    in_a_row = state.failures + 1 if now - state.failed_at <= WINDOW_S else 1
    counted = replace(state, failures=in_a_row, failed_at=now, reason=reason)
    if in_a_row < THRESHOLD:
        return counted
    return replace(counted, opened_at=now, open_until=now + FIRST_REST_S, rest_s=FIRST_REST_S)


@contextmanager
def guard(name: str, *, failures: tuple[type[Exception], ...]) -> Iterator[None]:
    """Let one call of the service through, and note how it ended. ``failures`` are those that are the service's own.

    Raises :class:`ServiceResting` instead while the breaker is open.
    """
    before, wait_s = _change(name, asked)
    if wait_s:
        raise ServiceResting(
            f"{name} failed {before.failures} times in a row ({before.reason}); the next try is in {wait_s:.0f} s",
            service=name, next_try_in_s=round(wait_s, 1),
        )  # fmt: skip
    try:
        yield
    except failures as error:
        _failed(name, f"{type(error).__name__}: {error}"[:200])
        raise
    if before != State():
        _succeeded(name)


def rest(name: str, *, seconds: float, reason: str) -> None:
    """Leave the service alone for so long, because it asked for that itself: a quota that is used up until then."""

    def change(state: State, now: float) -> tuple[State, bool]:
        until = max(state.open_until, now + seconds)
        resting = replace(
            state, failures=max(1, state.failures), failed_at=now, reason=reason[:200],
            opened_at=state.opened_at or now, open_until=until, rest_s=FIRST_REST_S, probe_until=0.0,
        )  # fmt: skip
        return resting, not state.opened_at

    _, opened = _change(name, change)
    if opened:
        log.warning("service asked to be left alone", extra={"service": name, "reason": reason[:200]})
        _tell("breaker.opened", name, reason=reason)


def known() -> tuple[Breaker, ...]:
    """Every service that failed lately, by name."""
    states, now, shared = _all()
    return tuple(
        Breaker(
            name=name,
            position=state.position(now),
            failures=state.failures,
            reason=state.reason,
            opened_at=datetime.fromtimestamp(state.opened_at, tz=UTC) if state.opened_at else None,
            next_try_in_s=round(max(0.0, state.open_until - now), 1),
            shared=shared,
        )
        for name, state in sorted(states.items())
    )


def topic(name: str) -> str:
    """The service's stream in the journal."""
    return "service." + re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-")[:60]


def _failed(name: str, reason: str) -> None:
    def change(state: State, now: float) -> tuple[State, bool]:
        changed = failed(state, now, reason=reason)
        return changed, bool(changed.opened_at) and not state.opened_at

    state, opened = _change(name, change)
    if opened:
        log.warning("service left alone", extra={"service": name, "reason": reason})
        _tell("breaker.opened", name, reason=f"{state.failures} failures in a row: {reason}")


def _succeeded(name: str) -> None:
    _, was_open = _change(name, lambda state, _now: (State(), bool(state.opened_at)))
    if was_open:
        log.info("service answers again", extra={"service": name})
        _tell("breaker.closed", name, reason="it answered")


def _tell(kind: str, name: str, *, reason: str) -> None:
    """Into the journal, where the database can be had: a breaker works without."""
    try:
        with transaction.atomic():
            journal.record(kind, topic(name), actor="system", reason=reason, service=name)
    except DatabaseTrouble as error:
        log.warning("breaker cannot be journalled", extra={"service": name, "error": str(error)})
        if not connection.in_atomic_block:
            connection.close()


# --- who keeps the states: Redis for all, or this process for itself ------------------------------------------------

_lock = threading.Lock()
_own: dict[str, State] = {}
_paused_until: dict[str, float] = {}  # by URL


def _change(name: str, change: Change[T]) -> tuple[State, T]:
    """Apply a pure change to the service's state, whoever else does at the same time."""
    url = settings.REDIS_URL
    if time.monotonic() >= _paused_until.get(url, 0.0):
        try:
            return _change_shared(name, change)
        except redis.RedisError as error:
            _away(url, error)
    with _lock:
        after, answer = change(_own.get(name, State()), time.time())
        _own.pop(name, None)
        if after != State():
            _own[name] = after
    return after, answer


def _change_shared(name: str, change: Change[T]) -> tuple[State, T]:
    client, key = live.client(), _KEY + name
    if client.get(key) is None:  # a service in good health, as nearly always: one question is enough
        after, answer = change(State(), time.time())
        if after == State():
            return after, answer
    for _ in range(_TRIES):
        with client.pipeline() as pipe:
            pipe.watch(key)
            before = _read(cast("bytes | None", pipe.get(key)))
            # Redis's clock: those of the hosts may differ by minutes.
            after, answer = change(before, _clock(client))
            if after == before:
                return after, answer
            pipe.multi()
            if after == State():
                pipe.delete(key)
                pipe.srem(_NAMES, name)
            else:
                pipe.set(key, json.dumps(asdict(after)), ex=int(WINDOW_S + LONGEST_REST_S) * 60)
                pipe.sadd(_NAMES, name)
            try:
                pipe.execute()
            except redis.WatchError:
                continue
            return after, answer
    raise redis.WatchError(f"{_TRIES} others came in between")


def _all() -> tuple[dict[str, State], float, bool]:
    """States by name, the keeper's clock, and whether they are everybody's."""
    url = settings.REDIS_URL
    if time.monotonic() >= _paused_until.get(url, 0.0):
        try:
            client = live.client()
            names = sorted(name.decode() for name in cast("set[bytes]", client.smembers(_NAMES)))
            texts = cast("list[bytes | None]", client.mget([_KEY + name for name in names])) if names else []
            found = {name: _read(text) for name, text in zip(names, texts, strict=True) if text is not None}
            return found, _clock(client), True
        except redis.RedisError as error:
            _away(url, error)
    with _lock:
        return dict(_own), time.time(), False


def _read(text: bytes | None) -> State:
    if text is None:
        return State()
    try:
        return State(**json.loads(text))
    except (ValueError, TypeError):
        return State()  # another version's: forgetting costs a few failures more


def _clock(client: redis.Redis) -> float:
    seconds, micros = client.time()
    return seconds + micros / 1e6


def _away(url: str, error: redis.RedisError) -> None:
    _paused_until[url] = time.monotonic() + _PAUSE_S
    log.warning("breakers are not shared: Redis is away", extra={"error": type(error).__name__})
