"""A user's live stream: a subscription that asks the policy, at the door and whenever rights have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from channels.db import database_sync_to_async

from events import policy
from events.faults import Fault
from events.hub import Hub
from events.protocol import TOPICS_AT_ONCE, BadTopics, Message, TopicRefused, topic_parts
from events.subscription import QUEUE, Subscription

# Proves the caller's identity again: the user with today's rights, or None when the session or token has ended.
StillSignedIn = Callable[[], Any]


class SignedOut(Exception):
    """The session or token behind this feed is no longer valid."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a subscribe led to: where each accepted topic starts, and why the others were refused."""

    cursors: Mapping[str, int]
    refused: Mapping[str, Fault]


@dataclass(frozen=True, slots=True)
class Batch:
    """What is due now: messages in order per topic, and topics that were taken away."""

    messages: tuple[Message, ...]
    revoked: tuple[str, ...] = ()


class Feed:
    """Both interfaces, the socket and the server-sent events, are thin around this. One task at a time uses it."""

    def __init__(self, *, user: Any, still_signed_in: StillSignedIn, hub: Hub, queue: int = QUEUE) -> None:
        self._user = user
        self._still_signed_in = still_signed_in
        self._access = policy.access_topic(user)
        self._subscription = Subscription(hub, queue=queue)
        self._doubted = False  # whether rights are to be proved before anything more is handed on
        self._taken: list[Message] = []  # from the subscription, and not handed on yet

    @property
    def topics(self) -> frozenset[str]:
        """What the client follows."""
        return self._subscription.topics - {self._access}

    async def begin(self) -> None:
        """Follow the user's own rights from here on, then prove them once: no change falls between."""
        self._subscription.start(await self._subscription.open([self._access], after={}))
        await self._identify()

    async def subscribe(self, topics: Iterable[str], *, after: Mapping[str, int]) -> Opened:
        """Open what the user may follow. Nothing arrives before :meth:`start`, so that an answer can go first."""
        refused: dict[str, Fault] = {}
        wanted: list[str] = []
        room = TOPICS_AT_ONCE - len(self.topics)
        for topic in topics:
            try:
                topic_parts(topic)
                if topic not in self.topics and (room := room - 1) < 0:
                    raise BadTopics(f"More than {TOPICS_AT_ONCE} topics at once.")
                wanted.append(topic)
            except BadTopics as fault:
                refused[topic] = fault
        seen = await database_sync_to_async(policy.allowed)(self._user, wanted)
        refused |= {topic: TopicRefused("There is no such topic for you.") for topic in wanted if topic not in seen}
        cursors = await self._subscription.open([topic for topic in wanted if topic in seen], after=after)
        return Opened(cursors, refused)

    def start(self, opened: Opened) -> None:
        """Begin what :meth:`subscribe` opened."""
        self._subscription.start(opened.cursors)

    def unsubscribe(self, topics: Iterable[str]) -> tuple[str, ...]:
        """Leave topics; returns those that were followed."""
        gone = tuple(topic for topic in topics if topic in self.topics)
        self._subscription.drop(gone)
        return gone

    def doubt(self) -> None:
        """Have the next :meth:`take` prove again who this is and what may be followed, and have it called."""
        self._doubted = True
        self._subscription.wake()

    async def wait(self) -> None:
        """Return once there may be something to take."""
        if not self._doubted:
            await self._subscription.wait()

    async def take(self) -> Batch:
        """What is due now. Raises :class:`SignedOut`, and ``DatabaseError`` when the journal cannot be read.

        After a ``DatabaseError`` nothing is lost and no doubt forgotten: the next call goes on.
        """
        if not self._taken:
            self._taken = await self._subscription.take()
        self._doubted |= any(message.topic == self._access for message in self._taken)
        revoked = await self._prove() if self._doubted else ()
        taken, self._taken = self._taken, []
        topics = self.topics
        return Batch(tuple(message for message in taken if message.topic in topics), revoked)

    async def _prove(self) -> tuple[str, ...]:
        """Prove identity, then each topic; leaves those that were taken away and returns them."""
        await self._identify()
        mine = self.topics
        seen = await database_sync_to_async(policy.allowed)(self._user, mine)
        self._doubted = False
        revoked = tuple(topic for topic in mine if topic not in seen)
        self._subscription.drop(revoked)
        return revoked

    async def _identify(self) -> None:
        user = await database_sync_to_async(self._still_signed_in)()
        if user is None or not user.is_active or user.pk != self._user.pk:
            raise SignedOut
        self._user = user

    def close(self) -> None:
        """Leave everything. Closing twice is fine."""
        self._subscription.close()
