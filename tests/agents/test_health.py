"""Health: the verdict is computed from dated facts, names its cause, and may be unknown."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
from django.utils import timezone

from agents import health, lifecycle
from agents.health import Verdict
from agents.models import Agent, Fact
from resources.models import Host
from resources.sandboxes.protocol import SandboxFailed
from tests import factories
from tests.at_once import at_once

pytestmark = pytest.mark.django_db

NOW = timezone.now()
INSPECTED, HEARTBEAT = Fact.Kind.SANDBOX_INSPECTED, Fact.Kind.WORKER_HEARTBEAT
OUTPUT, TOOL, MODEL = Fact.Kind.LAST_OUTPUT, Fact.Kind.LAST_TOOL_RESULT, Fact.Kind.LAST_MODEL_CALL


def judged(agent: Agent, ages_s: dict[Fact.Kind, float], *, ok: bool = True) -> health.Judgement:
    """The verdict on an agent of which this was seen so many seconds ago."""
    for kind, age_s in ages_s.items():
        health.observe(agent.pk, kind, now=NOW - timedelta(seconds=age_s), ok=ok, detail="seen")
    agent = Agent.objects.select_related("host").get(pk=agent.pk)
    return health.judge(agent, health.facts_of(agent), now=NOW)


@pytest.fixture
def agent() -> Agent:
    factories.host(now=NOW)
    return factories.running(now=NOW)


@pytest.mark.parametrize(
    ("ages_s", "verdict", "cause"),
    [
        ({}, Verdict.UNKNOWN, "its sandbox was not inspected yet"),
        ({HEARTBEAT: 1, OUTPUT: 1}, Verdict.UNKNOWN, "its sandbox was not inspected yet"),
        ({INSPECTED: 5}, Verdict.IDLE, "no stage works in its berth"),
        ({INSPECTED: 90}, Verdict.IDLE, "no stage works in its berth"),
        ({INSPECTED: 91}, Verdict.UNKNOWN, "its sandbox was last inspected 91 s ago"),
        ({INSPECTED: 5, HEARTBEAT: 91}, Verdict.IDLE, "no stage works in its berth"),
        ({INSPECTED: 600, HEARTBEAT: 600}, Verdict.UNKNOWN, "its sandbox was last inspected 10 min ago"),
        ({INSPECTED: 5, HEARTBEAT: 2}, Verdict.HEALTHY, "a worker holds it, heartbeat 2 s ago"),
        ({INSPECTED: 5, HEARTBEAT: 2, OUTPUT: 120}, Verdict.HEALTHY, "a worker holds it, heartbeat 2 s ago"),
        (
            {INSPECTED: 5, HEARTBEAT: 2, OUTPUT: 121},
            Verdict.HEALTHY,
            "a stage runs quietly; last sign of life 2 min ago",
        ),
        (
            {INSPECTED: 5, HEARTBEAT: 2, OUTPUT: 600},
            Verdict.HEALTHY,
            "a stage runs quietly; last sign of life 10 min ago",
        ),
        (
            {INSPECTED: 5, HEARTBEAT: 2, OUTPUT: 660},
            Verdict.STUCK,
            "a stage runs, but nothing came out of it since 11 min ago",
        ),
        ({INSPECTED: 5, HEARTBEAT: 2, OUTPUT: 660, TOOL: 10}, Verdict.HEALTHY, "a worker holds it, heartbeat 2 s ago"),
        ({INSPECTED: 5, HEARTBEAT: 2, OUTPUT: 660, MODEL: 10}, Verdict.HEALTHY, "a worker holds it, heartbeat 2 s ago"),
        ({INSPECTED: 5, HEARTBEAT: 100, OUTPUT: 660}, Verdict.IDLE, "no stage works in its berth"),
    ],
)
def test_the_verdict_on_a_running_agent(
    agent: Agent, ages_s: dict[Fact.Kind, float], verdict: Verdict, cause: str
) -> None:
    assert judged(agent, ages_s) == health.Judgement(verdict, cause)


def test_a_sandbox_seen_gone_is_lost_with_what_was_seen(agent: Agent) -> None:
    assert judged(agent, {INSPECTED: 5}, ok=False) == health.Judgement(Verdict.LOST, "sandbox: seen (5 s ago)")


def test_a_silent_host_outweighs_every_fact(agent: Agent) -> None:
    Host.objects.update(heartbeat_at=NOW - timedelta(minutes=5))
    assert judged(agent, {INSPECTED: 1, HEARTBEAT: 1, OUTPUT: 1}) == health.Judgement(
        Verdict.LOST, "host node-a was last heard 5 min ago"
    )
    Host.objects.update(heartbeat_at=None)
    assert judged(agent, {}).cause == "host node-a was last heard never"


def test_one_that_waits_for_a_berth_is_unknown() -> None:
    assert judged(factories.agent(), {}) == health.Judgement(Verdict.UNKNOWN, "waits for a berth")


def test_of_one_that_broke_nothing_is_known_whatever_was_seen_before(agent: Agent) -> None:
    lifecycle.fail(agent.pk, generation=agent.generation, fault=SandboxFailed("x"), actor="system")
    assert judged(agent, {INSPECTED: 1, HEARTBEAT: 1}) == health.Judgement(
        Verdict.UNKNOWN, "the agent is error; nothing of it runs"
    )


def test_a_later_sighting_replaces_the_earlier_and_a_belated_one_does_not(agent: Agent) -> None:
    def seen() -> tuple[datetime, bool, str]:
        fact = Fact.objects.get(agent=agent, kind=INSPECTED)
        return fact.observed_at, fact.ok, fact.detail

    health.observe(agent.pk, INSPECTED, now=NOW, detail="first")
    later = NOW + timedelta(seconds=1)
    health.observe(agent.pk, INSPECTED, now=later, ok=False, detail="x" * 1000)
    assert seen() == (later, False, "x" * 300)
    health.observe(agent.pk, INSPECTED, now=NOW, detail="belated")
    assert seen() == (later, False, "x" * 300)


@pytest.mark.django_db(transaction=True)
def test_observers_at_once_leave_one_fact_and_it_is_the_newest() -> None:
    factories.host(now=NOW)
    agent = factories.running(now=NOW)
    moments = [NOW + timedelta(seconds=second) for second in range(40)]
    answers = at_once([partial(health.observe, agent.pk, OUTPUT, now=moment) for moment in moments])
    assert answers == [None] * 40
    assert Fact.objects.get(agent=agent, kind=OUTPUT).observed_at == moments[-1]
