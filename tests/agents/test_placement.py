"""Who gets a berth, in which order, and what those who wait are told."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
from django.utils import timezone

from agents import lifecycle, placement
from agents.models import Agent, Priority, State
from events.models import Event
from resources import hosts, leases
from resources.models import Host
from tests import factories
from tests.at_once import at_once

pytestmark = pytest.mark.django_db

NOW = timezone.now()
A_WHILE = placement.PATIENCE + timedelta(seconds=1)


def loaded(agent: Agent) -> Agent:
    return Agent.objects.select_related("host").get(pk=agent.pk)


def place(agent: Agent, *, now: datetime = NOW) -> bool:
    return placement.place(agent.pk, now=now)


def leave(agent: Agent) -> None:
    """The whole way out, without a berth to clear."""
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="")
    leases.release(owner=agent.owner, actor="system", reason="left", now=NOW)


def beat(now: datetime) -> None:
    Host.objects.update(heartbeat_at=now)


def kinds(agent: Agent) -> list[str]:
    return list(Event.objects.filter(topic=agent.topic).order_by("seq").values_list("kind", flat=True))


def test_a_placed_agent_has_a_host_its_leases_and_an_event_of_the_same_generation() -> None:
    host = factories.host()
    agent = factories.placed("python-web")
    assert (agent.host, agent.state, agent.generation) == (host, State.SPAWNING, 1)
    assert {lease.generation for lease in leases.live(owner=agent.owner)} == {1}
    assert len(leases.live(owner=agent.owner)) == 5
    assert kinds(agent) == ["agent.spawn_requested", "agent.placed"]


def test_placing_twice_reserves_once() -> None:
    factories.host()
    agent = factories.placed()
    count = len(leases.live(owner=agent.owner))
    assert place(agent)
    assert len(leases.live(owner=agent.owner)) == count
    assert kinds(agent).count("agent.placed") == 1


@pytest.mark.django_db(transaction=True)
def test_placing_at_once_reserves_once() -> None:
    factories.host()
    agent = factories.agent()
    assert at_once([partial(place, agent) for _ in range(8)]) == [True] * 8
    assert len(leases.live(owner=agent.owner)) == 4
    assert kinds(agent).count("agent.placed") == 1


def test_one_that_was_stopped_before_is_not_placed() -> None:
    factories.host()
    agent = factories.agent()
    leave(agent)
    assert not place(agent)
    assert not leases.live(owner=agent.owner)


def test_a_blocked_agent_says_why_since_when_and_is_looked_at_again() -> None:
    factories.host(slots=0, memory_mb=100)
    agent = factories.agent()
    assert not place(agent)
    found = loaded(agent)
    assert found.blocked_by == [
        {"kind": "slots", "host": "node-a", "needs": 1, "free": 0, "of": 0},
        {"kind": "memory", "host": "node-a", "needs_mb": 128, "free_mb": 100, "of_mb": 100},  # its lighter size
    ]
    assert (found.waiting_since, found.state) == (NOW, State.SPAWNING)
    assert found.wake_up_at is not None
    assert found.wake_up_at >= NOW + placement.RECHECK
    assert not place(agent, now=NOW + timedelta(seconds=5))
    assert loaded(agent).waiting_since == NOW, "it waits since the first time"
    assert kinds(agent) == ["agent.spawn_requested", "agent.blocked"], "the same reasons are told once"
    factories.host(slots=1, memory_mb=300)
    assert place(agent, now=NOW + timedelta(seconds=6))
    assert (loaded(agent).blocked_by, loaded(agent).waiting_since) == ([], None)


def test_positions_count_from_one_by_priority_then_age_and_without_gaps() -> None:
    normal = [factories.agent() for _ in range(3)]
    low = factories.agent(priority=Priority.LOW)
    high = factories.agent(priority=Priority.HIGH)
    Agent.objects.filter(pk__in=[agent.pk for agent in normal]).update(created_at=NOW)
    ordered = [high, *sorted((loaded(a) for a in normal), key=lambda a: a.pk.bytes), low]
    assert placement.waiting() == ordered
    assert [placement.position(loaded(agent)) for agent in ordered] == [1, 2, 3, 4, 5]


def test_who_has_a_berth_or_has_left_has_no_position() -> None:
    factories.host()
    placed, gone = factories.placed(), factories.agent()
    leave(gone)
    assert placement.position(placed) is None
    assert placement.position(loaded(gone)) is None


def test_room_goes_to_the_highest_priority_then_to_the_oldest() -> None:
    factories.host(slots=2)
    old, young = factories.agent(), factories.agent()
    urgent = factories.agent(priority=Priority.HIGH)
    assert placement.place_waiting(now=NOW) == 2
    assert [loaded(agent).host is not None for agent in (urgent, old, young)] == [True, True, False]


def test_a_release_lets_the_next_one_in() -> None:
    factories.host(slots=1)
    first, second, third = (factories.agent() for _ in range(3))
    assert placement.place_waiting(now=NOW) == 1
    leave(first)
    event = Event.objects.get(kind="host.capacity_freed")
    assert event.data["owner"] == first.owner
    assert placement.place_waiting(now=NOW) == 1
    assert loaded(second).host is not None
    assert loaded(third).host is None


def test_a_smaller_one_may_pass_a_bigger_one_that_has_not_waited_long() -> None:
    factories.host(memory_mb=1100)
    occupant = factories.placed("lightweight")
    big, small = factories.agent("python-web"), factories.agent("lightweight")
    assert not place(big)
    assert placement.place_waiting(now=NOW) == 1
    assert loaded(small).host is not None
    assert loaded(occupant).host is not None


def test_nobody_passes_one_that_has_waited_long_enough() -> None:
    factories.host(memory_mb=1100)
    occupant = factories.placed("lightweight")
    big = factories.agent("python-web")
    assert not place(big)
    later = NOW + A_WHILE
    beat(later)
    small = factories.agent("lightweight")
    assert not place(small, now=later)
    assert loaded(small).blocked_by == [{"kind": "queue", "behind": str(big.pk), "detail": f"{big.name} waits longer"}]
    leave(occupant)
    assert placement.place_waiting(now=later) == 1
    assert loaded(big).host is not None


def test_a_higher_priority_does_not_queue_behind_a_lower_one() -> None:
    factories.host(memory_mb=1100)
    factories.placed("lightweight")
    big = factories.agent("python-web", priority=Priority.LOW)
    assert not place(big)
    later = NOW + A_WHILE
    beat(later)
    assert place(factories.agent("lightweight", priority=Priority.HIGH), now=later)


@pytest.mark.parametrize("hopeless", ["too big for every host", "its host is lost", "its host is drained"])
def test_one_that_waiting_does_not_help_keeps_nobody_waiting(hopeless: str) -> None:
    factories.host("small", memory_mb=900)
    if hopeless != "too big for every host":
        large = factories.host("large", memory_mb=4000, now=NOW - timedelta(hours=1))
        if hopeless == "its host is drained":
            hosts.beat(name="large", facts=large.facts, now=NOW)
            hosts.drain(host_id=large.pk, actor="user:ada", reason="", now=NOW)
    big = factories.agent("python-web")
    assert not place(big)
    later = NOW + A_WHILE
    Host.objects.filter(name="small").update(heartbeat_at=later)
    small = factories.agent("lightweight")
    assert place(small, now=later)
    assert not place(big, now=later)


def test_without_a_host_everyone_is_told_so() -> None:
    agents = [factories.agent() for _ in range(3)]
    for agent in agents:
        assert not place(agent)
    assert {loaded(agent).blocked_by[0]["kind"] for agent in agents} == {"no_host"}
    assert [placement.position(loaded(agent)) for agent in agents] == [1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_two_hundred_that_ask_at_once_fill_the_host_and_the_rest_stand_in_line() -> None:
    host = factories.host(slots=23, memory_mb=99999, cpu_millis=99999, disk_mb=999999)
    agents = [factories.agent() for _ in range(200)]
    answers = at_once([partial(place, agent) for agent in agents])
    assert [answer for answer in answers if not isinstance(answer, bool)] == []
    assert sum(answer is True for answer in answers) == 23
    assert hosts.usage(host).slots == 23
    waiting = placement.waiting()
    assert [placement.position(agent) for agent in waiting] == list(range(1, 178))
    assert {agent.blocked_by[0]["kind"] for agent in waiting} == {"slots"}
    assert all(agent.blocked_by[0]["free"] == 0 for agent in waiting)
