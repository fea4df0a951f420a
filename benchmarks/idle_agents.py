"""What an idle agent costs in memory: fifty open berths of each tier in which nothing runs.

Counted as proportional set sizes of all that stands for a berth on the host: in a container its agent and the engine's
shim; in the process tier nothing runs between commands. ``MOORAGE_IDLE_AGENTS`` chooses another number.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psutil

from benchmarks.report import Figure, main

AGENTS = int(os.environ.get("MOORAGE_IDLE_AGENTS", "50"))


def measure() -> list[Figure]:
    """Fifty at once of each tier that this machine has."""
    with tempfile.TemporaryDirectory(prefix="moor-", ignore_cleanup_errors=True) as directory:
        os.environ.update(MOORAGE_DATA=f"{directory}/data", DJANGO_SETTINGS_MODULE="config.settings")
        import django

        django.setup()
        from resources.sandboxes import selection

        root = Path(directory)
        root.chmod(0o711)
        there = [answer.tier.value for answer in selection.availabilities() if answer.available]
        return [figure for tier in ("container", "process") if tier in there for figure in _tier(root, tier)]


def _tier(root: Path, tier: str) -> list[Figure]:
    from resources.sandboxes import local, selection
    from resources.sandboxes.protocol import Profile, Sandbox, Tier

    opened: list[Sandbox] = []
    try:
        for number in range(AGENTS):
            place = root / f"{tier}{number}"
            place.mkdir(mode=0o711)
            profile = Profile(owner=f"agent:idle{number}", generation=1, workspace=place, uid=211_000 + number)
            opened.append(selection.open_sandbox(profile, minimum=Tier(tier), prefer=Tier(tier), allow_bare=False))
        if tier == "container":
            pids = [pid for sandbox in opened for pid in _of_container(sandbox.reference()["name"])]
        else:
            pids = [p.pid for sandbox in opened for p in local.launchers(sandbox.reference()["name"])]
        total_mb = sum(psutil.Process(pid).memory_full_info().pss for pid in pids) / 2**20
    finally:
        for sandbox in opened:
            sandbox.close()
    return [
        Figure(f"memory of an idle agent, {tier} tier", round(total_mb / AGENTS, 2), "MB"),
        Figure(f"processes of an idle agent, {tier} tier", round(len(pids) / AGENTS, 2), "processes"),
    ]


def _of_container(name: str) -> list[int]:
    """Its first process and the engine's shim above it."""
    from resources.sandboxes.engine import engine

    with engine() as client:
        first = int(client.containers.get(name).attrs["State"]["Pid"])
    return [first, psutil.Process(first).ppid()]


if __name__ == "__main__":
    main(measure)
