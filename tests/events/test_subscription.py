"""One subscription: each event once, in order, in bounded memory, whatever the hub saw or did not see."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from events import live
from events.protocol import Message, message_of
from events.subscription import Subscription
from tests.events.berths import amoved, moved
from tests.fakes.redis_process import RedisProcess

pytestmark = pytest.mark.django_db(transaction=True)
TOPIC = "berth.a"


class Silent:
    """A source that offers nothing by itself: the test is the hub."""

    def attach(self, topic: str, subscription: Subscription) -> None:
        """Nothing to do."""

    def detach(self, topic: str, subscription: Subscription) -> None:
        """Nothing to do."""

    def detach_all(self, subscription: Subscription) -> None:
        """Nothing to do."""

    def last_snapshot(self, topic: str) -> Message | None:
        return None


async def _open(*, queue: int = 4, after: dict[str, int] | None = None, topic: str = TOPIC) -> Subscription:
    subscription = Subscription(Silent(), queue=queue)
    subscription.start(await subscription.open([topic], after=after or {}))
    return subscription


async def _taken(subscription: Subscription) -> list[int]:
    taken: list[int] = []
    while batch := await subscription.take():
        taken += [message.seq for message in batch]
    return taken


def _record(count: int) -> list[Message]:
    return [message_of(live.wire(moved("a", n=n))) for n in range(count)]


record = sync_to_async(_record)


async def test_it_starts_at_the_end_without_a_cursor_and_behind_it_with_one(live_redis: RedisProcess) -> None:
    await record(3)
    assert await _taken(await _open()) == []
    assert await _taken(await _open(after={TOPIC: 1})) == [2, 3]


async def test_a_cursor_beyond_the_end_becomes_the_end(live_redis: RedisProcess) -> None:
    await record(2)
    subscription = await _open(after={TOPIC: 900})
    (third,) = await record(1)
    subscription.offer(third)
    assert await _taken(subscription) == [3]


async def test_duplicates_are_dropped(live_redis: RedisProcess) -> None:
    subscription = await _open()
    one, two = await record(2)
    for message in (one, one, two, one, two):
        subscription.offer(message)
    assert await _taken(subscription) == [1, 2]


async def test_a_gap_is_filled_from_the_journal(live_redis: RedisProcess) -> None:
    subscription = await _open()
    one, _, three = await record(3)
    subscription.offer(one)
    subscription.offer(three)
    assert subscription.lagging
    assert await _taken(subscription) == [1, 2, 3]
    assert not subscription.lagging


async def test_a_full_queue_is_bounded_and_made_good_from_the_journal(live_redis: RedisProcess) -> None:
    subscription = await _open(queue=4)
    for message in await record(300):
        subscription.offer(message)
        assert subscription.waiting <= 4
    assert subscription.lagging
    assert await _taken(subscription) == list(range(1, 301))


async def test_what_happens_between_opening_and_starting_is_not_lost(live_redis: RedisProcess) -> None:
    subscription = Subscription(Silent())
    begin = await subscription.open([TOPIC], after={})
    for message in await record(2):
        subscription.offer(message)
    subscription.start(begin)
    assert await _taken(subscription) == [1, 2]


async def test_subscribing_again_without_a_cursor_goes_on_where_the_client_is(
    live_redis: RedisProcess,
) -> None:
    subscription = await _open()
    assert await _taken(subscription) == []
    for message in await record(2):
        subscription.offer(message)  # waits in the queue: not handed out yet
    subscription.start(await subscription.open([TOPIC], after={}))
    assert await _taken(subscription) == [1, 2]
    subscription.start(await subscription.open([TOPIC], after={}))
    assert await _taken(subscription) == []


async def test_subscribing_again_with_an_older_cursor_replays_in_order(live_redis: RedisProcess) -> None:
    subscription = await _open()
    for message in await record(3):
        subscription.offer(message)
    subscription.start(await subscription.open([TOPIC], after={TOPIC: 0}))
    assert await _taken(subscription) == [1, 2, 3]


async def test_after_leaving_a_topic_nothing_of_it_arrives(live_redis: RedisProcess) -> None:
    subscription = await _open()
    one, two = await record(2)
    subscription.offer(one)
    subscription.drop([TOPIC, "berth.never"])
    subscription.offer(two)
    assert await _taken(subscription) == []
    assert subscription.topics == frozenset()


async def test_of_snapshots_only_the_last_waits(live_redis: RedisProcess) -> None:
    subscription = await _open(topic="queue")
    for n in (10, 30, 20):  # in the order of arrival: two publishers' clocks may differ
        subscription.offer(message_of({"topic": "queue", "seq": n, "data": {}}))
    assert subscription.waiting == 1
    assert await _taken(subscription) == [20]


async def test_the_journal_s_head_brings_what_the_stream_lost(live_redis: RedisProcess) -> None:
    subscription = await _open()
    await amoved("a")
    subscription.reach(TOPIC, 1)
    subscription.reach("berth.other", 9)
    assert await _taken(subscription) == [1]
