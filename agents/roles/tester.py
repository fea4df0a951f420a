"""The tester: raw failures of an attempt become a diagnosis that the coder can act on. The engine ran the
tests.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from agents.chat_models import Models
from agents.engines.protocol import Feedback, Plan, Task
from agents.roles.prompts import HOUSE_RULES, plan_text, requirement, sent_back
from agents.roles.typed import ask_typed

ROLE = (
    "You are the tester. An attempt was sent back. Read the output and say what is wrong and where, so that "
    "the coder can correct the code. Never advise to weaken, skip or delete a test."
)
MAX_FEEDBACK_CHARS = 20_000
MOST_FEEDBACK = 3


class SubmitDiagnosis(BaseModel):
    """Submit what the failures mean."""

    cause: str = Field(min_length=1, max_length=3000, description="what is wrong, and in which file")
    corrections: list[str] = Field(default_factory=list, max_length=20, description="what to change, step by step")


def diagnose(models: Models, task: Task, plan: Plan) -> str:
    """The diagnosis of a task's feedback, as text for the coder."""
    human = f"{requirement(task)}\n\n{plan_text(plan)}\n\n{raw(task.feedback)}"
    said = ask_typed(models, SubmitDiagnosis, system=f"{HOUSE_RULES}\n{ROLE}", human=human)
    return "\n".join([said.cause, *(f"- {correction}" for correction in said.corrections)])


def raw(feedback: tuple[Feedback, ...]) -> str:
    """The feedback itself, the newest last."""
    shown = feedback[-MOST_FEEDBACK:]
    return "\n\n".join(
        sent_back("Why the attempt was sent back", entry, limit=MAX_FEEDBACK_CHARS // len(shown)) for entry in shown
    )
