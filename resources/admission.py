"""Admission: reserve everything a berth needs on one host in one transaction, or say what is in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction

from resources import fleet, hosts, leases, ports, quotas, warm
from resources.models import Host, Lease
from resources.quotas import NOBODY, Party
from resources.sandboxes.protocol import Tier
from resources.volumes import admitting
from resources.volumes.wanted import Wanted, scratch_mb

Reason = dict[str, Any]  # {"kind": "memory", "host": "node-1", "needs_mb": 1536, "free_mb": 900, "of_mb": 4096}
_FULL_FOR_ALL = {"slots", "host_lost", "host_draining", "no_host", fleet.PAUSED}
_UNITS = {"slots": "", "memory": "_mb", "cpu": "_millis", "disk": "_mb", "ports": "", "uids": ""}


@dataclass(frozen=True, slots=True)
class Size:
    """What a berth needs: memory (MB), processor (thousandths of a core), disk (MB), named ports."""

    memory_mb: int
    cpu_millis: int
    disk_mb: int
    ports: tuple[str, ...] = ()

    def amounts(self) -> dict[str, int]:
        """What counts in a quota."""
        return {"slots": 1, "memory_mb": self.memory_mb, "cpu_millis": self.cpu_millis, "disk_mb": self.disk_mb}


@dataclass(frozen=True, slots=True)
class Admitted:
    """The host that took the berth, and in which size. Its leases are intents until the berth is real.

    ``warm``: the berth stands already; its container and workspace have changed hands.
    """

    host: Host
    size: Size
    warm: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why no host can take the berth now: structured reasons, one or more per host."""

    reasons: tuple[Reason, ...]

    @property
    def for_everyone(self) -> bool:
        """True when no host has a slot to give: whoever asks next is blocked as well."""
        return bool(self.reasons) and all(
            any(reason["kind"] in _FULL_FOR_ALL for reason in of_host) for of_host in self._by_host()
        )

    @property
    def shared(self) -> Blocked:
        """The part that is true of whoever asks."""
        return Blocked(tuple(reason for reason in self.reasons if reason["kind"] in _FULL_FOR_ALL))

    @property
    def by_quota(self) -> bool:
        """True when room is not the point: the user or the project holds what it may."""
        return any(reason["kind"] == "quota" for reason in self.reasons)

    @property
    def by_volume(self) -> bool:
        """True when a volume is in the way: it may be one of a project, and another project's agent need not wait."""
        return any(reason["kind"] in (admitting.HELD, admitting.NOT_LENT) for reason in self.reasons)

    @property
    def hosts_without_room(self) -> tuple[str, ...]:
        """Names of the hosts where something is missing that is lent to others now."""
        return tuple(dict.fromkeys(reason["host"] for reason in self.reasons if reason["kind"] in _UNITS))

    @property
    def curable(self) -> bool:
        """True when waiting can help: on some living host all that is missing is lent to others now."""
        return any(all(map(_is_lent, of_host)) for of_host in self._by_host())

    def _by_host(self) -> list[list[Reason]]:
        hosts_named = dict.fromkeys(reason.get("host") for reason in self.reasons)
        return [[reason for reason in self.reasons if reason.get("host") == name] for name in hosts_named]


def by_room() -> list[Host]:
    """All hosts, the emptiest first."""
    used = hosts.usages()
    return sorted(Host.objects.all(), key=lambda host: _room(host, used.get(host.pk, hosts.UNUSED)), reverse=True)


def admit(
    *,
    owner: str,
    generation: int,
    size: Size,
    minimum: Tier,
    now: datetime,
    expires_at: datetime,
    highest: Tier | None = None,
    least: Size | None = None,
    lighter: Size | None = None,
    party: Party = NOBODY,
    shape: str = "",
    only: Host | None = None,
    volumes: Sequence[Wanted] = (),
) -> Admitted | Blocked:
    """A berth of ``size``, else of as much as is free down to ``least``, else of the ``lighter`` size.

    Otherwise what stands in the way of the last that was tried. The host has a tier from ``minimum`` to ``highest``.
    Runs inside the caller's transaction. One of the warm berths of ``shape`` is taken first. ``only`` asks one host.
    ``volumes``: what the berth gets beside its workspace; its own count as disk. While the fleet is paused nobody is
    admitted.
    """
    if (pause := fleet.paused()) is not None:
        return Blocked((pause.as_reason(),))
    claim = _Claim(owner, generation, minimum, highest, party, now, expires_at, tuple(volumes))
    answer = _admit(claim, size, shape=shape, only=only)
    if isinstance(answer, Blocked) and least is not None and least != size:
        answer = _admit(claim, least, up_to=size, shape="", only=only)
    if isinstance(answer, Blocked) and lighter is not None and lighter != size:
        answer = _admit(claim, lighter, shape="", only=only)
    return answer


