"""Warm berths: made before they are asked for, used once, counted, and gone when they are not wanted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from django.utils import timezone

from agents import berths, lifecycle, placement, warm_pool
from agents.models import Agent, State
from resources import hosts, leases, warm, workspaces
from resources.models import Host, Lease
from resources.sandboxes import selection
from resources.sandboxes.protocol import Command, Tier
from tests import factories
from tests.at_once import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_docker]

WORKER = "worker:node-a"
TEMPLATE = "lightweight"


@pytest.fixture(autouse=True)
def pool(settings: Any, data_directory: Path) -> Iterator[None]:
    """Two berths of one template stand ready once the host is tended; nothing of ours stays behind."""
    settings.WARM_POOL = {TEMPLATE: 2}
    settings.ISOLATION = "container"
    data_directory.chmod(0o711)
    yield
    for name in containers(settings):
        engine = docker.from_env()
        engine.containers.get(name).remove(force=True)
        engine.close()
    for name in workspaces.names():
        workspaces.remove(workspaces.place_of(name))


def containers(settings: Any) -> list[str]:
    """Names of this install's containers, as the engine has them."""
    engine = docker.from_env()
    try:
        found = engine.containers.list(all=True, filters={"label": f"moorage.install={settings.INSTALL_ID}"})
        return sorted(str(container.name) for container in found)
    finally:
        engine.close()


def host(**lent: Any) -> Host:
    return factories.host(tiers=[Tier.CONTAINER, Tier.PROCESS], **lent)


def tend() -> int:
    return warm_pool.tend(host_name="node-a", now=timezone.now(), actor=WORKER)


def opened(template: str = TEMPLATE) -> Agent:
    agent = factories.placed(template)
    berths.open_berth(agent.pk, generation=agent.generation, worker=WORKER)
    return Agent.objects.select_related("host").get(pk=agent.pk)


def leave(agent: Agent) -> None:
    asked = lifecycle.request_stop(agent.pk, actor="user:ada", reason="")
    berths.clear_berth(agent.pk, generation=asked.generation, worker=WORKER)


def test_they_are_made_once_counted_in_the_host_and_kept(settings: Any) -> None:
    node = host()
    assert tend() == 2
    assert tend() == 0
    assert len(containers(settings)) == 2
    assert (hosts.usage(node).slots, hosts.usage(node).memory_mb) == (2, 512)
    assert set(warm.counts(node).values()) == {2}


def test_an_agent_moves_in_with_its_own_variables_and_nobody_moves_in_after_it(settings: Any) -> None:
    node = host()
    tend()
    before = containers(settings)
    agent = opened()
    assert agent.state == State.RUNNING, agent.error
    assert containers(settings) == before, "none was made"
    assert agent.resolved["taken"]["warm"] is True
    assert agent.tier == Tier.CONTAINER
    assert agent.sandbox is not None
    ran = selection.adopt(agent.sandbox).run(Command(argv=("sh", "-c", "echo $MOORAGE_AGENT; touch here; pwd")))
    assert ran.text().split() == [agent.name, agent.sandbox["profile"]["workspace"]]
    assert {lease.state for lease in leases.live(owner=agent.owner)} == {Lease.State.HELD}
    assert hosts.usage(node).slots == 2, "what was the pool's is the agent's"
    leave(agent)
    assert len(containers(settings)) == 1
    assert hosts.usage(node).slots == 1
    assert tend() == 1, "refilled"


def test_many_that_ask_at_once_each_get_one_of_their_own_or_an_ordinary_place(settings: Any) -> None:
    node = host(slots=5, memory_mb=99999, cpu_millis=99999, disk_mb=99999)
    tend()
    agents = [factories.agent(TEMPLATE) for _ in range(6)]
    answers = at_once([partial(placement.place, agent.pk, now=timezone.now()) for agent in agents])
    assert [answer for answer in answers if not isinstance(answer, bool)] == []
    placed = [Agent.objects.get(pk=agent.pk) for agent in agents]
    assert sum(agent.host_id is not None for agent in placed) == 5
    assert sum(bool(agent.resolved.get("taken", {}).get("warm")) for agent in placed) == 2
    assert hosts.usage(node).slots == 5
    keys = Lease.objects.filter(kind=Lease.Kind.CONTAINER, state__in=Lease.LIVE).values_list("owner", flat=True)
    assert len(set(keys)) == len(keys) == 2


