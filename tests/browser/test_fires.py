"""A host on fire, a worker that was killed, a stack that has just begun: what the harbour says of them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agents.models import Agent
from config import health
from events.models import Event
from operations import history
from operations.coding import claims
from operations.models import Operation
from resources import hosts
from resources.models import Host, Sample
from tests import factories
from tests.browser import rows
from tests.browser.test_pages import do, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def host() -> Host:
    return factories.host("node-1")


@pytest.fixture
def quiet(host: Host) -> Agent:
    """It holds much memory and does nothing."""
    return factories.running(name="quiet")


@pytest.fixture
def burner(host: Host, quiet: Agent) -> Agent:
    """It spins."""
    return factories.running(name="burner")


def measure(host: Host, *, cores: float, burner: Agent, quiet: Agent, berth_cores: float, minutes: float = 2) -> None:
    """Samples every fifteen seconds until now: the machine and both berths."""
    now = timezone.now()
    for second in range(0, int(minutes * 60) + 1, 15):
        at = now - timedelta(minutes=minutes) + timedelta(seconds=second)
        Sample.objects.create(host=host, at=at, cpu_s=1000 + cores * second, memory_mb=900, processes=9)
        Sample.objects.create(host=host, at=at, owner=burner.owner, cpu_s=berth_cores * second, memory_mb=9)
        Sample.objects.create(host=host, at=at, owner=quiet.owner, cpu_s=1, memory_mb=800)


def matter_of(client: Client, words: str) -> str:
    """What the harbour says of it; empty where nothing needs attention for that."""
    html = client.get(reverse("admin:index")).content.decode()
    found = re.findall(r'<li class="matter">.*?</li>', html, re.DOTALL)
    return next((matter for matter in found if words in matter), "")


def test_whoever_burns_the_processor_stands_before_whoever_holds_memory(
    admin_client: Client, host: Host, burner: Agent, quiet: Agent
) -> None:
    measure(host, cores=1.0, burner=burner, quiet=quiet, berth_cores=1.9)
    for address in (page(host), reverse("admin:fleet")):
        html = admin_client.get(address).content.decode()
        table = html[html.index("<tbody>") :]
        assert table.index(">burner<") < table.index(">quiet<"), address


def test_a_host_on_fire_is_a_matter_with_the_button_that_stops_the_culprit_alone(
    admin_client: Client, host: Host, burner: Agent, quiet: Agent
) -> None:
    measure(host, cores=1.97, burner=burner, quiet=quiet, berth_cores=1.9)
    matter = matter_of(admin_client, "Host node-1 is on fire")
    assert "1.97 of 2 cores" in matter
    assert "most of it is burner with 1.90 cores" in matter
    assert do(burner, "stop") in matter
    assert do(quiet, "stop") not in matter
    admin_client.post(do(burner, "stop"))
    states = dict(Agent.objects.values_list("name", "state"))
    assert states == {"burner": "stopping", "quiet": "running"}


@pytest.mark.parametrize(("cores", "minutes"), [(1.5, 2.0), (1.99, 0.5)])
def test_a_host_that_is_busy_but_not_all_of_it_or_not_for_long_is_no_matter(
    admin_client: Client, host: Host, burner: Agent, quiet: Agent, cores: float, minutes: float
) -> None:
    measure(host, cores=cores, burner=burner, quiet=quiet, berth_cores=1.4, minutes=minutes)
    assert matter_of(admin_client, "on fire") == ""


def test_a_fire_beside_the_berths_stops_nobody(admin_client: Client, host: Host, burner: Agent, quiet: Agent) -> None:
    measure(host, cores=1.97, burner=burner, quiet=quiet, berth_cores=0.1)
    Sample.objects.filter(owner=quiet.owner).update(memory_mb=10)
    matter = matter_of(admin_client, "on fire")
    assert "no berth uses much of it" in matter
    assert "/do/" not in matter


def test_a_killed_worker_is_in_the_journal_with_what_it_held_and_on_the_harbour(
    admin_client: Client, admin_user: Any, settings: Any, data_directory: Any
) -> None:
    operation, _step = rows.running(admin_user, of=rows.project(admin_user))
    claims.claim(operation.pk, turn=1, worker="worker:node-2", now=timezone.now() + timedelta(hours=1))
    event = Event.objects.get(kind=claims.WORKER_LOST)
    assert event.topic == operation.topic
    assert event.data["held"] == {"stage": "test", "attempt": 1, "agent_id": None}
    assert "was lost while it ran Test" in event.reason
    assert page(operation) in matter_of(admin_client, "was lost while it ran Test")
    assert "was lost while it ran Test" in admin_client.get(page(operation)).content.decode()
    assert Operation.objects.get().steps.filter(outcome="lost").count() == 1


def test_a_host_that_falls_silent_is_recorded_once_with_what_it_holds(host: Host, quiet: Agent, settings: Any) -> None:
    later = timezone.now() + timedelta(seconds=settings.HOST_TTL_S + 1)
    assert (hosts.note_lost(now=timezone.now()), hosts.note_lost(now=later), hosts.note_lost(now=later)) == (0, 1, 0)
    event = Event.objects.get(kind="host.lost")
    assert (event.topic, event.data["held"]) == (hosts.topic(host), [quiet.owner])
    hosts.beat(name=host.name, facts=host.facts, now=later)
    assert hosts.note_lost(now=later) == 0
    much_later = later + timedelta(seconds=settings.HOST_TTL_S + 1)
    assert hosts.note_lost(now=much_later) == 1, "it fell silent again"


def test_a_stack_that_has_just_begun_is_starting_and_one_that_has_not_swept_for_long_is_not_well(db: None) -> None:
    def sweep(up_s: float) -> health.Part:
        return next(part for part in health.parts(up_s=up_s) if part.name == "sweep")

    assert (sweep(1).ok, sweep(1).starting) == (True, True)
    assert (sweep(60).ok, sweep(60).starting, sweep(60).detail) == (False, False, "nobody has swept yet")


def test_the_figures_of_the_last_hour_are_those_of_now(admin_client: Client, admin_user: Any) -> None:
    """Also of what ended since the minute was noted."""
    history.note(now=timezone.now() - timedelta(seconds=50))
    failed = rows.failed(admin_user, of=rows.project(admin_user))
    Operation.objects.filter(pk=failed.pk).update(completed_at=timezone.now() - timedelta(seconds=20))
    html = admin_client.get(reverse("admin:index")).content.decode()
    assert 'Failed <span class="quiet">1</span>' in html
    assert "Failed: 1 in all" in html
