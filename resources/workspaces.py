"""Workspaces: the directory of one berth, bounded in bytes and files where the host can, else counted and swept.

``<data>/workspaces/<name>`` is where it is seen; ``<data>/disks/<name>.ext4`` is the image it is made of, if it is.
Both names say whose it is, so that whatever a killed process left is found and undone. Every door may be called twice,
also at once: one waits for the other.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.conf import settings

from resources import accounting, disk_images, transcripts
from resources.accounting import Usage
from resources.alone import alone
from resources.disk_images import ImageFailed
from resources.files import Beneath
from resources.models import Lease
from resources.sandboxes import door
from resources.sandboxes.protocol import Profile, Ready, there_already

log = logging.getLogger(__name__)

_SUFFIX = ".ext4"
FILES_PER_MB, FEWEST_FILES = disk_images.FILES_PER_MB, disk_images.FEWEST_FILES


class Kind(StrEnum):
    """What holds a workspace to its size."""

    IMAGE = "image"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Offer:
    """What workspaces of this host are made of, and why not of images where they are not."""

    kind: Kind
    reason: str = ""

    @property
    def note(self) -> str:
        """What is not covered, in words; shown with the tier's own note."""
        return "" if self.kind is Kind.IMAGE else "Disk is counted, not bounded."


def offer() -> Offer:
    """What :func:`create` will make here. Cheap after the first call."""
    if settings.WORKSPACES == Kind.DIRECTORY:
        return Offer(Kind.DIRECTORY, "MOORAGE_WORKSPACES=directory")
    reason = disk_images.possible(_disks())
    if settings.WORKSPACES == Kind.IMAGE and reason:
        remedy = "Mend that, or use MOORAGE_WORKSPACES=auto."
        raise ImageFailed(f"MOORAGE_WORKSPACES=image, but {reason}", remedy=remedy)
    return Offer(Kind.DIRECTORY, reason) if reason else Offer(Kind.IMAGE)


def other_offer(failed: ImageFailed) -> Offer:
    """What to make instead, after an image could not be made; raises ``failed`` where only images will do."""
    if settings.WORKSPACES == Kind.IMAGE:
        raise failed
    return Offer(Kind.DIRECTORY, failed.detail)


def root() -> Path:
    """Where the workspaces of this host are."""
    return Path(settings.DATA) / "workspaces"


def place_of(name: str) -> Path:
    """Where the workspace of this name is seen."""
    return root() / name


def create(path: Path, *, limit_mb: int, kind: Kind, on_place: Callable[[], object] = there_already) -> None:
    """An empty workspace at ``path``. What an attempt that was killed left there was never handed out: it goes.

    ``on_place`` is called when the directory is there, before it is bounded.
    """
    with _alone(path):
        _remove(path)
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
        on_place()
        if kind is Kind.IMAGE:
            try:
                disk_images.make(_image_of(path), size_mb=limit_mb)
                disk_images.mount(_image_of(path), path)
            except ImageFailed:
                _remove(path)
                raise
            path.chmod(0o700)


@contextmanager
def being_created(path: Path, *, limit_mb: int, kind: Kind) -> Iterator[Ready]:
    """:func:`create`, beside what the block does: the directory is there when it begins, to be named but not used.

    What the block is given waits until the workspace can be used, and raises what :func:`create` raised. Whatever
    becomes of the block, nothing is being made any more at its end.
    """
    on_place = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="workspace") as beside:
        made = beside.submit(create, path, limit_mb=limit_mb, kind=kind, on_place=on_place.set)
        made.add_done_callback(lambda _: on_place.set())  # also when it failed before
        on_place.wait()
        yield made.result


def adopt(path: Path) -> bool:
    """Whether the workspace is there. One whose mount a restart of the machine took away is mounted again.

    Raises ImageFailed when its image is damaged beyond mending.
    """
    image = _image_of(path)
    with _alone(path):
        if image.is_file() and path.is_dir() and not disk_images.is_mounted(path):
            disk_images.mend(image)
            disk_images.mount(image, path)
        return path.is_dir()


def remove(path: Path) -> None:
    """Take the workspace away, with all that is in it: an image at once, whatever was written there."""
    with _alone(path):
        _remove(path)


