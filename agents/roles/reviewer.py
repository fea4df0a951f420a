"""The reviewer: reads the finished diff with fresh eyes. It may veto; a red gate it cannot overrule."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field

from agents.chat_models import Models
from agents.engines.protocol import Judged, Plan, Review, Task
from agents.roles.prompts import HOUSE_RULES, fenced, plan_text, requirement
from agents.roles.typed import ask_typed

ROLE = (
    "You are the reviewer. Compare the diff with the requirement. Veto only for what matters: the requirement "
    "is not met, something else breaks, a test was weakened, a secret or a hole came in. Say each point in "
    "one sentence. Judge each criterion of the plan by the diff and by what was measured."
)
MAX_DIFF_CHARS = 60_000


class JudgedCriterion(BaseModel):
    """One criterion of the plan."""

    criterion: str = Field(max_length=500)
    met: bool
    why: str = Field(default="", max_length=500, description="where in the diff, or which test")


class SubmitReview(BaseModel):
    """Submit the review."""

    approved: bool
    criteria: list[JudgedCriterion] = Field(default_factory=list, max_length=12)
    comments: list[str] = Field(default_factory=list, max_length=30)


def review(models: Models, task: Task, plan: Plan, diff: str, facts: dict[str, Any]) -> Review:
    """The opinion on a diff; ``facts`` is what the engine itself has measured."""
    human = "\n\n".join(
        [
            requirement(task),
            plan_text(plan),
            fenced("What the engine measured", json.dumps(facts, default=str), limit=8000),
            fenced("The diff", diff, limit=MAX_DIFF_CHARS),
        ]
    )
    said = ask_typed(models, SubmitReview, system=f"{HOUSE_RULES}\n{ROLE}", human=human)
    criteria = tuple(Judged(one.criterion, one.met, one.why) for one in said.criteria if plan.criteria)
    missed = [f"not met: {one.criterion} {one.why}".strip() for one in criteria if not one.met]
    comments = (*missed, *(comment[:2000] for comment in said.comments))
    return Review(approved=said.approved and not missed, comments=comments, criteria=criteria)
