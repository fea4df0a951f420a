"""Kept volumes of a host: what there is, who uses it, and how one is removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings

from events.faults import Fault, FaultClass
from resources import accounting
from resources.alone import alone
from resources.files import Beneath
from resources.models import Lease
from resources.volumes import berths


class VolumeInUse(Fault):
    """Some berth has it mounted."""

    fault_class = FaultClass.RESOURCE
    code = "volume.in_use"
    remedy = "Stop the agents that use it first."


class VolumeUnknown(Fault):
    """This host keeps none of this name."""

    fault_class = FaultClass.CONFIGURATION
    code = "volume.not_found"
    remedy = "`manage.py volumes list` shows those of this host."


@dataclass(frozen=True, slots=True)
class Kept:
    """One kept volume: what it holds now (MB, files), when it last changed at its top, who has it mounted."""

    key: str
    used_mb: int
    files: int
    changed_at: datetime
    users: tuple[str, ...]


def all_of_this_host() -> list[Kept]:
    """By name."""
    directory = berths.kept_at("x").parent
    found = sorted(entry for entry in directory.iterdir() if entry.is_dir()) if directory.is_dir() else []
    return [_looked_at(entry.name) for entry in found if not entry.is_symlink()]


def remove(key: str) -> None:
    """Take one away with all that is in it. Raises VolumeUnknown, or VolumeInUse while a berth has it."""
    place = berths.kept_at(key)
    if "/" in key or key in ("", ".", "..") or place.is_symlink() or not place.is_dir():
        raise VolumeUnknown(f"no volume {key[:100]!r} is kept here")
    with alone(berths.root() / ".locks", key):
        if users := _users(key):
            raise VolumeInUse(f"{key} is used by {', '.join(users)}")
        Beneath(place).remove_tree()


def _looked_at(key: str) -> Kept:
    place = berths.kept_at(key)
    used = accounting.of_tree(place, limit_mb=1 << 40, limit_files=1 << 40)
    changed = datetime.fromtimestamp(place.stat().st_ctime, tz=UTC)
    return Kept(key, used.used_mb, used.files, changed, tuple(_users(key)))


def _users(key: str) -> list[str]:
    """Owners of live leases of this host, whether they write or read."""
    live = Lease.objects.filter(host__name=settings.HOST_NAME, kind=Lease.Kind.VOLUME, state__in=Lease.LIVE)
    rows = live.filter(key=key) | live.filter(key__startswith=f"{key} read by ")
    return sorted(set(rows.values_list("owner", flat=True)))
