"""The engine goes away at a named step of spawn and stop, or cannot do what is asked: said on the agent, and mended."""

from __future__ import annotations

import os
import signal
import tempfile
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import berths, lifecycle, upkeep
from agents.models import Agent, State
from events.models import Event
from resources import leases, orphans, workspaces
from resources.models import Lease
from resources.sandboxes import selection
from resources.sandboxes.engine import EngineUnreachable
from resources.sandboxes.protocol import SandboxGone, Tier
from sessions.host import opening
from sessions.host.ledger import Wanted
from tests import factories
from tests.fakes.engine_proxy import EngineProxy, engine_proxy
from tests.faults.leftovers import assert_nothing_left, clear_away, containers

__all__ = ["engine_proxy"]

pytestmark = [pytest.mark.django_db, pytest.mark.needs_docker, pytest.mark.timeout(300)]

WORKER = "worker:node-a"
GREETING = "GET /(version|_ping)"  # the version is asked for once, then whether it answers
CREATE, LOOK = "POST /containers/create", "GET /containers/[^/]+/json"
START, REMOVE = "POST /containers/[^/]+/start", "DELETE /containers/"
SPAWNING = [
    pytest.param(GREETING, False, id="greeting"),
    pytest.param(CREATE, False, id="create"),
    pytest.param(CREATE, True, id="answer-to-create"),
    pytest.param(LOOK, False, id="look-at-it"),
    pytest.param(START, False, id="start"),
    pytest.param(START, True, id="answer-to-start"),
]
STOPPING = [
    pytest.param(GREETING, False, id="greeting"),
    pytest.param(LOOK, False, id="look-at-it"),
    pytest.param(REMOVE, False, id="remove"),
    pytest.param(REMOVE, True, id="answer-to-remove"),
]


@pytest.fixture(autouse=True)
def node(settings: Any, data_directory: Path) -> Iterator[None]:
    settings.ISOLATION, settings.INSTALL_ID = "container", f"test-{uuid.uuid4()}"
    settings.HOST_NAME = "node-a"
    data_directory.chmod(0o711)
    factories.host(tiers=[Tier.CONTAINER])
    yield
    clear_away(settings)


def loaded(agent: Agent) -> Agent:
    return Agent.objects.select_related("host").get(pk=agent.pk)


def open_it(agent: Agent) -> Agent:
    berths.open_berth(agent.pk, generation=agent.generation, worker=WORKER)
    return loaded(agent)


def opened() -> Agent:
    agent = open_it(factories.placed())
    assert agent.state == State.RUNNING, agent.error
    return agent


def clear(agent: Agent) -> Agent:
    """As the sweep has it done again later: the claim of whoever tried before has run out."""
    Agent.objects.filter(pk=agent.pk).update(claimed_until=None)
    berths.clear_berth(agent.pk, generation=loaded(agent).generation, worker=WORKER)
    return loaded(agent)


def mend(proxy: EngineProxy) -> None:
    assert proxy.is_shut, f"it never came to this step: {proxy.calls}"
    proxy.start()


def last_event(agent: Agent, kind: str) -> Event:
    found = Event.objects.filter(topic=agent.topic, kind=kind).order_by("seq").last()
    assert found is not None
    return found


@pytest.mark.parametrize(("call", "answered"), SPAWNING)
def test_an_engine_that_goes_away_while_a_berth_is_opened_leaves_nothing_and_says_why(
    call: str, answered: bool, settings: Any, engine_proxy: EngineProxy
) -> None:
    bystander = opened()
    agent = factories.placed()
    engine_proxy.shut_at(call, answered=answered)
    broken = open_it(agent)
    assert broken.state == State.ERROR, "nothing was pretended"
    assert broken.error is not None
    assert broken.error["code"] == "engine.unreachable", broken.error
    assert broken.error["remedy"]
    assert last_event(agent, "agent.failed").reason == broken.error["detail"]

    clear(agent)
    assert leases.live(owner=agent.owner, kind=Lease.Kind.CONTAINER), "what may stand there is kept in the ledger"
    mend(engine_proxy)
    clear(agent)
    assert_nothing_left(agent, settings)
    assert loaded(bystander).state == State.RUNNING
    assert selection.adopt(loaded(bystander).sandbox or {}).alive()


@pytest.mark.parametrize(("call", "answered"), STOPPING)
def test_an_engine_that_goes_away_while_a_berth_is_cleared_keeps_the_leases_until_it_is_back(
    call: str, answered: bool, settings: Any, engine_proxy: EngineProxy
) -> None:
    bystander, agent = opened(), opened()
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="enough")
    engine_proxy.shut_at(call, answered=answered)
    waits = clear(agent)
    assert waits.state == State.STOPPING
    assert leases.live(owner=agent.owner, kind=Lease.Kind.SLOT), "the room is not given to somebody else yet"
    said = agent.facts.get(kind="sandbox_inspected")
    assert (said.ok, "engine" in said.detail or "container" in said.detail) == (False, True), said.detail
    mend(engine_proxy)
    assert clear(agent).state == State.STOPPED
    assert_nothing_left(agent, settings)
    assert loaded(bystander).state == State.RUNNING
    assert selection.adopt(loaded(bystander).sandbox or {}).alive()


# --- what is left of a berth is ended as it is ------------------------------------------------------------------------


def test_the_ledger_calls_the_container_by_its_own_name(settings: Any) -> None:
    agent = opened()
    (lease,) = leases.live(owner=agent.owner, kind=Lease.Kind.CONTAINER)
    assert [lease.key] == [container.name for container in containers(settings)]
    assert leases.live(owner=agent.owner, kind=Lease.Kind.PROCESS) == []


