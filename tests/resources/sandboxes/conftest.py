"""Every tier, opened on a workspace of its own and closed again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from resources.files import Beneath
from resources.sandboxes import launch, selection
from resources.sandboxes.protocol import Command, Outcome, Profile, Sandbox, Tier

ISOLATING = [
    pytest.param(Tier.LANDLOCK, marks=pytest.mark.needs_landlock, id="landlock"),
    pytest.param(Tier.PROCESS, marks=pytest.mark.needs_bubblewrap, id="process"),
    pytest.param(Tier.CONTAINER, marks=pytest.mark.needs_docker, id="container"),
]
ALL = [pytest.param(Tier.BARE, id="bare"), *ISOLATING]

Opener = Callable[..., Sandbox]
_generation = itertools.count(1)


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Opener]:
    """``opener(tier, **profile)``: a sandbox of exactly this tier."""
    opened: list[Sandbox] = []
    workspaces: list[Path] = []

    def open_one(tier: Tier, **wanted: Any) -> Sandbox:
        generation = next(_generation)
        workspace = tmp_path / f"berth{generation}"
        workspace.mkdir()
        workspaces.append(workspace)
        settings: dict[str, Any] = {
            "owner": "agent:test",
            "generation": generation,
            "workspace": workspace,
            "cpu_millis": 2000,
        }
        profile = Profile(**{**settings, **wanted})
        sandbox = selection.open_sandbox(profile, minimum=tier, prefer=tier, allow_bare=True)
        opened.append(sandbox)
        return sandbox

    yield open_one
    for sandbox in opened:
        sandbox.close()
    for workspace in workspaces:
        Beneath(workspace).remove_tree()


def python(sandbox: Sandbox, program: str, *arguments: str, **wanted: Any) -> Outcome:
    """Run a Python program inside."""
    interpreter = "python3" if sandbox.tier is Tier.CONTAINER else launch.interpreter()
    return sandbox.run(Command(argv=(interpreter, "-I", "-c", program, *arguments), **wanted))


def shell(sandbox: Sandbox, script: str, **wanted: Any) -> Outcome:
    """Run a shell script inside."""
    return sandbox.run(Command(argv=("sh", "-c", script), **wanted))


def marked_processes(mark: str) -> list[int]:
    """Processes of the whole machine whose argv holds ``mark``."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if mark in (process.info["cmdline"] or []):
            found.append(process.pid)
    return found


def until_gone(mark: str, *, within_s: float = 60.0) -> list[int]:
    deadline = time.monotonic() + within_s
    while (left := marked_processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def until_seen(mark: str, *, within_s: float = 60.0) -> list[int]:
    deadline = time.monotonic() + within_s
    while not (seen := marked_processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen
