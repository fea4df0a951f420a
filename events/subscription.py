"""One client's place in the stream: every event of its topics once, in order, in bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from django.db import DatabaseError

from events import cursors as journal_cursors
from events import sources
from events.live import SNAPSHOT_TOPICS
from events.protocol import Message

QUEUE = 256
PAGE = 200  # events of one read: what a slow client may take within a heartbeat


class Source(Protocol):
    """What offers messages: the hub."""

    def attach(self, topic: str, subscription: Subscription) -> None: ...

    def detach(self, topic: str, subscription: Subscription) -> None: ...

    def detach_all(self, subscription: Subscription) -> None: ...

    def last_snapshot(self, topic: str) -> Message | None: ...


class Subscription:
    """Cursors of the topics, a bounded queue, and the set of topics that are to be read from the journal.

    The hub offers what it sees. The next event of a topic is queued; an older one is a duplicate; anything else (a
    gap, a full queue) makes the topic *behind*, and :meth:`take` reads it from the journal once the queue is empty.
    ``open``, ``start``, ``drop`` and ``take`` are called by one task at a time; ``offer`` and ``reach`` by the hub.
    """

    def __init__(self, hub: Source, *, queue: int = QUEUE) -> None:
        self._hub = hub
        self._limit = queue
        self._cursors: dict[str, int] = {}
        self._queue: deque[Message] = deque()
        self._snapshots: dict[str, Message] = {}
        self._behind: set[str] = set()
        self._heads: dict[str, int] = {}  # of topics that are open but not started
        self._missed: set[str] = set()  # those of them on which something happened meanwhile
        self._due = asyncio.Event()

    @property
    def topics(self) -> frozenset[str]:
        """What is subscribed to."""
        return frozenset(self._cursors)

    @property
    def lagging(self) -> bool:
        """Whether some topic has to be read from the journal."""
        return bool(self._behind)

    @property
    def waiting(self) -> int:
        """How many messages wait in memory; never more than the queue's limit and one per snapshot topic."""
        return len(self._queue) + len(self._snapshots)

    async def open(self, topics: Iterable[str], *, after: Mapping[str, int]) -> dict[str, int]:
        """Attach to topics and say from which cursor each will start; :meth:`start` begins.

        Attached first and read second, so that nothing falls between. Without ``after`` a new topic starts at its
        end and a known one goes on; a cursor beyond the end (of a database that was restored) becomes the end.
        """
        wanted = list(topics)
        for topic in wanted:
            self._hub.attach(topic, self)
        heads = await journal_cursors.heads([topic for topic in wanted if topic not in SNAPSHOT_TOPICS])
        begin = {}
        for topic in wanted:
            head = self._heads[topic] = heads.get(topic, 0)
            known = self._handed_out(topic) if topic in self._cursors else head
            begin[topic] = min(after.get(topic, known), head)
        return begin

    def _handed_out(self, topic: str) -> int:
        """The topic's last event that :meth:`take` has returned; what waits in the queue is not among it."""
        waiting = (message.seq for message in self._queue if message.topic == topic)
        return min(waiting, default=self._cursors[topic] + 1) - 1

    def start(self, cursors: Mapping[str, int]) -> None:
        """Begin the topics that :meth:`open` attached, behind these cursors."""
        again = {topic for topic in cursors if topic in self._cursors}
        self._forget(again)
        for topic, cursor in cursors.items():
            self._cursors[topic] = cursor
            if topic in SNAPSHOT_TOPICS:
                if last := self._hub.last_snapshot(topic):
                    self.offer(last)
            elif topic in again or topic in self._missed or cursor < self._heads.get(topic, cursor + 1):
                self._behind.add(topic)
            self._missed.discard(topic)
            self._heads.pop(topic, None)
        self._due.set()

    def drop(self, topics: Iterable[str]) -> None:
        """Leave topics; what waits of them is forgotten. Unknown ones are fine."""
        gone = list(topics)
        self._forget(gone)
        for topic in gone:
            self._cursors.pop(topic, None)
            self._heads.pop(topic, None)
            self._missed.discard(topic)
            self._hub.detach(topic, self)

    def close(self) -> None:
        """Leave all topics. Closing twice is fine."""
        self._hub.detach_all(self)
        self._cursors.clear()
        self._queue.clear()
        self._snapshots.clear()
        self._behind.clear()

    def _forget(self, topics: Iterable[str]) -> None:
        gone = set(topics)
        self._queue = deque(message for message in self._queue if message.topic not in gone)
        self._behind -= gone
        for topic in gone:
            self._snapshots.pop(topic, None)

    def offer(self, message: Message) -> None:
        """Take note of a message that the hub saw. Never waits."""
        cursor = self._cursors.get(message.topic)
        if cursor is None:
            self._missed.add(message.topic)
            return
        if message.topic in SNAPSHOT_TOPICS:
            if message.seq == cursor:
                return
            self._snapshots[message.topic] = message
            self._cursors[message.topic] = message.seq
        elif message.seq <= cursor:
            return
        elif message.seq == cursor + 1 and len(self._queue) < self._limit and sources.of(message.topic) is None:
            self._queue.append(message)
            self._cursors[message.topic] = message.seq
        else:
            self._behind.add(message.topic)
        self._due.set()

    def reach(self, topic: str, head: int) -> None:
        """Take note of how far the journal is: what the stream did not bring is read from there."""
        if self.short_of(topic, head):
            self._behind.add(topic)
            self._due.set()

    def short_of(self, topic: str, head: int) -> bool:
        """Whether the topic has been started and has events up to ``head`` that are not here yet."""
        return head > self._cursors.get(topic, head)

    def at(self, topic: str) -> int:
        """The topic's last event that was handed out or waits in the queue; 0 for a topic that was not started."""
        return self._cursors.get(topic, 0)

    def wake(self) -> None:
        """Have whoever waits look, also when nothing came."""
        self._due.set()

    async def wait(self) -> None:
        """Return once there may be something to take."""
        await self._due.wait()

    async def take(self) -> list[Message]:
        """All that is due now, in order per topic; empty when there was nothing after all.

        Raises ``DatabaseError`` when the journal cannot be read; nothing is lost by it, and calling again tries again.
        """
        self._due.clear()
        batch = self._drained()
        if batch or not self._behind:
            if self._behind:
                self._due.set()
            return batch
        reading = {topic: self._cursors[topic] for topic in self._behind}
        # Cleared before the read: a topic that moves on meanwhile is marked again and read again.
        self._behind.clear()
        try:
            page = await journal_cursors.behind(reading, limit=PAGE)
        except DatabaseError:
            self._behind.update(reading.keys() & self._cursors.keys())
            self._due.set()
            raise
        return self._with(page)

    def _drained(self) -> list[Message]:
        batch = [*self._queue, *self._snapshots.values()]
        self._queue.clear()
        self._snapshots.clear()
        return batch

    def _with(self, page: journal_cursors.Page) -> list[Message]:
        """What came in during the read, then what the read brought beyond it."""
        batch = self._drained()
        for message in page.messages:
            if message.seq > self._cursors.get(message.topic, message.seq):
                self._cursors[message.topic] = message.seq
                batch.append(message)
        self._behind |= page.unfinished & self._cursors.keys()
        if self._behind:
            self._due.set()
        return batch
