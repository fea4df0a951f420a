"""The hub: one reader of the live stream per web process, and the fan-out to its subscriptions.

Two tasks run while there are subscriptions. The *reader* follows the Redis stream: it is what makes delivery fast. The
*auditor* compares the subscriptions with the journal now and then, and every second while Redis is away or has just
come back: it is what makes delivery certain, whatever was lost on the way through Redis.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import weakref
from collections.abc import Coroutine
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError
from redis import asyncio as redis_asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from events import cursors, sources
from events.live import SNAPSHOT_TOPICS, STREAM, snapshot_key
from events.protocol import Message, message_of
from events.subscription import PAGE, Subscription

log = logging.getLogger(__name__)

BLOCK_MS = 1000
READ_TIMEOUT_S = 4.0  # beyond the block time: only a Redis that hangs takes longer
ENTRIES = 500
AUDIT_S = 10.0
URGENT_AUDIT_S = 1.0
# What was committed just before the audit is on its way through Redis: no reason for 500 sockets to read the journal.
IN_FLIGHT_S = 0.3
SETTLED_S = 15.0  # a publisher that saw Redis die avoids it a little longer, and the sweep needs its turn
RESTART_S = 1.0
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)

_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def of_loop() -> Hub:
    """The hub of the running event loop, made on first use."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def _end_if_cancelled() -> None:
    """End this task if it was cancelled and did not hear of it.

    redis-py writes under ``asyncio.wait_for``, which in Python 3.11 swallows a cancellation that meets its result.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Hub:
    """Subscriptions by topic, and the tasks that feed them; the tasks run only while there are subscriptions."""

    def __init__(self) -> None:
        self._by_topic: dict[str, set[Subscription]] = {}
        self._snapshots: dict[str, Message] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._audit = asyncio.Event()
        self._settled_at = float("inf")  # loop time from which Redis counts as reliable; inf while it is away

    @property
    def connected(self) -> bool:
        """Whether the reader follows the Redis stream at present."""
        return self._settled_at != float("inf")

    @property
    def topics(self) -> frozenset[str]:
        """What is subscribed to in this process."""
        return frozenset(self._by_topic)

    def attach(self, topic: str, subscription: Subscription) -> None:
        """Offer what happens on a topic to a subscription. Attaching twice changes nothing."""
        self._by_topic.setdefault(topic, set()).add(subscription)
        self._begin()

    def _begin(self) -> None:
        if self._by_topic and not self._tasks:
            self._tasks = [self._spawn(self._read_for_ever()), self._spawn(self._audit_for_ever())]

    def detach(self, topic: str, subscription: Subscription) -> None:
        """Undo :meth:`attach`; fine when there is nothing to undo. The last one out stops the tasks."""
        subscriptions = self._by_topic.get(topic, set())
        subscriptions.discard(subscription)
        if not subscriptions:
            self._by_topic.pop(topic, None)
        if not self._by_topic:
            self._stop()

    def detach_all(self, subscription: Subscription) -> None:
        """Undo every :meth:`attach` of a subscription, also of topics it never started."""
        for topic in [topic for topic, those in self._by_topic.items() if subscription in those]:
            self.detach(topic, subscription)

    def last_snapshot(self, topic: str) -> Message | None:
        """The last message seen of a snapshot topic."""
        return self._snapshots.get(topic)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # A context of its own: the first subscriber's may belong to a request, whose database thread ends with it.
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task of ours ends by being cancelled only; anything else is a bug, said loudly and survived."""
        if task.cancelled() or task not in self._tasks:
            return
        log.error("the hub broke and starts again", exc_info=task.exception())
        self._stop()
        task.get_loop().call_later(RESTART_S, self._begin)

    def _stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        self._settled_at = float("inf")
        self._snapshots.clear()

    # -- fast: the stream ---------------------------------------------------------------------------------------

    async def _read_for_ever(self) -> None:
        failures = 0
        while True:
            try:
                # Protocol 2: the answer's form differs by protocol, and redis-py's default by version.
                async with redis_asyncio.Redis.from_url(
                    settings.REDIS_URL, protocol=2, socket_timeout=READ_TIMEOUT_S, socket_connect_timeout=1.0,
                    retry=Retry(NoBackoff(), 0),
                ) as client:  # fmt: skip
                    last = await self._position(client)
                    failures = 0
                    await self._follow(client, last)
            except (redis.RedisError, OSError) as error:
                if self.connected or not failures:
                    log.warning("live stream is away, reading the journal", extra={"error": type(error).__name__})
                self._settled_at = float("inf")
                self._audit.set()
            _end_if_cancelled()
            await asyncio.sleep(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
            failures += 1

    async def _position(self, client: Any) -> bytes:  # Any: redis-py types answers by protocol
        """Where to read on from; what happened before is in the journal, and the auditor is told to look."""
        entries = await client.xrevrange(STREAM, count=1)
        for topic, text in zip(
            SNAPSHOT_TOPICS,
            await client.mget([snapshot_key(topic) for topic in SNAPSHOT_TOPICS]),
            strict=True,
        ):
            if text is not None:
                self._fan_out(text, origin=topic)
        self._settled_at = asyncio.get_running_loop().time() + SETTLED_S
        self._audit.set()
        return entries[0][0] if entries else b"0-0"

    async def _follow(self, client: Any, last: bytes) -> None:
        while True:
            _end_if_cancelled()
            for _stream, entries in await client.xread({STREAM: last}, count=ENTRIES, block=BLOCK_MS) or ():
                for entry, fields in entries:
                    last = entry
                    if b"m" in fields:
                        self._fan_out(fields[b"m"], origin=entry.decode())
                # A burst is handed on in portions, or no socket would write before its end.
                await asyncio.sleep(0)

    def _fan_out(self, text: bytes, *, origin: str) -> None:
        """Offer one entry to whoever wants it. What is not one of ours is named in the log and left out."""
        try:
            wire = json.loads(text)
            topic = wire["topic"]
            wanted = self._by_topic.get(topic, ())
            if not wanted and topic not in SNAPSHOT_TOPICS:
                return
            message = message_of(wire)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("live stream entry is not ours", extra={"entry": origin, "error": type(error).__name__})
            return
        if topic in SNAPSHOT_TOPICS:
            self._snapshots[topic] = message
        for subscription in tuple(wanted):
            subscription.offer(message)

    # -- certain: the journal -----------------------------------------------------------------------------------

    async def _audit_for_ever(self) -> None:
        while True:
            self._audit.clear()
            try:
                await self._compare()
            except DatabaseError as error:
                log.warning("journal cannot be read", extra={"error": type(error).__name__})
            settled = asyncio.get_running_loop().time() > self._settled_at
            try:
                async with asyncio.timeout(AUDIT_S if settled else URGENT_AUDIT_S):
                    await self._audit.wait()
            except TimeoutError:
                continue

    async def _compare(self) -> None:
        """Bring every subscription to where the journal is on its topics.

        Heads, not event ids: ids are not in commit order on PostgreSQL, a topic's numbers are.
        """
        topics = [topic for topic in self._by_topic if topic not in SNAPSHOT_TOPICS]
        heads = await cursors.heads(topics)
        if self.connected:
            await asyncio.sleep(IN_FLIGHT_S)
        for topic, head in heads.items():
            late = [each for each in self._by_topic.get(topic, ()) if each.short_of(topic, head)]
            if len(late) > 1 and sources.of(topic) is None:
                await self._read_once(topic, head, late)
            for subscription in late:
                subscription.reach(topic, head)

    async def _read_once(self, topic: str, head: int, late: list[Subscription]) -> None:
        """One read for all: while Redis is away, every socket of a topic lacks the same events."""
        after = max(head - PAGE, min(each.at(topic) for each in late))
        page = await cursors.behind({topic: after}, limit=PAGE)
        for message in page.messages:
            for subscription in late:
                subscription.offer(message)
