"""Independent steps of a plan at one time: each with a coder, a context and a copy of the checkout of its own.

No step sees what another does meanwhile, so what each asks a model depends on nothing but the plan and the files as
they were: a stage that begins again asks the same and is answered from what was paid for, however its threads run.
What a step made of its own files is taken over once all of them have ended, in the plan's order. What could not be done
that way - a step whose coder gave up, a change outside its files - is done afterwards, in order, by one coder.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field

from django.db import connections

from agents.chat_models import Models
from agents.engines import snapshots
from agents.engines.protocol import CopyFailed, Plan, Task, Workbench
from agents.providers import ModelCancelled, ModelRefused, ModelStuck, ModelTruncated
from agents.roles import coder, schedule, surveys
from agents.roles.confined import Confined
from agents.roles.prompts import Trust, fenced

Told = Callable[[int, str, str], None]  # a step's number, its title, and what became of it: begun, done or left

Survey = Callable[[Task, Workbench], str]

# Faults of one coder; any other is about the provider, the budget or the berth, and ends all of them.
_ITS_OWN = (ModelStuck, ModelTruncated, ModelRefused)
_SHOWN = 20

ALONE = (
    "Carry out step {number} of the plan, and nothing else. Other steps are carried out at the same time by others: "
    "you do not see what they change. You may change the files named here and no others; commands run in a copy of the "
    "checkout, and of what they change only these files are taken. Call Done when this step is finished."
)
REST = "Of the plan, carry out these steps now, in order, and nothing else: {numbers}."
FINISHED = "Finished, and in the files already: {numbers}."


@dataclass(slots=True)
class _Lane:
    """One step under way."""

    number: int
    bench: Confined
    models: Models
    summary: str = ""
    given_up: str = ""


def code(
    models: Models, task: Task, plan: Plan, bench: Workbench, *, told: Told, survey: Survey = surveys.survey
) -> str:
    """Carry the plan out, side by side where it allows it and the chain's ``side_by_side`` is more than one."""
    known = [path for path, _ in task.code_map.files]
    found = schedule.stretches(plan.steps, most=models.chain.side_by_side, known=known)
    if not any(stretch.beside for stretch in found):
        return coder.code(models, task, plan, bench, survey=survey(task, bench))
    work = _Work(models, task, plan, bench, told, survey, frozenset(known))
    for stretch in found:
        if stretch.beside:
            work.finish_open()
        if not (stretch.beside and work.beside(stretch.numbers)):
            work.open |= dict.fromkeys(stretch.numbers, "")
    work.finish_open()
    return "\n".join(work.said)


