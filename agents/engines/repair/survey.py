"""What the tests told about the project: which lines they execute, where they fail, what types names have.

It comes out of the sandbox, so it is read as hostile: every field is checked, every list is bounded.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_TESTS = 20_000
MAX_NAME = 1000
HUNG, ENDLESS_S = "hung", 0.3


@dataclass(frozen=True, slots=True)
class SurveyedTest:
    """One test, run by itself. ``lines`` is empty for a test that was not traced."""

    name: str
    outcome: str
    seconds: float
    known: bool  # ANALYZE saw it fail
    lines: Mapping[str, frozenset[int]]
    crash: tuple[tuple[str, int], ...]

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"

    @property
    def endless(self) -> bool:
        """Whether it hangs, or fills the memory before it fails: it takes that long."""
        return self.outcome == HUNG or self.seconds > ENDLESS_S

    @property
    def failed(self) -> bool:
        return self.outcome not in {"passed", "skipped"}


@dataclass(frozen=True, slots=True)
class Survey:
    """All tests with what they executed, and what was seen of names: types by function, attributes by class."""

    tests: tuple[SurveyedTest, ...]
    imported: Mapping[str, frozenset[int]]
    types: Mapping[str, Mapping[str, frozenset[str]]]
    attributes: Mapping[str, Mapping[str, str]]
    broken: tuple[str, ...] = ()
    lines: Mapping[str, Mapping[int, tuple[int, int]]] = field(default_factory=dict)  # path, line → failing, passing

    @property
    def failing(self) -> tuple[SurveyedTest, ...]:
        """The tests to mend: those that failed before, too; hanging ones last."""
        failed = [test for test in self.tests if test.failed]
        known = [test for test in failed if test.known] or failed
        return tuple(sorted(known, key=lambda test: (test.outcome == HUNG, test.seconds, test.name)))

    @property
    def passing(self) -> tuple[SurveyedTest, ...]:
        """The tests to keep, quickest first."""
        return tuple(sorted((test for test in self.tests if test.passed), key=lambda test: (test.seconds, test.name)))

    @property
    def traced(self) -> bool:
        """Whether any failing test executed anything of the project that was seen."""
        return any(test.lines for test in self.failing)

    @property
    def endless(self) -> bool:
        """Whether that is so of every failing test."""
        return bool(self.failing) and all(test.endless for test in self.failing)

    def suspicion(self, path: str, line: int) -> float:
        """Ochiai (Abreu et al. 2007): 0 to 1, how much the line belongs to failing tests."""
        failing, passing = self.lines.get(path, {}).get(line, (0, 0))
        total = sum(1 for test in self.failing if test.lines)
        return failing / math.sqrt(total * (failing + passing)) if failing and total else 0.0

    def crashes(self, path: str, line: int) -> bool:
        """Whether a failing test's exception passed through the line."""
        return any((path, line) in test.crash for test in self.failing)


def read(answer: Mapping[str, Any]) -> Survey:
    """A survey out of the sandbox's answer. Raises ValueError for what is none."""
    raw = answer.get("tests")
    if not isinstance(raw, list) or len(raw) > MAX_TESTS:
        raise ValueError("the answer has no list of tests")
    types = {
        place: {name: frozenset(_names(kinds)) for name, kinds in _mapping(names).items()}
        for place, names in _mapping(answer.get("types")).items()
    }
    attributes = {
        kind: {name: str(value)[:100] for name, value in _mapping(held).items()}
        for kind, held in _mapping(answer.get("attributes")).items()
    }
    tests = [_test(_mapping(entry)) for entry in raw]
    found = Survey(
        tests=tuple(tests),
        imported=_lines(_mapping(answer.get("imported"))),
        types=types,
        attributes=attributes,
        broken=tuple(_names(answer.get("broken"))),
    )
    return Survey(found.tests, found.imported, found.types, found.attributes, found.broken, _spectrum(found))


def _spectrum(survey: Survey) -> dict[str, dict[int, tuple[int, int]]]:
    counts: defaultdict[str, defaultdict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for side, tests in enumerate((survey.failing, survey.passing)):
        for test in tests:
            for path, lines in test.lines.items():
                for line in lines:
                    counts[path][line][side] += 1
    return {path: {line: (one[0], one[1]) for line, one in lines.items()} for path, lines in counts.items()}


def _test(entry: Mapping[str, Any]) -> SurveyedTest:
    name, outcome, seconds = entry.get("id"), entry.get("outcome"), entry.get("seconds")
    if not isinstance(name, str) or not isinstance(outcome, str) or not isinstance(seconds, int | float):
        raise ValueError("a test of the answer has no name, outcome or time")
    crash = tuple((str(at[0]), at[1]) for at in _list(entry.get("crash")) if isinstance(at, list) and len(at) == 2)
    return SurveyedTest(
        name[:MAX_NAME], outcome[:20], min(max(float(seconds), 0.0), 3600.0), entry.get("known") is True,
        _lines(_mapping(entry.get("lines"))), crash[:20],
    )  # fmt: skip


def _lines(raw: Mapping[str, Any]) -> dict[str, frozenset[int]]:
    return {path: frozenset(line for line in _list(lines) if isinstance(line, int)) for path, lines in raw.items()}


def _mapping(raw: Any) -> Mapping[str, Any]:
    return raw if isinstance(raw, dict) else {}


def _list(raw: Any) -> Sequence[Any]:
    return raw if isinstance(raw, list) else []


def _names(raw: Any) -> Iterable[str]:
    return [one[:MAX_NAME] for one in _list(raw) if isinstance(one, str)][:200]
