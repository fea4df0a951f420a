"""Bind mounts of this host, ``nosuid,nodev`` and mostly read-only: a volume's fixed place while its berth lives.

What is mounted is a descriptor, so that no rename or link on the way changes what a berth gets to see.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from resources import disk_images
from resources.sandboxes.protocol import SandboxFailed

_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND = 1, 2, 4, 8, 32, 4096
_CAP_SYS_ADMIN = 21
_libc = ctypes.CDLL(None, use_errno=True)


class VolumeFailed(SandboxFailed):
    """A volume cannot be mounted or unmounted."""

    code = "volume.failed"
    remedy = "Look at the host's kernel log and at the mounts beneath MOORAGE_DATA/volumes."


def possible() -> str:
    """Empty when volumes can be mounted on this host, where its engine sees them too; else why not."""
    if os.geteuid() != 0:
        return "the service is not root"
    if why := disk_images.engine_is_elsewhere():
        return why
    if not _may_mount():
        return "the service may not mount (CAP_SYS_ADMIN)"
    return ""


def _may_mount() -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)


def bind(source: int, place: Path, *, read_only: bool) -> None:
    """Mount the directory behind the descriptor at ``place``, without what is mounted beneath it."""
    _mount(f"/proc/self/fd/{source}", place, _BIND)
    flags = _BIND | _REMOUNT | _NOSUID | _NODEV
    kept = os.fstatvfs(source).f_flag
    flags |= _NOEXEC if kept & os.ST_NOEXEC else 0
    flags |= _RDONLY if read_only or kept & os.ST_RDONLY else 0
    try:
        _mount(None, place, flags)
    except VolumeFailed:
        unmount(place)  # never as writable as it was
        raise


def unmount(place: Path) -> None:
    """Whatever is mounted exactly there, however often. Nothing there is fine."""
    while disk_images.is_mounted(place):
        disk_images.unmount(place)


def _mount(source: str | None, place: Path, flags: int) -> None:
    answer = _libc.mount(
        None if source is None else os.fsencode(source), os.fsencode(place), None, ctypes.c_ulong(flags), None
    )
    if answer != 0:
        raise VolumeFailed(f"{place.name} cannot be mounted: {os.strerror(ctypes.get_errno())}")
