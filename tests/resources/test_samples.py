"""Samples: what hosts and berths use is kept for a while and read as a history of a bounded size."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from agents import measuring
from operations import figures
from resources import samples
from resources.models import Host, Sample
from resources.sandboxes.protocol import Stats
from tests import factories

pytestmark = pytest.mark.django_db

NOW = timezone.now()
OWNER = f"agent:{uuid.uuid4()}"


@pytest.fixture
def host(data_directory: object) -> Host:
    return factories.host()


def take(at: datetime, cpu_s: float | None = 1.0, memory_mb: int | None = 100) -> int:
    stats = Stats(memory_mb=memory_mb, processes=3, cpu_s=cpu_s)
    return samples.take(host_name="node-a", berths={OWNER: stats}, now=at)


def test_the_machine_and_each_berth_are_sampled(host: Host) -> None:
    assert take(NOW) == 2
    (machine,) = samples.history(host_id=host.pk, since=NOW)
    assert machine.cpu_millis is None, "one look says nothing of a rate"
    assert machine.memory_mb > 0
    assert machine.disk_mb > 0
    assert machine.processes > 1
    (berth,) = samples.history(owner=OWNER, since=NOW)
    assert (berth.memory_mb, berth.processes, berth.disk_mb) == (100, 3, None)


def test_processor_use_is_the_average_since_the_point_before(host: Host) -> None:
    for at, cpu_s in enumerate((1.0, 6.0, 6.0, 2.0, None, 3.0)):
        take(NOW + timedelta(seconds=10 * at), cpu_s)
    points = samples.history(owner=OWNER, since=NOW)
    # A sum that shrinks is that of processes which ended; one that is unknown says nothing, twice.
    assert [point.cpu_millis for point in points] == [None, 500, 0, 0, None, None]


def test_a_long_history_is_thinned_and_ends_with_the_newest(host: Host) -> None:
    rows = [
        Sample(host=host, owner=OWNER, at=NOW + timedelta(seconds=at), cpu_s=at / 2, memory_mb=at) for at in range(1000)
    ]
    Sample.objects.bulk_create(rows)
    points = samples.history(owner=OWNER, since=NOW)
    assert len(points) <= samples.MOST_POINTS
    assert points[-1].memory_mb == 999
    assert {point.cpu_millis for point in points[1:]} == {500}


def test_old_ones_are_forgotten(host: Host, settings: Any) -> None:
    settings.SAMPLES_KEEP_HOURS = 2
    take(NOW - timedelta(hours=3))
    take(NOW - timedelta(hours=1))
    assert samples.prune(now=NOW) == 2
    assert Sample.objects.count() == 2


def test_only_a_fresh_point_is_the_latest(host: Host) -> None:
    take(NOW)
    assert samples.latest(now=NOW)[host.pk].at == NOW
    assert samples.latest(now=NOW + timedelta(hours=1)) == {}


def test_the_live_figures_carry_what_was_measured(host: Host) -> None:
    (before,) = figures.now_at(now=NOW)["hosts"]
    assert before["measured"] is None
    take(NOW - timedelta(seconds=10))
    take(NOW)
    (after,) = figures.now_at(now=NOW)["hosts"]
    assert set(after["measured"]) == {"at", "cpu_millis", "memory_mb", "disk_mb", "processes"}
    assert after["measured"]["cpu_millis"] >= 0


def test_a_host_that_never_registered_is_not_measured(data_directory: object) -> None:
    assert samples.take(host_name="nobody", berths={}, now=NOW) == 0


def test_a_berth_that_is_gone_is_left_out(host: Host) -> None:
    agent = factories.running()
    agent.sandbox = {"tier": "landlock", "profile": {}}
    agent.save()
    assert measuring.sample(host="node-a", now=NOW) == 1


# --- over HTTP --------------------------------------------------------------------------------------------------------


def client(user: Any) -> APIClient:
    made = APIClient()
    made.force_authenticate(user)
    return made


def test_a_host_is_for_staff_and_an_agent_for_who_asked_for_it(host: Host) -> None:
    ada = factories.user("ada")
    agent = factories.placed(by=ada)
    samples.take(host_name="node-a", berths={agent.owner: Stats(5, 1, 1.0)}, now=timezone.now())
    of_agent, of_host = f"/api/v1/agents/{agent.pk}/usage/", f"/api/v1/hosts/{host.pk}/usage/"
    assert len(client(ada).get(of_agent).json()["points"]) == 1
    assert client(factories.user("eve")).get(of_agent).status_code == 404
    assert client(ada).get(of_host).status_code == 403
    staff = client(factories.user("root", staff=True))
    assert len(staff.get(of_host, {"minutes": "5"}).json()["points"]) == 1
    assert staff.get(f"/api/v1/hosts/{uuid.uuid4()}/usage/").status_code == 404


@pytest.mark.parametrize("minutes", ["0", "-1", "1e9", "x", "99999999999999999999"])
def test_a_window_that_is_none_is_told_so(host: Host, minutes: str) -> None:
    staff = client(factories.user("root", staff=True))
    assert staff.get(f"/api/v1/hosts/{host.pk}/usage/", {"minutes": minutes}).status_code == 400
