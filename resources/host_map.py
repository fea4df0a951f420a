"""A host as its page draws it: how full it is, and the map of who holds what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from resources import hosts, samples
from resources.models import Host, Lease
from resources.samples import Point


@dataclass(frozen=True, slots=True)
class Bar:
    """One resource of a host: what live leases reserve of what it lends."""

    label: str
    used: int
    capacity: int
    unit: str = ""
    per: int = 1  # how many of it make one unit

    @property
    def nearly_full(self) -> int:
        """From here on the bar is drawn as a warning."""
        return self.capacity * 85 // 100

    @property
    def words(self) -> str:
        return (
            f"{self.used / self.per:,g} of {self.capacity / self.per:,g}{self.unit}"
            if self.per > 1
            else (f"{self.used:,} of {self.capacity:,}{self.unit}")
        )


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds what of a host, and what of it is used. ``agent`` is None for an owner that is no agent."""

    owner: str
    agent: Any
    leases: tuple[Lease, ...]
    measured: Point | None
    host: Host

    def _sum(self, kind: Lease.Kind) -> int:
        return sum(lease.amount for lease in self.leases if lease.kind == kind)

    @property
    def work(self) -> list[Any]:
        """The operations that run in it; their room is above this one."""
        return [one for one in self.agent.operations.all() if one.completed_at is None] if self.agent else []

    @property
    def slots(self) -> int:
        return self._sum(Lease.Kind.SLOT)

    @property
    def memory_mb(self) -> int:
        return self._sum(Lease.Kind.MEMORY)

    @property
    def cpu_millis(self) -> int:
        return self._sum(Lease.Kind.CPU)

    @property
    def disk_mb(self) -> int:
        return self._sum(Lease.Kind.DISK)

    @property
    def ports(self) -> list[Lease]:
        return [lease for lease in self.leases if lease.kind == Lease.Kind.PORT]

    @property
    def things(self) -> list[Lease]:
        """What exactly it holds besides amounts and ports: directories, containers, processes."""
        return [lease for lease in self.leases if lease.key and lease.kind != Lease.Kind.PORT]

    @property
    def weight(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Whoever weighs most stands first: by what is measured, else by what is reserved."""
        return weight_of(self.measured, self.host), _weight(self.cpu_millis, self.memory_mb, self.host)


def weight_of(used: Point | None, host: Host | None) -> tuple[float, float]:
    """How much of the host is used: of whichever it is more, processor or memory; then of both. 0 unmeasured."""
    return (0.0, 0.0) if used is None or host is None else _weight(used.cpu_millis or 0, used.memory_mb or 0, host)


def _weight(cpu_millis: int, memory_mb: int, host: Host) -> tuple[float, float]:
    shares = cpu_millis / max(host.cpu_millis, 1), memory_mb / max(host.memory_mb, 1)
    return max(shares), sum(shares)


def bars(host: Host, used: hosts.Usage) -> tuple[Bar, ...]:
    """The host's capacity bars, in the units that people read."""
    return (
        Bar("Berths", used.slots, host.slots),
        Bar("Memory", used.memory_mb, host.memory_mb, " MB"),
        Bar("Processor", used.cpu_millis, host.cpu_millis, " cores", per=1000),
        Bar("Disk", used.disk_mb, host.disk_mb, " MB"),
        Bar("Ports", used.ports, host.port_last - host.port_first + 1),
    )


def holders(host: Host, *, now: datetime) -> list[Holder]:
    """Who holds something of the host, the heaviest first: four queries."""
    rows = Lease.objects.filter(host=host, state__in=Lease.LIVE).order_by("owner", "kind", "key")
    measured = samples.of_berths(now=now, host_id=host.pk)
    here = host.agents.exclude(state="stopped")  # type: ignore[attr-defined] # a room above
    agents = {agent.owner: agent for agent in here.defer("resolved").prefetch_related("operations")}
    found = [
        Holder(owner, agents.get(owner), tuple(theirs), measured.get(owner), host)
        for owner, theirs in groupby(rows, key=lambda lease: lease.owner)
    ]
    return sorted(found, key=lambda holder: holder.weight, reverse=True)
