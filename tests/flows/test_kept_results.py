"""What was seen on a tree is not looked at twice; what is flaky is told from what is broken; a defect is reproduced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operations.models import Evidence, KeptResult, Operation
from tests.flows.inline import Inline
from tests.flows.repositories import FIX, PROJECT, make
from tests.flows.test_syntax import adding
from tests.flows.test_templates_keep_their_word import finished, worn

WORKS = {"calc.py": "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n",
         "test_calc.py": PROJECT["test_calc.py"]}  # fmt: skip
NOTE = "```diff\n--- /dev/null\n+++ b/notes.txt\n@@ -0,0 +1,1 @@\n+noted\n```\n"
# Fails when it is run for the first time in a workspace, and passes from then on.
FLAKY = (
    "from pathlib import Path",
    "def test_flaky():",
    "    mark = Path('..') / 'was-here'",
    "    there = mark.exists()",
    "    mark.touch()",
    "    assert there",
)


def witnessed(operation: Operation, kind: Evidence.Kind, name: str = "") -> Evidence:
    return Evidence.objects.filter(operation=operation, kind=kind, name=name).order_by("-id")[0]


def test_tests_that_were_clean_on_a_tree_are_not_run_there_again(inline: Inline) -> None:
    project = inline.project(make(inline.roots / "works.git", WORKS))
    first = inline.finish(inline.submit(project, requirements=NOTE))
    second = inline.finish(inline.submit(project, requirements=NOTE.replace("noted", "noted otherwise")))
    assert [first.status, second.status] == ["succeeded", "succeeded"]
    before = [witnessed(one, Evidence.Kind.BASELINE) for one in (first, second)]
    assert [row.detail["kept"] for row in before] == [False, True]
    assert before[0].counts == before[1].counts
    assert witnessed(second, Evidence.Kind.TESTS).detail["kept"] is False
    assert sorted(KeptResult.objects.filter(hits=1).values_list("kind", flat=True)) == ["analysis", "tests"]
    log = second.steps.get(stage="analyze", outcome="done").log
    assert "kept result: these tests were clean on tree" in log
    assert "pytest" not in log


@pytest.mark.parametrize(("most", "kept"), [(500, 1), (0, 0)])
def test_failures_are_not_kept_and_nothing_is_where_it_is_switched_off(
    inline: Inline, settings: Any, most: int, kept: int
) -> None:
    settings.KEPT_RESULTS = most
    operation = inline.finish(inline.submit(requirements=FIX))  # one of its tests fails before
    assert operation.status == "succeeded", operation.error
    assert KeptResult.objects.filter(kind="tests").count() == kept


def test_the_results_that_were_not_used_for_longest_make_room(inline: Inline, settings: Any) -> None:
    settings.KEPT_RESULTS = 2
    project = inline.project(make(inline.roots / "works.git", WORKS))
    assert inline.finish(inline.submit(project, requirements=NOTE)).status == "succeeded"  # analysis, before, after
    assert KeptResult.objects.count() == 2
    assert set(KeptResult.objects.values_list("kind", flat=True)) == {"tests"}


def test_a_test_that_fails_once_and_passes_then_is_called_flaky_and_not_kept(inline: Inline) -> None:
    project = inline.project(make(inline.roots / "works.git", WORKS))
    diff = "\n".join(f"+{line}" for line in FLAKY)
    requirement = f"```diff\n--- /dev/null\n+++ b/test_flaky.py\n@@ -0,0 +1,{len(FLAKY)} @@\n{diff}\n```\n"
    operation = inline.finish(inline.submit(project, requirements=requirement))
    assert operation.status == "succeeded", operation.error
    row = witnessed(operation, Evidence.Kind.TESTS)
    assert row.passed
    assert [name.rpartition("::")[2] for name in row.detail["flaky"]] == ["test_flaky"]
    assert KeptResult.objects.filter(kind="tests").count() == 1  # the baseline


REQUIRED = "  tests: {reproduction: require}\n"
SHOWS = "def test_zero():\n    from calc import sub\n    assert sub(1, 1) == 0\n"


def test_a_test_that_failed_before_and_passes_now_reproduces(inline: Inline, data_directory: Path) -> None:
    operation = finished(inline, worn(data_directory, REQUIRED), requirements=FIX)
    assert operation.status == "succeeded", operation.error
    text = witnessed(operation, Evidence.Kind.GATE, "reproduction").detail["text"]
    assert text.startswith("failed before and pass now: ")


def test_a_new_test_must_fail_without_the_change(inline: Inline, data_directory: Path) -> None:
    seeing_less = "from calc import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n"
    blind = {"calc.py": PROJECT["calc.py"], "test_calc.py": seeing_less}
    lines = [line for line in SHOWS.splitlines() if line]
    shown = finished(inline, worn(data_directory, REQUIRED), blind, requirements=adding("test_zero.py", *lines))
    assert shown.status == "succeeded", shown.error
    text = witnessed(shown, Evidence.Kind.GATE, "reproduction").detail["text"]
    assert text.startswith("fail without the change and pass with it: ")
    assert "test_zero" in text
    useless = finished(inline, "mine", blind, requirements=adding("test_one.py", "def test_one():", "    assert True"))
    assert (useless.status, useless.error["code"]) == ("failed", "gates.failed")
    assert "no test fails before the change and passes after it" in useless.error["detail"]
