"""How much of a change the tests execute is measured in the berth, where the template wants to know."""

from __future__ import annotations

from pathlib import Path

from operations.models import Evidence, Operation
from tests.flows.inline import Inline
from tests.flows.repositories import FIX
from tests.flows.test_syntax import adding
from tests.flows.test_templates_keep_their_word import finished, worn

UNTESTED = adding("odd.py", "def odd(x):", "    return x % 2  # pragma: no cover")
REQUIRED = "  gates: {coverage: {measure: require, minimum: 80}}\n"


def measured(operation: Operation) -> Evidence:
    return Evidence.objects.get(operation=operation, kind="gate", name="coverage")


def test_a_change_that_no_test_executes_is_refused_where_that_is_required(inline: Inline, data_directory: Path) -> None:
    operation = finished(inline, worn(data_directory, REQUIRED), requirements=UNTESTED)
    assert (operation.status, operation.error["code"]) == ("failed", "gates.failed")
    assert measured(operation).detail["findings"] == ["odd.py lines 1-2 not executed by any test"]


def test_a_change_that_its_tests_execute_is_delivered(inline: Inline, data_directory: Path) -> None:
    operation = finished(inline, worn(data_directory, REQUIRED), requirements=FIX)
    assert operation.status == "succeeded", operation.error
    assert measured(operation).detail["text"] == "tests execute 100 % of 1 added lines"


def test_a_template_that_only_wants_to_know_is_told(inline: Inline, data_directory: Path) -> None:
    spec = "  gates: {coverage: {measure: warn}}\n"
    operation = finished(inline, worn(data_directory, spec), requirements=UNTESTED)
    assert operation.status == "succeeded", operation.error
    assert "odd.py lines 1-2 not executed by any test" in measured(operation).detail["text"]
    assert "Gate: coverage | ✓ | allowed by the template" in operation.pull_requests.get().body
