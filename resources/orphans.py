"""Orphans: workspaces on this host that carry our name and have no live lease, with all that runs in them.

Removed on the second sighting.

A workspace is whatever is left of it: directory, image, mount or loop device.

The sweep refuses to act when the ledger is younger than what it sees, and when the plan exceeds a fifth of what is
there: then something is wrong with the ledger, not with the host.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from events.faults import Fault
from resources import workspaces
from resources.models import Host, Lease
from resources.sandboxes import selection
from resources.sandboxes.protocol import Profile

log = logging.getLogger(__name__)

GRACE = timedelta(minutes=10)
FEW = 3  # so many orphans at once are plausible after a crash, however small the host
_OURS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-\d+")
_seen_before: dict[str, datetime] = {}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep would remove, and why it will not act if it will not."""

    remove: tuple[str, ...]
    refused: str = ""


def sweep(*, host_name: str, now: datetime) -> Plan:
    """Look once; remove what was an orphan at an earlier look too, a grace period ago."""
    host = Host.objects.filter(name=host_name).first()
    if host is None:
        return Plan((), refused="this host has no ledger")
    found = [(name, _changed(name, now)) for name in workspaces.names() if _OURS.fullmatch(name)]
    held = set(
        Lease.objects.filter(host=host, kind=Lease.Kind.DIRECTORY, state__in=Lease.LIVE).values_list("key", flat=True)
    )
    rows = Lease.objects.filter(host=host, kind=Lease.Kind.DIRECTORY, key__in=[name for name, _ in found])
    known = {lease.key: lease for lease in rows}
    planned = plan(found, held=held, known=set(known), ledger_since=host.created_at, seen_before=_seen_before, now=now)
    if planned.refused:
        log.warning("orphan sweep refuses to act", extra={"reason": planned.refused})
        return planned
    removed = [name for name in planned.remove if _remove(known[name])]
    for name in removed:
        del _seen_before[name]
    return Plan(tuple(removed))


def _remove(lease: Lease) -> bool:
    """What runs in it first, then the workspace. False when something resists: the next sweep tries again."""
    workspace = workspaces.place_of(lease.key)
    leftover = Profile(owner=lease.owner, generation=lease.generation, workspace=workspace, install=settings.INSTALL_ID)
    log.info("removing orphan workspace", extra={"workspace": workspace.name})
    try:
        selection.end_leftovers(leftover)
        workspaces.remove(workspace)
    except (Fault, OSError) as error:
        log.warning("orphan cannot be removed", extra={"workspace": workspace.name, "error": str(error)})
        return False
    return True


def _changed(name: str, now: datetime) -> datetime:
    seconds = workspaces.changed_at(name)
    # A loop device of a file that was unlinked is all that is left: nothing in it has a date.
    return now if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)


def plan(
    found: Sequence[tuple[str, datetime]],
    *,
    held: set[str],
    known: set[str],
    ledger_since: datetime,
    seen_before: dict[str, datetime],
    now: datetime,
) -> Plan:
    """Pure but for ``seen_before``, which remembers first sightings by name.

    Only a workspace that the ledger knows and says is released is an orphan: one it never heard of is a stranger's.
    """
    orphans = [(name, changed) for name, changed in found if name in known and name not in held]
    for name in set(seen_before) - {name for name, _ in orphans}:
        del seen_before[name]
    due = [name for name, _ in orphans if now - seen_before.setdefault(name, now) >= GRACE]
    if any(changed < ledger_since for name, changed in orphans if name in due):
        return Plan((), refused="the ledger is younger than what it would remove")
    if len(due) > max(FEW, len(found) // 5):
        return Plan((), refused=f"{len(due)} of {len(found)} workspaces at once is too many to be true")
    return Plan(tuple(due))
