"""Ports: no two owners share one, strangers are noticed and forgotten, and an exhausted range says so."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from events.faults import FaultClass
from events.models import Event
from resources import admission, hosts, leases, ports
from resources.models import Host, Lease
from resources.sandboxes.protocol import Tier
from tests import factories
from tests.at_once import at_once

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATER = NOW + timedelta(minutes=10)


def take(host: Host, owner: str = "agent:1", name: str = "web") -> Lease:
    return ports.take(host=host, owner=owner, generation=1, name=name, now=NOW, expires_at=LATER)


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    """A listener on a port that nobody lent to it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def number_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


@pytest.mark.django_db(transaction=True)
def test_two_hundred_askers_at_once_get_two_hundred_ports() -> None:
    host = factories.host(ports=(22000, 22249))
    taken = at_once([partial(take, host, f"agent:{n}") for n in range(200)])
    assert [lease for lease in taken if not isinstance(lease, Lease)] == []
    assert len({lease.key for lease in taken if isinstance(lease, Lease)}) == 200
    assert Lease.objects.filter(kind=Lease.Kind.PORT, state=Lease.State.HELD).count() == 200


@pytest.mark.django_db(transaction=True)
def test_the_last_ports_go_to_as_many_askers_and_the_others_hear_that_none_is_left() -> None:
    host = factories.host(ports=(22000, 22019))
    taken = at_once([partial(take, host, f"agent:{n}") for n in range(40)])
    assert len({lease.key for lease in taken if isinstance(lease, Lease)}) == 20
    refusals = [answer for answer in taken if not isinstance(answer, Lease)]
    assert len(refusals) == 20
    assert {type(refusal) for refusal in refusals} == {ports.PortsExhausted}


def test_an_exhausted_range_is_a_fault_of_resources_that_names_the_setting() -> None:
    host = factories.host(ports=(22000, 22000))
    take(host)
    with pytest.raises(ports.PortsExhausted, match="22000-22000 of node-a") as refused:
        take(host, "agent:2")
    assert refused.value.fault_class is FaultClass.RESOURCE
    assert "MOORAGE_PORT_RANGE" in refused.value.as_dict()["remedy"]


def test_the_same_number_is_lent_on_two_hosts() -> None:
    first, second = factories.host("a", ports=(22000, 22000)), factories.host("b", ports=(22000, 22000))
    assert take(first).key == take(second).key == "22000"


def test_a_port_that_a_stranger_listens_on_is_noted_and_another_one_taken(stranger: socket.socket) -> None:
    squatted = number_of(stranger)
    host = factories.host(ports=(squatted, squatted + 20))
    reserved = leases.intend(
        host=host, kind=Lease.Kind.PORT, key=str(squatted), name="web", owner="agent:1", generation=1, now=NOW,
        expires_at=LATER,
    )  # fmt: skip
    reserved.save()
    held = ports.confirm(lease=reserved, now=NOW)
    assert held.key != str(squatted)
    assert (held.state, held.name) == (Lease.State.HELD, "web")
    noted = Lease.objects.get(key=str(squatted))
    assert noted.state == Lease.State.SQUATTED
    assert noted.detail == {"seen_at": NOW.isoformat(), "wanted_by": "agent:1"}


def test_a_range_that_strangers_use_entirely_is_exhausted(stranger: socket.socket) -> None:
    host = factories.host(ports=(number_of(stranger), number_of(stranger)))
    with pytest.raises(ports.PortsExhausted):
        take(host)
    assert hosts.usage(host).squatted == 1
    assert not leases.live(owner="agent:1")


def test_a_connection_that_lingers_after_its_server_has_gone_is_no_squatter() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as caller:
        number = number_of(server)
        answered, _ = server.accept()
        assert not ports.bindable(number), "it listens"
        answered.close()  # first: TIME_WAIT is on the server's side
        assert caller.recv(1) == b""
    assert ports.bindable(number)


def test_a_squatted_port_is_lent_again_when_its_stranger_has_left_and_a_rest_is_over(stranger: socket.socket) -> None:
    host = factories.host(ports=(number_of(stranger), number_of(stranger)))
    with pytest.raises(ports.PortsExhausted):
        take(host)
    rested = NOW + ports.SQUATTER_REST
    assert ports.recheck(host, now=rested) == 0, "it still listens"
    stranger.close()
    assert ports.recheck(host, now=rested - timedelta(seconds=1)) == 0, "the rest is not over"
    assert ports.recheck(host, now=rested) == 1
    assert ports.recheck(host, now=rested) == 0
    assert take(host).state == Lease.State.HELD
    event = Event.objects.get(topic=hosts.topic(host), kind="host.capacity_freed")
    assert event.data == {"ports": 1}


def test_a_host_that_never_registered_has_nothing_to_look_at_again() -> None:
    assert ports.recheck_on("nobody", now=NOW) == 0


def test_a_port_released_before_it_was_checked_is_not_held_after_all() -> None:
    host = factories.host()
    reserved = ports.reserve(host=host, owner="agent:1", generation=1, name="web", now=NOW, expires_at=LATER)
    leases.release(owner="agent:1", actor="system", reason="moved on", now=NOW)
    with pytest.raises(leases.LeaseLost):
        ports.confirm(lease=reserved, now=NOW)
    assert Lease.objects.get(pk=reserved.pk).state == Lease.State.RELEASED


def test_confirming_a_held_port_again_keeps_it() -> None:
    lease = take(factories.host())
    assert ports.confirm(lease=lease, now=NOW).key == lease.key


def test_a_port_rests_after_its_release_and_then_is_lent_again(settings: Any) -> None:
    settings.PORT_QUARANTINE_S = 60
    host = factories.host(ports=(22000, 22000))
    take(host)
    leases.release(owner="agent:1", actor="system", reason="left", now=NOW)
    with pytest.raises(ports.PortsExhausted):
        take(host, "agent:2")
    rested = NOW + timedelta(seconds=60)
    again = ports.take(host=host, owner="agent:2", generation=1, name="web", now=rested, expires_at=LATER)
    assert again.key == "22000"


def test_resting_ports_are_no_free_ports_to_admission(settings: Any) -> None:
    settings.PORT_QUARANTINE_S = 60
    host = factories.host(ports=(22000, 22001))
    take(host)
    leases.release(owner="agent:1", actor="system", reason="left", now=NOW)
    size = admission.Size(1, 1, 1, ("a", "b"))
    with transaction.atomic():
        answer = admission.admit(
            owner="agent:2", generation=1, size=size, minimum=Tier.LANDLOCK, now=NOW, expires_at=LATER
        )
    assert answer == admission.Blocked(({"kind": "ports", "host": "node-a", "needs": 2, "free": 1, "of": 2},))


def test_a_squatter_is_told_in_the_hosts_stream(stranger: socket.socket) -> None:
    squatted = number_of(stranger)
    host = factories.host(ports=(squatted, squatted))
    with pytest.raises(ports.PortsExhausted):
        take(host)
    told = Event.objects.get(topic=hosts.topic(host), kind="host.port_squatted")
    assert (told.data["port"], told.data["owner"]) == (squatted, "agent:1")


@pytest.mark.parametrize("meanwhile", [{"generation": 2}, {"owner": "agent:2"}, {"state": "squatted"}])
def test_a_port_that_is_not_its_askers_any_more_is_not_confirmed(meanwhile: dict[str, Any]) -> None:
    host = factories.host(ports=(22000, 22000))
    reserved = ports.reserve(host=host, owner="agent:1", generation=1, name="web", now=NOW, expires_at=LATER)
    Lease.objects.filter(pk=reserved.pk).update(**meanwhile)
    with pytest.raises(leases.LeaseLost):
        ports.confirm(lease=reserved, now=NOW)
    assert Lease.objects.get(pk=reserved.pk).state != Lease.State.HELD
