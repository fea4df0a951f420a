"""The landlock tier: kernel rules that need no root, no engine and no program.

What it covers: files outside the workspace and the listed readable ones, TCP, other sockets, dangerous system calls,
signals and memory per process. What it cannot cover is in the note. Rights and numbers: include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from resources.sandboxes import cgroups, local, sealing
from resources.sandboxes.launch import Plan
from resources.sandboxes.protocol import (
    Availability,
    Command,
    Profile,
    Ready,
    Tier,
)
from resources.sandboxes.seccomp import Network
from resources.sandboxes.surroundings import environment
from resources.sandboxes.visible import DEVICES, INSTALLED, PROGRAMS, SETTINGS, reachable_by_others, toolchain

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 13, 1 << 14, 1 << 15
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL = 1, 2
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_TO_DEVICES = _READ_FILE | _WRITE_FILE | _IOCTL_DEV

# Figures about the machine that runtimes size themselves by. Nothing about other processes.
_PROC = tuple(
    Path("/proc", name)
    for name in ("cpuinfo", "filesystems", "loadavg", "meminfo", "self", "stat", "uptime", "version")
) + tuple(
    Path("/proc/sys", name)
    for name in (
        "kernel/cap_last_cap",
        "kernel/osrelease",
        "kernel/pid_max",
        "kernel/random",
        "vm/overcommit_memory",
    )
)
_MACHINE = (Path("/sys/devices/system/cpu"),)
_NO_RENAME_ACROSS = 1  # the ABI that refuses every rename between directories: git does not work under it


@cache
def abi() -> int:
    """The kernel's Landlock version; 0 where it has none or was booted without it."""
    version = ctypes.CDLL(None, use_errno=True).syscall(
        ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_uint32(1)
    )
    return max(0, int(version))


class LandlockProvider(local.LocalProvider):
    """Opens sandboxes made of Landlock rules."""

    tier: ClassVar[Tier] = Tier.LANDLOCK

    def probe(self) -> Availability:
        """Whether the kernel knows Landlock well enough."""
        if not sealing.supported():
            return self.unavailable("the processor architecture is not known", "Use the container tier.")
        if abi() <= _NO_RENAME_ACROSS:
            remedy = "Boot a kernel of 5.19 or later with `landlock` in the kernel parameter `lsm=`."
            return self.unavailable(f"the kernel's Landlock version is {abi()}; 2 is needed", remedy)
        return Availability(self.tier, available=True, reason=_note(abi(), limited=bool(cgroups.covered())), remedy="")

    def open(self, profile: Profile, *, workspace_ready: Ready) -> local.LocalSandbox:
        """Prepare the workspace and mark the sandbox as open, as a uid that can walk to it."""
        return super().open(_with_usable_uid(profile), workspace_ready=workspace_ready)

    def sandbox(self, profile: Profile) -> local.LocalSandbox:
        """The tier's sandbox of this profile."""
        limited = bool(cgroups.covered())
        return local.LocalSandbox(
            tier=Tier.LANDLOCK,
            profile=profile,
            note=_note(abi(), limited=limited),
            build=_plan,
            limited=limited,
        )


def _with_usable_uid(profile: Profile) -> Profile:
    """Without a mount namespace, a leased uid works only where it can walk to the toolchain and the workspace."""
    if profile.uid is None or os.geteuid() != 0:
        return dataclasses.replace(profile, uid=None)
    needed = (*toolchain(profile.readable), profile.workspace.parent)
    return profile if all(map(reachable_by_others, needed)) else dataclasses.replace(profile, uid=None)


def _plan(profile: Profile, name: str, command: Command, groups: tuple[Path, ...]) -> Plan:
    version = abi()
    return Plan(
        tier=Tier.LANDLOCK,
        name=name,
        argv=command.argv,
        cwd=command.cwd or profile.workspace,
        environment=environment(profile, command),
        seal=sealing.seal(
            profile,
            uid=profile.uid,
            network=_network(version, profile),
            held=cgroups.covered(),
            # Until version 3, truncating by name was no write.
            forbid=("truncate",) if version < 3 else (),
            landlock=rules(profile, version=version),
        ),
        cgroups=groups,
    )


def _network(version: int, profile: Profile) -> Network:
    """TCP only where its ports can be ruled; without leased ports there is nothing to connect to at all."""
    return Network.TCP_ONLY if version >= 4 and profile.ports else Network.NONE


def rules(profile: Profile, *, version: int) -> dict[str, Any]:
    """The ruleset as the launcher takes it: rights per path, ports, and the kernel structure's size."""
    handled = (1 << 13) - 1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        handled |= right if version >= since else 0
    own = handled & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV)
    readable = (*PROGRAMS, *SETTINGS, INSTALLED, *_PROC, *_MACHINE, *toolchain(profile.readable))
    # Only what is read, and seen at its own path: who chose the tier has refused all else.
    readable += tuple(volume.source for volume in profile.volumes)
    paths = [(str(path), _READ) for path in readable]
    paths += [(str(path), _TO_DEVICES) for path in DEVICES]
    paths.append((str(profile.workspace), own))
    return {
        "handled_fs": handled,
        "handled_net": _BIND_TCP | _CONNECT_TCP if version >= 4 else 0,
        "scoped": _SCOPE_ABSTRACT_UNIX | _SCOPE_SIGNAL if version >= 6 else 0,
        "attribute_size": 24 if version >= 6 else 16 if version >= 4 else 8,
        "paths": paths,
        "ports": sorted(profile.ports.values()) if version >= 4 else [],
    }


def _note(version: int, *, limited: bool) -> str:
    """What this tier does not cover, on this kernel."""
    gaps = [
        "names, sizes and dates of files outside can be seen, and modes and dates of the service user's own changed",
        "no unix sockets and no shared memory between processes",
    ]
    if not limited:
        gaps.append("memory is limited per process, not in total, and processor time is not limited")
    elif missing := sorted(set(cgroups.CONTROLLERS) - cgroups.covered()):
        gaps.append("no total limit of " + ", ".join(missing))
    if version < 4:
        gaps.append("leased ports cannot be used on this kernel")
    if version < 6:
        gaps.append("signals reach other processes of the service's user")
    return "Weakest tier: " + "; ".join(gaps) + "."
