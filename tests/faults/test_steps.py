"""kill -9 at each named step of spawn and of stop: nothing of ours is left, nobody else is touched, no work is lost.

The worker is killed at the step itself, not at a moment that may be one: see :mod:`tests.faults.zygote`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.models import Agent, State
from events.models import Event
from tests import factories
from tests.fakes.redis_process import RedisProcess
from tests.faults.drill import Drill
from tests.faults.leftovers import clear_away
from tests.flows.inline import memory_broker

pytestmark = [
    pytest.mark.slow, pytest.mark.needs_redis, pytest.mark.needs_docker, pytest.mark.needs_bubblewrap,
    pytest.mark.timeout(900),
]  # fmt: skip

_CONTAINER = "resources.sandboxes.container.ContainerSandbox"

# tier, step of spawn, step of stop: each in the order in which a worker comes to it.
LIVES = [
    # it is claimed; what was worked on there is about to be kept
    ("process", "leave agents.berths._claim", "enter operations.coding.safekeeping._keep"),
    # its workspace is in the ledger; the work is in the vault
    ("process", "leave agents.berths._intend_workspace", "leave operations.coding.safekeeping.keep_work"),
    # its workspace is made; it is claimed
    ("process", "leave resources.workspaces.create", "leave agents.berths._claim"),
    # it has a user id; what ran has ended
    ("process", "leave resources.uids.own", "leave resources.sandboxes.selection.close"),
    # its sandbox is in the ledger; its workspace has gone
    ("process", "leave agents.berths._intend_sandbox", "leave resources.workspaces.remove"),
    # its container is made, and not started; it is about to be removed
    ("container", f"leave {_CONTAINER}._create", f"enter {_CONTAINER}.remove"),
    # its container runs, and was not tried; it has been removed
    ("container", f"leave {_CONTAINER}._begin", f"leave {_CONTAINER}.remove"),
    # its sandbox is open, and nobody has noted it; its leases are given back, in a transaction that never ends
    ("container", "leave resources.sandboxes.selection.open_sandbox", "leave resources.leases.release"),
    # it is noted in a transaction that never ends; so is its leaving
    ("process", "leave resources.leases.hold", "leave agents.lifecycle.cleared"),
    # it runs; it has left
    ("process", "leave agents.berths._running", "leave agents.berths.clear_berth"),
]


@pytest.fixture
def drill(redis_process: RedisProcess, settings: Any, data_directory: Path) -> Iterator[Drill]:
    settings.REDIS_URL, settings.INSTALL_ID = redis_process.url, f"test-{uuid.uuid4()}"
    with memory_broker():
        made = Drill(seed=0, engine=None, redis=redis_process, user=factories.user("ada"))
        yield made
        made.end()
    clear_away(settings)


def recorded(agent: Agent) -> list[tuple[str, str]]:
    """What the journal says became of it."""
    kinds = ("agent.running", "agent.stop_requested", "agent.failed", "agent.stopped")
    told = Event.objects.filter(topic=agent.topic, kind__in=kinds).order_by("seq")
    return list(told.values_list("kind", "reason"))


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_killed_at_any_step_leaves_nothing_and_takes_nothing_from_others(drill: Drill) -> None:
    for number, (tier, spawn, stop) in enumerate(LIVES, start=1):
        agent = drill.dies_at(tier=tier, spawn=spawn, stop=stop)
        tally, at = drill.tally, f"{tier}: {spawn}, {stop}"
        assert (tally.missed, tally.leaked, tally.live_removed, tally.lost_work) == ([], [], [], []), at
        assert (tally.cycles, tally.ended["ran"], agent.state) == (number, number, State.STOPPED), at
        assert recorded(agent) == [
            ("agent.running", f"berth open ({tier})"),
            ("agent.stop_requested", "enough"),
            ("agent.stopped", "berth cleared"),
        ], at
