"""Hosts: registering, beating, draining, and what of their capacity is taken."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, Sum

from events.faults import Fault
from events.journal import record
from events.models import Event
from resources import workspaces
from resources.models import Host, Lease
from resources.sandboxes import selection
from resources.volumes import wanted

BEAT_S = 10.0


class HostNotFound(Fault):
    """No host has this name or id."""

    code = "host.not_found"
    http_status = 404
    remedy = "`moorage host list` shows the hosts that have registered."


class Verdict(StrEnum):
    """Whether a host can be counted on now; derived, never stored."""

    ALIVE = "alive"
    DRAINING = "draining"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a host lends: berths, memory (MB), processor (thousandths of a core), disk (MB), ports (inclusive)."""

    slots: int
    memory_mb: int
    cpu_millis: int
    disk_mb: int
    port_first: int
    port_last: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What live leases reserve of a host, in the units of :class:`Capacity`; ``ports`` is a count.

    ``squatted`` counts the ports of its range that strangers use, ``resting_uids`` the user ids that are not clean.
    """

    slots: int
    memory_mb: int
    cpu_millis: int
    disk_mb: int
    ports: int
    squatted: int = 0
    resting_uids: int = 0


def own_capacity(*, workspaces: Path) -> Capacity:
    """What this machine lends by its settings; a zero means the default that the settings page names."""
    cores = os.cpu_count() or 1
    total_mb = psutil.virtual_memory().total // 2**20
    free_disk_mb = shutil.disk_usage(workspaces).free // 2**20
    first, last = settings.PORT_RANGE
    return Capacity(
        slots=settings.HOST_SLOTS or cores * 2,
        memory_mb=settings.HOST_MEMORY_MB or total_mb * 3 // 4,
        cpu_millis=settings.HOST_CPU_MILLIS or cores * 2000,
        disk_mb=settings.HOST_DISK_MB or free_disk_mb // 2,
        port_first=first,
        port_last=last,
    )


def own_facts(*, workspaces: Path) -> dict[str, Any]:
    """What this machine is like now: tiers with reasons and the operator's cap on them, load, memory and disk (MB)."""
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(workspaces)
    return {
        "tiers": [
            {"tier": a.tier.value, "available": a.available, "reason": a.reason, "remedy": a.remedy}
            for a in selection.availabilities()
        ],
        "isolation": settings.ISOLATION,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "memory_total_mb": memory.total // 2**20,
        "memory_free_mb": memory.available // 2**20,
        "disk_free_mb": disk.free // 2**20,
        "workspaces": _workspaces(),
        "volumes": wanted.grants(),
        "uids": settings.UID_RANGE[1] - settings.UID_RANGE[0] + 1 if os.geteuid() == 0 else 0,
    }


def _workspaces() -> dict[str, str]:
    try:
        offer = workspaces.offer()
    except Fault as fault:
        return {"kind": "none", "reason": fault.detail}
    return {"kind": offer.kind.value, "reason": offer.reason}


def capacity_of(host: Host) -> dict[str, int]:
    """What a host lends, by the names of :class:`Usage`: its ports are a count."""
    ports = host.port_last - host.port_first + 1
    return {name: getattr(host, name) for name in ("slots", "memory_mb", "cpu_millis", "disk_mb")} | {"ports": ports}


def register(*, name: str, capacity: Capacity, facts: dict[str, Any], now: datetime) -> Host:
    """Make or update the row of a host that starts. Disk capacity is kept: free disk changes with what we hold.

    The workers of one host start together: whoever comes second updates the row of the first.
    """
    fields: dict[str, Any] = {
        "slots": capacity.slots,
        "memory_mb": capacity.memory_mb,
        "cpu_millis": capacity.cpu_millis,
        "port_first": capacity.port_first,
        "port_last": capacity.port_last,
    }
    with transaction.atomic():
        host = _locked(name=name)
        if host is None:
            host = Host(name=name, disk_mb=capacity.disk_mb, **fields)
            try:
                with transaction.atomic():
                    host.save(force_insert=True)
            except IntegrityError:
                first = _locked(name=name)
                if first is None:
                    raise  # not the name: its figures are nonsense
                host = first
        for field, value in fields.items():
            setattr(host, field, value)
        if settings.HOST_DISK_MB:
            host.disk_mb = capacity.disk_mb
        host.facts, host.heartbeat_at = facts, now
        host.save()
        record("host.registered", topic(host), actor=f"worker:{name}", host=name, **fields, disk_mb=host.disk_mb)
    return host