def _remove(path: Path) -> None:
    door.remove(path)  # first: it is found by the name of what is still there
    transcripts.remove(path)
    disk_images.remove(_image_of(path), path)
    Beneath(path).remove_tree()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else on this machine makes, mounts or removes this workspace meanwhile. Does not nest.

    An agent may be told to leave while its berth is still being made: a mount that came up in the middle of the
    removal would keep the directory busy.
    """
    with alone(_disks() / ".locks", path.name):
        yield


def names() -> Sequence[str]:
    """Everything on this machine that is called like a workspace: directories, images, mounts, loop devices."""
    # A link in the place of a workspace is nobody's workspace: it is not followed, and not removed.
    directories = [path.name for path in root().iterdir() if not path.is_symlink()] if root().is_dir() else []
    images = [path.stem for path in _disks().glob(f"*{_SUFFIX}")]
    mounts = [path.name for path in disk_images.mounted_beneath(root())]
    loops = [path.stem for path in disk_images.looped_beneath(_disks())]
    return sorted({*directories, *images, *mounts, *loops})


def changed_at(name: str) -> float | None:
    """When the host last saw it change, by a clock that its inhabitant cannot set; None when nothing is left to ask."""
    found = [path for path in (place_of(name), _disks() / f"{name}{_SUFFIX}") if path.exists()]
    return max((path.stat().st_ctime for path in found), default=None)


def usage(path: Path, *, kind: Kind, limit_mb: int) -> Usage:
    """What is used now, and which limit is passed. FileNotFoundError when the workspace is gone."""
    if kind is Kind.IMAGE and disk_images.is_mounted(path):
        return accounting.of_mount(path)
    return accounting.of_tree(path, limit_mb=limit_mb, limit_files=max(FEWEST_FILES, limit_mb * FILES_PER_MB))


def lease_of(owner: str) -> Lease | None:
    """The live lease of an owner's workspace."""
    live = Lease.objects.filter(owner=owner, kind=Lease.Kind.DIRECTORY, state__in=Lease.LIVE)
    return live.order_by("created_at").last()


def inhabitant(lease: Lease, *, install: str) -> Profile:
    """By whose name a sandbox in this workspace is found: the lease's owner's, or that of the warm berth it was."""
    made_as = lease.detail.get("sandbox", {}).get("profile", {})
    return Profile(
        owner=made_as.get("owner", lease.owner),
        generation=made_as.get("generation", lease.generation),
        workspace=place_of(lease.key),
        install=install,
    )


def bounds_of(lease: Lease) -> tuple[Kind, int]:
    """Kind and size (MB) that a lease's detail names; a directory without a limit of its own where it names none."""
    return Kind(lease.detail.get("kind", Kind.DIRECTORY)), int(lease.detail.get("limit_mb", 0))


def measure(lease: Lease, *, now: datetime) -> Usage | None:
    """Count what the lease's workspace holds, and note it in the ledger. None when it is gone."""
    kind, limit_mb = bounds_of(lease)
    if not limit_mb:
        return None
    try:
        counted = usage(place_of(lease.key), kind=kind, limit_mb=limit_mb)
    except FileNotFoundError:
        return None
    seen = {"used_mb": counted.used_mb, "files": counted.files, "over": counted.over, "measured_at": now.isoformat()}
    same = Lease.objects.filter(pk=lease.pk, generation=lease.generation, state__in=Lease.LIVE)
    same.update(detail={**lease.detail, **seen})
    return counted


def accounted(lease: Lease | None) -> dict[str, Any] | None:
    """A workspace's disk for screens: kind, limit, use when last counted. None without a workspace."""
    if lease is None or not bounds_of(lease)[1]:
        return None
    known = ("kind", "limit_mb", "used_mb", "files", "over", "measured_at", "note")
    return {name: lease.detail.get(name) for name in known}


def used_mb() -> dict[uuid.UUID, int]:
    """What the workspaces of each host took when they were last counted, by one query. Keys are host ids."""
    live = Lease.objects.filter(kind=Lease.Kind.DIRECTORY, state__in=Lease.LIVE).order_by()
    used: dict[uuid.UUID, int] = {}
    for host_id, detail in live.values_list("host_id", "detail"):
        used[host_id] = used.get(host_id, 0) + int(detail.get("used_mb") or 0)
    return used


def _disks() -> Path:
    return Path(settings.DATA) / "disks"


def _image_of(path: Path) -> Path:
    return _disks() / f"{path.name}{_SUFFIX}"
