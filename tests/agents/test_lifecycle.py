"""The life of an agent: every transition, who may make it, and what the journal says of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from agents import faults, lifecycle, placement
from agents.models import Agent, Priority, State
from agents.outfits import outfit
from events.faults import Fault, FaultClass
from events.models import Event
from resources import leases
from resources.sandboxes.protocol import SandboxFailed
from templates_app.faults import TemplateAbstract
from tests import factories
from tests.at_once import at_once

pytestmark = pytest.mark.django_db

NOW = timezone.now()
BROKE = SandboxFailed("no disk")

STEPS: dict[str, Callable[[Agent], None]] = {
    "berthed": Agent.berthed,
    "leave": Agent.leave,
    "left": Agent.left,
    "broke": lambda agent: agent.broke(BROKE.as_dict()),
    "again": Agent.again,
}
LEGAL = {
    ("spawning", "berthed"): "running",
    ("spawning", "leave"): "stopping",
    ("spawning", "broke"): "error",
    ("running", "leave"): "stopping",
    ("running", "broke"): "error",
    ("stopping", "left"): "stopped",
    ("stopping", "broke"): "error",
    ("error", "leave"): "stopping",
    ("error", "again"): "spawning",
}
WAYS = {
    "spawning": (),
    "running": ("berthed",),
    "stopping": ("leave",),
    "stopped": ("leave", "left"),
    "error": ("broke",),
}


def step(agent: Agent, verb: str) -> Agent:
    with transaction.atomic():
        return lifecycle.move(
            lifecycle.load(agent.pk), STEPS[verb], kind=f"agent.{verb}", actor="user:ada", reason=f"because {verb}"
        )


def in_state(state: str) -> Agent:
    """An agent that went there by legal steps."""
    factories.host()
    agent = factories.placed()
    for verb in WAYS[state]:
        step(agent, verb)
    agent = Agent.objects.get(pk=agent.pk)
    assert agent.state == state
    return agent


def events(agent: Agent) -> list[Event]:
    return list(Event.objects.filter(topic=agent.topic).order_by("seq"))


@pytest.mark.parametrize("verb", STEPS)
@pytest.mark.parametrize("state", WAYS)
def test_each_verb_in_each_state_is_made_and_recorded_or_refused_without_a_trace(state: str, verb: str) -> None:
    agent, target = in_state(state), LEGAL.get((state, verb))
    before = events(agent)
    if target is None:
        with pytest.raises(faults.IllegalTransition, match=f"is {state}: {verb} is not possible"):
            step(agent, verb)
        now = Agent.objects.get(pk=agent.pk)
        assert (now.state, now.generation, events(agent)) == (state, agent.generation, before)
        return
    step(agent, verb)
    now = Agent.objects.get(pk=agent.pk)
    assert (now.state, now.generation) == (target, agent.generation + 1)
    (event,) = events(agent)[len(before) :]
    assert (event.kind, event.actor, event.reason) == (f"agent.{verb}", "user:ada", f"because {verb}")
    assert (event.data["source"], event.data["state"], event.data["generation"]) == (state, target, now.generation)


def test_the_table_of_this_test_is_the_table_of_the_model() -> None:
    machine = {
        (str(found.source), found.name): str(found.target)
        for found in Agent._meta.get_field("state").get_all_transitions(Agent)
    }
    assert machine == LEGAL
    assert set(WAYS) == set(State.values)


@pytest.mark.parametrize(("state", "verb"), sorted(LEGAL))
def test_a_stale_view_changes_nothing(state: str, verb: str) -> None:
    stale = in_state(state)
    Agent.objects.filter(pk=stale.pk).update(generation=stale.generation + 1)
    count = len(events(stale))
    with pytest.raises(faults.StaleGeneration), transaction.atomic():
        lifecycle.move(stale, STEPS[verb], kind=f"agent.{verb}", actor="user:ada", reason="")
    assert Agent.objects.get(pk=stale.pk).state == state
    assert len(events(stale)) == count


@pytest.mark.django_db(transaction=True)
def test_of_two_that_saw_the_same_state_exactly_one_moves_it() -> None:
    agent = in_state("running")
    count = len(events(agent))

    def move(seen: Agent, verb: str) -> Agent:
        with transaction.atomic():
            return lifecycle.move(seen, STEPS[verb], kind=f"agent.{verb}", actor="user:ada", reason="")

    seen = [Agent.objects.get(pk=agent.pk) for _ in range(8)]
    answers = at_once([partial(move, one, "leave" if n % 2 else "broke") for n, one in enumerate(seen)])
    assert sum(isinstance(answer, Agent) for answer in answers) == 1
    assert sum(isinstance(answer, faults.StaleGeneration) for answer in answers) == 7
    assert len(events(agent)) == count + 1
    now = Agent.objects.get(pk=agent.pk)
    assert (now.state, now.generation) == (events(agent)[-1].data["state"], agent.generation + 1)


@pytest.mark.django_db(transaction=True)
def test_many_who_stop_at_once_stop_once() -> None:
    agent = in_state("running")
    answers = at_once([partial(lifecycle.request_stop, agent.pk, actor=f"user:{n}", reason="") for n in range(8)])
    assert {getattr(answer, "state", answer) for answer in answers} == {State.STOPPING}
    assert [event.kind for event in events(agent)].count("agent.stop_requested") == 1


def test_state_cannot_be_assigned() -> None:
    agent = in_state("spawning")
    with pytest.raises(AttributeError):
        agent.state = State.RUNNING


def test_the_database_refuses_an_unknown_state_and_a_running_agent_without_a_host() -> None:
    agent = in_state("running")
    for nonsense in ({"state": "resting"}, {"host": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Agent.objects.filter(pk=agent.pk).update(**nonsense)


@pytest.mark.parametrize("state", WAYS)
def test_the_first_event_and_those_after_it_add_up_to_the_current_state(state: str) -> None:
    agent = in_state(state)
    keys = set(lifecycle.snapshot(agent))
    told: dict[str, Any] = {}
    for event in events(agent):
        told |= {key: value for key, value in event.data.items() if key in keys}
    assert told == lifecycle.snapshot(Agent.objects.select_related("host").get(pk=agent.pk))
    assert [event.seq for event in events(agent)] == list(range(1, len(events(agent)) + 1))


# --- asking ---------------------------------------------------------------------------------------------------------


def test_a_requested_agent_spawns_and_has_taken_nothing() -> None:
    by = factories.user()
    agent = factories.agent("python", by=by, capabilities=["testing", "development", "testing"], priority=Priority.HIGH)
    assert (agent.state, agent.generation, agent.created_by, agent.host) == (State.SPAWNING, 1, by, None)
    assert agent.capabilities == ["development", "testing"]
    assert agent.resolved["spec"]["size"]["memory_mb"] == 768
    assert not leases.live(owner=agent.owner)
    (event,) = events(agent)
    assert (event.kind, event.actor, event.data) == ("agent.spawn_requested", "user:ada", lifecycle.snapshot(agent))


def test_an_agent_without_wishes_has_the_capabilities_of_its_template() -> None:
    assert factories.agent("review-only").capabilities == ["code_review"]


def test_an_unknown_capability_is_refused_by_name_and_nothing_is_written() -> None:
    with pytest.raises(faults.UnknownCapability, match="'flying', 'magic'") as refused:
        factories.agent(capabilities=["testing", "magic", "flying"])
    assert (refused.value.http_status, refused.value.pointer) == (400, "/capabilities")
    assert "code_review" in refused.value.remedy_text
    assert not Agent.objects.exists()


@pytest.mark.parametrize("template", ["nowhere", "../base", "web"])
def test_a_template_that_is_unknown_or_abstract_is_refused_before_anything_is_written(template: str) -> None:
    with pytest.raises(TemplateAbstract if template == "web" else Fault):
        factories.agent(template)
    assert not Agent.objects.exists()
    assert not Event.objects.exists()


def test_an_agent_of_a_template_with_a_long_name_still_has_a_name_that_fits(data_directory: Any, settings: Any) -> None:
    name = "a" * 60
    folder = data_directory / "templates"
    folder.mkdir()
    (folder / f"{name}.yaml").write_text(
        f"apiVersion: moorage/v1\nkind: Template\nname: {name}\nversion: 1.0.0\nextends: base\nspec: {{}}\n"
    )
    settings.TEMPLATE_DIRECTORIES = [*settings.TEMPLATE_DIRECTORIES, folder]
    assert factories.agent(name).name.startswith(name[:50])


# --- stop, fail, retry ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["spawning", "running", "error"])
def test_an_agent_can_be_asked_to_leave_and_asking_again_changes_nothing(state: str) -> None:
    agent = in_state(state)
    first = lifecycle.request_stop(agent.pk, actor="user:ada", reason="enough")
    again = lifecycle.request_stop(agent.pk, actor="user:bob", reason="really")
    assert (first.state, again.generation) == (State.STOPPING, first.generation)
    assert [event.actor for event in events(agent) if event.kind == "agent.stop_requested"] == ["user:ada"]


def test_one_that_has_left_stays_so() -> None:
    agent = in_state("stopped")
    assert lifecycle.request_stop(agent.pk, actor="user:ada", reason="").state == State.STOPPED


def test_a_failure_is_kept_with_its_class_and_remedy() -> None:
    agent = in_state("running")
    failed = lifecycle.fail(agent.pk, generation=agent.generation, fault=BROKE, actor="worker:a")
    assert failed is not None
    assert failed.error == BROKE.as_dict()
    assert BROKE.fault_class is FaultClass.RESOURCE
    assert (events(agent)[-1].kind, events(agent)[-1].data["error"]) == ("agent.failed", BROKE.as_dict())


def test_an_old_failure_is_no_news() -> None:
    agent = in_state("running")
    assert lifecycle.fail(agent.pk, generation=agent.generation - 1, fault=BROKE, actor="worker:a") is None
    assert Agent.objects.get(pk=agent.pk).state == State.RUNNING


@pytest.mark.parametrize("state", ["stopped", "error"])
def test_one_that_does_not_live_cannot_fail(state: str) -> None:
    agent = in_state(state)
    assert lifecycle.fail(agent.pk, generation=agent.generation, fault=BROKE, actor="worker:a") is None


def test_a_retry_waits_until_the_old_berth_is_cleared() -> None:
    agent = in_state("error")
    with pytest.raises(faults.IllegalTransition, match="still being cleared"):
        lifecycle.retry(agent.pk, actor="user:ada", reason="")
    leases.release(owner=agent.owner, actor="system", reason="cleared", now=NOW)
    again = lifecycle.retry(agent.pk, actor="user:ada", reason="fixed")
    assert (again.state, again.host, again.sandbox, again.error) == (State.SPAWNING, None, None, None)
    assert placement.place(agent.pk, now=timezone.now())


@pytest.mark.parametrize("state", ["spawning", "running", "stopping", "stopped"])
def test_only_a_broken_agent_is_retried(state: str) -> None:
    agent = in_state(state)
    leases.release(owner=agent.owner, actor="system", reason="", now=NOW)
    with pytest.raises(faults.IllegalTransition):
        lifecycle.retry(agent.pk, actor="user:ada", reason="")


@pytest.mark.parametrize("verb", [lifecycle.request_stop, lifecycle.retry])
def test_an_unknown_agent_is_not_found(verb: Callable[..., Agent]) -> None:
    with pytest.raises(faults.AgentNotFound):
        verb(uuid.uuid4(), actor="user:ada", reason="")


@pytest.mark.parametrize("state", WAYS)
def test_a_wake_up_is_due_exactly_where_somebody_has_to_do_something_next(state: str) -> None:
    agent = in_state(state)
    if state in {"spawning", "stopping", "error"}:
        assert agent.wake_up_at is not None
        assert agent.wake_up_at - agent.state_since >= timedelta(seconds=1)
    else:
        assert agent.wake_up_at is None


def test_one_that_is_asked_for_with_a_resolved_template_reads_no_file_again(settings: Any, tmp_path: Path) -> None:
    fitted = outfit("python-web")
    settings.TEMPLATE_DIRECTORIES = [tmp_path / "gone"]
    with pytest.raises(Fault):
        lifecycle.request_spawn(template="python-web", actor="user:ada")
    agent = lifecycle.request_spawn(template="python-web", actor="user:ada", fitted=fitted)
    assert agent.resolved["digest"] == fitted.digest
