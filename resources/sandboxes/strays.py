"""Strays: processes under a user id that is lent to berths, which no berth holds any more.

A berth's processes live beneath a launcher of ours, or in a pid namespace of their own that ends with it. A launcher
that is killed with -9 where there are no control groups leaves those that made themselves independent.
"""

from __future__ import annotations

import os
import pwd
import time
from contextlib import suppress
from pathlib import Path

import psutil

from resources.sandboxes.launch import LAUNCHER
from resources.sandboxes.protocol import SandboxFailed

_END_S = 10.0


def by_uid(among: range) -> dict[int, list[psutil.Process]]:
    """The strays of each of these user ids. None where the service is not root, which lends no user ids."""
    if os.geteuid() != 0:
        return {}
    found: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter(["uids"]):
        uids = process.info["uids"]
        if uids is not None and uids.real in among and _is_stray(process):
            found.setdefault(uids.real, []).append(process)
    return {uid: processes for uid, processes in found.items() if not _has_name(uid)}


def end(uid: int) -> None:
    """Stop, then kill all strays of this user id, and see that they end. SandboxFailed when some do not."""
    until = time.monotonic() + _END_S
    while strays := by_uid(range(uid, uid + 1)).get(uid, []):
        if time.monotonic() >= until:
            raise SandboxFailed(f"{len(strays)} processes of user id {uid} do not end")
        for halt in (psutil.Process.suspend, psutil.Process.kill):  # first stand still: some would fork on
            for process in strays:
                with suppress(psutil.NoSuchProcess):
                    halt(process)
        time.sleep(0.01)


def _is_stray(process: psutil.Process) -> bool:
    try:
        process.create_time()  # psutil keeps it: who asks later may be too late
        if process.status() == psutil.STATUS_ZOMBIE:  # it has ended; its parent collects it in its own time
            return False
        contained = os.readlink(f"/proc/{process.pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
        return not contained and not any(_is_launcher(above) for above in process.parents())
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):  # it ended while it was looked at
        return False


def _is_launcher(process: psutil.Process) -> bool:
    """Whether it is one of ours. An inhabitant may call itself so too, but not be who we are."""
    named = any(Path(argument).name == LAUNCHER.name for argument in process.cmdline())
    return named and process.uids().real == os.geteuid()


def _has_name(uid: int) -> bool:
    """Whether the machine knows a user of this id: then it is somebody's, whatever the setting says."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