NO_HOST = Blocked(({"kind": "no_host", "detail": "no worker has registered a host yet"},))


@dataclass(frozen=True, slots=True)
class _Claim:
    """Who asks, on whose behalf, and for how long."""

    owner: str
    generation: int
    minimum: Tier
    highest: Tier | None
    party: Party
    now: datetime
    expires_at: datetime
    volumes: tuple[Wanted, ...] = ()

    def amounts(self, size: Size) -> dict[str, int]:
        """What counts in a quota and on the host: the size, and the disk of the berth's own volumes."""
        return {**size.amounts(), "disk_mb": size.disk_mb + scratch_mb(self.volumes)}


def _admit(
    claim: _Claim, size: Size, *, shape: str, only: Host | None, up_to: Size | None = None
) -> Admitted | Blocked:
    if refused := quotas.in_the_way(claim.party, claim.amounts(size)):
        return Blocked(tuple(refused))
    if shape:
        host = warm.take(
            shape=shape, owner=claim.owner, generation=claim.generation, party=claim.party, port_names=size.ports,
            now=claim.now, expires_at=claim.expires_at,
        )  # fmt: skip
        if host is not None:
            return Admitted(host, size, warm=True)
    return _on_some_host(claim, size, only=only, up_to=up_to)


def _on_some_host(claim: _Claim, size: Size, *, only: Host | None, up_to: Size | None = None) -> Admitted | Blocked:
    """Try the hosts, the emptiest first, each with its row locked.

    A host that cannot take the berth is rolled back at once, which unlocks it: askers meet the hosts in different
    orders and would wait for each other in a circle.
    """
    known = [only] if only else by_room()
    if not known:
        return NO_HOST
    reasons: list[Reason] = []
    for candidate in known:
        with transaction.atomic():
            # Not the key: a port that is checked outside of any transaction points at this row too.
            host = Host.objects.select_for_update(no_key=True).get(pk=candidate.pk)
            found = _in_the_way(host, claim, size=size)
            if not found:
                granted = _as_much_as_is_free(host, claim, least=size, most=up_to) if up_to else size
                try:
                    _reserve(host, claim, granted)
                except ports.PortsExhausted:
                    found = [_reason(host, "ports", needs=len(size.ports), free=0)]
                else:
                    return Admitted(host, granted)
            transaction.set_rollback(True)
        reasons += found
    return Blocked(tuple(reasons))


def _room(host: Host, taken: hosts.Usage) -> float:
    return 1 - max(taken.slots / max(host.slots, 1), taken.memory_mb / max(host.memory_mb, 1))


def _as_much_as_is_free(host: Host, claim: _Claim, *, least: Size, most: Size) -> Size:
    """Between the two; the least where more would pass a quota."""
    free = free_on(host)
    granted = replace(
        least,
        memory_mb=max(least.memory_mb, min(most.memory_mb, free["memory_mb"])),
        cpu_millis=max(least.cpu_millis, min(most.cpu_millis, free["cpu_millis"])),
        disk_mb=max(least.disk_mb, min(most.disk_mb, free["disk_mb"] - scratch_mb(claim.volumes))),
    )
    return least if quotas.in_the_way(claim.party, claim.amounts(granted)) else granted


def free_on(host: Host) -> dict[str, int]:
    """What the host could still lend, by the names that a size has."""
    taken = hosts.usage(host)
    return {
        "memory_mb": max(host.memory_mb - taken.memory_mb, 0),
        "cpu_millis": max(host.cpu_millis - taken.cpu_millis, 0),
        "disk_mb": max(host.disk_mb - taken.disk_mb, 0),
    }


