"""Samples: what hosts and berths use, taken every few seconds, kept for a day, read as a history.

Doors: :func:`take`, :func:`prune`; :func:`latest`, :func:`history`, :func:`of_hosts`, :func:`of_berths`.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Protocol

import psutil
from django.conf import settings
from django.db.models import OuterRef, Subquery

from resources import workspaces
from resources.models import Host, Lease, Sample
from resources.sandboxes.protocol import Stats

MOST_POINTS = 240
_AT_ONCE = 5000
_FRESH = 4  # sample periods: an older one says nothing about now


_COLUMNS = ("host_id", "at", "cpu_s", "memory_mb", "disk_mb", "processes")


class _Seen(Protocol):
    """A sample, as a row or as a tuple of its columns: half the time where there are hundreds."""

    host_id: uuid.UUID
    at: datetime
    cpu_s: float | None
    memory_mb: int | None
    disk_mb: int | None
    processes: int | None


@dataclass(frozen=True, slots=True)
class Point:
    """What was used at a moment. ``cpu_millis``: thousandths of a core on average since the point before."""

    at: datetime
    cpu_millis: int | None
    memory_mb: int | None
    disk_mb: int | None
    processes: int | None


def take(*, host_name: str, berths: Mapping[str, Stats], now: datetime) -> int:
    """One sample of this machine and one of each berth (by owner). Returns how many; 0 without a host row."""
    host = Host.objects.filter(name=host_name).first()
    if host is None:
        return 0
    disks = _disks(host)
    of_berths = [
        Sample(
            host=host, owner=owner, at=now, cpu_s=stats.cpu_s, memory_mb=stats.memory_mb,
            processes=stats.processes, disk_mb=disks.get(owner),
        )
        for owner, stats in berths.items()
    ]  # fmt: skip
    return len(Sample.objects.bulk_create([_of_machine(host, now=now), *of_berths]))


def prune(*, now: datetime) -> int:
    """Forget what is older than MOORAGE_SAMPLES_KEEP_HOURS, some thousands at a time. Returns how many."""
    old = Sample.objects.filter(at__lt=now - timedelta(hours=settings.SAMPLES_KEEP_HOURS)).order_by("at")
    return Sample.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:_AT_ONCE])).delete()[0]


def latest(*, now: datetime) -> dict[uuid.UUID, Point]:
    """The last point of each host itself, if it is fresh. Keys are host ids."""
    since = now - timedelta(seconds=settings.SAMPLE_S * _FRESH)
    mine = Sample.objects.filter(host_id=OuterRef("pk"), owner="", at__gte=since).order_by("-at").values("pk")
    hosts = Host.objects.annotate(last=Subquery(mine[:1]), before=Subquery(mine[1:2]))
    wanted = {host.pk: (host.last, host.before) for host in hosts if host.last}
    rows = Sample.objects.in_bulk([pk for pair in wanted.values() for pk in pair if pk])
    return {host: _point(rows[last], rows.get(before)) for host, (last, before) in wanted.items() if last in rows}


def history(*, since: datetime, owner: str = "", host_id: uuid.UUID | None = None) -> Sequence[Point]:
    """The points of a host or of a berth's owner, oldest first, thinned to at most ``MOST_POINTS``."""
    rows = Sample.objects.filter(owner=owner, at__gte=since).order_by("at")
    if host_id is not None:
        rows = rows.filter(host_id=host_id)
    return _thinned(list(rows), most=MOST_POINTS)


def of_hosts(*, since: datetime, most: int = MOST_POINTS) -> dict[uuid.UUID, Sequence[Point]]:
    """The same of every host itself, by one query. Keys are host ids."""
    rows = Sample.objects.filter(owner="", at__gte=since).order_by("host_id", "at").values_list(*_COLUMNS, named=True)
    return {host: _thinned(list(theirs), most=most) for host, theirs in groupby(rows, key=lambda row: row.host_id)}


def of_berths(*, now: datetime, host_id: uuid.UUID | None = None) -> dict[str, Point]:
    """The last point of each berth that was measured lately, by one query. Keys are owners."""
    since = now - timedelta(seconds=settings.SAMPLE_S * _FRESH)
    rows = Sample.objects.filter(at__gte=since).exclude(owner="").order_by("owner", "at")
    rows = rows if host_id is None else rows.filter(host_id=host_id)
    grouped = ((owner, list(theirs)) for owner, theirs in groupby(rows, key=lambda row: row.owner))
    return {owner: _point(seen[-1], seen[-2] if len(seen) > 1 else None) for owner, seen in grouped}


def _thinned(found: Sequence[_Seen], *, most: int) -> Sequence[Point]:
    step = -(-len(found) // most) or 1
    kept = found[::-1][::step][::-1]  # the newest is always among them
    return [_point(after, before) for before, after in pairwise([None, *kept]) if after is not None]


def _point(sample: _Seen, before: _Seen | None) -> Point:
    millis = None
    follows = before is not None and before.host_id == sample.host_id and sample.at > before.at
    if before is not None and follows and sample.cpu_s is not None and before.cpu_s is not None:
        # Less than before: it began anew, or a process that had counted ended.
        used_s = max(0.0, sample.cpu_s - before.cpu_s)
        millis = round(used_s * 1000 / (sample.at - before.at).total_seconds())
    return Point(sample.at, millis, sample.memory_mb, sample.disk_mb, sample.processes)


def _of_machine(host: Host, *, now: datetime) -> Sample:
    memory, times = psutil.virtual_memory(), psutil.cpu_times()
    return Sample(
        host=host,
        at=now,
        cpu_s=sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0),
        memory_mb=(memory.total - memory.available) >> 20,
        disk_mb=shutil.disk_usage(Path(settings.DATA)).used >> 20,
        processes=sum(1 for name in os.listdir("/proc") if name.isdecimal()),
    )


def _disks(host: Host) -> dict[str, int]:
    """What each owner's workspace held when it was last counted."""
    rows = Lease.objects.filter(host=host, kind=Lease.Kind.DIRECTORY, state__in=Lease.LIVE)
    return {row.owner: int(row.detail["used_mb"]) for row in rows if workspaces.bounds_of(row)[1] and _counted(row)}


def _counted(row: Lease) -> bool:
    return isinstance(row.detail.get("used_mb"), int)


def as_json(point: Point) -> dict[str, Any]:
    """A point as the live stream carries it."""
    return {
        "at": point.at.isoformat().replace("+00:00", "Z"), "cpu_millis": point.cpu_millis,
        "memory_mb": point.memory_mb, "disk_mb": point.disk_mb, "processes": point.processes,
    }  # fmt: skip
