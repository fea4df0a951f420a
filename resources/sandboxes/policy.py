"""What every container may do: a pure function from a profile to the engine's own words.

It is a floor: it is applied to the finished profile, after all templates were merged, and takes nothing from them but
the numbers and paths of the profile.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docker.types import LogConfig, Mount, Ulimit

from resources.sandboxes import way_out
from resources.sandboxes.protocol import Profile

DEFAULT_IMAGE = "moorage/sandbox:latest"
LAUNCHER_INSIDE = "/run/moorage/launcher.py"
LABEL = "moorage.sandbox"
OWNER_LABEL, GENERATION_LABEL = "moorage.owner", "moorage.generation"
_CPU_PERIOD_US = 100_000
_TMP = {"/tmp": "rw,noexec,nosuid,nodev,size=100m,mode=1777"}  # noqa: S108 — the container's own


def labels(profile: Profile, name: str) -> dict[str, str]:
    """How a container is recognised as ours, and whose it is."""
    return {LABEL: name, OWNER_LABEL: profile.owner, GENERATION_LABEL: str(profile.generation)}


def container(
    profile: Profile, *, name: str, uid: int, gid: int, tools: Iterable[Path], launcher: Path
) -> dict[str, Any]:
    """Arguments of ``containers.create``. Raises ValueError for uid or gid 0: nobody is root in a berth."""
    if uid == 0 or gid == 0:
        raise ValueError("a berth never runs as root")
    return {
        "name": name,
        "labels": labels(profile, name),
        # Held open by an idle process under the engine's init; commands are executed in it.
        "entrypoint": ["sleep"],
        "command": ["infinity"],
        "user": f"{uid}:{gid}",
        "working_dir": str(profile.workspace),
        "hostname": "berth",
        "network_mode": "none",
        "ipc_mode": "private",
        "shm_size": "64m",
        # Equal limits: no swap on top.
        "mem_limit": profile.memory_mb << 20,
        "memswap_limit": profile.memory_mb << 20,
        "cpu_period": _CPU_PERIOD_US,
        "cpu_quota": max(1000, profile.cpu_millis * _CPU_PERIOD_US // 1000),
        "pids_limit": profile.pids,
        "cap_drop": ["ALL"],
        # The engine's own syscall profile stays in force; the launcher puts ours on top of it.
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "tmpfs": dict(_TMP),
        "init": True,
        "log_config": LogConfig(type="json-file", config={"max-size": "1m", "max-file": "2"}),
        "ulimits": [Ulimit(name="nofile", soft=4096, hard=4096), Ulimit(name="core", soft=0, hard=0)],
        "mounts": _mounts(profile, tools, launcher),
    }


def _mounts(profile: Profile, tools: Iterable[Path], launcher: Path) -> list[Mount]:
    """The workspace, writable; tools and launcher, read-only; nothing else of the host. Same paths as outside."""
    mounts = [Mount(str(path), str(path), type="bind", read_only=True) for path in tools]
    mounts.append(Mount(LAUNCHER_INSIDE, str(launcher), type="bind", read_only=True))
    mounts += [Mount(inside, str(path), type="bind", read_only=True) for path, inside in way_out.mounts(profile)]
    mounts.append(Mount(str(profile.workspace), str(profile.workspace), type="bind", read_only=False))
    return mounts
