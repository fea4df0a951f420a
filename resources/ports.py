"""Ports: a row under the unique constraint first, a bind check second. Never the other way round."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from datetime import datetime

from django.db import IntegrityError, transaction

from events.faults import Fault, FaultClass
from resources import leases
from resources.models import Host, Lease

ATTEMPTS = 64  # rows tried before giving up; each one is a number that somebody else took in the same moment


class PortsExhausted(Fault):
    """The host has no free port left."""

    fault_class = FaultClass.RESOURCE
    code = "ports.exhausted"
    remedy = "Widen MOORAGE_PORT_RANGE, or stop agents that hold ports."


def reserve(
    *, host: Host, owner: str, generation: int, name: str, now: datetime, expires_at: datetime
) -> Lease:
    """An intent row for some free port of the host, whoever else asks at the same time. Raises PortsExhausted."""
    for number in _candidates(host):
        lease = leases.intend(
            host=host, kind=Lease.Kind.PORT, key=str(number), name=name, owner=owner, generation=generation,
            now=now, expires_at=expires_at,
        )  # fmt: skip
        try:
            with transaction.atomic():
                lease.save(force_insert=True)
        except IntegrityError:
            continue  # another owner inserted it first
        return lease
    raise PortsExhausted(f"no free port in {host.port_first}-{host.port_last} of {host.name}", host=host.name)


def confirm(*, lease: Lease, now: datetime) -> Lease:
    """Check on this machine that nobody else listens on the reserved port; else note the squatter and take another.

    Call it on the lease's own host, outside a transaction. Returns the lease that is held in the end.
    """
    for _ in range(ATTEMPTS):
        if bindable(int(lease.key)):
            Lease.objects.filter(pk=lease.pk, state=Lease.State.INTENT).update(state=Lease.State.HELD)
            lease.state = Lease.State.HELD
            return lease
        Lease.objects.filter(pk=lease.pk).update(
            state=Lease.State.SQUATTED, detail={"seen_at": now.isoformat(), "wanted_by": lease.owner}
        )
        lease = reserve(
            host=lease.host, owner=lease.owner, generation=lease.generation, name=lease.name, now=now,
            expires_at=lease.expires_at,
        )  # fmt: skip
    raise PortsExhausted(f"{ATTEMPTS} ports of {lease.host.name} in a row are used by strangers", host=lease.host.name)


def take(*, host: Host, owner: str, generation: int, name: str, now: datetime, expires_at: datetime) -> Lease:
    """Reserve and confirm: a held port of this machine."""
    lease = reserve(host=host, owner=owner, generation=generation, name=name, now=now, expires_at=expires_at)
    return confirm(lease=lease, now=now)


def bindable(number: int) -> bool:
    """Whether the port can be bound on all IPv4 addresses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("0.0.0.0", number))  # noqa: S104 - bound for a moment to see whether anybody has it
        except OSError:
            return False
    return True


def _candidates(host: Host) -> Iterator[int]:
    blocking = [*Lease.LIVE, Lease.State.SQUATTED]
    taken = {
        int(key)
        for key in Lease.objects.filter(host=host, kind=Lease.Kind.PORT, state__in=blocking).values_list("key", flat=True)
    }
    free = [number for number in range(host.port_first, host.port_last + 1) if number not in taken]
    # Random order: askers at the same moment mostly try different numbers.
    return iter(random.sample(free, min(len(free), ATTEMPTS)))
