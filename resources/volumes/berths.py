"""The volumes of one berth, made real on a host and taken away again; and the kept ones, which stay.

Beneath ``<data>/volumes``: ``berths/<key>/<n>`` are mounts (a scratch image of its own size, a kept volume, a directory
of the host); ``scratch/<key>/<n>`` are plain directories where nothing can be mounted; ``disks/<key>.<n>.ext4`` are
images; ``kept/<name>`` is what outlives a berth. A key is that of the berth's workspace, so that whatever a killed
process left is found by its name and undone. Removing never looks into a mount: kept files cannot go with a berth.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from resources import accounting, disk_images, workspaces
from resources.alone import alone
from resources.files import Beneath
from resources.sandboxes.protocol import Tier, Volume
from resources.volumes import sources, staging
from resources.volumes.sources import VolumeRefused
from resources.volumes.wanted import Kind, Wanted

log = logging.getLogger(__name__)

_SUFFIX = ".ext4"
_IMAGE = re.compile(r"(?P<key>.+)\.(?P<number>[0-9]{1,3})")
_FILES_PER_MB = 256  # of a cache: small files are its business


@dataclass(frozen=True, slots=True)
class Made:
    """One volume as it was mounted, with what screens show of it."""

    volume: Volume
    wanted: Wanted
    bound: str  # "image": the kernel ends it; "directory": it is counted; empty: nobody counts

    def as_dict(self) -> dict[str, Any]:
        """For the agent's row."""
        return {
            "target": self.wanted.target,
            "kind": self.wanted.kind.value,
            "name": self.wanted.name,
            "source": self.wanted.source,
            "read_only": not self.volume.writable,
            "size_mb": self.wanted.size_mb,
            "bound": self.bound,
            "place": str(self.volume.source),
        }


def root() -> Path:
    """Where all volumes of this host are."""
    return Path(settings.DATA) / "volumes"


def kept_at(key: str) -> Path:
    """Where a kept volume is."""
    return root() / "kept" / key


def prepare(*, key: str, volumes: Sequence[Wanted], uid: int | None, tier: Tier) -> tuple[Made, ...]:
    """Make the volumes of the berth ``key`` for a sandbox of ``tier``. What an earlier attempt left goes first.

    Raises VolumeRefused, VolumeGone, VolumeFailed or ImageFailed, and then leaves nothing.
    """
    if not volumes:
        return ()
    makes = _Maker(key, uid, tier, why_not=staging.possible())
    with _alone(key):
        _remove(key)
        try:
            return tuple(makes.one(number, volume) for number, volume in enumerate(volumes))
        except BaseException:
            _remove(key)
            raise


def remove(key: str) -> None:
    """Unmount and remove all that was made for the berth ``key``; what is kept stays. Twice is fine."""
    if key in names():  # most berths have none
        with _alone(key):
            _remove(key)


def take_back(uids: set[int]) -> None:
    """Kept volumes that belong to one of these become the service's own again: nobody of that user is left."""
    for place in _kept_places():
        if os.geteuid() == 0 and place.lstat().st_uid in uids:
            Beneath(place).give_to(0, 0)


def kept_owners() -> set[int]:
    """The users that kept volumes belong to."""
    return {place.lstat().st_uid for place in _kept_places()}


def places() -> Iterator[Path]:
    """Every directory of a volume on this host, mounted or not: its owner is the berth that may write to it."""
    for folder in (_berths(), _scratch()):
        yield from folder.glob("*/*")
    yield from _kept_places()


def _kept_places() -> Iterator[Path]:
    place = kept_at("x").parent
    yield from (entry for entry in (place.iterdir() if place.is_dir() else ()) if not entry.is_symlink())


def names() -> Sequence[str]:
    """The berths that anything here is called after: directories, images, mounts, loop devices."""
    folders = [entry.name for place in (_berths(), _scratch()) if place.is_dir() for entry in place.iterdir()]
    mounted = [place.parent.name for place in _mounts()]
    images = [*_disks().glob(f"*{_SUFFIX}"), *disk_images.looped_beneath(_disks())]
    called = [found["key"] for image in images if (found := _IMAGE.fullmatch(image.stem))]
    return sorted({*folders, *mounted, *called})


def changed_at(name: str) -> float | None:
    """When the host last saw it change; None when nothing is left to ask."""
    places = [_berths() / name, _scratch() / name, *_disks().glob(f"{name}.*{_SUFFIX}")]
    return max((place.stat().st_ctime for place in places if place.exists()), default=None)


def overfull(notes: Sequence[Mapping[str, Any]]) -> str:
    """Of volumes as they are noted on an agent's row: which one that is only counted holds too much, in words."""
    for note in notes:
        if note["bound"] != "directory" or note["read_only"] or not note["size_mb"]:
            continue
        try:
            counted = _counted(Path(note["place"]), note["size_mb"])
        except FileNotFoundError:
            continue
        if counted.over:
            return f"{counted.over.replace('the workspace', 'the volume at ' + note['target'])}"
    return ""


