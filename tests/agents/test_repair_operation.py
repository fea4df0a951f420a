"""A whole operation by the repair engine: from a failing test to a pull request, with no model in sight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operations.models import PullRequest, Step
from tests.flows.fixtures import inline
from tests.flows.inline import PLAIN_TEMPLATE, Inline, left_held, stages
from tests.flows.repositories import CALC, PROJECT, make

__all__ = ["inline"]

REQUIREMENT = "sub() adds. It must subtract."
GREEN = {**PROJECT, "calc.py": CALC.replace("def sub(a, b):\n    return a + b", "def sub(a, b):\n    return a - b")}
LABEL = "Search-based repair — no AI was used"

IMPATIENT = PLAIN_TEMPLATE.replace("name: plain", "name: impatient") + "  tests:\n    timeout_s: 60\n"


def said(operation: Any) -> str:
    return repr(list(Step.objects.filter(operation=operation).values_list("log", "product", "fault")))


def test_without_a_model_a_failing_test_is_mended_and_the_pull_request_says_how(inline: Inline) -> None:
    remote = make(inline.roots / "calc.git", PROJECT)

    operation = inline.finish(inline.submit(inline.project(remote), requirements=REQUIREMENT, engine="auto"))

    assert operation.status == "succeeded", operation.error
    assert (operation.engine_kind, operation.engine_label) == ("repair", LABEL)
    mended = remote.git("show", f"{operation.result['branch']}:calc.py")
    assert mended == GREEN["calc.py"].strip()
    assert operation.result["tests"]["before"] == {"passed": 1, "failed": 1, "errors": 0, "skipped": 0}
    assert operation.result["tests"]["after"] == {"passed": 2, "failed": 0, "errors": 0, "skipped": 0}
    assert LABEL in PullRequest.objects.get().body
    assert "candidates were tried" in said(operation)
    assert "Tests chose it, not understanding" in said(operation)
    assert left_held() == []


@pytest.mark.parametrize("engine", ["repair", "auto"])
def test_where_all_tests_pass_it_ends_with_the_ways_on(inline: Inline, engine: str) -> None:
    remote = make(inline.roots / "calc.git", GREEN)

    operation = inline.finish(inline.submit(inline.project(remote), requirements=REQUIREMENT, engine=engine))

    assert operation.status == "failed"
    assert operation.error["code"] == ("repair.nothing_fails" if engine == "repair" else "llm.not_configured")
    assert "MOORAGE_MODELS" in operation.error["remedy"]
    assert [stage for stage, outcome in stages(operation) if outcome == "fault"] == ["plan"]


def test_what_cannot_be_mended_ends_with_how_much_was_tried(inline: Inline, settings: Any) -> None:
    settings.REPAIR_S, settings.REPAIR_CANDIDATES = 20, 40
    tests = "from calc import sub\n\n\ndef test_sub():\n    assert sub(5, 3) == 'an answer nobody could guess'\n"
    remote = make(inline.roots / "calc.git", {"calc.py": CALC, "test_calc.py": tests})

    operation = inline.finish(inline.submit(inline.project(remote), requirements=REQUIREMENT, engine="repair"))

    assert operation.status == "failed"
    assert operation.error["code"] == "repair.not_found"
    assert operation.error["facts"]["tried"] > 0
    assert remote.branches().keys() == {"main"}


def test_a_loop_without_end_is_mended_although_its_test_never_ended(inline: Inline, settings: Any) -> None:
    (Path(settings.DATA) / "templates" / "impatient.yaml").write_text(IMPATIENT)
    down = "def down(n):\n    steps = 0\n    while n > 0:\n        n += 1\n        steps += 1\n    return steps\n"
    tests = (
        "from down import down\n\n\ndef test_none():\n    assert down(0) == 0\n\n\n"
        "def test_some():\n    assert down(7) == 7\n"
    )
    remote = make(inline.roots / "down.git", {"down.py": down, "test_down.py": tests})
    project = inline.project(remote, default_template="impatient")

    operation = inline.finish(inline.submit(project, requirements="It never ends."))

    assert operation.status == "succeeded", operation.error
    assert operation.result["tests"]["before"]["failed"] == 1
    assert operation.result["tests"]["after"] == {"passed": 2, "failed": 0, "errors": 0, "skipped": 0}
    assert remote.git("show", f"{operation.result['branch']}:down.py") == down.replace("n += 1", "n -= 1").strip()
