"""The database is briefly away while a berth is opened or cleared: nothing is lost, nothing done twice."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from agents import berths, lifecycle, upkeep
from agents.models import Agent, State
from events.models import Event
from resources import leases
from resources.models import Lease
from resources.sandboxes import selection
from resources.sandboxes.protocol import Tier
from tests import factories
from tests.fakes.engine_proxy import EngineProxy, engine_proxy
from tests.faults.leftovers import assert_nothing_left, clear_away, containers

__all__ = ["engine_proxy"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_docker, pytest.mark.timeout(300)]

WORKER = "worker:node-a"


class Database:
    """The test's own; somebody else may keep it to themselves, and we are not patient."""

    def __init__(self) -> None:
        self._other = connection.copy()
        self._other.inc_thread_sharing()
        patience = "PRAGMA busy_timeout = 100" if connection.vendor == "sqlite" else "SET lock_timeout = '100ms'"
        connection.cursor().execute(patience)

    def go_away(self) -> None:
        """From now on nobody else can write."""
        on_sqlite = connection.vendor == "sqlite"
        lock = "LOCK TABLE agents_agent, resources_lease IN ACCESS EXCLUSIVE MODE"
        for statement in ["BEGIN IMMEDIATE"] if on_sqlite else ["BEGIN", lock]:
            self._other.cursor().execute(statement)

    def come_back(self) -> None:
        self._other.cursor().execute("ROLLBACK")

    def end(self) -> None:
        self._other.close()
        connection.close()


@pytest.fixture
def database() -> Iterator[Database]:
    away = Database()
    yield away
    away.end()


@pytest.fixture(autouse=True)
def node(settings: Any, data_directory: Path) -> Iterator[None]:
    settings.ISOLATION, settings.INSTALL_ID, settings.HOST_NAME = "container", f"test-{uuid.uuid4()}", "node-a"
    data_directory.chmod(0o711)
    factories.host(tiers=[Tier.CONTAINER])
    yield
    clear_away(settings)


def loaded(agent: Agent) -> Agent:
    return Agent.objects.select_related("host").get(pk=agent.pk)


def open_it(agent: Agent) -> Agent:
    berths.open_berth(agent.pk, generation=loaded(agent).generation, worker=WORKER)
    return loaded(agent)


def clear(agent: Agent) -> Agent:
    berths.clear_berth(agent.pk, generation=loaded(agent).generation, worker=WORKER)
    return loaded(agent)


def swept(agent: Agent) -> bool:
    """The claim of whoever failed runs out; whether the sweep then has the agent done again."""
    past = timezone.now() - timedelta(seconds=1)
    Agent.objects.filter(pk=agent.pk).exclude(claimed_until=None).update(claimed_until=past, wake_up_at=past)
    return agent.pk in {found.pk for found in upkeep.overdue(now=timezone.now())}


@pytest.mark.parametrize("call", ["POST /containers/create", "POST /containers/[^/]+/start"], ids=["create", "start"])
def test_a_berth_that_is_opened_meanwhile_is_opened_once_when_the_database_is_back(
    call: str, settings: Any, engine_proxy: EngineProxy, database: Database
) -> None:
    bystander = open_it(factories.placed())
    agent = factories.placed()
    engine_proxy.meanwhile(call, database.go_away)
    with pytest.raises(OperationalError):
        open_it(agent)
    database.come_back()
    assert loaded(agent).state == State.SPAWNING
    assert swept(agent)
    assert open_it(agent).state == State.RUNNING
    assert [str(agent.pk) in container.name for container in containers(settings)].count(True) == 1
    kinds = [lease.kind for lease in leases.live(owner=agent.owner)]
    assert len(kinds) == len(set(kinds)), "nothing was taken twice"
    assert Event.objects.filter(topic=agent.topic, kind="agent.running").count() == 1
    for one in (agent, bystander):
        assert selection.adopt(loaded(one).sandbox or {}).alive()


@pytest.mark.parametrize("call", ["GET /containers/[^/]+/json", "DELETE /containers/"], ids=["look", "remove"])
def test_a_berth_that_is_cleared_meanwhile_is_given_back_when_the_database_is_back(
    call: str, settings: Any, engine_proxy: EngineProxy, database: Database
) -> None:
    bystander, agent = open_it(factories.placed()), open_it(factories.placed())
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="enough")
    engine_proxy.meanwhile(call, database.go_away)
    with pytest.raises(OperationalError):
        clear(agent)
    database.come_back()
    assert leases.live(owner=agent.owner, kind=Lease.Kind.SLOT), "nobody was told that there is room"
    assert swept(agent)
    assert clear(agent).state == State.STOPPED
    assert_nothing_left(agent, settings)
    assert Event.objects.filter(topic=agent.topic, kind="agent.stopped").count() == 1
    assert selection.adopt(loaded(bystander).sandbox or {}).alive()
