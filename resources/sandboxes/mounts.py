"""What of the host may never be mounted into a berth, whatever a template or a caller asks.

The policy asks here last, with the finished list. A path counts as what it is called and as what it leads to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from events.faults import FaultClass
from resources import disk_images
from resources.sandboxes.protocol import (
    IsolationUnavailable,
    Profile,
    SandboxFailed,
    SandboxGone,
    Tier,
    Volume,
)
from resources.sandboxes.visible import PROGRAMS

# Neither these nor anything beneath them: the kernel's, the machine's state, and every engine's socket.
FORBIDDEN = tuple(Path(path) for path in ("/proc", "/sys", "/dev", "/run", "/var/run", "/boot"))
# Not themselves; a toolchain may lie beneath.
WHOLE = tuple(Path(path) for path in ("/", "/bin", "/etc", "/home", "/lib", "/lib64", "/mnt", "/opt", "/root", "/sbin",
                                      "/srv", "/tmp", "/usr", "/usr/lib", "/var", "/var/lib", "/var/tmp"))  # noqa: S108  # fmt: skip
# Keys and settings of the machine, and what other containers are made of.
PRIVATE = tuple(Path(path) for path in ("/etc", "/var/lib/docker", "/var/lib/containerd"))


class MountRefused(SandboxFailed):
    """Something that belongs to the host, or lies above the workspace, was asked for."""

    fault_class = FaultClass.CONFIGURATION
    code = "isolation.mount_refused"
    remedy = "Name a directory that holds nothing but the toolchain, and a workspace of its own."


class VolumeGone(SandboxFailed):
    """What was lent is not there, or was deleted since."""

    fault_class = FaultClass.CONFIGURATION
    code = "volume.gone"
    remedy = "Make the directory again, or take the volume out of the template; then retry the agent."


class VolumesUnavailable(IsolationUnavailable):
    """The tier mounts nothing: a volume could not stand where the template wants it."""

    fault_class = FaultClass.CONFIGURATION
    code = "volume.unavailable"
    remedy = "Use a host with the process or container tier, or a template without `volumes`."


def check_tier(profile: Profile, tier: Tier) -> None:
    """Raises :class:`VolumesUnavailable` where the profile asks for volumes that ``tier`` cannot mount.

    What is only read, and seen at its own path, takes no mount.
    """
    if tier in (Tier.CONTAINER, Tier.PROCESS):
        return
    for volume in profile.volumes:
        if volume.writable or str(volume.source) != volume.target:
            raise VolumesUnavailable(
                f"The {tier.value} tier has no mounts of its own: nothing can stand at {volume.target}.",
                tier=tier.value,
            )


def check(*, workspace: Path, readable: Iterable[Path]) -> None:
    """MountRefused unless the workspace and every further directory may be mounted."""
    check_place(workspace, what="workspace")
    if os.path.islink(workspace):
        raise MountRefused(f"The workspace {workspace} is a link.")
    real_workspace = _real(workspace)
    for path in readable:
        check_place(path, what="directory")
        for seen in (path, _real(path)):
            for ours in (workspace, real_workspace):
                if seen == ours or seen in ours.parents:
                    raise MountRefused(f"{path} lies above the workspace: it would show the neighbours.")


def check_volumes(volumes: Sequence[Volume], *, workspace: Path, readable: Iterable[Path]) -> None:
    """MountRefused unless each may be mounted where it is wanted, apart from the others and all else that is mounted.

    SandboxGone when a mount of ours is not there any more: the machine was restarted, or somebody took it away.
    VolumeGone when what it shows was deleted.
    """
    taken = [workspace, *readable, *PROGRAMS, *FORBIDDEN, *PRIVATE]
    for volume in volumes:
        target = Path(volume.target)
        if not target.is_absolute() or os.path.normpath(volume.target) != volume.target or "\0" in volume.target:
            raise MountRefused(f"The target {volume.target!r} is no plain absolute path.")
        if target in WHOLE or any(_meet(target, other) for other in taken):
            raise MountRefused(f"A volume cannot stand at {volume.target}: the sandbox has something of its own there.")
        taken.append(target)
        check_place(volume.source, what="volume")
        if _meet(volume.source, workspace):
            raise MountRefused(f"The volume {volume.source} shows a workspace.")
        if volume.pinned and not disk_images.is_mounted(volume.source):
            raise SandboxGone(f"The volume at {volume.target} is not mounted any more.")
        if not _is_linked(volume.source):
            raise VolumeGone(f"The directory at {volume.target} was deleted on the host.")


def _is_linked(source: Path) -> bool:
    """Whether it is there and still has a name somewhere: a deleted directory can be looked at, and not mounted."""
    try:
        return source.stat().st_nlink > 0
    except FileNotFoundError:
        return False


def _meet(one: Path, other: Path) -> bool:
    return one == other or one in other.parents or other in one.parents


def check_place(path: Path, *, what: str) -> None:
    """MountRefused for what is no plain path, belongs to the host, or is a socket or a device."""
    text = str(path)
    if not path.is_absolute() or os.path.normpath(text) != text or text.startswith("//") or "\0" in text:
        raise MountRefused(f"The {what} {text!r} is no plain absolute path.")
    _check_owner(path, path, what=what)
    real = _real(path)
    _check_owner(path, real, what=what)
    if real.exists() and not real.is_dir() and not real.is_file():
        raise MountRefused(f"The {what} {path} is a socket or a device.")


def _check_owner(path: Path, seen: Path, *, what: str) -> None:
    beneath = (*seen.parents, seen)
    if seen in WHOLE or any(place in beneath for place in (*FORBIDDEN, *PRIVATE)):
        raise MountRefused(f"The {what} {path} belongs to the host.")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
