"""The engine is restarted in order, as an upgrade does it: its berths come back with their work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import berths, lifecycle, upkeep
from agents.models import Agent, State
from resources import hosts, leases, workspaces
from resources.files import Beneath
from resources.sandboxes import selection
from resources.sandboxes.protocol import Command, Tier
from tests import factories
from tests.fakes.engine_process import EngineProcess, engine_process, own_engine

__all__ = ["engine_process", "own_engine"]

pytestmark = [
    pytest.mark.slow, pytest.mark.needs_docker, pytest.mark.needs_bubblewrap, pytest.mark.timeout(600),
]  # fmt: skip
WORKER = "worker:node-a"


def opened(settings: Any, tier: Tier) -> Agent:
    settings.ISOLATION = tier.value
    agent = factories.placed()
    berths.open_berth(agent.pk, generation=agent.generation, worker=WORKER)
    agent = Agent.objects.get(pk=agent.pk)
    assert (agent.state, agent.tier) == (State.RUNNING, tier.value), agent.error
    return agent


def says(agent: Agent) -> bytes:
    return selection.adopt(agent.sandbox or {}).run(Command(argv=("cat", "work.txt"))).stdout


@pytest.mark.django_db
def test_a_restarted_engine_costs_what_ran_and_nothing_else(
    own_engine: EngineProcess, settings: Any, data_directory: Path
) -> None:
    settings.HOST_NAME = "node-a"
    data_directory.chmod(0o711)
    host = factories.host(tiers=[Tier.CONTAINER, Tier.PROCESS])
    agents = [opened(settings, tier) for tier in (Tier.CONTAINER, Tier.PROCESS)]
    for agent in agents:
        assert agent.sandbox is not None
        Beneath(Path(agent.sandbox["profile"]["workspace"])).write("work.txt", b"mine\n")

    own_engine.restart()
    hosts.beat(name=host.name, facts=host.facts, now=timezone.now())
    assert upkeep.inspect(host="node-a", now=timezone.now(), worker=WORKER) == 2
    assert [says(agent) for agent in agents] == [b"mine\n"] * 2

    for agent in agents:
        asked = lifecycle.request_stop(agent.pk, actor="user:ada", reason="enough")
        berths.clear_berth(agent.pk, generation=asked.generation, worker=WORKER)
        assert Agent.objects.get(pk=agent.pk).state == State.STOPPED
        assert leases.live(owner=agent.owner) == []
    assert own_engine.containers() == []
    assert workspaces.names() == []
