"""The part of a plan that the launcher applies to the command's own process: limits, privileges, filters."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resources.sandboxes import seccomp
from resources.sandboxes.protocol import Profile

FILE_BYTES = 8 << 30  # one file; a runaway log stops here
OPEN_FILES = 4096


def seal(
    profile: Profile,
    *,
    uid: int | None,
    network: seccomp.Network | None,
    held: frozenset[str],
    forbid: Sequence[str] = (),
    landlock: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What the launcher applies. ``held`` names the totals that a control group limits.

    ``network`` None leaves out the system call filter and keeps the privileges: the bare tier.
    """
    program = b""
    if network is not None:
        program = seccomp.filter_program(machine=platform.machine(), network=network, forbid=forbid)
    return {
        "limits": _limits(profile, uid=uid, held=held),
        "drop_privileges": network is not None,
        "uid": uid,
        "gid": uid,
        "landlock": landlock,
        "seccomp": program.hex(),
    }


def _limits(profile: Profile, *, uid: int | None, held: frozenset[str]) -> dict[str, int]:
    """Per process, where no control group holds the total."""
    limits = {"FSIZE": FILE_BYTES, "NOFILE": OPEN_FILES, "CORE": 0}
    if "memory" not in held:
        # Private writable memory, not address space: runtimes reserve far more of that than they use.
        limits["DATA"] = profile.memory_mb << 20
    if "pids" not in held:
        # The kernel counts per uid and exempts root. A leased uid is the sandbox's own; ours runs much else.
        limits["NPROC"] = profile.pids if uid is not None else profile.pids + _tasks_of(os.getuid())
    return limits


def _tasks_of(uid: int) -> int:
    """Threads that run as ``uid`` now."""
    count = 0
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and process.stat().st_uid == uid:
                count += len(os.listdir(process / "task"))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return count


def supported() -> bool:
    """Whether we know this machine's system call numbers."""
    return platform.machine() in seccomp.ARCHITECTURES
