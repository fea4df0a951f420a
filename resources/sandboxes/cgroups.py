"""Totals of a sandbox — memory, processes, processor — where this host lets us make control groups (v1 or v2)."""

from __future__ import annotations

import errno
import os
import signal
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PARENT = "moorage"
CONTROLLERS = ("memory", "pids", "cpu")
_PERIOD_US = 100_000
_EMPTY_S = 5.0


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where groups can be made: a directory per controller (v1), or one directory for all (v2)."""

    version: int
    roots: dict[str, Path]


@cache
def hierarchies() -> Hierarchies:
    """The writable hierarchies of this process; no roots where there are none."""
    unified: Path | None = None
    separate: dict[str, Path] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            unified = Path(mount)
        elif kind == "cgroup":
            for controller in set(CONTROLLERS) & set(options.split(",")):
                separate[controller] = Path(mount)
    separate = {controller: root for controller, root in separate.items() if os.access(root, os.W_OK)}
    if separate:
        return Hierarchies(1, _with_parent(separate))
    if unified is not None:
        return Hierarchies(2, _with_parent(_delegated(unified)))
    return Hierarchies(2, {})


def _delegated(unified: Path) -> dict[str, Path]:
    """The controllers that groups directly beneath the v2 root may have; only the root lets processes stay beside."""
    if not os.access(unified / "cgroup.subtree_control", os.W_OK):
        return {}
    offered = set((unified / "cgroup.controllers").read_text().split())
    wanted = [controller for controller in CONTROLLERS if controller in offered]
    if not _enabled(unified, wanted):
        return {}
    return dict.fromkeys(wanted, unified)


def _enabled(directory: Path, controllers: list[str]) -> bool:
    try:
        (directory / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
    except OSError as error:
        # EBUSY: processes live here, so no controllers below; the others: not ours to decide.
        if error.errno in (errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS, errno.EOPNOTSUPP):
            return False
        raise
    return True


def _with_parent(roots: dict[str, Path]) -> dict[str, Path]:
    """Each root's ``moorage`` directory, made; without those that cannot be made."""
    usable = {}
    for controller, root in roots.items():
        parent = root / PARENT
        try:
            parent.mkdir(exist_ok=True)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                continue
            raise
        if not (parent / "cgroup.subtree_control").exists() or _enabled(parent, list(roots)):
            usable[controller] = parent
    return usable


def covered() -> frozenset[str]:
    """The controllers that :func:`ensure` will really set."""
    return frozenset(hierarchies().roots)


def paths(name: str) -> tuple[Path, ...]:
    """The group directories of one sandbox, whether or not they exist."""
    return tuple(dict.fromkeys(root / name for root in hierarchies().roots.values()))


def ensure(name: str, *, memory_mb: int, pids: int, cpu_millis: int) -> tuple[Path, ...]:
    """Make the groups of ``name`` with these limits; idempotent."""
    for group in paths(name):
        group.mkdir(exist_ok=True)
    roots = hierarchies().roots
    quota_us = max(1000, cpu_millis * _PERIOD_US // 1000)
    if "memory" in roots:
        _limit_memory(roots["memory"] / name, memory_mb << 20)
    if "pids" in roots:
        (roots["pids"] / name / "pids.max").write_text(str(pids))
    if "cpu" in roots:
        group = roots["cpu"] / name
        if hierarchies().version == 1:
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        else:
            (group / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
    return paths(name)


def _limit_memory(group: Path, limit_bytes: int) -> None:
    """Memory and swap together; a group whose limit stands is left alone."""
    if hierarchies().version == 2:
        (group / "memory.max").write_text(str(limit_bytes))
        if (group / "memory.swap.max").exists():
            (group / "memory.swap.max").write_text("0")
        return
    (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
    if (group / "memory.memsw.limit_in_bytes").exists():
        (group / "memory.memsw.limit_in_bytes").write_text(str(limit_bytes))


def members(name: str) -> frozenset[int]:
    """Pids in any group of ``name``."""
    found: set[int] = set()
    for group in paths(name):
        try:
            found.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
        except FileNotFoundError:
            continue
    return frozenset(found)


def usage(name: str) -> tuple[int | None, float | None]:
    """(memory in MB, processor seconds) of the group, None where the controller is missing."""
    roots, version = hierarchies().roots, hierarchies().version
    memory_mb = cpu_s = None
    if "memory" in roots:
        figure = "memory.usage_in_bytes" if version == 1 else "memory.current"
        memory_mb = _number(roots["memory"] / name / figure)
    if "cpu" in roots and version == 2:
        stat = roots["cpu"] / name / "cpu.stat"
        if stat.exists():
            cpu_s = int(stat.read_text().split()[1]) / 1e6
    return (None if memory_mb is None else memory_mb >> 20), cpu_s


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return None


def remove(name: str) -> None:
    """Kill the members and remove the groups; missing ones are fine."""
    until = time.monotonic() + _EMPTY_S
    while (alive := members(name)) and time.monotonic() < until:
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)
    for group in paths(name):
        _remove_directory(group, until=until)


def _remove_directory(group: Path, *, until: float) -> None:
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            # A dying member is counted a moment longer than it is listed.
            if error.errno != errno.EBUSY or time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return
