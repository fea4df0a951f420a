"""The process tier: bubblewrap. Own namespaces for files, processes, network, users and names, one uid per sandbox.

``--die-with-parent`` fires when the *thread* that started bubblewrap ends. Here that is the only thread of the
launcher, which lives exactly as long as the command; so it is safe, and a killed launcher leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from resources.sandboxes import cgroups, local, mounts, passwd, sealing, way_out
from resources.sandboxes.launch import LAUNCHER, Plan, interpreter
from resources.sandboxes.protocol import (
    Availability,
    Command,
    IsolationUnavailable,
    Profile,
    Tier,
)
from resources.sandboxes.seccomp import Network
from resources.sandboxes.surroundings import environment
from resources.sandboxes.visible import INSTALLED, PROGRAMS, SETTINGS, toolchain

_LAUNCHER_INSIDE = "/run/moorage/launcher.py"
_SHM = "/dev/shm"  # noqa: S108 — the sandbox's own
_TMP_BYTES = 64 << 20
_SHM_BYTES = 64 << 20
_PROBE_S = 30.0  # a busy machine must not be taken for one without the tier
_INSTALL = "apt-get install bubblewrap"


class BubblewrapProvider(local.LocalProvider):
    """Opens sandboxes made by the ``bwrap`` program."""

    tier: ClassVar[Tier] = Tier.PROCESS

    def probe(self) -> Availability:
        """Whether ``bwrap`` is there and may make namespaces here."""
        if not sealing.supported():
            return self.unavailable("the processor architecture is not known", "Use the container tier.")
        program = shutil.which("bwrap")
        if program is None:
            return self.unavailable("the program bwrap is not installed", _INSTALL)
        probe = (
            program,
            *_namespaces(),
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--",
            "/bin/true",
        )
        try:
            answer = subprocess.run(probe, capture_output=True, timeout=_PROBE_S, check=False, env={})
        except (OSError, subprocess.TimeoutExpired) as error:
            return self.unavailable(f"bwrap does not run: {error}", _INSTALL)
        if answer.returncode != 0:
            why = answer.stderr.decode("utf-8", "replace").strip()[-300:]
            remedy = "Allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1"
            return self.unavailable(f"bwrap may not make namespaces here: {why}", remedy)
        return Availability(self.tier, available=True, reason=_note(None), remedy="")

    def sandbox(self, profile: Profile) -> local.LocalSandbox:
        """The tier's sandbox of this profile."""
        limited = bool(cgroups.covered())
        return local.LocalSandbox(
            tier=Tier.PROCESS,
            profile=profile,
            note=_note(profile.uid),
            build=_plan,
            limited=limited,
        )


def _plan(profile: Profile, name: str, command: Command, groups: tuple[Path, ...]) -> Plan:
    uid = profile.uid if os.geteuid() == 0 else None
    return Plan(
        tier=Tier.PROCESS,
        name=name,
        argv=way_out.through(profile, command.argv, interpreter=interpreter()),
        cwd=command.cwd or profile.workspace,
        environment=environment(profile, command),
        seal=sealing.seal(profile, uid=uid, network=Network.NAMESPACE, held=cgroups.covered()),
        cgroups=groups,
        wrapper=wrapper(profile),
    )


def wrapper(profile: Profile) -> tuple[str, ...]:
    """bubblewrap's argv, up to and including the launcher that seals the command inside."""
    program = shutil.which("bwrap")
    if program is None:
        raise IsolationUnavailable("process: the program bwrap is not installed", remedy=_INSTALL)
    tools = [path for path in toolchain(profile.readable) if not _beneath(path, profile.workspace)]
    mounts.check_volumes(profile.volumes, workspace=profile.workspace, readable=tools)
    settings = (*SETTINGS, INSTALLED)
    targets = [Path(volume.target) for volume in profile.volumes]
    shown = (*settings, *tools, Path(_LAUNCHER_INSIDE), profile.workspace)
    return (
        program,
        *_namespaces(),
        "--die-with-parent",
        "--hostname", "berth",
        *_system(),
        *_parents((*targets, *(path for path in shown if path.exists() or path == Path(_LAUNCHER_INSIDE)))),
        *_read_only(path for path in (*settings, *tools) if path.exists()),
        *_own_name(profile),
        *(word for source, inside in way_out.mounts(profile) for word in ("--ro-bind", str(source), inside)),
        "--ro-bind", str(LAUNCHER), _LAUNCHER_INSIDE,
        "--bind", str(profile.workspace), str(profile.workspace),
        *_volumes(profile),
        "--remount-ro", "/dev", "--remount-ro", "/",
        "--chdir", "/",
        "--", interpreter(), "-I", "-S", "-B", _LAUNCHER_INSIDE, "seal", "8", "9",
    )  # fmt: skip


def _volumes(profile: Profile) -> Iterable[str]:
    """bubblewrap adds ``nosuid,nodev`` to every one by itself."""
    for volume in profile.volumes:
        yield from ("--bind" if volume.writable else "--ro-bind", str(volume.source), volume.target)


def _own_name(profile: Profile) -> list[str]:
    """Over the host's list of users, in which a leased user id does not stand."""
    if profile.uid is None or os.geteuid() != 0:
        return []
    return ["--ro-bind", str(passwd.file_for(uid=profile.uid, gid=profile.uid)), passwd.INSIDE]


def _parents(paths: Iterable[Path]) -> list[str]:
    """The directories above what is shown: left to itself bubblewrap makes them for root's eyes only."""
    above = {parent for path in paths for parent in path.parents} - {Path("/"), Path("/tmp")}  # noqa: S108
    return [word for path in sorted(above) for word in ("--perms", "0755", "--dir", str(path))]


def _namespaces() -> tuple[str, ...]:
    """As root no user namespace: the launcher inside becomes the leased uid itself, then has no capability."""
    common = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
    if os.geteuid() != 0:
        return ("--unshare-user", *common)
    kept = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
    return (*common, "--cap-drop", "ALL", *(word for name in kept for word in ("--cap-add", name)))


def _system() -> tuple[str, ...]:
    words: list[str] = []
    for path in PROGRAMS:
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.exists():
            words += ["--ro-bind", str(path), str(path)]
    # --dev alone leaves a /dev/shm of half the machine's memory.
    words += [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--perms",
        "1777",
        "--size",
        str(_SHM_BYTES),
        "--tmpfs",
        _SHM,
    ]
    words += ["--perms", "1777", "--size", str(_TMP_BYTES), "--tmpfs", "/tmp"]  # noqa: S108 — the sandbox's own
    return tuple(words)


def _read_only(paths: Iterable[Path]) -> list[str]:
    return [word for path in paths for word in ("--ro-bind", str(path), str(path))]


def _beneath(path: Path, directory: Path) -> bool:
    return path == directory or directory in path.parents


def _note(uid: int | None) -> str:
    gaps = ["only loopback inside the sandbox: leased ports are not reachable from outside it"]
    if missing := sorted(set(cgroups.CONTROLLERS) - cgroups.covered()):
        gaps.append("no total limit of " + ", ".join(missing) + " (no writable control group), only limits per process")
    if os.geteuid() == 0 and uid is None:
        gaps.append("no uid was leased: runs as uid 0 without capabilities")
    return "Shares the host's kernel; " + "; ".join(gaps) + "."
