"""What the sweep does for agents: lost wake-ups, leases of the living, hosts that went away."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import berths, health, lifecycle, placement, upkeep
from agents.models import Agent, Fact, State
from events.models import Event
from resources import hosts, leases
from resources.models import Host, Lease
from resources.sandboxes import selection
from resources.sandboxes.protocol import SandboxFailed
from tests import factories
from tests.at_once import at_once

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def loaded(agent: Agent) -> Agent:
    return Agent.objects.select_related("host").get(pk=agent.pk)


def silent_since(host: Host, when: datetime) -> None:
    Host.objects.filter(pk=host.pk).update(heartbeat_at=when)


def lease_of(owner: str, *, expires_at: datetime) -> Lease:
    lease = leases.intend(
        host=factories.host(), kind=Lease.Kind.DIRECTORY, key=owner, owner=owner, generation=1, now=NOW,
        expires_at=expires_at,
    )  # fmt: skip
    lease.save()
    return lease


# --- wake-ups ---------------------------------------------------------------------------------------------------------


def test_an_agent_whose_wake_up_got_lost_is_overdue_once_per_period(settings: Any) -> None:
    settings.REDISPATCH_S = 20
    factories.host()
    running, agent = factories.running(), factories.agent()
    due = agent.wake_up_at
    assert due is not None
    assert upkeep.overdue(now=due - timedelta(seconds=1)) == []
    assert upkeep.overdue(now=due) == [agent]
    assert upkeep.overdue(now=due + timedelta(seconds=19)) == []
    assert upkeep.overdue(now=due + timedelta(seconds=20)) == [agent]
    assert running not in upkeep.overdue(now=due + timedelta(days=1))


@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_wake_each_agent_once() -> None:
    agents = {factories.agent().pk for _ in range(10)}
    later = NOW + timedelta(hours=1)
    answers = at_once([partial(upkeep.overdue, now=later) for _ in range(6)])
    woken = [agent.pk for answer in answers if isinstance(answer, list) for agent in answer]
    assert sorted(woken) == sorted(agents)


# --- leases -----------------------------------------------------------------------------------------------------------


def test_the_living_keep_what_they_hold_and_the_broken_do_not() -> None:
    factories.host()
    spawning, running, stopping, broken = (
        factories.placed(),
        factories.running(),
        factories.running(),
        factories.running(),
    )
    lifecycle.request_stop(stopping.pk, actor="user:ada", reason="")
    lifecycle.fail(broken.pk, generation=broken.generation, fault=SandboxFailed("x"), actor="system")
    before = {lease.pk: lease.expires_at for lease in leases.live(owner=broken.owner)}
    later = NOW + timedelta(hours=1)
    assert upkeep.renew_leases(now=later) == 12
    for agent in (spawning, running, stopping):
        assert {lease.expires_at for lease in leases.live(owner=agent.owner)} == {later + placement.LEASE_TTL}
    assert {lease.pk: lease.expires_at for lease in leases.live(owner=broken.owner)} == before


def test_expired_leases_of_nobody_are_released_and_those_of_the_living_never(settings: Any) -> None:
    factories.host()
    living = [factories.placed(), factories.running()]
    leaving, broken = factories.running(), factories.running()
    lifecycle.request_stop(leaving.pk, actor="user:ada", reason="")
    lifecycle.fail(broken.pk, generation=broken.generation, fault=SandboxFailed("x"), actor="system")
    long_ago = NOW - timedelta(days=1)
    Lease.objects.update(expires_at=long_ago)
    unknown, strange, nonsense = f"agent:{uuid.uuid4()}", "operation:7", "agent:nobody"
    for owner in (unknown, strange, nonsense):
        lease_of(owner, expires_at=long_ago)
    fresh = lease_of("operation:8", expires_at=NOW + timedelta(minutes=1))
    assert upkeep.release_expired(now=NOW) == 3
    assert upkeep.release_expired(now=NOW) == 0
    for owner in (unknown, strange, nonsense):
        assert not leases.live(owner=owner)
    for agent in (*living, leaving, broken):
        assert len(leases.live(owner=agent.owner)) == 4
    assert leases.live(owner=fresh.owner)


def test_what_a_stopped_agent_still_holds_is_released_when_it_expires() -> None:
    factories.host()
    agent = factories.agent()
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="")
    berths.clear_berth(agent.pk, generation=2, worker="worker:node-a")
    lease_of(agent.owner, expires_at=NOW - timedelta(seconds=1))
    assert upkeep.release_expired(now=NOW) == 1


# --- hosts that went away ---------------------------------------------------------------------------------------------


def test_agents_of_a_lost_host_break_and_those_of_others_and_without_one_do_not() -> None:
    lost = factories.host("lost", slots=2)
    running, opening = factories.running(), factories.placed()
    factories.host("well")
    elsewhere, nowhere = factories.running(), factories.agent()
    silent_since(lost, NOW - timedelta(hours=1))
    assert upkeep.fail_on_lost_hosts(now=NOW) == 2
    assert upkeep.fail_on_lost_hosts(now=NOW) == 0
    for agent in (running, opening):
        found = loaded(agent)
        assert found.state == State.ERROR
        assert found.error is not None
        assert (found.error["code"], found.error["facts"]) == ("agent.berth_lost", {"host": "lost"})
    assert loaded(elsewhere).state == State.RUNNING
    assert loaded(nowhere).state == State.SPAWNING


def test_a_worker_that_is_slow_to_come_back_finds_its_berths_as_they_were(settings: Any) -> None:
    host, agent = factories.host(), factories.running()
    silent_since(host, NOW - timedelta(seconds=2 * settings.HOST_TTL_S))
    assert hosts.verdict(Host.objects.get(pk=host.pk), now=NOW) is hosts.Verdict.LOST
    assert upkeep.fail_on_lost_hosts(now=NOW) == 0
    assert loaded(agent).state == State.RUNNING


def test_a_host_that_may_come_back_is_not_written_off() -> None:
    host = factories.host()
    agent = factories.running()
    silent_since(host, NOW - upkeep.GONE_FOR_GOOD + timedelta(seconds=1))
    assert upkeep.fail_on_lost_hosts(now=NOW) == 1
    assert upkeep.write_off(now=NOW) == 0
    assert leases.live(owner=agent.owner)


def test_a_host_that_is_gone_for_good_is_written_off_so_that_a_stop_ends_and_a_retry_is_possible() -> None:
    host = factories.host()
    leaving, broken, cleared = factories.running(), factories.running(), factories.running()
    lifecycle.request_stop(leaving.pk, actor="user:ada", reason="")
    silent_since(host, NOW - upkeep.GONE_FOR_GOOD - timedelta(seconds=1))
    assert upkeep.fail_on_lost_hosts(now=NOW) == 2
    berths.clear_berth(cleared.pk, generation=loaded(cleared).generation, worker="worker:node-a")
    assert upkeep.write_off(now=NOW) == 2
    assert upkeep.write_off(now=NOW) == 0
    assert (loaded(leaving).state, loaded(broken).state) == (State.STOPPED, State.ERROR)
    assert not Lease.objects.filter(state__in=Lease.LIVE).exists()
    event = Event.objects.get(topic=leaving.topic, kind="agent.stopped")
    assert (event.actor, event.reason) == ("system", "host node-a is gone")
    factories.host("node-b")
    lifecycle.retry(broken.pk, actor="user:ada", reason="")
    assert placement.place(broken.pk, now=NOW)
    assert loaded(broken).host == Host.objects.get(name="node-b")


# --- looking at sandboxes ---------------------------------------------------------------------------------------------


@pytest.mark.needs_landlock
def test_a_sandbox_that_is_gone_breaks_its_agent_and_the_others_are_seen_alive(
    settings: Any, data_directory: Path
) -> None:
    settings.ISOLATION = "landlock"
    factories.host()
    agents = [factories.placed() for _ in range(2)]
    for agent in agents:
        berths.open_berth(agent.pk, generation=1, worker="worker:node-a")
    alive, gone = map(loaded, agents)
    selection.adopt(gone.sandbox or {}).close()
    assert upkeep.inspect(host="node-b", now=NOW, worker="worker:node-b") == 0
    now = timezone.now()
    assert upkeep.inspect(host="node-a", now=now, worker="worker:node-a") == 1
    assert loaded(alive).state == State.RUNNING
    assert (loaded(gone).state, (loaded(gone).error or {})["code"]) == (State.ERROR, "agent.berth_lost")
    facts = health.facts_of(loaded(gone))
    assert (facts[Fact.Kind.SANDBOX_INSPECTED].ok, facts[Fact.Kind.SANDBOX_INSPECTED].observed_at) == (False, now)
    selection.adopt(loaded(alive).sandbox or {}).close()


def test_a_running_agent_without_a_reference_is_not_taken_for_alive() -> None:
    factories.host()
    agent = factories.running()
    assert upkeep.inspect(host="node-a", now=NOW, worker="worker:node-a") == 0
    assert loaded(agent).state == State.ERROR
