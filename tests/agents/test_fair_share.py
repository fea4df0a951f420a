"""Many agents of two users on one small host: never above capacity, all served, neither user starved."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from agents import lifecycle, line, placement, sizes
from agents.models import Agent, Priority, State
from events.models import Event
from resources import hosts, leases, quotas
from resources.models import Host
from tests import factories
from tests.at_once import at_once

pytestmark = pytest.mark.django_db(transaction=True)

SLOTS = 6


def asked(user: Any, **wishes: Any) -> Agent:
    return lifecycle.request_spawn(template="lightweight", actor=f"user:{user}", by=user, **wishes)


def leave(agent: Agent) -> None:
    lifecycle.request_stop(agent.pk, actor="system", reason="done")
    leases.release(owner=agent.owner, actor="system", reason="done", now=timezone.now())
    Agent.objects.filter(pk=agent.pk).update(host=None)


def berthed() -> list[Agent]:
    return list(Agent.objects.filter(state=State.SPAWNING, host__isnull=False).order_by("pk"))


def test_two_hundred_of_two_users_on_six_berths_all_finish_in_turns() -> None:
    host = factories.host(slots=SLOTS, memory_mb=99999, cpu_millis=99999, disk_mb=999999)
    eager, late = factories.user("eager"), factories.user("late")
    for _ in range(150):
        asked(eager)
    for _ in range(50):
        asked(late)
    served: list[str] = []
    while len(served) < 200:
        Host.objects.update(heartbeat_at=timezone.now())
        placement.place_waiting(now=timezone.now())
        inside = berthed()
        assert 0 < len(inside) <= SLOTS
        assert hosts.usage(host).slots == len(inside)
        served += [agent.created_by.username for agent in inside if agent.created_by]
        for agent in inside:
            leave(agent)
    assert served[:96].count("late") == 48, "half of the berths while both wait, though one asked for three times more"
    assert served.count("late") == 50
    assert hosts.usage(host).slots == 0


def test_they_never_get_more_than_there_is_while_everything_happens_at_once() -> None:
    host = factories.host(slots=SLOTS, memory_mb=99999, cpu_millis=99999, disk_mb=999999)
    users = [factories.user("ada"), factories.user("bob")]
    agents = [asked(users[number % 2]) for number in range(40)]
    above: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            if (used := hosts.usage(host).slots) > SLOTS:
                above.append(used)
        connection.close()

    def come_and_go(agent: Agent) -> Callable[[], bool]:
        def do() -> bool:
            placement.place(agent.pk, now=timezone.now())
            for one in Agent.objects.filter(state=State.SPAWNING, host__isnull=False)[:1]:
                leave(one)
            placement.place_waiting(now=timezone.now())
            return True

        return do

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        answers = at_once([come_and_go(agent) for agent in agents], width=8)
    finally:
        over.set()
        watcher.join()
    illegal = [a for a in answers if a is not True and not isinstance(a, lifecycle.faults.IllegalTransition)]
    assert illegal == []
    assert above == []
    for _ in range(40):
        Host.objects.update(heartbeat_at=timezone.now())
        for agent in berthed():
            leave(agent)
        placement.place_waiting(now=timezone.now())
    assert not Agent.objects.filter(state=State.SPAWNING).exists(), "everybody had a berth"


def test_the_next_berth_goes_to_the_user_who_holds_the_fewest_and_positions_say_so() -> None:
    factories.host(slots=3)
    eager, late = factories.user("eager"), factories.user("late")
    mine = [asked(eager) for _ in range(6)]
    placement.place_waiting(now=timezone.now())
    theirs = [asked(late) for _ in range(2)]
    ordered = [place.agent_id for place in line.places(now=timezone.now())]
    assert ordered == [theirs[0].pk, theirs[1].pk, mine[3].pk, mine[4].pk, mine[5].pk]
    assert placement.position(theirs[0]) == 1
    leave(mine[0])
    assert placement.place_waiting(now=timezone.now()) == 1
    assert Agent.objects.get(pk=theirs[0].pk).host is not None


def test_a_newcomer_does_not_take_the_berth_of_who_stands_before_it() -> None:
    factories.host(slots=1)
    eager, late = factories.user("eager"), factories.user("late")
    first = asked(eager)
    placement.place(first.pk, now=timezone.now())
    waits, newcomer = asked(late), asked(eager)
    leave(first)
    assert not placement.place(newcomer.pk, now=timezone.now())
    assert Agent.objects.get(pk=waits.pk).host is not None, "served on the way"
    assert Agent.objects.get(pk=newcomer.pk).blocked_by[0]["kind"] == "slots"


def test_low_priority_has_its_turn_when_it_has_waited_long(settings: Any) -> None:
    settings.AGING_S = 60
    factories.host(slots=1)
    user = factories.user()
    occupant = asked(user)
    placement.place_waiting(now=timezone.now())
    low = asked(user, priority=Priority.LOW)
    Agent.objects.filter(pk=low.pk).update(state_since=timezone.now() - timedelta(seconds=121))
    high = asked(user, priority=Priority.HIGH)
    leave(occupant)
    assert placement.place_waiting(now=timezone.now()) == 1
    assert Agent.objects.get(pk=low.pk).host is not None
    assert Agent.objects.get(pk=high.pk).host is None


def test_who_is_at_the_quota_waits_with_that_reason_and_keeps_nobody_waiting() -> None:
    factories.host(slots=9, memory_mb=99999, cpu_millis=99999, disk_mb=99999)
    full, other = factories.user("full"), factories.user("other")
    quotas.grant(kind="user", key=str(full.pk), limits={"slots": 1}, actor="user:root", reason="", now=timezone.now())
    first, second, third = asked(full), asked(full), asked(other)
    assert placement.place_waiting(now=timezone.now()) == 2
    assert [Agent.objects.get(pk=a.pk).host is not None for a in (first, second, third)] == [True, False, True]
    (reason,) = Agent.objects.get(pk=second.pk).blocked_by
    assert (reason["kind"], reason["of"], reason["used"], reason["limit"]) == ("quota", "user", 1, 1)
    quotas.grant(kind="user", key=str(full.pk), limits={"slots": 2}, actor="user:root", reason="", now=timezone.now())
    assert placement.place_waiting(now=timezone.now()) == 1


def declares(agent: Agent, **size: Any) -> Agent:
    spec = agent.resolved["spec"]
    changed = {**agent.resolved, "spec": {**spec, "size": {**spec["size"], **size}}}
    Agent.objects.filter(pk=agent.pk).update(resolved=changed)
    return agent


def test_the_lighter_size_is_taken_where_the_full_one_does_not_fit_and_is_on_record() -> None:
    host: Host = factories.host(memory_mb=200)
    agent = declares(asked(factories.user()), lighter={"memory_mb": 128})
    assert placement.place(agent.pk, now=timezone.now())
    found = Agent.objects.get(pk=agent.pk)
    assert found.resolved["taken"]["lighter"] is True
    assert sizes.size_taken(found.resolved).memory_mb == hosts.usage(host).memory_mb == 128
    event = Event.objects.get(topic=agent.topic, kind="agent.placed")
    assert (event.data["size"]["memory_mb"], event.data["size"]["lighter"]) == (128, True)
