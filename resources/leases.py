"""Leases: the ledger of what was taken, by whom, until when."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from events.faults import Fault, FaultClass
from events.journal import record
from resources import hosts
from resources.models import Host, Lease
from resources.quotas import NOBODY, Party


class LeaseLost(Fault):
    """A lease was released while its owner still worked on what it stands for."""

    fault_class = FaultClass.TRANSIENT
    code = "lease.lost"
    remedy = "The owner has moved on or its lease ran out; it takes a new one."


def intend(
    *,
    host: Host,
    kind: Lease.Kind,
    owner: str,
    generation: int,
    now: datetime,
    expires_at: datetime,
    key: str = "",
    name: str = "",
    amount: int = 1,
    party: Party = NOBODY,
) -> Lease:
    """An unsaved intent row: what is about to be taken. The caller saves it before it takes anything."""
    return Lease(
        host=host, kind=kind, key=key, name=name, amount=amount, owner=owner, generation=generation,
        created_at=now, expires_at=expires_at, for_user=party.user, for_project=party.project,
    )  # fmt: skip


def hold(*, owner: str, generation: int, kind: Lease.Kind | None = None) -> int:
    """What was intended in this generation has become real. Returns how many changed."""
    intents = Lease.objects.filter(owner=owner, generation=generation, state=Lease.State.INTENT)
    if kind is not None:
        intents = intents.filter(kind=kind)
    return intents.update(state=Lease.State.HELD)


def live(*, owner: str, kind: Lease.Kind | None = None, generation: int | None = None) -> Sequence[Lease]:
    """What the owner holds or is about to hold, of one kind or of one generation where that is asked for."""
    rows = Lease.objects.filter(owner=owner, state__in=Lease.LIVE).select_related("host").order_by("kind", "key")
    wanted = {name: value for name, value in (("kind", kind), ("generation", generation)) if value is not None}
    return list(rows.filter(**wanted))


def renew(*, owners: Sequence[str], expires_at: datetime) -> int:
    """Move the expiry of everything these owners hold."""
    return Lease.objects.filter(owner__in=owners, state__in=Lease.LIVE).update(expires_at=expires_at)


def count_for(*, owner: str, user: str) -> int:
    """Have what the owner holds count in another user's quota from now on. Inside a transaction."""
    return Lease.objects.filter(owner=owner, state__in=Lease.LIVE).update(for_user=user)


def release(*, owner: str, actor: str, reason: str, now: datetime, generation: int | None = None) -> int:
    """Give back all that the owner holds, or what it took in one generation. Twice changes nothing.

    Whoever waits is told by an event.
    """
    with transaction.atomic():
        rows = Lease.objects.select_for_update(of=("self",)).filter(owner=owner, state__in=Lease.LIVE)
        if generation is not None:
            rows = rows.filter(generation=generation)
        held = list(rows.select_related("host").order_by("pk"))
        if not held:
            return 0
        _give_back(held, now=now)
        for host in {lease.host_id: lease.host for lease in held}.values():
            freed = [_named(lease) for lease in held if lease.host_id == host.pk]
            record("host.capacity_freed", hosts.topic(host), actor=actor, reason=reason, owner=owner, leases=freed)
    return len(held)


def drop(*, owner: str, generation: int, kinds: Sequence[Lease.Kind], now: datetime) -> int:
    """Give back single things of one generation that nobody waits for, and that were found useless."""
    rows = Lease.objects.filter(owner=owner, generation=generation, kind__in=kinds, state__in=Lease.LIVE)
    return rows.update(state=Lease.State.RELEASED, released_at=now)


def withdraw(*, lease_id: uuid.UUID | str, now: datetime) -> int:
    """End one lease that its owner forgot to give back. Twice changes nothing. Returns how many changed."""
    with transaction.atomic():
        rows = list(Lease.objects.select_for_update().filter(pk=lease_id, state__in=Lease.LIVE))
        _give_back(rows, now=now)
    return len(rows)


CLEAN_AT = "clean_at"  # of a user id: when its host saw that nothing of its holder is left
GIVEN_BACK_AT = "given_back_at"  # of one that is not lent yet: its host has still to see that


def _give_back(held: Sequence[Lease], *, now: datetime) -> None:
    """Inside a transaction. A user id that nobody has seen to be clean is given back, and rests."""
    unseen = [lease for lease in held if lease.kind == Lease.Kind.UID and CLEAN_AT not in lease.detail]
    for lease in unseen:
        lease.state = Lease.State.SQUATTED
        lease.detail = {**lease.detail, GIVEN_BACK_AT: now.isoformat(), "why": "its host has not looked yet"}
    Lease.objects.bulk_update(unseen, ["state", "detail"])
    over = [lease.pk for lease in held if lease not in unseen]
    Lease.objects.filter(pk__in=over).update(state=Lease.State.RELEASED, released_at=now)


def expired(*, now: datetime, limit: int = 200) -> list[str]:
    """Owners whose live leases nobody renews any more. What to do with them is their room's business."""
    rows = Lease.objects.filter(state__in=Lease.LIVE, expires_at__lt=now).order_by("owner")
    return list(rows.values_list("owner", flat=True).distinct()[:limit])


def _named(lease: Lease) -> dict[str, Any]:
    return {"kind": lease.kind, "key": lease.key, "name": lease.name, "amount": lease.amount}
