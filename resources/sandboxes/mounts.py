"""What of the host may never be mounted into a berth, whatever a template or a caller asks.

The policy asks here last, with the finished list. A path counts as what it is called and as what it leads to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from events.faults import FaultClass
from resources.sandboxes.protocol import SandboxFailed

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


def check(*, workspace: Path, readable: Iterable[Path]) -> None:
    """MountRefused unless the workspace and every further directory may be mounted."""
    _check_place(workspace, what="workspace")
    if os.path.islink(workspace):
        raise MountRefused(f"The workspace {workspace} is a link.")
    real_workspace = _real(workspace)
    for path in readable:
        _check_place(path, what="directory")
        for seen in (path, _real(path)):
            for ours in (workspace, real_workspace):
                if seen == ours or seen in ours.parents:
                    raise MountRefused(f"{path} lies above the workspace: it would show the neighbours.")


def _check_place(path: Path, *, what: str) -> None:
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
