"""Admission: reserve everything a berth needs on one host in one transaction, or say what is in the way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from resources import hosts, leases, ports
from resources.models import Host, Lease
from resources.sandboxes.protocol import Tier

Reason = dict[str, Any]  # {"kind": "memory", "host": "node-1", "needs_mb": 1536, "free_mb": 900}


@dataclass(frozen=True, slots=True)
class Size:
    """What a berth needs: memory (MB), processor (thousandths of a core), disk (MB), named ports."""

    memory_mb: int
    cpu_millis: int
    disk_mb: int
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Admitted:
    """The host that took the berth. Its leases are intents until the berth is real."""

    host: Host


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why no host can take the berth now: structured reasons, one or more per host."""

    reasons: tuple[Reason, ...]

    @property
    def for_everyone(self) -> bool:
        """True when no slot is free anywhere: whoever asks next is blocked as well."""
        return all(reason["kind"] in {"slots", "host_lost", "host_draining"} for reason in self.reasons)


def admit(
    *, owner: str, generation: int, size: Size, minimum: Tier, now: datetime, expires_at: datetime
) -> Admitted | Blocked:
    """Try the hosts, the emptiest first. Runs inside the caller's transaction, with the host row locked."""
    reasons: list[Reason] = []
    known = sorted(Host.objects.all(), key=lambda host: _room(host, hosts.usage(host)), reverse=True)
    if not known:
        return Blocked(({"kind": "no_host", "detail": "no worker has registered a host yet"},))
    for candidate in known:
        with transaction.atomic():
            host = Host.objects.select_for_update().get(pk=candidate.pk)
            found = _in_the_way(host, size=size, minimum=minimum, now=now)
            if not found:
                _reserve(host, owner=owner, generation=generation, size=size, now=now, expires_at=expires_at)
                return Admitted(host)
        reasons += found
    return Blocked(tuple(reasons))


def _room(host: Host, taken: hosts.Usage) -> float:
    return 1 - max(taken.slots / max(host.slots, 1), taken.memory_mb / max(host.memory_mb, 1))


def _in_the_way(host: Host, *, size: Size, minimum: Tier, now: datetime) -> list[Reason]:
    state = hosts.verdict(host, now=now)
    if state is not hosts.Verdict.ALIVE:
        since = host.draining_since if state is hosts.Verdict.DRAINING else host.heartbeat_at
        return [{"kind": f"host_{state}", "host": host.name, "since": since.isoformat() if since else None}]
    if not _offers(host, minimum):
        return [{"kind": "isolation", "host": host.name, "needs": minimum.value}]
    taken = hosts.usage(host)
    needs = (
        ("slots", "", 1, host.slots - taken.slots),
        ("memory", "_mb", size.memory_mb, host.memory_mb - taken.memory_mb),
        ("cpu", "_millis", size.cpu_millis, host.cpu_millis - taken.cpu_millis),
        ("disk", "_mb", size.disk_mb, host.disk_mb - taken.disk_mb),
        ("ports", "", len(size.ports), host.port_last - host.port_first + 1 - taken.ports),
    )
    return [
        {"kind": kind, "host": host.name, f"needs{unit}": needed, f"free{unit}": free}
        for kind, unit, needed, free in needs
        if needed > free
    ]


def _offers(host: Host, minimum: Tier) -> bool:
    if minimum is Tier.BARE:
        return True
    return any(
        entry["available"] and Tier(entry["tier"]).strength >= minimum.strength for entry in host.facts.get("tiers", [])
    )


def _reserve(host: Host, *, owner: str, generation: int, size: Size, now: datetime, expires_at: datetime) -> None:
    kind = Lease.Kind
    amounts = (
        (kind.SLOT, 1),
        (kind.MEMORY, size.memory_mb),
        (kind.CPU, size.cpu_millis),
        (kind.DISK, size.disk_mb),
    )
    Lease.objects.bulk_create(
        leases.intend(
            host=host, kind=which, amount=amount, owner=owner, generation=generation, now=now, expires_at=expires_at
        )
        for which, amount in amounts
    )
    for name in size.ports:
        ports.reserve(host=host, owner=owner, generation=generation, name=name, now=now, expires_at=expires_at)
