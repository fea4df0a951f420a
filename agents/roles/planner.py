"""The planner: a requirement and a code map become a plan. It sees files, and changes none."""

from __future__ import annotations

from pydantic import BaseModel, Field

from agents.chat_models import Models
from agents.engines.protocol import Plan, PlanStep, Task
from agents.roles.prompts import HOUSE_RULES, requirement
from agents.roles.typed import ask_typed

ROLE = (
    "You are the planner. Say in one sentence what the change is, and list the fewest steps that meet "
    "the requirement, each with the files it touches. Plan tests where behaviour changes. Plan nothing that "
    "was not asked for."
)


class PlannedStep(BaseModel):
    """One intended change."""

    title: str = Field(max_length=300, description="what is done, in the imperative")
    files: list[str] = Field(default_factory=list, max_length=50, description="relative paths it touches")
    detail: str = Field(default="", max_length=4000)


class SubmitPlan(BaseModel):
    """Submit the plan."""

    summary: str = Field(min_length=1, max_length=1000, description="the change in one sentence")
    steps: list[PlannedStep] = Field(min_length=1, max_length=30)


def plan(models: Models, task: Task) -> Plan:
    """The plan for a task."""
    said = ask_typed(models, SubmitPlan, system=f"{HOUSE_RULES}\n{ROLE}", human=requirement(task))
    return Plan(said.summary, tuple(PlanStep(s.title, tuple(s.files), s.detail) for s in said.steps))