@dataclass(slots=True)
class _Work:
    models: Models
    task: Task
    plan: Plan
    bench: Workbench
    told: Told
    survey: Survey
    known: frozenset[str]
    open: dict[int, str] = field(default_factory=dict)  # steps for one coder, with what was tried already
    finished: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    _used: int = 0

    def finish_open(self) -> None:
        """Carry out what is open, in order, as one coder with one context."""
        if not self.open:
            return
        numbers = sorted(self.open)
        parts = [REST.format(numbers=_listed(numbers))]
        if finished := [number for number in self.finished if number not in self.open]:
            parts.append(FINISHED.format(numbers=_listed(finished)))
        tried = "\n".join(f"Step {number}: {self.open[number]}" for number in numbers if self.open[number])
        if tried:
            parts.append(fenced("What was tried already", tried, trust=Trust.MODEL))
        self._tell(numbers, "begun")
        models = self.models.apart(
            cancelled=self.bench.cancelled, say=self.bench.say, iterations=max(1, self._answers_left())
        )
        try:
            summary = coder.code(
                models, self.task, self.plan, self.bench, survey=self.survey(self.task, self.bench),
                assignment="\n".join(parts),
            )  # fmt: skip
        finally:
            self._join(models)
        self._tell(numbers, "done")
        self.said.append(f"{_named(numbers)}: {summary}")
        self.finished += [number for number in numbers if number not in self.finished]
        self.open.clear()

    def beside(self, numbers: Sequence[int]) -> bool:
        """Carry these out at one time; False where there is no room for copies of the checkout."""
        with ExitStack() as copies:
            try:
                benches = [copies.enter_context(self.bench.copied(f"step {number}")) for number in numbers]
            except CopyFailed as fault:
                self.bench.say(f"{_named(numbers)}: one after the other, since {fault.detail}")
                return False
            self.bench.say(f"{_named(numbers)}: at one time")
            stop, turn = threading.Event(), threading.Lock()
            share = max(1, self._answers_left() // (len(numbers) + 1))  # the last one is for what stays open
            lanes = []
            for number, copy in zip(numbers, benches, strict=True):
                files = schedule.files_of(self.plan.steps[number - 1], known=self.known)
                confined = Confined(copy, files=files, turn=turn, stopped=stop.is_set)
                models = self.models.apart(cancelled=confined.cancelled, say=copy.say, iterations=share)
                lanes.append(_Lane(number, confined, models))
            self._run(lanes, stop)
            self._take(lanes)
        return True

    def _run(self, lanes: Sequence[_Lane], stop: threading.Event) -> None:
        """Until all have ended. One that cannot go on for a reason that concerns all of them stops the others."""
        survey = self.survey(self.task, self.bench)
        self._tell([lane.number for lane in lanes], "begun")
        try:
            with ThreadPoolExecutor(len(lanes), thread_name_prefix="step") as pool:
                try:
                    futures = [pool.submit(self._carry_out, lane, survey) for lane in lanes]
                    for future in as_completed(futures):
                        if future.exception() is not None:
                            stop.set()
                        else:
                            lane = future.result()
                            self._tell([lane.number], "left" if lane.given_up else "done")
                finally:
                    stop.set()  # whatever ends this stage ends its threads first
        finally:
            for lane in lanes:
                self._join(lane.models)
        errors = [error for future in futures if (error := future.exception()) is not None]
        # Those that were stopped say no more than that.
        errors.sort(key=lambda error: isinstance(error, ModelCancelled))
        if errors:
            raise errors[0]

    def _carry_out(self, lane: _Lane, survey: str) -> _Lane:
        """In a thread of its own."""
        files = fenced("Its files", "\n".join(sorted(lane.bench.files_of_step)), trust=Trust.MODEL)
        try:
            lane.summary = coder.code(
                lane.models, self.task, self.plan, lane.bench, survey=survey,
                assignment=f"{ALONE.format(number=lane.number)}\n{files}",
            )  # fmt: skip
        except _ITS_OWN as fault:
            lane.given_up = fault.detail
        finally:
            connections.close_all()
        return lane

    def _take(self, lanes: Sequence[_Lane]) -> None:
        """What the steps made of their files, in the plan's order; the rest stays open, with the reason."""
        before = snapshots.hashes(self.bench) if any(lane.bench.ran for lane in lanes) else {}
        outside = {lane.number: _outside(lane.bench, before) for lane in lanes if not lane.given_up}
        for lane in lanes:
            if lane.given_up:
                self.open[lane.number] = f"a coder gave up on it, and nothing of that was kept: {lane.given_up}"
                self.bench.say(f"step {lane.number} is done anew in order: {lane.given_up}")
                continue
            lane.bench.copy.give_back(sorted(lane.bench.files_of_step))
            self.finished.append(lane.number)
            self.said.append(f"Step {lane.number}: {lane.summary}")
            if left_out := outside[lane.number]:
                named = ", ".join(left_out[:_SHOWN])
                self.open[lane.number] = (
                    f"its own files are done; changes to others were not taken: {named}. Its coder says: {lane.summary}"
                )
                self.bench.say(f"step {lane.number}: changes outside of its files are done afterwards: {named}")

    def _join(self, models: Models) -> None:
        self._used += models.usage.calls
        self.models.join(models)

    def _answers_left(self) -> int:
        return self.models.chain.iterations - self._used

    def _tell(self, numbers: Sequence[int], state: str) -> None:
        for number in numbers:
            self.told(number, self.plan.steps[number - 1].title, state)


def _outside(bench: Confined, before: dict[str, bytes]) -> list[str]:
    """What a step wanted changed that is not its own: edits that were refused, and what its commands did."""
    done: set[str] = set()
    if bench.ran:
        done = {*snapshots.changed(before, snapshots.hashes(bench))} - set(bench.files_of_step)
        done -= _ignored(bench, sorted(done - before.keys()))
    return sorted(done | bench.refused)


def _ignored(bench: Confined, paths: Sequence[str]) -> set[str]:
    """Those of new files that the repository itself does not count as its own."""
    if not paths:
        return set()
    asked = "\0".join(paths).encode("utf-8", "surrogateescape")
    outcome = bench.copy.run(["git", "check-ignore", "-z", "--stdin"], stdin=asked)
    return set(outcome.stdout.decode("utf-8", "surrogateescape").split("\0")) if outcome.exit_code == 0 else set()


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _named(numbers: Sequence[int]) -> str:
    return f"{'step' if len(numbers) == 1 else 'steps'} {_listed(numbers)}"
