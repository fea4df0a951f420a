"""The gate of coverage: how much of the added Python code the project's tests execute, by what was measured."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from operations.coding.gates.policies import Policy
from operations.coding.gates.subject import Subject, is_test, parsed
from operations.coding.gates.verdicts import GateResult, verdict

NAME = "coverage"
OFF, WARN, REQUIRE = "off", "warn", "require"
LEAST_PERCENT = 80


def mode(limits: Mapping[str, Any]) -> str:
    """What the template wants: ``off``, ``warn`` or ``require``."""
    return str(limits.get("coverage", {}).get("measure", OFF))


def paths(subject: Subject) -> list[str]:
    """Changed Python files with code of their own: no tests, no stubs, nothing that was deleted."""
    return sorted(
        change.path
        for change in subject.diff.changes
        if change.status != "D" and change.path.endswith(".py") and not is_test(change.path)
    )


def not_measured(why: str) -> GateResult:
    """Green, since nobody may be refused for what we could not see, and it says so."""
    return GateResult(NAME, True, f"not measured: {why}")


def judge(subject: Subject, report: bytes) -> GateResult:
    """The verdict from coverage.py's JSON report: added lines that can run, and those that no test ran."""
    try:
        files = json.loads(report)["files"]
        seen = {str(path).replace("\\", "/"): _lines(measured) for path, measured in files.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return not_measured("coverage's report cannot be read")
    runnable, missed = 0, {}
    for path in paths(subject):
        executed, missing = seen.get(path) or (frozenset(), _statements(subject, path))
        added = {number for at, number in subject.added_numbers if at == path}
        runnable += len(added & (executed | missing))
        if lines := sorted(added & missing):
            missed[path] = lines
    if not runnable:
        return GateResult(NAME, True, "no added line can be executed")
    return _verdict(subject, runnable, missed)


def _verdict(subject: Subject, runnable: int, missed: Mapping[str, Sequence[int]]) -> GateResult:
    percent = 100 * (runnable - sum(map(len, missed.values()))) / runnable
    least = subject.limits.get("coverage", {}).get("minimum", LEAST_PERCENT)
    said = f"tests execute {percent:.0f} % of {runnable} added lines"
    if percent >= least:
        return GateResult(NAME, True, said)
    found = [f"{path} {'lines' if '-' in spans or ',' in spans else 'line'} {spans} not executed by any test"
             for path, lines in missed.items() if (spans := _spans(lines))]  # fmt: skip
    result = verdict(NAME, found, said)
    result = replace(result, detail=f"{said}, at least {least} % are wanted: {result.detail}")
    return result.under(Policy.ALLOW) if mode(subject.limits) == WARN else result


def _lines(measured: Mapping[str, Any]) -> tuple[frozenset[int], frozenset[int]]:
    executed, missing = measured["executed_lines"], measured["missing_lines"]
    return frozenset(filter(_whole, executed)), frozenset(filter(_whole, missing))


def _whole(value: object) -> bool:
    return isinstance(value, int)


def _statements(subject: Subject, path: str) -> frozenset[int]:
    """Where statements begin in a file that nothing imported; docstrings and ``global`` lines do not run."""
    source = subject.sources.get(path)
    tree = parsed(source.after) if source else None
    if tree is None:
        return frozenset()
    return frozenset(
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt)
        and not isinstance(node, ast.Global | ast.Nonlocal)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    )


def _spans(lines: Sequence[int]) -> str:
    """``3-5, 9`` of 3, 4, 5 and 9."""
    spans = []
    for _, group in groupby(enumerate(lines), lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in group]
        spans.append(str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}")
    return ", ".join(spans)
