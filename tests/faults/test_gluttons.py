"""Berths whose inhabitants take all they can: memory, processor, output. Others are served meanwhile, and all goes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents import berths, lifecycle
from agents.models import Agent, State
from resources.sandboxes import selection
from resources.sandboxes.protocol import Command, Sandbox, Tier
from tests import factories
from tests.faults.leftovers import assert_nothing_left, clear_away

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(400)]

WORKER = "worker:node-a"
TIERS = [
    pytest.param(Tier.PROCESS, marks=pytest.mark.needs_bubblewrap, id="process"),
    pytest.param(Tier.CONTAINER, marks=pytest.mark.needs_docker, id="container"),
]
HOG = "import time\nb = bytearray(100 << 20)\nfor n in range(0, len(b), 4096): b[n] = 1\nprint('has it', flush=True)\n"
GIGABYTE = 1 << 30


@pytest.fixture(params=TIERS)
def tier(request: pytest.FixtureRequest, settings: Any, data_directory: Path) -> Iterator[Tier]:
    tier: Tier = request.param
    settings.ISOLATION, settings.INSTALL_ID = tier.value, f"test-{uuid.uuid4()}"
    data_directory.chmod(0o711)
    factories.host(tiers=[tier])
    yield tier
    for agent in Agent.objects.exclude(sandbox=None):
        selection.close(agent.sandbox or {})
    clear_away(settings)


def opened() -> Agent:
    agent = factories.placed()
    berths.open_berth(agent.pk, generation=agent.generation, worker=WORKER)
    agent = Agent.objects.get(pk=agent.pk)
    assert agent.state == State.RUNNING, agent.error
    return agent


def sandbox_of(agent: Agent) -> Sandbox:
    return selection.adopt(agent.sandbox or {})


def assert_it_leaves_nothing(agent: Agent, settings: Any) -> None:
    asked = lifecycle.request_stop(agent.pk, actor="user:ada", reason="enough")
    berths.clear_berth(agent.pk, generation=asked.generation, worker=WORKER)
    assert Agent.objects.get(pk=agent.pk).state == State.STOPPED
    assert_nothing_left(agent, settings)


def test_eight_times_a_hundred_megabytes_at_once_end_within_the_berth(tier: Tier, settings: Any) -> None:
    glutton, bystander = opened(), opened()
    box = sandbox_of(glutton)
    hog = Command(argv=("python3", "-I", "-c", HOG + "time.sleep(2)"), timeout_s=120)
    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(lambda _: box.run(hog), range(8)))
    assert any(not end.ok for end in ends), "256 MB were lent"
    assert sandbox_of(bystander).run(Command(argv=("true",))).ok
    assert sandbox_of(glutton).run(Command(argv=("echo", "on"))).stdout == b"on\n", "the berth goes on"
    assert_it_leaves_nothing(glutton, settings)
    assert sandbox_of(bystander).alive()


def test_a_processor_that_is_spun_on_is_shared_and_given_back(tier: Tier, settings: Any) -> None:
    glutton, bystander = opened(), opened()
    spin = Command(argv=("sh", "-c", "for n in 1 2 3 4; do (while :; do :; done) & done; wait"), timeout_s=2)
    with ThreadPoolExecutor(1) as pool:
        spinning = pool.submit(sandbox_of(glutton).run, spin)
        assert sandbox_of(bystander).run(Command(argv=("echo", "mine"), timeout_s=120)).stdout == b"mine\n"
        outcome = spinning.result()
    assert outcome.timed_out
    assert sandbox_of(glutton).stats().processes in (0, 1, 2), "all four are gone"
    assert_it_leaves_nothing(glutton, settings)
    assert sandbox_of(bystander).alive()


def test_a_gigabyte_of_output_costs_us_none_of_it(tier: Tier, settings: Any) -> None:
    glutton = opened()
    before = psutil.Process().memory_info().rss
    flood = Command(
        argv=("sh", "-c", f"echo first; head -c {GIGABYTE} /dev/zero; echo last"), timeout_s=300,
        output_limit_bytes=10_000,
    )  # fmt: skip
    outcome = sandbox_of(glutton).run(flood)
    assert outcome.ok, outcome
    assert outcome.truncated
    assert (outcome.stdout[:6], outcome.stdout[-5:]) == (b"first\n", b"last\n")
    assert psutil.Process().memory_info().rss - before < GIGABYTE // 8
    assert_it_leaves_nothing(glutton, settings)
