"""The journal is append-only, numbered without gaps, and nothing recorded is ever forgotten on the way out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from events import bus, delivery, journal
from events.delivery import DeliveryFailed
from events.live import STREAM, client
from events.models import AppendOnly, Event, Undelivered
from events.recorded import Recorded
from tests.events.berths import moved
from tests.fakes.redis_process import RedisProcess
from tests.patience import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_cannot_be_changed_or_removed_through_the_orm(live_redis: RedisProcess) -> None:
    moved("a", n=1)
    row = Event.objects.get(topic="berth.a")
    row.kind = "berth.forged"
    with pytest.raises(AppendOnly):
        row.save()
    with pytest.raises(AppendOnly):
        row.delete()
    with pytest.raises(AppendOnly):
        Event.objects.filter(pk=row.pk).update(kind="berth.forged")
    with pytest.raises(AppendOnly):
        Event.objects.all().delete()
    assert Event.objects.get(topic="berth.a").kind == "berth.moved"


def _execute_guarded(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "sqlite":  # tests/conftest.py drops this one, for the flush between tests
            cursor.execute(
                "CREATE TRIGGER IF NOT EXISTS events_event_no_delete BEFORE DELETE ON events_event "
                "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
            )
        cursor.execute(statement)


@pytest.mark.parametrize("statement", ["UPDATE events_event SET kind = 'forged'", "DELETE FROM events_event"])
def test_the_database_itself_refuses_to_change_or_remove_an_event(live_redis: RedisProcess, statement: str) -> None:
    moved("a", n=1)
    with pytest.raises(DatabaseError, match="append-only"):
        _execute_guarded(statement)
    assert [event.kind for event in journal.replay("berth.a", after=0)] == ["berth.moved"]


def test_each_topic_is_numbered_without_gaps_under_four_writers(live_redis: RedisProcess) -> None:
    def write(worker: int) -> None:
        try:
            for n in range(15):
                moved(f"shared{n % 2}", worker=worker, n=n)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, worker) for worker in range(4)]:
            done.result()
    for berth, count in (("shared0", 32), ("shared1", 28)):
        numbers = [event.seq for event in journal.replay(f"berth.{berth}", after=0)]
        assert numbers == list(range(1, count + 1))
        assert journal.head(f"berth.{berth}") == count


def test_recording_outside_a_transaction_is_refused(live_redis: RedisProcess) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        journal.record("berth.moved", "berth.a", actor="system")
    assert not Event.objects.exists()


class Interrupted(Exception):
    """What ends a transaction."""


def _interrupted_move() -> None:
    with transaction.atomic():
        journal.record("berth.moved", "berth.a", actor="system", n=2)
        raise Interrupted


def test_a_rollback_leaves_no_event_no_gap_and_nothing_on_the_stream(live_redis: RedisProcess) -> None:
    moved("a", n=1)

    with pytest.raises(Interrupted):
        _interrupted_move()
    moved("a", n=3)
    assert [(event.seq, event.data) for event in journal.replay("berth.a", after=0)] == [
        (1, {"n": 1}),
        (2, {"n": 3}),
    ]
    assert client().xlen(STREAM) == 2


def test_a_delivered_event_leaves_the_outbox(live_redis: RedisProcess) -> None:
    moved("a", n=1)
    eventually(lambda: not Undelivered.objects.exists())
    assert client().xlen(STREAM) == 1


def test_a_dead_redis_leaves_the_event_in_the_outbox_and_the_sweep_delivers_it(
    live_redis: RedisProcess,
) -> None:
    live_redis.kill()
    try:
        event = moved("ashore", n=1)
        assert event.seq == 1
        assert Undelivered.objects.count() == 1
        assert delivery.sweep(now=timezone.now() + timedelta(seconds=10)) == 0
    finally:
        live_redis.start()
    time_enough = timezone.now() + timedelta(minutes=5)
    while not delivery.sweep(now=time_enough):  # the publisher avoids a dead Redis for two seconds
        time_enough += timedelta(minutes=5)
    assert not Undelivered.objects.exists()
    # A Redis that is killed within a second of being emptied may have kept what was in it.
    assert sum(b"berth.ashore" in fields[b"m"] for _, fields in client().xrange(STREAM)) == 1


def test_the_sweep_leaves_a_fresh_event_to_the_commit_hook(live_redis: RedisProcess) -> None:
    now = timezone.now()
    with transaction.atomic():
        journal.record("berth.moved", "berth.a", actor="system")
        assert delivery.sweep(now=now) == 0
        assert Undelivered.objects.count() == 1


def test_a_handler_that_cannot_take_an_event_is_offered_it_again(live_redis: RedisProcess) -> None:
    offered: list[Recorded] = []

    def reluctant(event: Recorded) -> None:
        if event.topic != "berth.reluctant":
            return
        offered.append(event)
        if len(offered) == 1:
            raise DeliveryFailed("the broker is away")

    bus.subscribe(reluctant)
    moved("reluctant", n=1)
    assert Undelivered.objects.count() == 1
    assert delivery.sweep(now=timezone.now() + timedelta(seconds=10)) == 1
    assert [event.seq for event in offered] == [1, 1]
    assert not Undelivered.objects.exists()
