"""User ids lent to berths where the service is root, so that no two berths of a host are the same user.

One is lent again only when its host has seen that nothing of its last holder is left: no process, no directory. It
looks when the berth is cleared, and every minute at what was given back elsewhere or was not clean. Until then it
rests, which the ledger says as it says of a port that a stranger has, with what is left.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from events.faults import Fault, FaultClass
from events.journal import record
from resources import hosts, leases, numbers, uid_traces
from resources.leases import CLEAN_AT
from resources.models import Host, Lease
from resources.numbers import BLOCKING
from resources.sandboxes import strays
from resources.sandboxes.protocol import SandboxFailed
from resources.volumes import berths as volumes

log = logging.getLogger(__name__)


class UidsExhausted(Fault):
    """The host has no free user id left."""

    fault_class = FaultClass.RESOURCE
    code = "uids.exhausted"
    remedy = "Widen MOORAGE_UID_RANGE, or stop agents."


def reserve(*, host: Host, owner: str, generation: int, now: datetime, expires_at: datetime) -> Lease:
    """An intent row for a user id that nobody of this host has, and that is clean. Raises UidsExhausted."""
    among = _range()
    lease = numbers.reserve(
        host=host, kind=Lease.Kind.UID, among=among, owner=owner, generation=generation, now=now, expires_at=expires_at
    )
    if lease is None:
        rest = len(resting(host))
        why = f"; {rest} rest until nothing of their last holder is left" if rest else ""
        raise UidsExhausted(f"no free user id in {among[0]}-{among[-1]} of {host.name}{why}", host=host.name)
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


def vacate(*, owner: str, now: datetime) -> None:
    """Before a berth's user id is given back, on its host: end what still runs as it, take kept volumes back from it,
    and note that it is clean. What resists lets it rest.
    """
    mine = {int(row.key): row for row in leases.live(owner=owner, kind=Lease.Kind.UID)}
    if os.geteuid() != 0 or not mine:
        return
    for uid, row in mine.items():
        only = range(uid, uid + 1)
        if uid_traces.found(only):
            _end(uid)
        volumes.take_back({uid})
        seen = {name: value for name, value in row.detail.items() if name != CLEAN_AT}
        if not uid_traces.found(only):
            seen[CLEAN_AT] = now.isoformat()
        Lease.objects.filter(pk=row.pk, state__in=Lease.LIVE).update(detail=seen)


def _end(uid: int) -> None:
    try:
        strays.end(uid)
    except SandboxFailed as resists:
        log.warning("what ran in a berth does not end", extra={"uid": uid, "reason": resists.detail})


def resting(host: Host) -> Sequence[Lease]:
    """Those that nobody holds and nobody gets, the longest first; ``detail["why"]`` says what is left."""
    rows = Lease.objects.filter(host=host, kind=Lease.Kind.UID, state=Lease.State.SQUATTED)
    return list(rows.order_by("created_at"))


def recheck_on(host_name: str, *, now: datetime) -> int:
    """:func:`recheck` for the host of this name; nothing for one that has not registered."""
    host = Host.objects.filter(name=host_name).first()
    return recheck(host, now=now) if host and os.geteuid() == 0 else 0


def recheck(host: Host, *, now: datetime) -> int:
    """Look at this machine, on the host itself: what was given back and is clean can be lent again, the rest rests.

    Kept volumes are taken back from user ids that nobody holds any more. Returns how many came free.
    """
    among = _range()
    owners = volumes.kept_owners() & set(among)  # before the ledger: who gets one from now on is lent it first
    volumes.take_back(owners - _lent_anywhere())
    left = uid_traces.found(among)
    _rest(host, left, now=now)
    clean = [row.pk for row in resting(host) if int(row.key) not in left]
    if not clean:
        return 0
    with transaction.atomic():
        rows = Lease.objects.filter(pk__in=clean, state=Lease.State.SQUATTED)
        count = rows.update(state=Lease.State.RELEASED, released_at=now)
        if count:
            record("host.capacity_freed", hosts.topic(host), actor="system", reason="user ids are clean", uids=count)
    return count


def _rest(host: Host, left: Mapping[int, str], *, now: datetime) -> None:
    """Write down of each that nobody holds why it is not lent. What a living berth has is its own."""
    if not left:
        return
    here = Lease.objects.filter(host=host, kind=Lease.Kind.UID, key__in=[str(uid) for uid in left])
    taken = {row.key: row for row in here.filter(state__in=BLOCKING)}
    lent = _lent_anywhere()
    for uid, why in left.items():
        row = taken.get(str(uid))
        if row is not None and row.state == Lease.State.SQUATTED and row.detail.get("why") != why:
            Lease.objects.filter(pk=row.pk, state=Lease.State.SQUATTED).update(detail={**row.detail, "why": why})
        elif row is None and uid not in lent:
            _write_down(host, uid, why, now=now)


def _write_down(host: Host, uid: int, why: str, *, now: datetime) -> None:
    """One that was lent before, or never: nobody knows whose these are."""
    owner = f"host:{host.name}"
    row = leases.intend(
        host=host, kind=Lease.Kind.UID, key=str(uid), owner=owner, generation=0, now=now, expires_at=now
    )  # fmt: skip
    row.state, row.detail = Lease.State.SQUATTED, {"seen_at": now.isoformat(), "why": why}
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            record("host.uid_rests", hosts.topic(host), actor="system", reason=why, uid=uid, owner=owner)
    except IntegrityError:
        return  # another look wrote it down, or somebody got it who looked before


def _lent_anywhere() -> set[int]:
    """Hosts may share a machine, and its user ids."""
    rows = Lease.objects.filter(kind=Lease.Kind.UID, state__in=Lease.LIVE)
    return {int(key) for key in rows.values_list("key", flat=True)}


def _range() -> range:
    first, last = settings.UID_RANGE
    return range(first, last + 1)
