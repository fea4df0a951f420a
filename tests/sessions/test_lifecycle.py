"""Rows of terminals: who may ask, what is refused, and that nobody writes over a later change."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from agents.faults import AgentNotFound
from agents.models import Agent
from events import journal, policy
from resources.models import Host
from sessions import faults, lifecycle, upkeep
from sessions.models import SessionHost, Terminal

pytestmark = pytest.mark.django_db


@pytest.fixture
def session_host(host: Host) -> SessionHost:
    """A session host that beat just now; nobody listens at its socket."""
    return SessionHost.objects.create(
        host=host, epoch="e", socket="/nonexistent/sessionhost.sock", heartbeat_at=timezone.now()
    )


@pytest.fixture
def terminal(session_host: SessionHost, agent: Agent, user: Any) -> Terminal:
    return lifecycle.request_open(agent_id=agent.pk, by=user, title="one")


def test_request_is_recorded_and_its_followers_are_those_who_see_the_agent(
    terminal: Terminal, user: Any, stranger: Any
) -> None:
    (event,) = journal.replay(terminal.topic, after=0)
    assert (event.kind, event.data["state"], event.data["host"]) == ("terminal.open_requested", "opening", "quay")
    assert policy.may_view(user, terminal.topic)
    assert not policy.may_view(stranger, terminal.topic)
    assert not policy.may_view(user, "terminal.not-an-id")


def test_agent_of_somebody_else_does_not_exist(session_host: SessionHost, agent: Agent, stranger: Any) -> None:
    with pytest.raises(AgentNotFound):
        lifecycle.request_open(agent_id=agent.pk, by=stranger)


@pytest.mark.parametrize("state", ["spawning", "stopping", "stopped", "error"])
def test_only_a_running_agent_has_terminals(session_host: SessionHost, agent: Agent, user: Any, state: str) -> None:
    Agent.objects.filter(pk=agent.pk).update(state=state)
    with pytest.raises(faults.AgentNotRunning):
        lifecycle.request_open(agent_id=agent.pk, by=user)
    assert not Terminal.objects.exists()


def test_session_host_that_stopped_beating_is_away(session_host: SessionHost, agent: Agent, user: Any) -> None:
    SessionHost.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    with pytest.raises(faults.SessionHostAway, match="last seen"):
        lifecycle.request_open(agent_id=agent.pk, by=user)


def test_one_agent_has_a_bounded_number_of_open_terminals(session_host: SessionHost, agent: Agent, user: Any) -> None:
    opened = [lifecycle.request_open(agent_id=agent.pk, by=user) for _ in range(lifecycle.MOST_PER_AGENT)]
    with pytest.raises(faults.TooManyTerminals):
        lifecycle.request_open(agent_id=agent.pk, by=user)
    lifecycle.close(opened[0].pk, actor="user:ada", reason="room")
    lifecycle.request_open(agent_id=agent.pk, by=user)


def test_opened_by_an_old_generation_is_refused_and_writes_nothing(terminal: Terminal) -> None:
    lifecycle.opened(terminal.pk, generation=1, actor="sessionhost:quay")
    before = journal.head(terminal.topic)
    with pytest.raises(faults.StaleGeneration):
        lifecycle.opened(terminal.pk, generation=1, actor="sessionhost:quay")
    with pytest.raises(faults.IllegalTransition):
        lifecycle.opened(terminal.pk, generation=2, actor="sessionhost:quay")
    with pytest.raises(faults.StaleGeneration):
        lifecycle.close(terminal.pk, actor="sessionhost:quay", reason="old news", generation=1)
    assert journal.head(terminal.topic) == before


def test_closing_twice_changes_nothing_and_what_is_closed_is_never_lost(terminal: Terminal) -> None:
    lifecycle.close(terminal.pk, actor="user:ada", reason="enough", exit_code=3)
    head = journal.head(terminal.topic)
    lifecycle.close(terminal.pk, actor="user:eve", reason="again", exit_code=4)
    lifecycle.lost(terminal.pk, actor="system", reason="gone")
    row = Terminal.objects.get(pk=terminal.pk)
    assert (row.state, row.reason, row.exit_code, row.generation) == ("closed", "enough", 3, 2)
    assert journal.head(terminal.topic) == head
    with pytest.raises(faults.IllegalTransition):
        lifecycle.opened(terminal.pk, generation=2, actor="sessionhost:quay")


def test_unknown_terminal_is_a_typed_fault() -> None:
    with pytest.raises(faults.TerminalNotFound):
        lifecycle.close(uuid.uuid4(), actor="system", reason="x")


@pytest.mark.parametrize("wrong", [{"state": "closed"}, {"columns": 0}, {"rows": 1001}])
def test_database_refuses_rows_that_cannot_be(terminal: Terminal, wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Terminal.objects.filter(pk=terminal.pk).update(**wrong)


def test_terminals_of_a_silent_session_host_are_lost_after_a_while(terminal: Terminal) -> None:
    now = timezone.now()
    assert upkeep.lose_unattended(now=now + timedelta(seconds=30)) == 0
    assert upkeep.lose_unattended(now=now + timedelta(minutes=5)) == 1
    assert upkeep.lose_unattended(now=now + timedelta(minutes=5)) == 0
    row = Terminal.objects.get(pk=terminal.pk)
    assert (row.state, row.reason) == ("lost", "its session host has gone away")
