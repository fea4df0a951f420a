"""Who may use agents of a template, and how long one stays that nobody works with."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import admittance, health, idleness, lifecycle, outfit_changes
from agents.models import Agent, Fact
from events.models import Event
from operations import faults as operation_faults
from operations import projects
from operations.models import Operation
from operations.submit import approve, retry, submit
from sessions import lifecycle as terminals
from tests import factories
from workers.tasks import cleanup

pytestmark = pytest.mark.django_db

OURS = """\
apiVersion: moorage/v1
kind: Template
name: ours
version: 1.0.{version}
extends: base
spec:
  isolation: {{min: bare}}
  idle_timeout_s: {idle_timeout_s}
  allowed_users: [{users}]
"""


@pytest.fixture
def write(settings: Any, data_directory: Path) -> Any:
    directory = data_directory / "templates"
    directory.mkdir()
    settings.TEMPLATE_DIRECTORIES = [*settings.TEMPLATE_DIRECTORIES[:1], directory]

    def write_it(*, users: str = "", idle_timeout_s: int = 600, version: int = 0) -> None:
        text = OURS.format(users=users, idle_timeout_s=idle_timeout_s, version=version)
        (directory / "ours.yaml").write_text(text)

    return write_it


# --- who --------------------------------------------------------------------------------------------------------------


def test_only_whom_the_template_names_gets_its_agents(write: Any) -> None:
    write(users="ada")
    ada, bob = factories.user("ada"), factories.user("bob", staff=True)
    assert factories.agent("ours", by=ada).template == "ours"
    with pytest.raises(admittance.UserNotAllowed, match="bob may not use agents of the template 'ours'") as refused:
        factories.agent("ours", by=bob)
    assert "allowed_users" in refused.value.remedy_text
    with pytest.raises(admittance.UserNotAllowed, match="nobody"):
        factories.agent("ours")
    assert factories.agent("lightweight", by=bob)


def test_work_is_refused_before_anything_is_written(write: Any, tmp_path: Path, settings: Any) -> None:
    settings.REPOSITORY_ROOTS = [tmp_path]
    write(users="ada")
    bob = factories.user("bob")
    project = projects.create(by=bob, name="calc", repository_url=str(tmp_path), default_template="ours")
    with pytest.raises(admittance.UserNotAllowed):
        submit(by=bob, project=project, requirements="Add a test.")
    assert not Operation.objects.exists()
    write(users="ada, bob", version=1)
    operation = submit(by=bob, project=project, requirements="Add a test.")
    write(users="ada", version=2)
    with pytest.raises(admittance.UserNotAllowed):
        retry(by=bob, operation_id=operation.pk)


def test_an_agent_is_asked_for_nothing_that_its_template_does_not_offer(tmp_path: Path, settings: Any) -> None:
    settings.REPOSITORY_ROOTS = [tmp_path]
    ada = factories.user("ada")
    project = projects.create(by=ada, name="calc", repository_url=str(tmp_path), default_template="review-only")
    with pytest.raises(admittance.CapabilityNotOffered, match="may not be asked for development") as refused:
        submit(by=ada, project=project, requirements="Add a test.")
    assert (refused.value.pointer, "code_review" in refused.value.remedy_text) == ("/capability", True)
    with pytest.raises(admittance.CapabilityNotOffered, match="deployment, testing"):
        factories.agent("review-only", by=ada, capabilities=["code_review", "testing", "deployment"])
    assert not Operation.objects.exists()
    assert not Agent.objects.exists()
    asked = submit(by=ada, project=project, requirements="Look at it.", capability="code_review")
    assert asked.capability == "code_review"
    assert factories.agent("review-only", by=ada, capabilities=["code_review"])


def test_a_changed_list_reaches_agents_that_run(write: Any, tmp_path: Path, settings: Any) -> None:
    settings.REPOSITORY_ROOTS = [tmp_path]
    write(users="ada")
    factories.host()
    ada = factories.user("ada")
    project = projects.create(by=ada, name="calc", repository_url=str(tmp_path), default_template="ours")
    operation = submit(by=ada, project=project, requirements="Add a test.")
    agent = factories.running("ours", by=ada)
    Operation.objects.filter(pk=operation.pk).update(agent=agent)
    write(users="bob", version=1)
    assert outfit_changes.reach(actor="system") == 1
    with pytest.raises(admittance.UserNotAllowed):
        terminals.request_open(agent_id=agent.pk, by=ada)
    with pytest.raises(admittance.UserNotAllowed):
        approve(by=ada, operation_id=operation.pk)
    write(users="ada", version=2)
    outfit_changes.reach(actor="system")
    with pytest.raises(operation_faults.NotPossibleNow):
        approve(by=ada, operation_id=operation.pk)


# --- how long ---------------------------------------------------------------------------------------------------------


def events(agent: Agent) -> list[tuple[str, str]]:
    rows = Event.objects.filter(topic=agent.topic, kind__in=("agent.idle", "agent.stop_requested"))
    return list(rows.order_by("id").values_list("kind", "reason"))


def state(agent: Agent) -> str:
    return str(Agent.objects.get(pk=agent.pk).state)


@pytest.fixture
def agent(write: Any) -> Agent:
    write(idle_timeout_s=600)
    factories.host()
    return factories.running("ours")


def look(agent: Agent, *, after_s: float, busy: set[Any] = set()) -> int:  # noqa: B006
    return idleness.stop_idle(busy=busy, now=agent.state_since + timedelta(seconds=after_s))


def backdate_warning(agent: Agent, *, after_s: float) -> datetime:
    """The journal is append-only and dates itself: the agent began to run so much earlier instead."""
    since = timezone.now() - timedelta(seconds=after_s)
    Agent.objects.filter(pk=agent.pk).update(state_since=since)
    agent.state_since = since
    return since


def test_an_idle_agent_is_warned_of_and_then_stopped(agent: Agent) -> None:
    backdate_warning(agent, after_s=451)
    assert look(agent, after_s=449) == 0
    assert events(agent) == []
    assert (look(agent, after_s=451), look(agent, after_s=599)) == (0, 0)
    assert events(agent) == [("agent.idle", "nobody works with it; it is stopped after 10 min of that")]
    assert look(agent, after_s=602) == 1
    assert events(agent)[1:] == [("agent.stop_requested", "idle for 10 min, as its template allows")]
    assert state(agent) == Agent.State.STOPPING


def test_nobody_is_stopped_without_a_warning_in_time(agent: Agent) -> None:
    backdate_warning(agent, after_s=5000)  # the sweep was away
    assert look(agent, after_s=5000) == 0
    assert look(agent, after_s=5100) == 0
    assert look(agent, after_s=5152) == 1


def test_who_works_is_not_idle(agent: Agent) -> None:
    backdate_warning(agent, after_s=5000)
    assert look(agent, after_s=5000, busy={agent.pk}) == 0
    health.observe(agent.pk, Fact.Kind.LAST_TOOL_RESULT, now=agent.state_since + timedelta(seconds=4900))
    assert look(agent, after_s=5000) == 0
    assert events(agent) == []
    health.observe(agent.pk, Fact.Kind.SANDBOX_INSPECTED, now=agent.state_since + timedelta(seconds=9000))
    look(agent, after_s=9000)
    assert events(agent)[0][0] == "agent.idle", "being looked at is no work"


def test_a_longer_time_reaches_agents_that_run(agent: Agent, write: Any) -> None:
    backdate_warning(agent, after_s=700)
    look(agent, after_s=700)
    write(idle_timeout_s=6000, version=1)
    assert outfit_changes.reach(actor="system") == 1
    assert look(agent, after_s=1000) == 0
    assert state(agent) == Agent.State.RUNNING


def test_the_sweep_leaves_agents_of_operations_alone(agent: Agent, tmp_path: Path, settings: Any) -> None:
    settings.REPOSITORY_ROOTS = [tmp_path]
    settings.SWEEP_S = 0
    ada = factories.user("ada")
    project = projects.create(by=ada, name="calc", repository_url=str(tmp_path), default_template="ours")
    operation = submit(by=ada, project=project, requirements="Add a test.")
    lazy = factories.running("ours")
    Operation.objects.filter(pk=operation.pk).update(agent=agent)
    for one in (agent, lazy):
        backdate_warning(one, after_s=700)
    (duty,) = [duty for duty in cleanup.DUTIES if duty.name == "stop idle agents"]
    duty.do(timezone.now())
    duty.do(timezone.now() + timedelta(seconds=200))
    assert (state(agent), state(lazy)) == (Agent.State.RUNNING, Agent.State.STOPPING)
    lifecycle.request_stop(lazy.pk, actor="system", reason="again")
