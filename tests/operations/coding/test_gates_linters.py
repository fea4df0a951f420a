"""The project's own linters: the real ruff, on a real checkout, judged by added lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from operations.coding import changes, gates
from operations.coding.gates.linters import linters
from operations.coding.vault import Vault
from tests.fakes.plain_sandbox import PlainSandbox

LIMITS = {"max_files": 9, "max_changed_lines": 99, "max_file_bytes": 9999, "protected_paths": []}
RUFF = b"[tool.ruff]\nline-length = 100\n"
Judge = Callable[[dict[str, bytes], dict[str, bytes]], gates.GateResult]


@pytest.fixture
def judged(
    vault: Vault, tree_from: Callable[[dict[str, bytes]], str], sandbox: PlainSandbox, monkeypatch: pytest.MonkeyPatch
) -> Judge:
    """The linters' verdict on a change whose new side lies in the sandbox."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def judge(before: dict[str, bytes], after: dict[str, bytes]) -> gates.GateResult:
        for name, content in after.items():
            (sandbox.workspace / name).write_bytes(content)
        base = tree_from(before)
        subject = gates.subject_of(vault=vault, base_tree=base, tree=tree_from(after), limits=LIMITS)

        def read(path: str) -> str | None:
            raw = changes.read_blob(vault=vault, tree=base, path=path)
            return None if raw is None else raw.decode()

        return linters(subject, read=read, run=sandbox.run, directory=sandbox.workspace)

    return judge


def test_what_the_linter_says_of_an_added_line_is_found(judged: Judge) -> None:
    found = judged(
        {"pyproject.toml": RUFF, "a.py": b"x = 1\n"}, {"pyproject.toml": RUFF, "a.py": b"x = 1\nimport os\n"}
    )
    assert not found.passed
    assert "a.py line 2: " in found.detail
    assert "F401" in found.detail


def test_what_it_says_of_older_lines_is_not(judged: Judge) -> None:
    old = b"import os\nx = 1\n"
    found = judged({"pyproject.toml": RUFF, "a.py": old}, {"pyproject.toml": RUFF, "a.py": old + b"y = 2\n"})
    assert found.passed
    assert found.detail == "ruff is content with the added lines"


def test_a_project_without_settings_of_a_linter_runs_none(judged: Judge, sandbox: PlainSandbox) -> None:
    found = judged({"a.py": b"x = 1\n"}, {"a.py": b"import os\n"})
    assert found.passed
    assert sandbox.ran == []


def test_a_linter_that_is_not_in_the_sandbox_is_said_to_be_missing(judged: Judge) -> None:
    found = judged({".flake8": b"[flake8]\n", "a.py": b"x = 1\n"}, {".flake8": b"[flake8]\n", "a.py": b"x = 2\n"})
    assert found.passed
    assert "flake8 is not in the sandbox" in found.detail


def test_settings_of_a_linter_alone_may_not_change_in_silence(judged: Judge) -> None:
    found = judged({"ruff.toml": b"", "a.py": b"x = 1\n"}, {"ruff.toml": b"exclude = ['a.py']\n", "a.py": b"x = 2\n"})
    assert not found.passed
    assert "ruff.toml was changed" in found.detail
