"""The repair engine: no model; a search for the edit that makes the failing tests pass and breaks no other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from agents.engines.protocol import Edits, EngineKind, Plan, PlanStep, Review, Task, Workbench
from agents.engines.repair import candidates, focus
from agents.engines.repair.faults import NothingFails, Unsupported
from agents.engines.repair.harness import WHOLE_RUN, Harness, command_of
from agents.engines.repair.options import Options
from agents.engines.repair.search import Found, Search
from agents.engines.repair.source import Source, Unsearchable
from agents.engines.repair.survey import Survey
from events.faults import Fault

LABEL = "Search-based repair — no AI was used"
SURVEY_SHARE = 0.25  # of the budget
FILES_MOST = 25
SUSPECTS_SHOWN = 5


class RepairEngine:
    """Searches. Each attempt passes over what the attempts before it chose."""

    kind = EngineKind.REPAIR

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()

    def label(self) -> str:
        return LABEL

    def usage(self) -> dict[str, int]:
        """No model is called."""
        return {}

    def plan(self, task: Task, bench: Workbench) -> Plan:
        """Which tests lead, and which functions they point at. Raises NothingFails, Unsupported, NotLoadable."""
        survey = self._survey(task, bench)
        sources = _sources(survey, bench)
        suspects = _suspects(sources, survey)
        count = len(survey.failing)
        summary = (
            f"Search for an edit that makes {count} failing test{'s' if count != 1 else ''} pass and breaks no other: "
            f"at most {self.options.candidates} candidates in {self.options.seconds:.0f} s."
        )
        steps = [PlanStep(f"Try edits of {name} in {path}", (path,), detail) for path, name, detail in suspects]
        return Plan(summary, tuple(steps))

    def code(self, task: Task, plan: Plan, bench: Workbench) -> Edits:
        """Search, and write the survivor. Raises NotFound."""
        started = time.monotonic()
        survey = self._survey(task, bench)
        sources = _sources(survey, bench)
        listed = candidates.single(sources.values(), survey)
        bench.say(f"{len(listed)} single edits of {len(sources)} file(s), {len(survey.failing)} failing tests to mend")
        if aside := _aside(task):
            bench.say(f"{len(aside)} other failing tests are left aside: the requirement does not name them")
        harness = self._harness(task, bench)
        found = Search(harness, survey, self.options, say=bench.say, started=started).run(listed)
        chosen = found.candidate
        bench.write(chosen.path, sources[chosen.path].apply(chosen.proposal.edits))
        summary = summary_of(found, len(survey.failing))
        bench.say(summary)
        return Edits((chosen.path,), summary)

    def review(self, task: Task, plan: Plan, diff: str, facts: dict[str, Any], bench: Workbench) -> Review:
        return Review(approved=True)

    def _harness(self, task: Task, bench: Workbench) -> Harness:
        command = command_of(task.code_map.test_command)
        return Harness(bench, command=command, options=self.options, name=task.base_tree, attempt=task.attempt,
                       aside=_aside(task))  # fmt: skip

    def _survey(self, task: Task, bench: Workbench) -> Survey:
        known = _meant(task)
        if not task.code_map.failing_before:
            raise NothingFails("All tests of the project pass as it is.")
        harness = self._harness(task, bench)
        survey = harness.survey(
            failing=known, words=focus.words(task.requirements), seconds=max(self.options.seconds * SURVEY_SHARE, 5.0)
        )
        if not survey.failing:
            raise NothingFails("The tests that failed before pass when they are run one by one.")
        if not survey.traced:
            raise Unsupported("The failing tests execute nothing of the project's own Python files.")
        return survey


def _meant(task: Task) -> tuple[str, ...]:
    """The failing tests to mend; empty where their names are not known."""
    return focus.meant(task.requirements, [name for name in task.code_map.failing_before if name != WHOLE_RUN])


def _aside(task: Task) -> tuple[str, ...]:
    """Failing tests that the requirement is not about: they are neither mended nor kept from failing."""
    mended = {*_meant(task), WHOLE_RUN}
    return tuple(name for name in task.code_map.failing_before if name not in mended)


def summary_of(found: Found, failing: int) -> str:
    """What was done, how many candidates it took, and who chose."""
    others = found.survivors - 1
    more = f" {others} other edit{'s' if others != 1 else ''} passed as well." if others else ""
    return (
        f"Line {found.candidate.proposal.line} of {found.candidate.path}: {found.candidate.proposal.words}. "
        f"{found.tried} candidates were tried in {found.seconds:.0f} s; this one makes {failing} failing "
        f"test{'s' if failing != 1 else ''} pass.{more} Tests chose it, not understanding: read it before you merge."
    )


def _sources(survey: Survey, bench: Workbench) -> dict[str, Source]:
    """The project's files that failing tests execute, most suspicious first; without the tests themselves."""
    homes = {test.name.partition("::")[0] for test in survey.tests}
    paths = [path for path in survey.lines if path.endswith(".py") and path not in homes and not _is_test(path)]
    paths.sort(key=lambda path: (-max(survey.suspicion(path, line) for line in survey.lines[path]), path))
    found: dict[str, Source] = {}
    for path in paths[:FILES_MOST]:
        try:
            found[path] = Source(path, bench.read(path))
        except (
            Unsearchable,
            Fault,
            FileNotFoundError,
        ) as error:  # the sandbox named it: it may be missing, huge, or no file of ours
            bench.say(f"passed over: {error}")
    if not found:
        raise Unsupported("No Python file of the project that the failing tests execute can be searched.")
    return found


def _is_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py")


def _suspects(sources: dict[str, Source], survey: Survey) -> Sequence[tuple[str, str, str]]:
    """The most suspicious functions: path, name, and what speaks against them."""
    found = []
    for source in sources.values():
        for function in candidates.functions_of(source, survey):
            if function.name:
                lines = range(function.node.lineno, (function.node.end_lineno or 0) + 1)  # type: ignore[union-attr]
                worst = max(lines, key=lambda line: survey.suspicion(source.path, line))
                found.append((survey.suspicion(source.path, worst), source.path, function.name, worst))
    found.sort(key=lambda one: (-one[0], one[1], one[3]))
    return [(path, name, f"line {line}, suspicion {score:.2f}") for score, path, name, line in found[:SUSPECTS_SHOWN]]
