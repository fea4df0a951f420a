"""The gate on what ran: by the reports of two runs, whatever kept a test from running."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from operations.coding import gates, junit
from operations.coding.gates import tests_ran
from operations.coding.vault import Vault
from tests.operations.coding.gate_keeping import LIMITS, Tree

TEST = "class TestC:\n    def test_b(self):\n        assert f()\n\n\ndef test_a():\n    assert f()\n"
BEFORE = {"tests.test_x": {"test_a": 3}, "tests.test_x.TestC": {"test_b": 1}}
Judge = Callable[..., list[str]]


@pytest.fixture
def judged(vault: Vault, tree_from: Tree) -> Judge:
    def judge(
        before: dict[str, str], after: dict[str, str], ran: tests_ran.Ran, command: tuple[str, ...] = ("pytest",)
    ) -> list[str]:
        old, new = (tree_from({name: text.encode() for name, text in side.items()}) for side in (before, after))
        subject = gates.subject_of(vault=vault, base_tree=old, tree=new, limits=LIMITS)
        return list(tests_ran.judged(subject, before=BEFORE, after=ran, command=command).findings)

    return judge


def test_a_test_of_an_unchanged_file_that_runs_no_more_is_named(judged: Judge) -> None:
    gone = {"tests.test_x": {"test_a": 1}}
    found = judged({"tests/test_x.py": TEST, "a.py": "x = 1\n"}, {"tests/test_x.py": TEST, "a.py": "x = 2\n"}, gone)
    assert found == ["tests.test_x.TestC::test_b ran before the change and does not run any more"]


@pytest.mark.parametrize("path", ["tests/test_x.py", "backend/tests/test_x.py"])
def test_so_is_one_that_still_stands_in_a_changed_file(judged: Judge, path: str) -> None:
    gone = {"tests.test_x.TestC": {"test_b": 1}}
    assert judged({path: TEST}, {path: f"{TEST}\n\ndel test_a\n"}, gone) == [
        "tests.test_x::test_a ran before the change and does not run any more"
    ]


def test_what_was_renamed_or_moved_is_the_business_of_another_gate(judged: Judge) -> None:
    before = {"tests/test_x.py": TEST}
    renamed = {"tests.test_x": {"test_z": 3}, "tests.test_x.TestC": {"test_b": 1}}
    assert judged(before, {"tests/test_x.py": TEST.replace("test_a", "test_z")}, renamed) == []
    moved = {"tests.test_y": {"test_a": 3}, "tests.test_y.TestC": {"test_b": 1}}
    assert judged(before, {"tests/test_y.py": TEST}, moved) == []


def test_other_languages_are_compared_while_their_tests_stay_as_they_are(judged: Judge) -> None:
    tests = {"a.test.js": "it('a')\n", "a.js": "1\n"}
    assert len(judged(tests, {**tests, "a.js": "2\n"}, {"test": {"other": 1}})) == 2
    assert judged(tests, {**tests, "a.test.js": "it('b')\n"}, {"test": {"other": 1}}) == []


def test_a_report_that_names_no_tests_refuses_nobody(judged: Judge) -> None:
    assert judged({"a.py": "x = 1\n"}, {"a.py": "x = 2\n"}, {}) == []


@pytest.mark.parametrize(
    ("command", "path"),
    [(("make", "test"), "Makefile"), (("./run_tests.sh",), "run_tests.sh"), (("npm", "test"), "package.json"),
     (("bash", "ci/test.sh", "-x"), "ci/test.sh"), (("/usr/bin/tox",), "tox.ini")],
)  # fmt: skip
def test_a_change_to_what_starts_the_tests_is_named(judged: Judge, command: tuple[str, ...], path: str) -> None:
    assert judged({path: "old\n"}, {path: "true\n"}, BEFORE, command) == [f"{path} says how the tests are started"]


def test_a_report_tells_how_often_each_function_ran() -> None:
    cases = [("t", "test_a[1]", ""), ("t", "test_a[x-[y]]", "<failure/>"), ("t", "test_a[2]", "<skipped/>"),
             ("t.C", "test_b", "<skipped/>"), ("", "t", "<error/>")]  # fmt: skip
    text = "".join(f'<testcase classname="{group}" name="{name}">{inner}</testcase>' for group, name, inner in cases)
    assert junit.parse(f"<testsuite>{text}</testsuite>".encode()).ran == {"t": {"test_a": 2}}


def test_so_many_tests_that_nobody_could_keep_their_names_are_not_compared() -> None:
    text = "".join(f'<testcase classname="t" name="test_{number}"/>' for number in range(junit.FUNCTIONS + 1))
    report = junit.parse(f"<testsuite>{text}</testsuite>".encode())
    assert (report.counts.passed, report.ran) == (junit.FUNCTIONS + 1, {})
