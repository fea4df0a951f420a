"""Warm berths: containers that stand ready before anybody asks for one, each used once.

A warm berth is nothing but leases whose owner is ``warm:<id>``: slot, memory, processor and disk, so that it counts in
what the host lends, and its container, directory and user id. The container's lease says what it is: its ``name`` is
the shape (a digest of all that makes containers alike), and held means ready. Who takes it becomes the owner of those
very leases by one compare-and-swap; the container and the workspace keep the names they were made with, and the
directory's lease says which. Who retires it takes the shape away, so that nobody takes it any more.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from events.journal import record
from resources import hosts, leases, ports
from resources.models import Host, Lease
from resources.quotas import Party

_PREFIX = "warm:"
_COUNTED = (Lease.Kind.SLOT, Lease.Kind.MEMORY, Lease.Kind.CPU, Lease.Kind.DISK)


def new_owner() -> str:
    """How one warm berth signs its leases."""
    return f"{_PREFIX}{uuid.uuid4()}"


def key_of(owner: str) -> str:
    """What its workspace is called."""
    return f"{owner.removeprefix(_PREFIX)}-1"


def take(
    *,
    shape: str,
    owner: str,
    generation: int,
    party: Party,
    port_names: Sequence[str],
    now: datetime,
    expires_at: datetime,
) -> Host | None:
    """Make a ready berth of this shape, on a living host, the owner's. None when there is none. In a transaction."""
    for berth in _ready().filter(name=shape).select_related("host").order_by("created_at"):
        if hosts.verdict(berth.host, now=now) is not hosts.Verdict.ALIVE:
            continue
        try:
            with transaction.atomic():
                host = Host.objects.select_for_update(no_key=True).get(pk=berth.host_id)
                if not _ready().filter(pk=berth.pk).update(owner=owner, generation=generation, name=""):
                    continue  # somebody else has it
                theirs = Lease.objects.filter(owner=berth.owner, state__in=Lease.LIVE)
                theirs.filter(kind__in=_COUNTED).update(for_user=party.user, for_project=party.project)
                theirs.update(owner=owner, generation=generation, expires_at=expires_at)
                for name in port_names:
                    ports.reserve(
                        host=host, owner=owner, generation=generation, name=name, now=now, expires_at=expires_at
                    )
        except ports.PortsExhausted:
            continue
        return host
    return None


def reference(*, owner: str, generation: int) -> dict[str, Any] | None:
    """The sandbox of a warm berth that this owner has taken; None when it has taken none."""
    for lease in leases.live(owner=owner, kind=Lease.Kind.DIRECTORY, generation=generation):
        if found := lease.detail.get("sandbox"):
            return dict(found)
    return None


def counts(host: Host) -> Counter[str]:
    """How many warm berths of each shape the host has, ready or being made."""
    return Counter(_warm(host).exclude(name="").values_list("name", flat=True))


def ready(*, owner: str, shape: str, reference: dict[str, Any]) -> bool:
    """It stands. False when it was retired while it was made: then it is its maker's to clear."""
    with transaction.atomic():
        directory = Lease.objects.filter(owner=owner, kind=Lease.Kind.DIRECTORY, state__in=Lease.LIVE).first()
        if directory is None:
            return False
        directory.detail = {**directory.detail, "sandbox": reference}
        directory.save(update_fields=["detail"])
        made = Lease.objects.filter(owner=owner, kind=Lease.Kind.CONTAINER, name=shape, state=Lease.State.INTENT)
        if not made.update(state=Lease.State.HELD):
            return False
        leases.hold(owner=owner, generation=1)
    return True


def renew(host: Host, *, expires_at: datetime) -> int:
    """Ready ones stay. One that is being made or cleared by somebody who died runs out and is swept."""
    owners = list(_warm(host).filter(state=Lease.State.HELD).exclude(name="").values_list("owner", flat=True))
    return leases.renew(owners=owners, expires_at=expires_at)


def standing(host: Host) -> list[tuple[str, dict[str, Any]]]:
    """(owner, sandbox reference) of each that is ready."""
    owners = _warm(host).filter(state=Lease.State.HELD).exclude(name="").values_list("owner", flat=True)
    rows = Lease.objects.filter(owner__in=list(owners), kind=Lease.Kind.DIRECTORY, state__in=Lease.LIVE)
    return [(row.owner, row.detail["sandbox"]) for row in rows if "sandbox" in row.detail]


def bury(host: Host, owners: Sequence[str]) -> int:
    """These were found dead: nobody takes them any more."""
    return _ready().filter(host=host, owner__in=owners).update(name="") if owners else 0


def retire(host: Host, *, keep: dict[str, int], reason: str, actor: str, most: int | None = None) -> list[str]:
    """Take the oldest of what is above ``keep`` per shape out of use; returns their owners. Its host clears them."""
    left = dict(keep)
    above: list[Lease] = []
    for berth in _warm(host).filter(state=Lease.State.HELD).exclude(name="").order_by("-created_at"):
        if left.get(berth.name, 0) > 0:
            left[berth.name] -= 1
        else:
            above.append(berth)
    with transaction.atomic():
        oldest_first = above[::-1][:most]
        gone = [berth.owner for berth in oldest_first if _ready().filter(pk=berth.pk).update(name="")]
        if gone:
            record("host.warm_retired", hosts.topic(host), actor=actor, reason=reason, host=host.name, owners=gone)
    return gone


def retired(host: Host) -> list[str]:
    """Owners of berths out of use that still stand."""
    return list(_warm(host).filter(state=Lease.State.HELD, name="").values_list("owner", flat=True))


def _ready() -> QuerySet[Lease]:
    """Container leases of berths that can be taken."""
    rows = Lease.objects.filter(kind=Lease.Kind.CONTAINER, state=Lease.State.HELD, owner__startswith=_PREFIX)
    return rows.exclude(name="")


def _warm(host: Host) -> QuerySet[Lease]:
    return Lease.objects.filter(host=host, kind=Lease.Kind.CONTAINER, owner__startswith=_PREFIX, state__in=Lease.LIVE)
