"""Extending an agent's idle time, and handing it over."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from agents import faults, idleness, lifecycle, tenure, visibility
from agents.admittance import UserNotAllowed
from agents.models import Agent
from events.models import Event
from resources.models import Lease
from tests import factories

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def agent() -> Agent:
    """It runs since now, and is stopped after ten idle minutes."""
    now = timezone.now()  # not of the module: what the journal says of a warning is dated by the clock
    factories.host(now=now)
    agent = factories.running(now=now, by=factories.user("ada"))
    agent.resolved["spec"]["idle_timeout_s"] = 600
    agent.save(update_fields=["resolved"])
    Agent.objects.filter(pk=agent.pk).update(state_since=now)
    return Agent.objects.get(pk=agent.pk)


def looked_at(agent: Agent, *moments: datetime) -> str:
    """Its state after the sweep has looked at these moments."""
    for moment in moments:
        idleness.stop_idle(busy=(), now=moment)
    return str(Agent.objects.get(pk=agent.pk).state)


def extend(agent: Agent, by: timedelta, *, after: timedelta = timedelta()) -> Agent:
    now = agent.state_since + after
    return tenure.extend(agent.pk, by=by, actor="user:ada", reason="a long lunch", now=now)


def test_an_extended_agent_is_kept_so_much_longer(agent: Agent) -> None:
    extend(agent, HOUR, after=timedelta(minutes=9))
    assert looked_at(agent, *(agent.state_since + timedelta(minutes=at) for at in (20, 40, 68))) == "running"


def test_an_extended_agent_is_stopped_when_that_time_is_over_too(agent: Agent) -> None:
    Agent.objects.filter(pk=agent.pk).update(state_since=agent.state_since - timedelta(minutes=10))
    assert looked_at(agent, agent.state_since) == "running"  # but warned
    extend(agent, timedelta(minutes=4))
    assert looked_at(agent, agent.state_since + timedelta(minutes=3, seconds=59)) == "running"
    assert looked_at(agent, agent.state_since + timedelta(minutes=4, seconds=1)) == "stopping"


def test_without_it_the_same_agent_is_stopped(agent: Agent) -> None:
    assert (
        looked_at(agent, agent.state_since + timedelta(minutes=9), agent.state_since + timedelta(minutes=20))
        == "stopping"
    )


def test_an_extension_never_makes_the_time_shorter_and_is_journalled_with_who_and_why(agent: Agent) -> None:
    extend(agent, HOUR)
    assert extend(agent, timedelta(minutes=1)).keep_until == agent.state_since + HOUR
    event = Event.objects.get(kind="agent.extended")
    assert (event.actor, event.reason) == ("user:ada", "a long lunch")
    assert idleness.stops_at(Agent.objects.get(pk=agent.pk)) == agent.state_since + HOUR


@pytest.mark.parametrize("by", [timedelta(0), timedelta(seconds=-60), timedelta(days=8)])
def test_a_senseless_extension_is_refused(agent: Agent, by: timedelta) -> None:
    with pytest.raises(tenure.NothingToExtend):
        extend(agent, by)


def test_one_that_does_not_run_has_no_time_to_extend(agent: Agent) -> None:
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="")
    with pytest.raises(tenure.NothingToExtend):
        extend(agent, HOUR)


def test_an_heir_sees_and_steers_it_and_pays_for_it_and_who_had_it_does_not(agent: Agent) -> None:
    ada, eve = agent.created_by, factories.user("eve")
    tenure.hand_over(agent.pk, to="eve", actor="user:ada", reason="holidays")
    assert visibility.agent(eve, agent.pk) == agent
    with pytest.raises(faults.AgentNotFound):
        visibility.agent(ada, agent.pk)
    assert set(Lease.objects.filter(owner=agent.owner).values_list("for_user", flat=True)) == {str(eve.pk)}
    told = Event.objects.get(kind="agent.handed_over")
    assert (told.actor, told.reason, told.data["before"], told.data["after"]) == ("user:ada", "holidays", "ada", "eve")
    # Open streams of both prove their rights again at once.
    assert set(Event.objects.filter(kind="access.changed").values_list("topic", flat=True)) == {
        f"access.{ada.pk}", f"access.{eve.pk}",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["nobody", "ada", "gone", ""])
def test_an_heir_who_cannot_have_it_is_refused(agent: Agent, name: str) -> None:
    gone = factories.user("gone")
    gone.is_active = False
    gone.save()
    with pytest.raises(tenure.HeirRefused):
        tenure.hand_over(agent.pk, to=name, actor="user:ada", reason="")
    assert Agent.objects.get(pk=agent.pk).created_by == agent.created_by


def test_an_heir_whom_its_template_does_not_name_is_refused(agent: Agent) -> None:
    agent.resolved["spec"]["allowed_users"] = ["ada"]
    agent.save(update_fields=["resolved"])
    factories.user("eve")
    with pytest.raises(UserNotAllowed):
        tenure.hand_over(agent.pk, to="eve", actor="user:ada", reason="")
