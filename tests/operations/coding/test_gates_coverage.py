"""The gate of coverage judges what was measured by the added lines alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from operations.coding import gates
from operations.coding.gates import coverage
from operations.coding.vault import Vault

BEFORE = b"def f(x):\n    return x\n"
AFTER = b'def f(x):\n    if x:\n        return 1\n    return x\n\n\ndef g():\n    """Says."""\n    return 2\n'
Judge = Callable[..., gates.GateResult]


@pytest.fixture
def judged(vault: Vault, tree_from: Callable[[dict[str, bytes]], str]) -> Judge:
    """The verdict on AFTER by a report with these lines; any ``report`` instead."""

    def judge(executed: tuple[int, ...] = (), missing: tuple[int, ...] = (), report: Any = None, **wanted: Any) -> Any:
        limits = {"max_files": 9, "max_changed_lines": 99, "max_file_bytes": 9999, "protected_paths": [],
                  "coverage": {"measure": "require", "minimum": 80, **wanted}}  # fmt: skip
        subject = gates.subject_of(
            vault=vault, base_tree=tree_from({"a.py": BEFORE}), tree=tree_from({"a.py": AFTER}), limits=limits
        )
        files = {"a.py": {"executed_lines": list(executed), "missing_lines": list(missing)}}
        raw = json.dumps({"files": files}).encode() if report is None else report
        return coverage.judge(subject, raw)

    return judge


def test_lines_that_no_test_executes_are_named(judged: Judge) -> None:
    found = judged((1, 2, 4, 7), (3, 9))
    assert not found.passed
    assert found.detail.startswith("tests execute 50 % of 4 added lines, at least 80 % are wanted: ")
    assert found.findings == ("a.py lines 3, 9 not executed by any test",)


def test_lines_that_were_there_before_do_not_count(judged: Judge) -> None:
    assert judged((2, 3, 7, 9), (1, 4)).detail == "tests execute 100 % of 4 added lines"


def test_a_template_may_be_content_with_less_or_only_be_told(judged: Judge) -> None:
    assert judged((1, 2, 4, 7), (3, 9), minimum=50).passed
    told = judged((1, 2, 4, 7), (3, 9), measure="warn")
    assert told.passed
    assert told.detail.startswith("allowed by the template: tests execute 50 %")


def test_a_file_that_no_test_imports_counts_with_its_statements(judged: Judge) -> None:
    found = judged(report=b'{"files": {}}')
    assert found.detail.startswith("tests execute 0 % of 4 added lines")
    assert found.findings == ("a.py lines 2-3, 7, 9 not executed by any test",)


@pytest.mark.parametrize("report", [b"", b"[]", b"[" * 100_000, b'{"files": {"a.py": {}}}', b'{"files": {"a.py": 3}}'])
def test_a_report_that_cannot_be_read_refuses_nobody_and_says_so(judged: Judge, report: bytes) -> None:
    found = judged(report=report)
    assert found.passed
    assert found.detail == "not measured: coverage's report cannot be read"