def test_a_stopped_container_is_removed_without_being_started_first(settings: Any, engine_proxy: EngineProxy) -> None:
    agent = opened()
    for container in containers(settings):
        container.kill()
    engine_proxy.calls.clear()
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="enough")
    assert clear(agent).state == State.STOPPED
    assert not [call for call in engine_proxy.calls if "/start" in call]
    assert_nothing_left(agent, settings)


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "left-by-a-killed-opener"])
def test_a_container_that_cannot_be_started_any_more_is_removed(noted: bool, settings: Any) -> None:
    agent = opened()
    for container in containers(settings):
        container.kill()
    for name in workspaces.names():
        workspaces.remove(workspaces.place_of(name))  # what it has mounted is gone: the engine refuses to start it
    with pytest.raises(SandboxGone):
        selection.adopt(agent.sandbox or {})
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="enough")
    if not noted:
        Agent.objects.filter(pk=agent.pk).update(sandbox=None)
    assert clear(agent).state == State.STOPPED
    assert_nothing_left(agent, settings)


def test_a_first_process_that_does_not_heed_sigterm_keeps_no_berth(settings: Any) -> None:
    agent = opened()
    (container,) = containers(settings)
    container.reload()
    os.kill(container.attrs["State"]["Pid"], signal.SIGSTOP)
    container.kill(signal="SIGTERM")
    assert selection.adopt(agent.sandbox or {}).alive(), "the signal changed nothing"
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="enough")
    assert clear(agent).state == State.STOPPED
    assert_nothing_left(agent, settings)


# --- without the engine -----------------------------------------------------------------------------------------------


def test_a_terminal_opens_where_only_the_berths_agent_can_be_reached(settings: Any, engine_proxy: EngineProxy) -> None:
    agent = opened()
    engine_proxy.shut()
    wanted = Wanted(terminal_id=uuid.uuid4(), generation=1, sandbox=agent.sandbox, columns=80, rows=24)
    with tempfile.TemporaryDirectory(prefix="moor-") as run:
        program = opening.spawn(wanted, Path(run))
        try:
            os.write(program.master, b"echo ber''th\n")
            said = b""
            while b"berth" not in said:
                said += os.read(program.master, 4096)
        finally:
            os.kill(program.pid, signal.SIGTERM)
            os.close(program.master)
            os.waitpid(program.pid, 0)
            program.counter.close()
    with pytest.raises(EngineUnreachable):
        selection.adopt(agent.sandbox or {}).alive()


# --- what the engine does not have ------------------------------------------------------------------------------------


def test_an_image_that_is_not_there_is_said_on_the_agent_and_leaves_nothing(
    settings: Any, data_directory: Path
) -> None:
    folder = data_directory / "templates"
    folder.mkdir()
    (folder / "odd.yaml").write_text(
        "apiVersion: moorage/v1\nkind: Template\nname: odd\nversion: 1.0.0\nextends: lightweight\n"
        "spec:\n  isolation:\n    image: nowhere/nothing:none\n"
    )
    settings.TEMPLATE_DIRECTORIES = [*settings.TEMPLATE_DIRECTORIES, folder]
    agent = open_it(factories.placed("odd"))
    assert agent.state == State.ERROR
    assert agent.error is not None
    assert (agent.error["code"], agent.error["class"]) == ("isolation.unavailable", "configuration")
    assert "nowhere/nothing:none" in agent.error["detail"]
    assert agent.error["remedy"]
    assert "nowhere/nothing:none" in last_event(agent, "agent.failed").reason
    clear(agent)
    assert_nothing_left(agent, settings)


# --- a ledger that is older than the world ----------------------------------------------------------------------------


def test_a_restored_ledger_that_takes_a_gone_berth_for_running_breaks_its_agent_and_touches_no_other(
    settings: Any,
) -> None:
    bystander, agent = opened(), opened()
    old = {name: getattr(agent, name) for name in ("state", "generation", "sandbox", "tier", "error", "wake_up_at")}
    held = [lease.pk for lease in leases.live(owner=agent.owner)]
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="enough")
    assert clear(agent).state == State.STOPPED
    Agent.objects.filter(pk=agent.pk).update(**old)
    Lease.objects.filter(pk__in=held).update(state=Lease.State.HELD, released_at=None)

    upkeep.inspect(host="node-a", now=timezone.now(), worker=WORKER)
    broken = loaded(agent)
    assert (broken.state, (broken.error or {}).get("code")) == (State.ERROR, "agent.berth_lost")
    assert "gone" in last_event(agent, "agent.failed").reason
    clear(agent)
    assert_nothing_left(agent, settings)
    assert loaded(bystander).state == State.RUNNING
    assert selection.adopt(loaded(bystander).sandbox or {}).alive()


@pytest.mark.parametrize("minutes", [-30, 30])
def test_a_look_by_a_clock_that_is_minutes_off_ends_no_berth(minutes: int, settings: Any) -> None:
    agent = opened()
    skewed = timezone.now() + timedelta(minutes=minutes)
    assert upkeep.inspect(host="node-a", now=skewed, worker=WORKER) == 1
    assert upkeep.renew_leases(now=skewed) > 0
    assert upkeep.release_expired(now=skewed) == 0
    assert orphans.sweep(host_name="node-a", now=skewed).remove == ()
    assert loaded(agent).state == State.RUNNING
    assert selection.adopt(agent.sandbox or {}).alive()
