"""Leases: one holder per key, renewed or released, and whoever waits is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from events.models import Event
from resources import hosts, leases
from resources.models import Host, Lease
from tests import factories
from tests.at_once import at_once

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATER = NOW + timedelta(minutes=10)


def directory(
    host: Host, owner: str = "agent:1", *, key: str = "w-1", generation: int = 1, expires_at: datetime = LATER
) -> Lease:
    lease = leases.intend(
        host=host, kind=Lease.Kind.DIRECTORY, key=key, owner=owner, generation=generation, now=NOW,
        expires_at=expires_at,
    )  # fmt: skip
    lease.save(force_insert=True)
    return lease


def release(owner: str, **which: int) -> int:
    return leases.release(owner=owner, actor="system", reason="done", now=NOW, **which)


def freed(host: Host) -> list[Event]:
    return list(Event.objects.filter(topic=hosts.topic(host), kind="host.capacity_freed"))


@pytest.mark.parametrize("state", [Lease.State.INTENT, Lease.State.HELD, Lease.State.SQUATTED])
def test_the_database_refuses_a_second_holder_of_the_same_thing(state: Lease.State) -> None:
    host = factories.host()
    Lease.objects.filter(pk=directory(host).pk).update(state=state)
    with pytest.raises(IntegrityError), transaction.atomic():
        directory(host, "agent:2")
    assert directory(host, "agent:2", key="w-2").pk
    assert directory(factories.host("node-b"), "agent:2").pk


def test_what_was_released_can_be_taken_by_another() -> None:
    host = factories.host()
    directory(host)
    release("agent:1")
    assert directory(host, "agent:2").state == Lease.State.INTENT


def test_the_database_refuses_a_release_without_its_time_and_a_time_without_release() -> None:
    lease = directory(factories.host())
    for nonsense in ({"state": Lease.State.RELEASED}, {"released_at": NOW}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Lease.objects.filter(pk=lease.pk).update(**nonsense)


def test_only_intents_become_real_when_their_owner_says_so() -> None:
    host = factories.host()
    mine, others, gone = directory(host), directory(host, "agent:2", key="w-2"), directory(host, key="w-3")
    Lease.objects.filter(pk=gone.pk).update(state=Lease.State.RELEASED, released_at=NOW)
    assert leases.hold(owner="agent:1", generation=1, kind=Lease.Kind.PORT) == 0
    assert leases.hold(owner="agent:1", generation=1) == 1
    states = {lease.pk: lease.state for lease in Lease.objects.all()}
    assert states == {mine.pk: "held", others.pk: "intent", gone.pk: "released"}


def test_releasing_tells_once_what_came_free_where() -> None:
    first, second = factories.host("a"), factories.host("b")
    directory(first), directory(first, key="w-2"), directory(second)
    directory(first, "agent:2", key="w-3")
    assert release("agent:1") == 3
    assert release("agent:1") == 0
    assert [event.data["owner"] for event in freed(first)] == ["agent:1"]
    assert sorted(lease["key"] for lease in freed(first)[0].data["leases"]) == ["w-1", "w-2"]
    assert len(freed(second)) == 1
    assert [lease.owner for lease in Lease.objects.filter(state__in=Lease.LIVE)] == ["agent:2"]


def test_one_generation_is_released_without_the_next() -> None:
    host = factories.host()
    directory(host, generation=1), directory(host, key="w-2", generation=4)
    assert release("agent:1", generation=1) == 1
    assert [lease.generation for lease in leases.live(owner="agent:1")] == [4]


def test_a_lease_is_expired_only_when_nobody_renews_it() -> None:
    host = factories.host()
    directory(host, expires_at=NOW - timedelta(seconds=1))
    directory(host, "agent:2", key="w-2", expires_at=NOW - timedelta(seconds=1))
    directory(host, "agent:3", key="w-3", expires_at=NOW)
    assert leases.expired(now=NOW) == ["agent:1", "agent:2"]
    assert leases.renew(owners=["agent:1"], expires_at=LATER) == 1
    assert leases.expired(now=NOW) == ["agent:2"]
    release("agent:2")
    assert leases.expired(now=NOW) == []


def test_a_released_lease_is_not_renewed() -> None:
    directory(factories.host())
    release("agent:1")
    assert leases.renew(owners=["agent:1"], expires_at=LATER) == 0


@pytest.mark.django_db(transaction=True)
def test_releasers_at_once_free_each_lease_once() -> None:
    host = factories.host()
    for number in range(10):
        directory(host, key=f"w-{number}")
    counts = at_once([partial(release, "agent:1") for _ in range(8)])
    assert sorted(counts) == [0] * 7 + [10]  # type: ignore[type-var]
    assert len(freed(host)) == 1


def test_what_was_taken_in_another_generation_does_not_become_real() -> None:
    old = directory(factories.host())
    assert leases.hold(owner="agent:1", generation=2) == 0
    assert Lease.objects.get(pk=old.pk).state == Lease.State.INTENT
    assert leases.live(owner="agent:1", generation=2) == []


def test_single_things_of_one_generation_are_dropped_without_waking_anybody() -> None:
    host = factories.host()
    mine, others = directory(host), directory(host, "agent:2", key="w-2")
    assert leases.drop(owner="agent:1", generation=2, kinds=[Lease.Kind.DIRECTORY], now=NOW) == 0
    assert leases.drop(owner="agent:1", generation=1, kinds=[Lease.Kind.DIRECTORY], now=NOW) == 1
    assert {lease.pk: lease.state for lease in Lease.objects.all()} == {mine.pk: "released", others.pk: "intent"}
    assert freed(host) == []
