"""The llm engine: planner, coder, tester and reviewer on the models of a chain."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from agents.chat_models import Models, Usage
from agents.engines import snapshots
from agents.engines.protocol import Edits, EngineKind, Plan, Review, Task, Workbench
from agents.providers import ModelChain
from agents.roles import coder, planner, prompts, reviewer, side_by_side, surveys, tester


class LlmEngine:
    """Each stage is a fresh context; what one stage learned reaches the next only through typed outputs."""

    kind = EngineKind.LLM

    def __init__(
        self,
        chain: ModelChain,
        *,
        asked: Callable[[str], None] = lambda _model: None,
        told: side_by_side.Told = lambda _number, _title, _state: None,
        outlines: surveys.Outlines | None = None,
    ) -> None:
        self.chain = chain
        self._asked, self._told = asked, told
        self._survey = partial(surveys.survey, outlines=outlines)
        self._usage = Usage()
        self._answered: list[str] = []

    def label(self) -> str:
        """The models that answered so far, as ``provider/model``; before the first answer, the chain's
        first.
        """
        return " + ".join(self._answered) or self.chain.label

    def usage(self) -> dict[str, int]:
        """calls, failed_calls, input_tokens and output_tokens since this engine was made."""
        return self._usage.as_dict()

    def plan(self, task: Task, bench: Workbench) -> Plan:
        """Ask the planner, with what the repository itself says about it."""
        for line in prompts.removed(task.requirements):
            bench.say(f"requirement: {line}")
        return planner.plan(self._models(bench), task, survey=self._survey(task, bench))

    def code(self, task: Task, plan: Plan, bench: Workbench) -> Edits:
        """Carry the plan out; from the second attempt on, one coder mends what the tester says of the feedback."""
        models = self._models(bench)
        before = snapshots.hashes(bench)
        if task.feedback:
            diagnosis = tester.diagnose(models, task, plan)
            bench.say(f"tester: {diagnosis.splitlines()[0][:200]}")
            summary = coder.code(models, task, plan, bench, survey=self._survey(task, bench), diagnosis=diagnosis)
        else:
            summary = side_by_side.code(models, task, plan, bench, told=self._told, survey=self._survey)
        return Edits(snapshots.changed(before, snapshots.hashes(bench)), summary)

    def review(self, task: Task, plan: Plan, diff: str, facts: dict[str, Any], bench: Workbench) -> Review:
        return reviewer.review(self._models(bench), task, plan, diff, facts)

    def _models(self, bench: Workbench) -> Models:
        models = Models(self.chain, cancelled=bench.cancelled, say=bench.say, usage=self._usage, asked=self._asked)
        models.answered = self._answered
        return models
