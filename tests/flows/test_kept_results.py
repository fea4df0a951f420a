"""What was seen on a tree is not looked at twice; what is flaky is told from what is broken; a defect is reproduced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operations.models import Evidence, KeptResult, Operation
from tests.fakes.llm_server import LlmServer, Say
from tests.flows.inline import Inline
from tests.flows.repositories import FIX, PROJECT, make
from tests.flows.test_llm import APPROVED, MEND, PLAN, server
from tests.flows.test_llm import DONE as LLM_DONE
from tests.flows.test_syntax import adding
from tests.flows.test_templates_keep_their_word import finished, worn

__all__ = ["server"]
NOTED = Say(calls=(("EditFiles", {"edits": [{"path": "notes.txt", "search": "", "replace": "calc\n"}]}),))
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
    settings.KEPT_RESULTS = 1
    project = inline.project(make(inline.roots / "works.git", WORKS))
    operation = inline.finish(inline.submit(project, requirements=NOTE))  # analysis, tests before and after
    assert operation.status == "succeeded", operation.error
    assert sorted(KeptResult.objects.values_list("kind", flat=True)) == ["analysis", "tests"]
    assert KeptResult.objects.get(kind="tests").result["tree"] == operation.result["tree"]


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


def test_what_was_flaky_on_a_tree_is_not_kept_when_it_is_clean_there_later(inline: Inline) -> None:
    remote = make(inline.roots / "works.git", WORKS)
    project = inline.project(remote)
    mark = inline.roots / "was-here"  # where every berth of this tier sees it
    lines = [line.replace("Path('..') / 'was-here'", f"Path({str(mark)!r})") for line in FLAKY]
    diff = "\n".join(f"+{line}" for line in lines)
    requirement = f"```diff\n--- /dev/null\n+++ b/test_flaky.py\n@@ -0,0 +1,{len(FLAKY)} @@\n{diff}\n```\n"
    flaky = inline.finish(inline.submit(project, requirements=requirement))
    assert witnessed(flaky, Evidence.Kind.TESTS).detail["flaky"]
    remote.git("update-ref", "refs/heads/main", f"refs/heads/{flaky.result['branch']}")  # as after a merge
    later = [inline.finish(inline.submit(project, requirements=NOTE.replace("noted", note))) for note in ("one", "two")]
    base = [witnessed(operation, Evidence.Kind.BASELINE) for operation in later]
    assert [(row.tree, row.exit_code, row.detail["kept"]) for row in base] == [(flaky.result["tree"], 0, False)] * 2


@pytest.mark.parametrize("again", [False, True], ids=["clean now", "clean now, and otherwise before"])
def test_a_clean_run_is_kept_unless_the_same_tree_was_ever_seen_otherwise(inline: Inline, again: bool) -> None:
    project = inline.project(make(inline.roots / "works.git", WORKS))
    first = inline.finish(inline.submit(project, requirements=NOTE))
    assert first.status == "succeeded", first.error
    KeptResult.objects.all().delete()
    if again:  # the same tests on the same tree failed once
        Evidence.objects.filter(kind=Evidence.Kind.BASELINE).update(exit_code=1)
    second = inline.finish(inline.submit(project, requirements=NOTE.replace("noted", "noted otherwise")))
    assert second.status == "succeeded", second.error
    base = witnessed(second, Evidence.Kind.BASELINE)
    kept = [row.result["tree"] for row in KeptResult.objects.filter(kind="tests")]
    assert (base.tree in kept) is not again


SLOW = "import time\n\n\ndef test_slow():\n    time.sleep(60)\n"


def test_a_run_that_is_stopped_in_the_middle_is_not_kept(inline: Inline, data_directory: Path) -> None:
    project = inline.project(
        make(
            inline.roots / "works.git",
            {**WORKS, "test_slow.py": "import time\n\n\ndef test_slow():\n    time.sleep(60)\n"},
        ),
        default_template=worn(data_directory, "  tests: {timeout_s: 2}\n"),
    )
    inline.finish(inline.submit(project, requirements=NOTE))
    assert witnessed(Operation.objects.get(), Evidence.Kind.BASELINE).detail["timed_out"]
    assert not KeptResult.objects.filter(kind="tests").exists()


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


def outlined(operation: Operation) -> list[str]:
    """What the logs say of outlines that were known, stage by stage."""
    logs = operation.steps.filter(outcome="done").order_by("id").values_list("stage", "log")
    return [f"{stage}: {line}" for stage, log in logs for line in log.splitlines() if "outlines" in line]


@pytest.mark.parametrize("most", [500, 0])
def test_a_file_is_outlined_once_for_each_content_it_has(
    inline: Inline, server: LlmServer, settings: Any, most: int
) -> None:
    settings.KEPT_RESULTS = most
    remote = make(inline.roots / "calc.git", PROJECT)
    project = inline.project(remote)
    server.script.extend([PLAN, MEND, LLM_DONE, APPROVED])
    first = inline.finish(inline.submit(project, requirements="calc.py: sub() must subtract, see test_calc.py."))
    remote.git("update-ref", "refs/heads/main", f"refs/heads/{first.result['branch']}")
    server.script.extend([PLAN, NOTED, LLM_DONE, APPROVED])
    second = inline.finish(inline.submit(project, requirements="Write about calc.py and test_calc.py."))
    assert [first.status, second.status] == ["succeeded", "succeeded"]
    # PLAN made both outlines; then calc.py was changed, and test_calc.py was not.
    known = ["code: kept result: the outlines of 2 of 2 files", "plan: kept result: the outlines of 1 of 2 files"]
    assert outlined(first) + outlined(second)[:1] == (known if most else [])
    assert KeptResult.objects.filter(kind="symbols").count() == (3 if most else 0)
    # What a model is told is the same, known or not.
    asked = [request.body["messages"][1]["content"] for request in server.requests]
    assert asked[0].count("  5: def sub(a, b)") == asked[1].count("  5: def sub(a, b)") == 1