def _in_the_way(host: Host, claim: _Claim, *, size: Size) -> list[Reason]:
    now = claim.now
    state = hosts.verdict(host, now=now)
    if state is not hosts.Verdict.ALIVE:
        since = host.draining_since if state is hosts.Verdict.DRAINING else host.heartbeat_at
        return [{"kind": f"host_{state}", "host": host.name, "since": since.isoformat() if since else None}]
    if not _offers(host, claim):
        return [{"kind": "isolation", "host": host.name, "needs": claim.minimum.value, **_for_volumes(host, claim)}]
    taken = hosts.usage(host)
    lent = _lent(host)
    resting = len(ports.resting(host, now=now)) if size.ports else 0
    needs = (
        ("slots", 1, lent["slots"] - taken.slots),
        ("memory", size.memory_mb, lent["memory"] - taken.memory_mb),
        ("cpu", size.cpu_millis, lent["cpu"] - taken.cpu_millis),
        ("disk", claim.amounts(size)["disk_mb"], lent["disk"] - taken.disk_mb),
        ("ports", len(size.ports), lent["ports"] - taken.ports - taken.squatted - resting),
        # A berth takes its user id when it is opened: every slot counts as one until then. Zero: none are needed there.
        ("uids", 1 if lent["uids"] else 0, lent["uids"] - taken.slots - taken.resting_uids),
    )
    # A host that lends less than it did has less than nothing left.
    found = [_reason(host, kind, needs=need, free=max(free, 0)) for kind, need, free in needs if need > max(free, 0)]
    return found + admitting.in_the_way(host, claim.volumes, owner=claim.owner)


def _for_volumes(host: Host, claim: _Claim) -> dict[str, str]:
    """Why it needs that much isolation, where it is for its volumes, and how this host would get it."""
    if not any(volume.mounted for volume in claim.volumes):
        return {}
    better = [
        f"for {entry['tier']}: {entry['remedy']}"
        for entry in host.facts.get("tiers", [])
        if not entry["available"] and Tier(entry["tier"]).strength >= Tier.PROCESS.strength and entry["remedy"]
    ]
    words = "its volumes have to be mounted, which takes the process or container tier"
    return {"detail": "; ".join((words, *better))}


def _lent(host: Host) -> dict[str, int]:
    return {
        "slots": host.slots,
        "memory": host.memory_mb,
        "cpu": host.cpu_millis,
        "disk": host.disk_mb,
        "ports": host.port_last - host.port_first + 1,
        "uids": host.facts.get("uids", 0),
    }


def _reason(host: Host, kind: str, *, needs: int, free: int) -> Reason:
    unit = _UNITS[kind]
    return {
        "kind": kind, "host": host.name, f"needs{unit}": needs, f"free{unit}": free, f"of{unit}": _lent(host)[kind],
    }  # fmt: skip


def _is_lent(reason: Reason) -> bool:
    """Whether the reason goes away as others leave; an entry without figures is someone else's turn in the queue."""
    unit = _UNITS.get(reason["kind"])
    if unit is None:
        return bool(reason["kind"] == "queue")
    return bool(reason[f"needs{unit}"] <= reason[f"of{unit}"])


def _offers(host: Host, claim: _Claim) -> bool:
    """Whether one of its tiers will do, of those that its operator has not capped away (MOORAGE_ISOLATION)."""
    if claim.minimum is Tier.BARE:
        return True
    caps = (Tier(host.facts.get("isolation") or Tier.CONTAINER), claim.highest or Tier.CONTAINER)
    most = min(tier.strength for tier in caps)
    tiers = [Tier(entry["tier"]) for entry in host.facts.get("tiers", []) if entry["available"]]
    return any(claim.minimum.strength <= tier.strength <= most for tier in tiers)


def _reserve(host: Host, claim: _Claim, size: Size) -> None:
    Lease.objects.bulk_create(
        leases.intend(
            host=host, kind=Lease.Kind(quotas.AMOUNTS[name]), amount=amount, owner=claim.owner,
            generation=claim.generation, now=claim.now, expires_at=claim.expires_at, party=claim.party,
        )
        for name, amount in claim.amounts(size).items()
    )  # fmt: skip
    admitting.reserve(
        host, [volume for volume in claim.volumes if volume.key], owner=claim.owner, generation=claim.generation,
        now=claim.now, expires_at=claim.expires_at,
    )  # fmt: skip
    for name in size.ports:
        ports.reserve(
            host=host, owner=claim.owner, generation=claim.generation, name=name, now=claim.now,
            expires_at=claim.expires_at,
        )  # fmt: skip
