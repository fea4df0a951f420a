"""When a test run is a pass."""

from __future__ import annotations

import pytest

from agents.engines.protocol import TestCounts
from operations.coding import test_runs
from operations.coding.test_runs import TestRun


def a_run(
    *, code: int | None = 0, passed: int = 3, failing: tuple[str, ...] = (), errors: int = 0, timed_out: bool = False
) -> TestRun:
    return TestRun(
        tree="t", command=("x",), exit_code=code,
        counts=TestCounts(passed=passed, failed=len(failing) - errors, errors=errors),
        failing=dict.fromkeys(failing, "m"), output="", timed_out=timed_out, duration_s=0.1, tier="bare",
    )  # fmt: skip


TRUTH = [
    ("all pass", a_run(), set(), True),
    ("no test ran", a_run(passed=0), set(), False),
    ("no test ran, exit 5", a_run(code=5, passed=0), set(), False),
    ("exit code without failures", a_run(code=1), set(), False),
    ("exit code without failures, old ones known", a_run(code=1), {"a"}, False),
    ("killed", a_run(code=None), set(), False),
    ("a new failure", a_run(code=1, failing=("a",)), set(), False),
    ("an old failure", a_run(code=1, failing=("a",)), {"a"}, True),
    ("an old and a new one", a_run(code=1, failing=("a", "b")), {"a"}, False),
    ("old failures and nothing passed", a_run(code=1, passed=0, failing=("a",)), {"a"}, False),
    ("an old failure, but a crash", a_run(code=139, failing=("a",)), {"a"}, False),
    ("an old failure, but interrupted", a_run(code=2, failing=("a",)), {"a"}, False),
    ("an old failure, but killed", a_run(code=None, failing=("a",)), {"a"}, False),
    ("an old failure, but too slow", a_run(code=1, failing=("a",), timed_out=True), {"a"}, False),
    ("failures and exit code 0", a_run(code=0, failing=("a",)), set(), False),
    ("an old error", a_run(code=1, failing=("a",), errors=1), {"a"}, True),
]


@pytest.mark.parametrize(("run", "before", "expected"), [row[1:] for row in TRUTH], ids=[row[0] for row in TRUTH])
def test_a_run_passes_exactly_when(run: TestRun, before: set[str], expected: bool) -> None:
    assert run.passes(before) is expected


def test_the_row_names_every_failure_and_keeps_the_first_messages() -> None:
    run = a_run(code=1, failing=tuple(f"t{number}" for number in range(200)))
    kept = run.product()["failing"]
    assert len(kept) == 200
    assert run.new_failures(set(kept)) == {}
    assert sum(1 for message in kept.values() if message) == test_runs.FAILURES_KEPT


@pytest.mark.parametrize(
    ("files", "program"),
    [
        (["tests/test_a.py"], "pytest"), (["a_test.py"], "pytest"), (["conftest.py"], "pytest"),
        (["lib/a.test.js"], "--test"), (["test/a.js"], "--test"),
    ],
)  # fmt: skip
def test_the_files_say_how_the_tests_are_started(files: list[str], program: str) -> None:
    assert program in test_runs.command_for(files=files, configured=[])


def test_the_template_says_it_louder() -> None:
    assert test_runs.command_for(files=["test_a.py"], configured=["make", "test"]) == ("make", "test")


def test_nothing_to_run_is_a_fault_with_a_way_on() -> None:
    with pytest.raises(test_runs.TestsNotFound) as missing:
        test_runs.command_for(files=["README.md", "latest.py"], configured=[])
    assert "spec.tests.command" in missing.value.remedy_text
