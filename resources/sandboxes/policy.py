"""What every container may do: a pure function from a profile to the engine's own words.

It is a floor: it is applied to the finished profile, after all templates were merged, and takes nothing from them but
the numbers and paths of the profile.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.types import LogConfig, Mount, Ulimit

from events.faults import FaultClass
from resources.sandboxes import mounts, passwd, syscalls, way_out
from resources.sandboxes.protocol import Profile, SandboxFailed, Volume

DEFAULT_IMAGE = "moorage/sandbox:latest"
LAUNCHER_INSIDE = "/run/moorage/launcher.py"
AGENT_INSIDE = "/run/moorage/berth_agent.py"
DOOR_INSIDE = "/run/moorage/door"
GVISOR = "runsc"
RUNTIMES = ("", GVISOR)  # what may be asked for; the engine may know others, for instance one that brings devices
AT_LEAST = {"memory_mb": 6, "cpu_millis": 1, "pids": 1}  # zero and less mean "without limit" to the engine
LABEL = "moorage.sandbox"
OWNER_LABEL, GENERATION_LABEL, INSTALL_LABEL = "moorage.owner", "moorage.generation", "moorage.install"
_CPU_PERIOD_US = 100_000
_TMP = {"/tmp": "rw,noexec,nosuid,nodev,size=100m,mode=1777"}  # noqa: S108 — the container's own


def labels(profile: Profile, name: str) -> dict[str, str]:
    """How a container is recognised as ours, and whose it is."""
    return {
        LABEL: name,
        OWNER_LABEL: profile.owner,
        GENERATION_LABEL: str(profile.generation),
        INSTALL_LABEL: profile.install,
    }


class ProfileRefused(SandboxFailed):
    """The profile asks for what no container of ours gets."""

    fault_class = FaultClass.CONFIGURATION
    code = "isolation.profile_refused"
    remedy = "Correct the template's size and isolation."


@dataclass(frozen=True, slots=True)
class Programs:
    """Our programs on the host, mounted read-only; ``door`` is where the agent listens, None to start none."""

    launcher: Path
    agent: Path
    door: Path | None
    passwd: Path | None = None  # what the berth reads as /etc/passwd; None for the image's own


def container(
    profile: Profile, *, name: str, uid: int, gid: int, tools: Iterable[Path], programs: Programs
) -> dict[str, Any]:
    """Arguments of ``containers.create``. ProfileRefused or MountRefused for what no container of ours gets."""
    _check(profile, uid=uid, gid=gid)
    tools = tuple(tools)
    mounts.check(workspace=profile.workspace, readable=tools)
    mounts.check_volumes(profile.volumes, workspace=profile.workspace, readable=tools)
    return {
        "name": name,
        "labels": labels(profile, name),
        **_first_process(programs),
        **({"runtime": profile.runtime} if profile.runtime else {}),
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
        "security_opt": ["no-new-privileges:true", f"seccomp={syscalls.profile(platform.machine())}"],
        "read_only": True,
        "tmpfs": dict(_TMP),
        "log_config": LogConfig(type="json-file", config={"max-size": "1m", "max-file": "2"}),
        "ulimits": [Ulimit(name="nofile", soft=4096, hard=4096), Ulimit(name="core", soft=0, hard=0)],
        "mounts": _mounts(profile, tools, programs),
    }


def _check(profile: Profile, *, uid: int, gid: int) -> None:
    if uid <= 0 or gid <= 0:
        raise ProfileRefused("A berth never runs as root.")
    if profile.runtime not in RUNTIMES:
        raise ProfileRefused(f"The runtime {profile.runtime!r} is none that isolates.")
    for name, least in AT_LEAST.items():
        if getattr(profile, name) < least:
            raise ProfileRefused(f"{name} is {getattr(profile, name)}, below {least}: it would be no limit.")


def _first_process(programs: Programs) -> dict[str, Any]:
    """The berth's agent, which reaps and cannot be signalled from inside; else an idle process under an init."""
    if programs.door is None:
        return {"entrypoint": ["sleep"], "command": ["infinity"], "init": True}
    return {"entrypoint": ["python3"], "command": ["-I", "-S", "-B", AGENT_INSIDE, DOOR_INSIDE], "init": False}


def _mounts(profile: Profile, tools: Iterable[Path], programs: Programs) -> list[Mount]:
    """Workspace and door, writable; tools and our programs, read-only, at the same paths; volumes, each as it is lent.

    Nothing else of the host.
    """
    made = [Mount(str(path), str(path), type="bind", read_only=True) for path in tools]
    made.append(Mount(LAUNCHER_INSIDE, str(programs.launcher), type="bind", read_only=True))
    made.append(Mount(AGENT_INSIDE, str(programs.agent), type="bind", read_only=True))
    made += [Mount(inside, str(path), type="bind", read_only=True) for path, inside in way_out.mounts(profile)]
    if programs.passwd is not None:
        made.append(Mount(passwd.INSIDE, str(programs.passwd), type="bind", read_only=True))
    made.append(Mount(str(profile.workspace), str(profile.workspace), type="bind", read_only=False))
    made += [_volume(volume) for volume in profile.volumes]
    if programs.door is not None:
        made.append(Mount(DOOR_INSIDE, str(programs.door), type="bind", read_only=False))
    return made


def _volume(volume: Volume) -> Mount:
    """A mount of ours is read-only by itself where it is: an engine that made it so once more would take its
    ``nosuid,nodev`` away.
    """
    read_only = not (volume.writable or volume.pinned)
    return Mount(volume.target, str(volume.source), type="bind", read_only=read_only)
