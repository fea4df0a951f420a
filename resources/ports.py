"""Ports: a row under the unique constraint first, a bind check second. Never the other way round."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from events.faults import Fault, FaultClass
from events.journal import record
from resources import hosts, leases, numbers
from resources.models import Host, Lease

ATTEMPTS = 64  # squatted ports in a row before it is no coincidence any more
SQUATTER_REST = timedelta(minutes=10)  # so long a squatted port is left alone before it is looked at again


class PortsExhausted(Fault):
    """The host has no free port left."""

    fault_class = FaultClass.RESOURCE
    code = "ports.exhausted"
    remedy = "Widen MOORAGE_PORT_RANGE, or stop agents that hold ports."


def reserve(*, host: Host, owner: str, generation: int, name: str, now: datetime, expires_at: datetime) -> Lease:
    """An intent row for some free port of the host, whoever else asks at the same time. Raises PortsExhausted."""
    lease = numbers.reserve(
        host=host, kind=Lease.Kind.PORT, among=range(host.port_first, host.port_last + 1), name=name, owner=owner,
        generation=generation, now=now, expires_at=expires_at, resting=resting(host, now=now),
    )  # fmt: skip
    if lease is None:
        raise PortsExhausted(f"no free port in {host.port_first}-{host.port_last} of {host.name}", host=host.name)
    return lease


def resting(host: Host, *, now: datetime) -> set[int]:
    """Ports of the host that were given back so shortly ago that what spoke to them may speak to them still."""
    since = now - timedelta(seconds=settings.PORT_QUARANTINE_S)
    given_back = Lease.objects.filter(host=host, kind=Lease.Kind.PORT, released_at__gt=since)
    # One that a stranger had has rested already, and nobody of ours ever listened there.
    return {int(key) for key, detail in given_back.values_list("key", "detail") if "seen_at" not in detail}


def confirm(*, lease: Lease, now: datetime) -> Lease:
    """Check on this machine that nobody else listens on the reserved port; else note the squatter and take another.

    Call it on the lease's own host, outside a transaction. Returns the lease that is held in the end. Raises
    PortsExhausted, and LeaseLost when the lease was released in the meantime.
    """
    for _ in range(ATTEMPTS):
        if bindable(int(lease.key)):
            _become(lease, Lease.State.HELD)
            return lease
        _note_squatter(lease, now=now)
        lease = reserve(
            host=lease.host, owner=lease.owner, generation=lease.generation, name=lease.name, now=now,
            expires_at=lease.expires_at,
        )  # fmt: skip
    _become(lease, Lease.State.RELEASED, released_at=now)
    raise PortsExhausted(f"{ATTEMPTS} ports of {lease.host.name} in a row are used by strangers", host=lease.host.name)


def take(*, host: Host, owner: str, generation: int, name: str, now: datetime, expires_at: datetime) -> Lease:
    """Reserve and confirm: a held port of this machine."""
    lease = reserve(host=host, owner=owner, generation=generation, name=name, now=now, expires_at=expires_at)
    return confirm(lease=lease, now=now)


def recheck_on(host_name: str, *, now: datetime) -> int:
    """:func:`recheck` for the host of this name; nothing for one that has not registered."""
    host = Host.objects.filter(name=host_name).first()
    return recheck(host, now=now) if host else 0


def recheck(host: Host, *, now: datetime) -> int:
    """Give squatted ports back that can be bound again, on their own host, after a rest. Returns how many.

    The rest keeps a program that comes and goes from being met again and again.
    """
    squatted = Lease.objects.filter(host=host, kind=Lease.Kind.PORT, state=Lease.State.SQUATTED)
    rested = [row for row in squatted if now - datetime.fromisoformat(row.detail["seen_at"]) >= SQUATTER_REST]
    freed = [row.pk for row in rested if bindable(int(row.key))]
    if not freed:
        return 0
    with transaction.atomic():
        count = squatted.filter(pk__in=freed).update(state=Lease.State.RELEASED, released_at=now)
        if count:
            record("host.capacity_freed", hosts.topic(host), actor="system", reason="squatters left", ports=count)
    return count


def bindable(number: int) -> bool:
    """Whether the port can be bound on all IPv4 addresses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection that lingers in TIME_WAIT keeps nobody from listening, and is no squatter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", number))  # noqa: S104 - bound for a moment to see whether anybody has it
        except OSError:
            return False
    return True


def _note_squatter(lease: Lease, *, now: datetime) -> None:
    with transaction.atomic():
        _become(lease, Lease.State.SQUATTED, detail={"seen_at": now.isoformat(), "wanted_by": lease.owner})
        record("host.port_squatted", hosts.topic(lease.host), actor="system", port=int(lease.key), owner=lease.owner)


def _become(lease: Lease, state: Lease.State, **fields: object) -> None:
    """By compare-and-swap: a lease that was released while we looked stays released."""
    same = Lease.objects.filter(pk=lease.pk, owner=lease.owner, generation=lease.generation, state__in=Lease.LIVE)
    if not same.update(state=state, **fields):
        raise leases.LeaseLost(f"port {lease.key} of {lease.host.name} was released while it was checked")
    lease.state = state
