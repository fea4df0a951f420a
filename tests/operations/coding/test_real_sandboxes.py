"""Checkout and snapshot in each tier of sandbox that this machine has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from operations.coding.changes import diff
from operations.coding.repository import checkout, snapshot
from operations.coding.vault import Vault
from resources.sandboxes.protocol import Command, Profile, Sandbox, Tier
from resources.sandboxes.selection import open_sandbox

TIERS = [
    pytest.param(Tier.LANDLOCK, marks=pytest.mark.needs_landlock, id="landlock"),
    pytest.param(Tier.PROCESS, marks=pytest.mark.needs_bubblewrap, id="process"),
    pytest.param(Tier.CONTAINER, marks=[pytest.mark.needs_docker, pytest.mark.slow], id="container"),
]


@pytest.fixture(params=TIERS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Sandbox, Path]]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    profile = Profile(owner=f"agent:{uuid4()}", generation=1, workspace=workspace)
    sandbox = open_sandbox(profile, minimum=request.param, allow_bare=False, prefer=request.param)
    yield sandbox, workspace
    sandbox.close()


def test_work_goes_in_and_comes_out(
    opened: tuple[Sandbox, Path], vault: Vault, tree_from: Callable[[dict[str, bytes]], str]
) -> None:
    sandbox, workspace = opened
    base = tree_from({"src/a.py": b"x = 1\n", "README.md": b"hello\n"})
    place = workspace / "checkout"
    checkout(sandbox=sandbox, vault=vault, tree=base, directory=place)
    edit = Command(argv=("sh", "-c", "echo 'x = 2' > src/a.py && echo new > new.txt && rm README.md"), cwd=place)
    assert sandbox.run(edit).ok
    tree = snapshot(sandbox=sandbox, vault=vault, directory=place, base_tree=base)
    found = diff(vault=vault, base_tree=base, tree=tree)
    assert {change.path: change.status for change in found.changes} == {
        "README.md": "D",
        "new.txt": "A",
        "src/a.py": "M",
    }
    checkout(sandbox=sandbox, vault=vault, tree=base, directory=place)
    assert snapshot(sandbox=sandbox, vault=vault, directory=place, base_tree=base) == base
