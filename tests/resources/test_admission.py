"""Admission: everything a berth needs or nothing, never more than a host has, and reasons with figures."""

from __future__ import annotations

import socket
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from resources import hosts, leases, ports
from resources.admission import Admitted, Blocked, Reason, Size, admit
from resources.models import Host, Lease
from resources.sandboxes.protocol import Tier
from tests import factories
from tests.at_once import at_once

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATER = NOW + timedelta(minutes=10)
SMALL = Size(memory_mb=256, cpu_millis=250, disk_mb=512)


def ask(owner: str = "agent:1", size: Size = SMALL, *, minimum: Tier = Tier.LANDLOCK) -> Admitted | Blocked:
    with transaction.atomic():
        return admit(owner=owner, generation=1, size=size, minimum=minimum, now=NOW, expires_at=LATER)


def reasons(answer: Admitted | Blocked) -> list[Reason]:
    assert isinstance(answer, Blocked)
    return list(answer.reasons)


def test_what_is_admitted_is_reserved_entirely() -> None:
    host = factories.host()
    answer = ask(size=Size(memory_mb=256, cpu_millis=250, disk_mb=512, ports=("web", "debug")))
    assert answer == Admitted(host, Size(memory_mb=256, cpu_millis=250, disk_mb=512, ports=("web", "debug")))
    reserved = sorted((lease.kind, lease.name, lease.amount) for lease in leases.live(owner="agent:1"))
    assert reserved == [
        ("cpu", "", 250), ("disk", "", 512), ("memory", "", 256), ("port", "debug", 1), ("port", "web", 1),
        ("slot", "", 1),
    ]  # fmt: skip
    assert {lease.state for lease in leases.live(owner="agent:1")} == {Lease.State.INTENT}


@pytest.mark.parametrize(
    ("lent", "size", "reason"),
    [
        ({"slots": 0}, SMALL, {"kind": "slots", "needs": 1, "free": 0, "of": 0}),
        ({"memory_mb": 255}, SMALL, {"kind": "memory", "needs_mb": 256, "free_mb": 255, "of_mb": 255}),
        ({"cpu_millis": 249}, SMALL, {"kind": "cpu", "needs_millis": 250, "free_millis": 249, "of_millis": 249}),
        ({"disk_mb": 1}, SMALL, {"kind": "disk", "needs_mb": 512, "free_mb": 1, "of_mb": 1}),
        ({"ports": (21000, 21000)}, Size(1, 1, 1, ("a", "b")), {"kind": "ports", "needs": 2, "free": 1, "of": 1}),
    ],
)
def test_what_is_missing_is_said_with_its_figures_and_nothing_is_reserved(
    lent: dict[str, Any], size: Size, reason: Reason
) -> None:
    factories.host(**lent)
    assert reasons(ask(size=size)) == [{"host": "node-a", **reason}]
    assert not Lease.objects.exists()


def test_exactly_what_is_free_is_enough() -> None:
    factories.host(slots=1, memory_mb=256, cpu_millis=250, disk_mb=512)
    assert isinstance(ask(), Admitted)
    assert [reason["kind"] for reason in reasons(ask("agent:2"))] == ["slots", "memory", "cpu", "disk"]


def test_without_hosts_the_reason_says_so() -> None:
    assert [reason["kind"] for reason in reasons(ask())] == ["no_host"]


def test_a_draining_host_and_a_lost_one_are_named_with_since_when() -> None:
    draining, _lost = factories.host("a"), factories.host("b", now=NOW - timedelta(hours=1))
    hosts.drain(host_id=draining.pk, actor="user:ada", reason="", now=NOW)
    found = sorted(reasons(ask()), key=lambda reason: str(reason["host"]))
    assert found == [
        {"kind": "host_draining", "host": "a", "since": NOW.isoformat()},
        {"kind": "host_lost", "host": "b", "since": (NOW - timedelta(hours=1)).isoformat()},
    ]


