"""The planner: a requirement and a code map become a plan. It sees files, and changes none."""

from __future__ import annotations

from pydantic import BaseModel, Field

from agents.chat_models import Models
from agents.engines.protocol import Plan, PlanStep, Task
from agents.providers import NeedsAnswer
from agents.roles.prompts import HOUSE_RULES, requirement, visible
from agents.roles.typed import ask_typed

ROLE = (
    "You are the planner. Say in one sentence what the change is, and list the fewest steps that meet "
    "the requirement, each with all the files it touches and the numbers of the earlier steps it needs. Steps that "
    "share no file and need none of each other are carried out at the same time, without seeing each other: what "
    "belongs together, such as a change and its test, is one step. Say by which criteria one sees that it is met: "
    "what can be observed, not what is done. Plan tests where behaviour changes. Plan nothing that "
    "was not asked for. Only where the requirement can be read in ways that lead to different changes, and the "
    "code does not tell which is meant, ask one short question instead; else leave the question empty."
)


class PlannedStep(BaseModel):
    """One intended change."""

    title: str = Field(max_length=300, description="what is done, in the imperative")
    files: list[str] = Field(default_factory=list, max_length=50, description="relative paths it touches")
    detail: str = Field(default="", max_length=4000)
    after: list[int] = Field(default_factory=list, max_length=30, description="numbers of the earlier steps it needs")


class SubmitPlan(BaseModel):
    """Submit the plan."""

    summary: str = Field(min_length=1, max_length=1000, description="the change in one sentence")
    steps: list[PlannedStep] = Field(min_length=1, max_length=30)
    criteria: list[str] = Field(default_factory=list, max_length=12, description="by which it is seen to be met")
    question: str = Field(default="", max_length=1000, description="to the person who asked; nearly always empty")


def plan(models: Models, task: Task, *, survey: str = "") -> Plan:
    """The plan for a task. Raises :class:`NeedsAnswer` where only the person who asked can say what is meant."""
    human = "\n\n".join([requirement(task), *([survey] if survey else [])])
    said = ask_typed(models, SubmitPlan, system=f"{HOUSE_RULES}\n{ROLE}", human=human)
    if said.question.strip():
        raise NeedsAnswer(visible(said.question.strip()))
    steps = tuple(PlanStep(s.title, tuple(s.files), s.detail, tuple(s.after)) for s in said.steps)
    return Plan(said.summary, steps, tuple(one.strip()[:500] for one in said.criteria if one.strip()))