def beat(*, name: str, facts: dict[str, Any], now: datetime) -> bool:
    """Note that the host is alive. False when its row is gone and it must register again."""
    return bool(Host.objects.filter(name=name).update(heartbeat_at=now, facts=facts))


def drain(*, host_id: Any, actor: str, reason: str, now: datetime) -> None:
    """Take no new berths on this host. Draining twice changes nothing."""
    _set_draining(host_id, since=now, kind="host.draining", actor=actor, reason=reason)


def undrain(*, host_id: Any, actor: str, reason: str) -> None:
    """Take new berths again."""
    _set_draining(host_id, since=None, kind="host.undrained", actor=actor, reason=reason)


def _set_draining(host_id: Any, *, since: datetime | None, kind: str, actor: str, reason: str) -> None:
    with transaction.atomic():
        host = _locked(pk=host_id)
        if host is None:
            raise HostNotFound(f"there is no host {host_id}")
        if (host.draining_since is None) == (since is None):
            return
        host.draining_since = since
        host.save(update_fields=["draining_since"])
        record(kind, topic(host), actor=actor, reason=reason)


def _locked(**which: Any) -> Host | None:
    """The host with its row locked; rows that point at it may be inserted meanwhile, or two askers could deadlock."""
    return Host.objects.select_for_update(no_key=True).filter(**which).first()


def verdict(host: Host, *, now: datetime) -> Verdict:
    """Alive, draining, or lost because its last heartbeat is older than MOORAGE_HOST_TTL_S."""
    if host.heartbeat_at is None or now - host.heartbeat_at > timedelta(seconds=settings.HOST_TTL_S):
        return Verdict.LOST
    return Verdict.DRAINING if host.draining_since else Verdict.ALIVE


def note_lost(*, now: datetime) -> int:
    """Record each host that has fallen silent, once, with what it holds. Returns how many are new."""
    noted = 0
    silent = Host.objects.filter(heartbeat_at__lt=now - timedelta(seconds=settings.HOST_TTL_S))
    for host in silent:
        with transaction.atomic():
            current = _locked(pk=host.pk)
            if current is None or verdict(current, now=now) is not Verdict.LOST or _is_noted(current):
                continue
            owners = Lease.objects.filter(host=current, kind=Lease.Kind.SLOT, state__in=Lease.LIVE)
            held = sorted(set(owners.values_list("owner", flat=True)))
            record(
                "host.lost", topic(current), actor="system", host=current.name, held=held[:100],
                reason=f"its worker was last heard at {current.heartbeat_at:%H:%M:%S} UTC; it held {len(held)} berths",
            )  # fmt: skip
            noted += 1
    return noted


def _is_noted(host: Host) -> bool:
    return Event.objects.filter(kind="host.lost", topic=topic(host), created_at__gte=host.heartbeat_at).exists()


def usage(host: Host) -> Usage:
    """The sum of live leases, by one query."""
    return usages(host=host).get(host.pk, UNUSED)


UNUSED = Usage(slots=0, memory_mb=0, cpu_millis=0, disk_mb=0, ports=0)


def usages(**only: Any) -> dict[Any, Usage]:
    """The same of every host of which anything is taken, by one query for all. Keys are host ids."""
    live = Q(state__in=Lease.LIVE)
    kind = Lease.Kind
    squatted = Q(state=Lease.State.SQUATTED)
    totals = (
        Lease.objects.filter(live | squatted, **only)
        .order_by()
        .values("host_id")
        .annotate(
            slots=Sum("amount", filter=live & Q(kind=kind.SLOT)),
            memory_mb=Sum("amount", filter=live & Q(kind=kind.MEMORY)),
            cpu_millis=Sum("amount", filter=live & Q(kind=kind.CPU)),
            disk_mb=Sum("amount", filter=live & Q(kind=kind.DISK)),
            ports=Count("id", filter=live & Q(kind=kind.PORT)),
            squatted=Count("id", filter=squatted & Q(kind=kind.PORT)),
            resting_uids=Count("id", filter=squatted & Q(kind=kind.UID)),
        )
    )
    return {
        row["host_id"]: Usage(
            slots=row["slots"] or 0,
            memory_mb=row["memory_mb"] or 0,
            cpu_millis=row["cpu_millis"] or 0,
            disk_mb=row["disk_mb"] or 0,
            ports=row["ports"],
            squatted=row["squatted"],
            resting_uids=row["resting_uids"],
        )
        for row in totals
    }


def topic(host: Host) -> str:
    """The host's stream in the journal."""
    return f"host.{host.pk}"