def test_what_stands_ready_gives_way_to_one_that_waits_for_its_room(settings: Any) -> None:
    node = host(slots=2)
    assert tend() == 2
    settings.WARM_POOL = {TEMPLATE: 2}
    other = factories.agent("python-web")
    assert not placement.place(other.pk, now=timezone.now())
    assert len(warm.retired(node)) == 1
    assert tend() == 0, "it is not refilled while somebody waits"
    assert placement.place_waiting(now=timezone.now()) == 1
    assert Agent.objects.get(pk=other.pk).host == node
    assert len(containers(settings)) == 1


def test_one_that_died_is_replaced_before_it_is_taken_and_after(settings: Any) -> None:
    host()
    tend()
    engine = docker.from_env()
    dead = containers(settings)
    engine.containers.get(dead[0]).remove(force=True)
    assert tend() == 1, "the dead one is found and replaced"
    for name in containers(settings):
        engine.containers.get(name).remove(force=True)
    engine.close()
    agent = opened()
    assert agent.state == State.RUNNING, agent.error
    assert agent.resolved["taken"]["warm"] is False, "it was made, since what stood ready was dead"
    assert len(containers(settings)) == 1
    assert len(leases.live(owner=agent.owner, kind=Lease.Kind.DIRECTORY)) == 1
    leave(agent)
    assert not leases.live(owner=agent.owner)
    assert containers(settings) == []


@pytest.mark.parametrize("stopped_before_it_was_opened", [True, False])
def test_one_that_stops_early_leaves_nothing(settings: Any, stopped_before_it_was_opened: bool) -> None:
    settings.WARM_POOL = {TEMPLATE: 1}
    host()
    tend()
    agent = factories.placed(TEMPLATE)
    asked = lifecycle.request_stop(agent.pk, actor="user:ada", reason="")
    if stopped_before_it_was_opened:
        berths.clear_berth(agent.pk, generation=asked.generation, worker=WORKER)
    berths.open_berth(agent.pk, generation=agent.generation, worker=WORKER)
    berths.clear_berth(agent.pk, generation=asked.generation, worker=WORKER)
    assert Agent.objects.get(pk=agent.pk).state == State.STOPPED
    assert containers(settings) == []
    assert not Lease.objects.filter(state__in=Lease.LIVE).exists()


def test_a_drained_host_and_one_whose_worker_stops_keep_none(settings: Any) -> None:
    node = host()
    tend()
    hosts.drain(host_id=node.pk, actor="user:ada", reason="", now=timezone.now())
    tend()
    assert containers(settings) == []
    hosts.undrain(host_id=node.pk, actor="user:ada", reason="")
    assert tend() == 2
    assert warm_pool.drain(host_name="node-a", actor=WORKER) == 2
    assert containers(settings) == []
    assert hosts.usage(node).slots == 0


def test_one_whose_maker_died_runs_out_and_is_not_taken() -> None:
    node = host()
    settings_shape = warm_pool._wishes({TEMPLATE: 1})
    (wish,) = settings_shape.values()
    owner = warm_pool._reserve(node, wish)
    assert owner is not None
    agent = factories.placed(TEMPLATE)
    assert agent.resolved["taken"]["warm"] is False, "what is being made is nobody's yet"
    warm.renew(node, expires_at=timezone.now() + timedelta(hours=1))
    assert leases.expired(now=timezone.now() + placement.LEASE_TTL + timedelta(seconds=1)).count(owner) == 1


def test_nothing_is_kept_ready_for_a_tier_that_is_no_container_or_for_a_template_that_is_not_there(
    settings: Any,
) -> None:
    host()
    settings.WARM_POOL = {TEMPLATE: 1, "no-such-template": 1}
    settings.ISOLATION = "process"
    assert tend() == 0
    assert containers(settings) == []
