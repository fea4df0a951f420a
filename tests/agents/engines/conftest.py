"""A workbench on a temporary directory, and tasks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agents.engines.protocol import CodeMap, Task
from tests.fakes.workbench import DirectoryWorkbench

MakeTask = Callable[..., Task]


@pytest.fixture
def bench(tmp_path: Path) -> DirectoryWorkbench:
    root = tmp_path / "checkout"
    root.mkdir()
    return DirectoryWorkbench(root)


@pytest.fixture
def make_task() -> MakeTask:
    def make(requirements: str, **more: object) -> Task:
        code_map = CodeMap(files=(), languages={"python": 1}, test_command=("python", "-m", "pytest"), baseline=None)
        return Task(requirements=requirements, code_map=code_map, base_tree="a" * 40, **more)  # type: ignore[arg-type]

    return make
