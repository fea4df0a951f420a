"""The plan as a person may change it: before it is approved, and before anything is coded."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from events.journal import record
from operations import faults, permission, policy, submit
from operations.models import Operation, Stage, Step
from operations.snapshots import snapshot


@dataclass(frozen=True, slots=True)
class EditedStep:
    """One intended change as a person wrote it."""

    title: str
    files: tuple[str, ...] = ()
    detail: str = ""
    after: tuple[int, ...] = ()


def edit(
    *, by: Any, operation_id: uuid.UUID | str, summary: str | None, steps: tuple[EditedStep, ...] | None
) -> Operation:
    """Replace the plan's summary, its steps, or both. It still waits for approval afterwards.

    Raises NotPossibleNow unless it waits for the approval of its plan.
    """
    visible = policy.operation(by, operation_id)
    with transaction.atomic():
        operation = submit.load(visible.pk)
        waits_for = (operation.attention or {}).get("kind")
        about_plan = waits_for == "approval_required" and not permission.is_asked(operation)
        if not about_plan or operation.stage != Stage.CODE:
            raise faults.NotPossibleNow(
                "the operation does not wait for the approval of its plan",
                remedy="Request it with approval `plan`; it then stops before it codes.",
            )
        planned = operation.steps.filter(stage=Stage.PLAN, outcome=Step.Outcome.DONE).latest("id")
        product = dict(planned.product)
        if summary is not None:
            product["summary"] = summary
        if steps is not None:
            product["steps"] = [
                {"title": step.title, "files": list(step.files), "detail": step.detail, "after": list(step.after)}
                for step in steps
            ]
        product["edited_by"] = str(by)
        Step.objects.filter(pk=planned.pk).update(product=product)
        record("operation.plan_edited", operation, actor=f"user:{by}", **snapshot(operation))
    return operation
