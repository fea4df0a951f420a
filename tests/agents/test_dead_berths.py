"""A container that dies is shown with its cause; an engine that is silent breaks nobody; drained hosts are left."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents import health, upkeep
from agents.models import Agent, State
from events.models import Event
from resources import hosts
from tests import factories

pytestmark = pytest.mark.django_db

NOW = timezone.now()
NAME = "moorage-agent-x-g1-00000000"


@pytest.fixture
def agent(data_directory: object) -> Agent:
    factories.host()
    agent = factories.running()
    Agent.objects.filter(pk=agent.pk).update(sandbox={"tier": "container", "name": NAME}, tier="container")
    return Agent.objects.select_related("host").get(pk=agent.pk)


def died(**other: Any) -> bool:
    told = {"host": "node-a", "name": NAME, "cause": "out of memory", "removed": False, "now": NOW, **other}
    return upkeep.sandbox_died(**told, worker="worker:node-a")


def verdict(agent: Agent) -> tuple[health.Verdict, str]:
    found = Agent.objects.select_related("host").get(pk=agent.pk)
    judged = health.judge(found, health.facts_of(found), now=NOW)
    return judged.verdict, judged.cause


def test_one_that_died_is_shown_lost_with_its_cause_and_not_broken(agent: Agent) -> None:
    assert died()
    assert verdict(agent) == (health.Verdict.LOST, "sandbox: out of memory (0 s ago)")
    assert Agent.objects.get(pk=agent.pk).state == State.RUNNING
    assert Event.objects.get(topic=agent.topic, kind="agent.sandbox_died").reason == "out of memory"


def test_one_that_was_removed_breaks_its_agent_with_the_cause(agent: Agent) -> None:
    assert died(removed=True, cause="it was removed")
    broken = Agent.objects.get(pk=agent.pk)
    assert broken.state == State.ERROR
    assert broken.error["code"] == "agent.berth_lost"
    assert "it was removed" in broken.error["detail"]


@pytest.mark.parametrize("other", [{"name": "another"}, {"host": "node-b"}])
def test_hints_about_others_change_nothing(agent: Agent, other: dict[str, str]) -> None:
    before = Event.objects.count()
    assert not died(**other)
    assert Event.objects.count() == before


def test_a_late_hint_about_a_berth_that_is_left_changes_nothing(agent: Agent) -> None:
    assert died(removed=True)
    assert not died(removed=True)
    assert not died()


def test_a_silent_engine_is_said_of_every_container_of_that_host_and_breaks_nobody(agent: Agent) -> None:
    other = factories.running()  # no container
    assert upkeep.engine_silent(host="node-a", now=NOW, words="connection refused") == 1
    assert verdict(agent)[1].startswith("sandbox: the container engine is gone: connection refused")
    assert {found.state for found in Agent.objects.filter(pk__in=[agent.pk, other.pk])} == {State.RUNNING}


def test_a_drained_host_is_left_only_when_its_time_is_over(agent: Agent, settings: Any) -> None:
    settings.DRAIN_S = 60
    assert upkeep.move_off_drained(now=NOW) == 0
    hosts.drain(host_id=agent.host_id, actor="user:ada", reason="new disk", now=NOW)
    assert upkeep.move_off_drained(now=NOW + timedelta(seconds=59)) == 0
    assert upkeep.move_off_drained(now=NOW + timedelta(seconds=60)) == 1
    left = Agent.objects.get(pk=agent.pk)
    assert left.state == State.ERROR
    assert "is drained since" in left.error["detail"]
    assert upkeep.move_off_drained(now=NOW + timedelta(seconds=90)) == 0


def test_who_came_back_to_an_undrained_host_stays(agent: Agent, settings: Any) -> None:
    settings.DRAIN_S = 0
    hosts.drain(host_id=agent.host_id, actor="user:ada", reason="", now=NOW)
    hosts.undrain(host_id=agent.host_id, actor="user:ada", reason="")
    assert upkeep.move_off_drained(now=NOW + timedelta(days=1)) == 0
