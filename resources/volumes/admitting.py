"""Volumes at admission: what stands in the way on one host, and the leases of what is kept there.

Who writes to a kept volume holds the lease of its key, of which a host has one; who reads holds one of their own beside
it. So two agents never write to the same, and nobody takes away what somebody has mounted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from events.faults import Fault, FaultClass
from resources import leases
from resources.models import Host, Lease
from resources.volumes.wanted import Kind, Wanted, beneath_one_of

HELD, NOT_LENT = "volume_held", "volume_not_lent"


class VolumeNotReserved(Fault):
    """The berth asks for a volume that was not reserved for it: its template has changed since."""

    fault_class = FaultClass.TRANSIENT
    code = "volume.not_reserved"
    remedy = "Retry: the template is read anew, and what it asks is reserved."


def in_the_way(host: Host, volumes: Sequence[Wanted], *, owner: str) -> list[dict[str, Any]]:
    """Why this host cannot give these volumes now: one reason for each that it cannot."""
    found = [reason for volume in volumes for reason in _not_lent(host, volume)]
    writers = {volume.key: volume for volume in volumes if volume.is_exclusive}
    if writers:
        taken = Lease.objects.filter(host=host, kind=Lease.Kind.VOLUME, key__in=writers, state__in=Lease.LIVE)
        found += [_held(host, writers[lease.key], lease) for lease in taken.exclude(owner=owner).order_by("key")]
    return found


def keys(volumes: Sequence[Wanted], *, owner: str) -> list[tuple[str, Wanted]]:
    """The keys of the leases that the owner needs."""
    own = owner.partition(":")[2]
    return [(one.key if one.is_exclusive else f"{one.key} read by {own}", one) for one in volumes if one.key]


def reserve(
    host: Host, volumes: Sequence[Wanted], *, owner: str, generation: int, now: datetime, expires_at: datetime
) -> None:
    """The intents, inside the caller's transaction, with the host's row locked. The same volume twice is one lease."""
    wanted = dict(keys(volumes, owner=owner))
    rows = [
        leases.intend(
            host=host, kind=Lease.Kind.VOLUME, key=key, name=volume.name, owner=owner, generation=generation, now=now,
            expires_at=expires_at,
        )
        for key, volume in wanted.items()
    ]  # fmt: skip
    for row, volume in zip(rows, wanted.values(), strict=True):
        row.detail = {"target": volume.target, "writes": volume.is_exclusive}
    Lease.objects.bulk_create(rows)


def check_reserved(volumes: Sequence[Wanted], *, owner: str, generation: int) -> None:
    """Before they are made: raises VolumeNotReserved."""
    held = {row.key for row in leases.live(owner=owner, kind=Lease.Kind.VOLUME, generation=generation)}
    missing = [volume for key, volume in keys(volumes, owner=owner) if key not in held]
    if missing:
        names = ", ".join(f"{volume.kind} {volume.name}" for volume in missing)
        raise VolumeNotReserved(f"not reserved for this berth: {names}")


def _not_lent(host: Host, volume: Wanted) -> Iterator[dict[str, Any]]:
    granted = host.facts.get("volumes", {})
    shared: dict[str, str] = granted.get("shared", {})
    what = volume.name or volume.source
    words = ""
    if volume.kind is Kind.CACHE and not volume.key:
        words = "a cache belongs to a project, and this agent has none"
    elif volume.kind is Kind.HOST and not beneath_one_of(volume.source, granted.get("sources", ())):
        words = "its operator does not lend this directory (MOORAGE_VOLUME_SOURCES)"
    elif volume.kind is Kind.SHARED and volume.name not in shared:
        words = "its operator declares no such shared volume (MOORAGE_SHARED_VOLUMES)"
    elif volume.kind is Kind.SHARED and volume.is_exclusive and shared[volume.name] != "rw":
        words = "its operator lends it to be read only (MOORAGE_SHARED_VOLUMES, NAME:rw)"
    if words:
        yield {"kind": NOT_LENT, "host": host.name, "volume": what, "detail": f"volume {what} on {host.name}: {words}"}


def _held(host: Host, volume: Wanted, lease: Lease) -> dict[str, Any]:
    since = lease.created_at.isoformat()
    words = f"volume {volume.name} on {host.name}: {lease.owner} writes to it since {since[11:19]} UTC"
    return {
        "kind": HELD, "host": host.name, "volume": volume.name, "held_by": lease.owner, "since": since, "detail": words,
    }  # fmt: skip