def test_a_host_without_the_isolation_that_is_asked_for_is_passed_over() -> None:
    factories.host("weak", tiers=[Tier.LANDLOCK])
    assert reasons(ask(minimum=Tier.PROCESS)) == [{"kind": "isolation", "host": "weak", "needs": "process"}]
    strong = factories.host("strong", tiers=[Tier.CONTAINER], slots=1)
    assert ask(minimum=Tier.PROCESS) == Admitted(strong, SMALL)


def test_a_host_whose_operator_caps_its_isolation_is_not_taken_for_stronger() -> None:
    capped = factories.host("capped", tiers=[Tier.CONTAINER, Tier.PROCESS, Tier.LANDLOCK])
    Host.objects.filter(pk=capped.pk).update(facts={**capped.facts, "isolation": "landlock"})
    assert reasons(ask(minimum=Tier.PROCESS)) == [{"kind": "isolation", "host": "capped", "needs": "process"}]
    assert isinstance(ask(minimum=Tier.LANDLOCK), Admitted)


def test_the_emptier_host_is_tried_first_and_a_full_one_does_not_hide_the_other() -> None:
    for name in ("a", "b"):
        factories.host(name, slots=2)
    taken = [ask(f"agent:{number}") for number in range(4)]
    names = [answer.host.name for answer in taken if isinstance(answer, Admitted)]
    assert sorted(names[:2]) == sorted(names[2:]) == ["a", "b"]
    assert {reason["host"] for reason in reasons(ask("agent:4"))} == {"a", "b"}


def test_ports_that_strangers_use_count_as_taken() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        number = stranger.getsockname()[1]
        host = factories.host(ports=(number, number))
        with pytest.raises(ports.PortsExhausted):
            ports.take(host=host, owner="agent:0", generation=1, name="web", now=NOW, expires_at=LATER)
    blocked = reasons(ask(size=Size(1, 1, 1, ("web",))))
    assert blocked == [{"kind": "ports", "host": "node-a", "needs": 1, "free": 0, "of": 1}]


def test_a_host_that_lends_less_than_it_did_has_nothing_left_rather_than_less() -> None:
    factories.host(memory_mb=1024)
    assert isinstance(ask(size=Size(1024, 1, 1)), Admitted)
    factories.host(memory_mb=512)
    assert reasons(ask("agent:2", Size(256, 1, 1))) == [
        {"kind": "memory", "host": "node-a", "needs_mb": 256, "free_mb": 0, "of_mb": 512}
    ]


FULL = {"kind": "slots", "host": "a", "needs": 1, "free": 0, "of": 4}
TIGHT = {"kind": "memory", "host": "a", "needs_mb": 512, "free_mb": 1, "of_mb": 1024}
TOO_BIG = {"kind": "memory", "host": "b", "needs_mb": 9999, "free_mb": 1, "of_mb": 1024}
LOST = {"kind": "host_lost", "host": "b", "since": None}
WEAK = {"kind": "isolation", "host": "b", "needs": "container"}


@pytest.mark.parametrize(
    ("found", "for_everyone", "curable"),
    [
        ([], False, False),
        ([{"kind": "no_host", "detail": "none"}], True, False),
        ([FULL], True, True),
        ([FULL, TIGHT], True, True),
        ([TIGHT], False, True),
        ([FULL, LOST], True, True),
        ([FULL, WEAK], False, True),
        ([TOO_BIG], False, False),
        ([LOST], True, False),
        ([WEAK], False, False),
        ([TOO_BIG, TIGHT], False, True),
        ([{"kind": "queue", "behind": "x", "detail": "x waits longer"}], False, True),
    ],
)
def test_reasons_tell_whether_everyone_is_blocked_and_whether_waiting_helps(
    found: list[Reason], for_everyone: bool, curable: bool
) -> None:
    blocked = Blocked(tuple(found))
    assert (blocked.for_everyone, blocked.curable) == (for_everyone, curable)


