"""What a template asks of volumes, and what the operator of a host grants."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.conf import settings

SCRATCH_MB = 256  # where a template says nothing else


class Kind(StrEnum):
    """Where a volume comes from."""

    SCRATCH = "scratch"
    CACHE = "cache"
    SHARED = "shared"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One volume of a berth. ``key`` names a kept one on its host: empty for what is not kept, or cannot be had."""

    target: str
    kind: Kind
    key: str = ""
    name: str = ""
    source: str = ""
    read_only: bool = True
    size_mb: int = 0

    @property
    def mounted(self) -> bool:
        """Whether it takes a mount to have it: all but a directory of the host that is seen at its own path."""
        return not (self.kind is Kind.HOST and self.source == self.target)

    @property
    def is_exclusive(self) -> bool:
        """Whether nobody else may write to it meanwhile."""
        return self.kind in (Kind.CACHE, Kind.SHARED) and not self.read_only


def of(spec: Mapping[str, Any], *, project_id: uuid.UUID | str | None) -> tuple[Wanted, ...]:
    """The volumes of a resolved specification, for an agent of this project."""
    return tuple(_one(said, project_id) for said in spec.get("volumes", ()))


def needs_mounts(spec: Mapping[str, Any]) -> bool:
    """Whether a tier without mounts cannot give what the specification asks."""
    return any(volume.mounted for volume in of(spec, project_id=None))


def scratch_mb(volumes: Sequence[Wanted]) -> int:
    """Disk that the volumes of the berth's own take, in MB."""
    return sum(volume.size_mb for volume in volumes if volume.kind is Kind.SCRATCH)


def grants() -> dict[str, Any]:
    """What this host's operator lends, for the host's facts: directories, and shared volumes with how they are lent."""
    return {"sources": [str(path) for path in settings.VOLUME_SOURCES], "shared": dict(settings.SHARED_VOLUMES)}


def beneath_one_of(source: str, directories: Sequence[str]) -> bool:
    """Whether a path, as written, is one of these directories or lies beneath one."""
    path = Path(source)
    return ".." not in path.parts and any(path == Path(one) or Path(one) in path.parents for one in directories)


def _one(said: Mapping[str, Any], project_id: uuid.UUID | str | None) -> Wanted:
    kind = Kind(said.get("kind", Kind.SCRATCH))
    target = str(said["target"])
    name = str(said.get("name", "")) or (_named_after(target) if kind is Kind.CACHE else "")
    key = ""
    if kind is Kind.SHARED:
        key = f"shared-{name}"
    elif kind is Kind.CACHE and project_id is not None:
        key = f"project-{project_id}-{name}"
    return Wanted(
        target=target, kind=kind, key=key, name=name, source=str(said.get("source", "")),
        read_only=kind is not Kind.SCRATCH and bool(said.get("read_only", True)),
        size_mb=int(said.get("size_mb", SCRATCH_MB if kind is Kind.SCRATCH else 0)),
    )  # fmt: skip


def _named_after(target: str) -> str:
    """``/cache/pip`` is ``cache-pip``; always a name that a file may have."""
    return re.sub(r"[^a-z0-9_-]+", "-", target.lower()).strip("-")[:31]
