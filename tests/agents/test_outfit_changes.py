"""A changed template: live fields reach running agents and are told, the rest is shown, nothing restarts."""

from __future__ import annotations

from typing import Any

import pytest

from agents import outfit_changes
from agents.models import Agent
from events.models import Event
from templates_app import publish, wearers
from tests import factories

pytestmark = pytest.mark.django_db

HEAD = "apiVersion: moorage/v1\nkind: Template\nname: dock\nextends: lightweight\n"
LIVE = "spec: {idle_timeout_s: 1234, labels: {team: blue}}\n"


def put(version: str, body: str = "") -> None:
    publish.publish(f"{HEAD}version: {version}\n{body}", actor="user:ada")


def again(agent: Agent) -> Agent:
    return Agent.objects.select_related("host").get(pk=agent.pk)


@pytest.fixture
def agent() -> Agent:
    factories.host()
    put("1.0.0")
    return again(factories.running("dock"))


def told(agent: Agent) -> list[dict[str, Any]]:
    found = Event.objects.filter(topic=agent.topic, kind="agent.outfit_reloaded").order_by("seq")
    return [dict(event.data) for event in found]


def test_live_fields_reach_a_running_agent_and_are_recorded(agent: Agent) -> None:
    put("1.1.0", LIVE)
    assert outfit_changes.reach(actor="system") == 1
    now = again(agent)
    assert (now.resolved["spec"]["idle_timeout_s"], now.resolved["spec"]["labels"]) == (1234, {"team": "blue"})
    assert (now.state, now.generation) == (agent.state, agent.generation)
    (event,) = told(agent)
    assert event["outdated"] is False
    assert {(one["path"], one["old"], one["new"]) for one in event["changes"]} == {
        ("idle_timeout_s", 600, 1234), ("labels.team", None, "blue"),
    }  # fmt: skip
    assert now.resolved["version"] == "1.1.0"
    assert not outfit_changes.InForce().outdated(now)


def test_asking_again_changes_and_records_nothing(agent: Agent) -> None:
    put("1.1.0", LIVE)
    assert [outfit_changes.reach(actor="system") for _ in range(3)] == [1, 0, 0]
    assert len(told(agent)) == 1


def test_what_is_not_live_marks_it_outdated_with_the_difference_and_stays_as_it_is(agent: Agent) -> None:
    put("1.1.0", "spec: {idle_timeout_s: 1234, size: {pids: 200}, packages: [curl]}\n")
    outfit_changes.reach(actor="system")
    outfit_changes.reach(actor="system")
    now = again(agent)
    assert now.resolved["spec"]["idle_timeout_s"] == 1234
    assert (now.resolved["spec"]["size"]["pids"], now.resolved["version"]) == (128, "1.0.0")
    assert [event["outdated"] for event in told(agent)] == [True]
    assert outfit_changes.InForce().outdated(now)
    lacking = [(one.path, one.old, one.new) for one in outfit_changes.lacking(now)]
    assert lacking == [("size.pids", 128, 200), ("packages", None, "curl")]


def test_a_change_of_an_ancestor_counts_and_one_of_a_stranger_does_not(agent: Agent) -> None:
    publish.publish(f"{HEAD.replace('dock', 'quay')}version: 1.0.0\n{LIVE}", actor="user:ada")
    assert not outfit_changes.InForce().outdated(agent)
    text = "apiVersion: moorage/v1\nkind: Template\nname: lightweight\nversion: 9.0.0\nextends: base\n" + LIVE
    publish.publish(text, actor="user:ada")
    assert outfit_changes.InForce().outdated(agent)
    assert outfit_changes.reach(actor="system") == 1
    assert again(agent).resolved["spec"]["labels"] == {"team": "blue"}


def test_a_change_in_words_only_is_taken_over_without_differences(agent: Agent) -> None:
    put("1.0.1", "description: Other words.\n")
    assert outfit_changes.reach(actor="system") == 0
    assert again(agent).resolved["version"] == "1.0.1"
    assert told(agent)[0]["changes"] == []


def test_going_back_to_the_version_it_wears_ends_it_being_outdated(agent: Agent) -> None:
    put("1.1.0", "spec: {size: {pids: 200}}\n")
    outfit_changes.reach(actor="system")
    assert outfit_changes.InForce().outdated(again(agent))
    publish.return_to(_digest(agent), name="dock", actor="user:ada")
    assert not outfit_changes.InForce().outdated(again(agent))


def _digest(agent: Agent) -> str:
    return str(agent.resolved["layers"][-1][2])


def test_one_that_is_still_coming_is_not_outdated_it_gets_the_new_one_anyway() -> None:
    factories.host()
    put("1.0.0")
    waiting = factories.agent("dock")
    put("1.1.0", LIVE)
    assert not outfit_changes.InForce().outdated(waiting)
    assert outfit_changes.reach(actor="system") == 0


def test_an_agent_that_moved_on_meanwhile_is_left_alone(agent: Agent) -> None:
    put("1.1.0", LIVE)
    Agent.objects.filter(pk=agent.pk).update(generation=agent.generation + 1)
    outfit_changes.update(agent, actor="system")
    assert told(agent) == []
    assert "team" not in again(agent).resolved["spec"]["labels"]


def test_the_pages_of_a_template_learn_who_wears_it(agent: Agent) -> None:
    put("1.1.0", "spec: {size: {pids: 200}}\n")
    owner, stranger = factories.user("eve"), factories.user("boss", staff=True)
    assert wearers.of("dock", user=owner) == ()
    (found,) = wearers.of("dock", user=stranger)
    assert (found.name, found.version, found.outdated) == (agent.name, "1.0.0", True)
    assert [one.path for one in found.differences] == ["size.pids"]