@pytest.mark.django_db(transaction=True)
def test_two_hundred_askers_at_once_never_get_more_than_two_hosts_have() -> None:
    lent: dict[str, Any] = {
        "slots": 60,
        "memory_mb": 256 * 45,
        "cpu_millis": 250 * 70,
        "disk_mb": 512 * 50,
        "ports": (21000, 21039),
    }
    for name in ("a", "b"):
        factories.host(name, **lent)
    sizes = [Size(256, 250, 512, ("web",) if number % 2 else ()) for number in range(200)]
    answers = at_once([partial(ask, f"agent:{number}", size) for number, size in enumerate(sizes)])
    assert [answer for answer in answers if not isinstance(answer, Admitted | Blocked)] == []
    assert sum(isinstance(answer, Admitted) for answer in answers) == 90, "memory is what runs out first"
    for host in Host.objects.all():
        used = hosts.usage(host)
        assert used.slots == 45
        assert (used.memory_mb, used.cpu_millis, used.disk_mb) == (256 * 45, 250 * 45, 512 * 45)
        assert used.ports <= 40
    assert all(reason["free_mb"] < reason["needs_mb"] for answer in answers for reason in reasons_of_memory(answer))


def reasons_of_memory(answer: Admitted | Blocked | Exception) -> list[Reason]:
    return [r for r in answer.reasons if r["kind"] == "memory"] if isinstance(answer, Blocked) else []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scarce", ["slots", "memory_mb", "cpu_millis", "disk_mb", "ports"])
def test_whatever_is_scarce_is_lent_exactly_as_often_as_it_is_there(scarce: str) -> None:
    plenty: dict[str, Any] = {
        "slots": 99,
        "memory_mb": 99999,
        "cpu_millis": 99999,
        "disk_mb": 99999,
        "ports": (21000, 21099),
    }
    seven: dict[str, Any] = {
        "slots": 7,
        "memory_mb": 256 * 7,
        "cpu_millis": 250 * 7,
        "disk_mb": 512 * 7,
        "ports": (21000, 21006),
    }
    factories.host(**{**plenty, scarce: seven[scarce]})
    answers = at_once([partial(ask, f"agent:{n}", Size(256, 250, 512, ("web",))) for n in range(40)])
    assert sum(isinstance(answer, Admitted) for answer in answers) == 7
    assert {r["kind"] for answer in answers if isinstance(answer, Blocked) for r in answer.reasons} == {
        scarce.partition("_")[0]
    }


@pytest.mark.django_db(transaction=True)
def test_admission_and_a_port_check_that_meet_do_not_wait_for_each_other_in_a_circle() -> None:
    host = factories.host(slots=99, ports=(21000, 21120))

    def check(owner: str) -> Lease:
        return ports.take(host=host, owner=owner, generation=1, name="web", now=NOW, expires_at=LATER)

    several = Size(1, 1, 1, ("a", "b", "c"))
    doings = [partial(ask, f"agent:{n}", several) if n % 2 else partial(check, f"check:{n}") for n in range(60)]
    answers = at_once(doings)
    assert [answer for answer in answers if not isinstance(answer, Admitted | Lease)] == []


@pytest.mark.django_db(transaction=True)
def test_an_owner_that_the_last_ports_escape_while_they_are_reserved_gets_nothing_at_all() -> None:
    host = factories.host(slots=99, ports=(21000, 21029))
    several = Size(1, 1, 1, ("a", "b", "c"))
    doings = [
        partial(ask, f"agent:{n}", several)
        if n % 3 == 0
        else partial(ports.take, host=host, owner=f"x:{n}", generation=1, name="web", now=NOW, expires_at=LATER)
        for n in range(60)
    ]
    answers = at_once(doings)
    assert [a for a in answers if not isinstance(a, Admitted | Blocked | Lease | ports.PortsExhausted)] == []
    assert any(isinstance(answer, Blocked) for answer in answers)
    for number in range(0, 60, 3):
        admitted = isinstance(answers[number], Admitted)
        assert len(leases.live(owner=f"agent:{number}", kind=Lease.Kind.PORT)) == (3 if admitted else 0)
        assert len(leases.live(owner=f"agent:{number}")) == (7 if admitted else 0)