@dataclass(frozen=True, slots=True)
class _Maker:
    key: str
    uid: int | None
    tier: Tier
    why_not: str  # nothing can be mounted on this host; empty where it can

    @property
    def _mounts(self) -> bool:
        return not self.why_not and self.tier in (Tier.PROCESS, Tier.CONTAINER)

    def one(self, number: int, wanted: Wanted) -> Made:
        match wanted.kind:
            case Kind.SCRATCH:
                return self._scratch(number, wanted)
            case Kind.HOST:
                return self._lent(number, wanted)
            case _:
                return self._kept(number, wanted)

    def _scratch(self, number: int, wanted: Wanted) -> Made:
        if self._mounts and workspaces.offer().kind is workspaces.Kind.IMAGE:
            place, image = self._place(number), _disks() / f"{self.key}.{number}{_SUFFIX}"
            disk_images.make(image, size_mb=wanted.size_mb)
            disk_images.mount(image, place)
            bound, pinned = "image", True
        else:
            place = _directory(_scratch() / self.key / str(number))
            bound, pinned = "directory", False
        place.chmod(0o700)
        self._own(place)
        return Made(Volume(place, wanted.target, writable=True, pinned=pinned), wanted, bound)

    def _kept(self, number: int, wanted: Wanted) -> Made:
        place = _directory(kept_at(wanted.key), mode=0o755)
        if wanted.is_exclusive:
            _make_room(place, wanted)
            self._own(place)
        if self._mounts:
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                place = self._bound(number, descriptor, read_only=wanted.read_only)
            finally:
                os.close(descriptor)
        volume = Volume(place, wanted.target, writable=not wanted.read_only, pinned=self._mounts)
        return Made(volume, wanted, "directory" if wanted.size_mb else "")

    def _lent(self, number: int, wanted: Wanted) -> Made:
        with sources.opened(wanted.source) as descriptor:
            if self._mounts:
                place = self._bound(number, descriptor, read_only=True)
                return Made(Volume(place, wanted.target, pinned=True), wanted, "")
            if self.tier is Tier.CONTAINER and disk_images.engine_is_elsewhere():
                raise VolumeRefused(f"The directory {wanted.source} cannot be looked at from here: {self.why_not}.")
            sources.check_unpinned(wanted.source)
            return Made(Volume(Path(wanted.source), wanted.target), wanted, "")

    def _bound(self, number: int, descriptor: int, *, read_only: bool) -> Path:
        place = self._place(number)
        staging.bind(descriptor, place, read_only=read_only)
        return place

    def _place(self, number: int) -> Path:
        return _directory(_berths() / self.key / str(number))

    def _own(self, place: Path) -> None:
        """Its files are the berth's own user's, where it has one."""
        if self.uid is not None and os.geteuid() == 0:
            Beneath(place).give_to(self.uid, self.uid)


def _make_room(place: Path, wanted: Wanted) -> None:
    """A cache that has outgrown its size begins anew: what is in it can be had again."""
    if wanted.size_mb and _counted(place, wanted.size_mb).over:
        log.info("a cache has outgrown its size", extra={"volume": wanted.key, "limit_mb": wanted.size_mb})
        Beneath(place).empty()


def _counted(place: Path, limit_mb: int) -> accounting.Usage:
    return accounting.of_tree(place, limit_mb=limit_mb, limit_files=max(16_384, limit_mb * _FILES_PER_MB))


def _remove(key: str) -> None:
    here = _berths() / key
    for place in [place for place in _mounts() if place.parent == here]:
        staging.unmount(place)
    for image in {*_disks().glob(f"{key}.*{_SUFFIX}"), *disk_images.looped_beneath(_disks())}:
        found = _IMAGE.fullmatch(image.stem)
        if found and found["key"] == key:
            disk_images.remove(image, here / found["number"])
    if here.is_dir():
        for place in here.iterdir():
            place.rmdir()  # never with what is in it: where something were still mounted, that would be kept files
        here.rmdir()
    Beneath(_scratch() / key).remove_tree()


def _mounts() -> list[Path]:
    return [place for place in disk_images.mounted() if place.parent.parent == _berths()]


def _directory(path: Path, *, mode: int = 0o700) -> Path:
    """The directory, made if it is not there; what leads to it is ours alone."""
    above = [parent for parent in (path.parent, *path.parent.parents) if root() in (parent, *parent.parents)]
    for parent in reversed(above):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(mode=mode, exist_ok=True)
    if path.is_symlink() or not path.is_dir():
        raise VolumeRefused(f"{path} is no directory.", remedy="Mount it there instead of a link.")
    return path


def _alone(key: str) -> Any:
    return alone(root() / ".locks", key)


def _berths() -> Path:
    return root() / "berths"


def _scratch() -> Path:
    return root() / "scratch"


def _disks() -> Path:
    return root() / "disks"
