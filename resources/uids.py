"""User ids lent to berths where the service is root, so that no two berths of a host are the same user."""

from __future__ import annotations

import os
from datetime import datetime

from django.conf import settings

from events.faults import Fault, FaultClass
from resources import leases, numbers
from resources.models import Host, Lease


class UidsExhausted(Fault):
    """The host has no free user id left."""

    fault_class = FaultClass.RESOURCE
    code = "uids.exhausted"
    remedy = "Widen MOORAGE_UID_RANGE, or stop agents."


def reserve(*, host: Host, owner: str, generation: int, now: datetime, expires_at: datetime) -> Lease:
    """An intent row for a user id that no other live owner of this host has. Raises UidsExhausted."""
    first, last = settings.UID_RANGE
    lease = numbers.reserve(
        host=host, kind=Lease.Kind.UID, among=range(first, last + 1), owner=owner, generation=generation, now=now,
        expires_at=expires_at,
    )  # fmt: skip
    if lease is None:
        raise UidsExhausted(f"no free user id in {first}-{last} of {host.name}", host=host.name)
    return lease


def own(*, host: Host, owner: str, generation: int, now: datetime, expires_at: datetime) -> int | None:
    """The owner's own user id, leased where the service is root and can give it one; the same one when asked again."""
    if os.geteuid() != 0:
        return None
    held = leases.live(owner=owner, kind=Lease.Kind.UID, generation=generation)  # left by an attempt that was killed
    lease = held[0] if held else reserve(
        host=host, owner=owner, generation=generation, now=now, expires_at=expires_at
    )  # fmt: skip
    return int(lease.key)
