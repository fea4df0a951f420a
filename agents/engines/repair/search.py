"""The search: slices of candidates in the sandbox, best first, until one survives or the budget is spent."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agents.engines.repair.candidates import pairs
from agents.engines.repair.faults import NotFound
from agents.engines.repair.harness import Harness, Verdict
from agents.engines.repair.options import Options
from agents.engines.repair.proposals import Candidate
from agents.engines.repair.survey import HUNG, Survey, SurveyedTest

FIRST_SLICE_S, SLICE_S = 3.0, 9.0
MORE_S = 2.5  # after the first survivor: is there a better one?
SINGLES_SHARE = 0.65  # of the budget, before pairs get their turn
UNORDERED = 4  # times is a survivor confirmed that may owe it to the order of a set: each process has another
PATIENT_SHARE = 0.1  # of the budget, for those that ran into the limit, before pairs
SLICE_MOST = 4000
TESTS_MOST = 400
FAILING_MOST = 40
PAIRS_MOST = 12_000
PATIENT_MOST = 400


@dataclass(frozen=True, slots=True)
class Found:
    """The edit that survived all tests, and how it was come by."""

    candidate: Candidate
    tried: int
    seconds: float
    survivors: int  # that passed the tests of the search, this one included


@dataclass(slots=True)
class Tally:
    """What was tried so far."""

    verdicts: Counter[str] = field(default_factory=Counter)
    fixed: dict[str, int] = field(default_factory=dict)
    late: list[Candidate] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    survivors: list[Candidate] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)  # survivors with which the whole suite was not green

    @property
    def tried(self) -> int:
        """Candidates that were run; those that did not compile or were the same as another are not counted."""
        return sum(count for verdict, count in self.verdicts.items() if verdict not in {"invalid", "same", "refused"})


class Search:
    """One search. ``clock`` counts seconds."""

    def __init__(
        self, harness: Harness, survey: Survey, options: Options, *, say: Callable[[str], None], started: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.harness, self.survey, self.options, self.say = harness, survey, options, say
        self.started, self.clock = started, clock
        self.tally = Tally()
        self._shapes: list[str] = []
        failing = [test.name for test in survey.failing[:FAILING_MOST]]
        self._tests = {"failing": failing, "passing": [test.name for test in _concerned(survey)[:TESTS_MOST]]}
        self.limit_s = limit_s_of(survey)
        self._quick = sum(test.outcome != HUNG and test.seconds < self.limit_s for test in survey.failing)

    @property
    def left_s(self) -> float:
        """Seconds of the budget that are left."""
        return self.options.seconds - (self.clock() - self.started)

    def run(self, singles: Sequence[Candidate]) -> Found:
        """The best survivor that the whole suite confirms. Raises NotFound."""
        share = self.options.seconds * (1 - SINGLES_SHARE)
        for stage in (
            lambda: self._through(singles, until_left_s=share),
            lambda: self._through(self.tally.late[:PATIENT_MOST], until_left_s=self._patient_until(), patient=True),
            lambda: self._through(pairs(singles, self.tally.fixed, most=PAIRS_MOST), until_left_s=2.0),
            lambda: self._through(singles, until_left_s=0.5),
            lambda: self._through(self.tally.late, until_left_s=0.5, patient=True),
        ):
            stage()
            while self.tally.survivors:
                if chosen := self._confirmed():
                    return Found(chosen, self.tally.tried, self.clock() - self.started, len(self.tally.survivors))
                stage()  # it goes on where it was
        raise self._not_found(len(singles))

    def _patient_until(self) -> float:
        """Where a limit was too short for all, patience mends it; where loops have no end, it must not cost much."""
        return max(self.left_s - self.options.seconds * PATIENT_SHARE, 0.5)

    def _through(self, candidates: Sequence[Candidate], *, until_left_s: float, patient: bool = False) -> None:
        """Slice after slice, until one survives, none is left or the time is up."""
        waiting = [one for one in candidates if patient or one.identity not in self.tally.done]
        length_s, rate = FIRST_SLICE_S, 200.0
        while waiting and self.left_s > until_left_s and self.tally.tried < self.options.candidates:
            room = self.options.candidates - self.tally.tried
            some = waiting[: min(int(rate * length_s * 1.5) + 50, SLICE_MOST, room)]
            seconds = min(length_s, self.left_s - until_left_s)
            began = self.clock()
            verdicts = self._slice(some, seconds=seconds, stop=True, patient=patient)
            reached = {verdict.identity for verdict in verdicts}
            waiting = [one for one in waiting if one.identity not in reached]
            self._progress(len(candidates))
            if self.tally.survivors:
                return self._look_further(waiting)
            if not reached:
                return None
            rate = max(len(reached) / max(self.clock() - began, 0.1), 20.0)
            length_s = SLICE_S
        return None

    def _look_further(self, waiting: Sequence[Candidate]) -> None:
        """A little more, to know how many others pass: that says something about the tests."""
        seconds = min(MORE_S, self.left_s / 4)
        if seconds > 0.5:
            self._slice(waiting[:600], seconds=seconds, stop=False, patient=False)

    def _slice(self, some: Sequence[Candidate], *, seconds: float, stop: bool, patient: bool) -> list[Verdict]:
        verdicts, self._shapes = self.harness.attempt(
            some, tests=self._tests, quick=self._quick, shapes=self._shapes,
            limit_s=self.limit_s * (6 if patient else 1), seconds=seconds, stop=stop, again=patient,
        )  # fmt: skip
        by_identity = {one.identity: one for one in some}
        for verdict in verdicts:
            candidate = by_identity.get(verdict.identity)
            if candidate is None:
                continue  # the sandbox made it up
            self.tally.verdicts[verdict.verdict] += 1
            self.tally.done.add(verdict.identity)
            if verdict.fixed and verdict.verdict != "passes":
                self.tally.fixed[verdict.identity] = verdict.fixed
            if verdict.verdict == "time" and not patient:
                self.tally.late.append(candidate)
            if verdict.verdict == "passes" and verdict.identity not in self.tally.refused:
                self.tally.survivors.append(candidate)
        return verdicts

    def _progress(self, of: int) -> None:
        best = max(self.tally.fixed.values(), default=0)
        helps = f"; the best so far mends {best} of {len(self.survey.failing)} failing tests" if best else ""
        self.say(
            f"tried {self.tally.tried} candidates ({of} listed) in {self.clock() - self.started:.0f} s, "
            f"{len(self.tally.survivors)} passed{helps}"
        )

    def _confirmed(self) -> Candidate | None:
        """The most plausible survivor with which the whole suite is green. The others are not survivors."""
        self.tally.survivors.sort(key=lambda candidate: -candidate.score)
        # They fail in company and pass alone: not what is mended here, and no candidate's fault.
        others = {test.name for test in self.survey.tests if test.known and test.passed} | {*self.survey.broken}
        # What failed before and is not to be mended may hang, or fill the memory: it has nothing to say.
        only = [test.name for test in (*self.survey.failing, *self.survey.passing)]
        for candidate in list(self.tally.survivors):
            self.say(f"confirming on the whole suite: {candidate.proposal.words}")
            for _ in range(UNORDERED if _is_unordered(candidate) else 1):
                failed = self.harness.confirm(candidate, only=only, seconds=max(60.0, self.options.seconds))
                failed = tuple(name for name in failed if name not in others)
                if failed:
                    break
            else:
                return candidate
            self.tally.refused.add(candidate.identity)
            self.say(f"  no: {', '.join(failed[:3])} fails with it")
            self.tally.survivors.remove(candidate)
        return None

    def _not_found(self, listed: int) -> NotFound:
        best = max(self.tally.fixed.values(), default=0)
        seconds = self.clock() - self.started
        return NotFound(
            f"Tried {self.tally.tried} candidates of {listed} single edits and their pairs in {seconds:.0f} s; none "
            f"makes all {len(self.survey.failing)} failing tests pass. The best mends {best}.",
            tried=self.tally.tried, seconds=round(seconds), verdicts=dict(self.tally.verdicts),
        )  # fmt: skip


def _is_unordered(candidate: Candidate) -> bool:
    return any("set(" in edit.text or "{" in edit.text for edit in candidate.proposal.edits)


def _concerned(survey: Survey) -> list[SurveyedTest]:
    """The passing tests that execute what failing ones do, where that was seen; the whole suite comes at the end."""
    paths = {path for test in survey.failing for path in test.lines}
    return [test for test in survey.passing if not paths.isdisjoint(test.lines)] or list(survey.passing)


def limit_s_of(survey: Survey) -> float:
    """Processor seconds that a test may take with a candidate, at first: by those that pass and the quickest failing.

    One that fails may have taken long because of the defect; a candidate that needs longer gets it in a later round.
    """
    slowest = max((test.seconds for test in survey.passing), default=0.0)
    quickest = min((test.seconds for test in survey.failing if not test.endless), default=0.0)
    wished = max(0.05, 10 * slowest + 0.02, 2 * quickest)
    return min(wished, max(0.12, 20 * slowest), 20.0)
