"""Hosts: they register, beat, drain, and are lost when they fall silent."""

from __future__ import annotations

import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from events.models import Event
from resources import hosts
from resources.models import Host
from tests import factories
from tests.at_once import at_once

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def kinds(host: Host) -> list[str]:
    return list(Event.objects.filter(topic=hosts.topic(host)).order_by("seq").values_list("kind", flat=True))


def test_registering_again_updates_the_row_but_not_what_was_free_on_its_disk() -> None:
    first = factories.host(slots=2, disk_mb=9000)
    again = factories.host(slots=7, disk_mb=100)
    assert again.pk == first.pk
    assert (again.slots, again.disk_mb) == (7, 9000)
    assert kinds(again) == ["host.registered"] * 2


def test_a_disk_size_that_the_operator_sets_counts_at_once(settings: Any) -> None:
    factories.host(disk_mb=9000)
    settings.HOST_DISK_MB = 100
    assert factories.host(disk_mb=100).disk_mb == 100


@pytest.mark.django_db(transaction=True)
def test_the_workers_of_one_host_that_start_together_make_one_row() -> None:
    answers = at_once([partial(factories.host, "node-a") for _ in range(8)])
    assert {getattr(answer, "name", answer) for answer in answers} == {"node-a"}
    assert Host.objects.count() == 1


def test_a_host_that_registers_again_stays_drained() -> None:
    host = factories.host()
    hosts.drain(host_id=host.pk, actor="user:ada", reason="new disk", now=NOW)
    assert hosts.verdict(factories.host(), now=NOW) is hosts.Verdict.DRAINING


def test_the_verdict_follows_heartbeat_and_draining(settings: Any) -> None:
    settings.HOST_TTL_S = 30
    host = factories.host(now=NOW)
    ttl = timedelta(seconds=30)
    assert hosts.verdict(host, now=NOW + ttl) is hosts.Verdict.ALIVE
    assert hosts.verdict(host, now=NOW + ttl + timedelta(seconds=1)) is hosts.Verdict.LOST
    host.draining_since = NOW
    assert hosts.verdict(host, now=NOW) is hosts.Verdict.DRAINING
    assert hosts.verdict(host, now=NOW + 2 * ttl) is hosts.Verdict.LOST
    host.heartbeat_at = None
    assert hosts.verdict(host, now=NOW) is hosts.Verdict.LOST


def test_a_beat_is_noted_and_one_of_an_unknown_host_asks_for_registration() -> None:
    host = factories.host(now=NOW)
    assert hosts.beat(name=host.name, facts={"load": 3}, now=NOW + timedelta(seconds=9))
    host.refresh_from_db()
    assert (host.facts, host.heartbeat_at) == ({"load": 3}, NOW + timedelta(seconds=9))
    assert not hosts.beat(name="nobody", facts={}, now=NOW)


def test_draining_twice_is_one_event_with_its_reason() -> None:
    host = factories.host()
    for _ in range(2):
        hosts.drain(host_id=host.pk, actor="user:ada", reason="new disk", now=NOW)
    for _ in range(2):
        hosts.undrain(host_id=host.pk, actor="user:ada", reason="done")
    assert kinds(host) == ["host.registered", "host.draining", "host.undrained"]
    drained = Event.objects.get(kind="host.draining")
    assert (drained.actor, drained.reason) == ("user:ada", "new disk")


def test_an_unknown_host_cannot_be_drained() -> None:
    with pytest.raises(hosts.HostNotFound) as refused:
        hosts.drain(host_id=uuid.uuid4(), actor="user:ada", reason="", now=NOW)
    assert refused.value.http_status == 404


def test_the_database_refuses_a_port_range_that_is_none() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        factories.host(ports=(21001, 21000))


def test_usage_is_what_live_leases_add_up_to() -> None:
    host = factories.host()
    assert hosts.usage(host) == hosts.Usage(0, 0, 0, 0, 0, 0)
    factories.placed("lightweight")
    factories.placed("python-web")
    assert hosts.usage(host) == hosts.Usage(
        slots=2, memory_mb=256 + 1024, cpu_millis=250 + 500, disk_mb=1024, ports=1, squatted=0
    )


def test_what_this_machine_lends_follows_its_settings(settings: Any, tmp_path: Path) -> None:
    settings.HOST_SLOTS, settings.HOST_MEMORY_MB, settings.PORT_RANGE = 3, 1000, (30000, 30009)
    lent = hosts.own_capacity(workspaces=tmp_path)
    assert (lent.slots, lent.memory_mb, lent.port_first, lent.port_last) == (3, 1000, 30000, 30009)
    assert lent.disk_mb > 0
    facts = hosts.own_facts(workspaces=tmp_path)
    assert {entry["tier"] for entry in facts["tiers"]} == {"container", "process", "landlock", "bare"}
    settings.ISOLATION = "landlock"
    assert hosts.own_facts(workspaces=tmp_path)["isolation"] == "landlock", "admission has to know of the cap"
    assert facts["memory_total_mb"] >= facts["memory_free_mb"] > 0
