"""Gates that a person let pass: evidence of its own, of this very tree, with their name on it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from operations.models import Evidence, Operation, Stage, Step


def grant(operation: Operation, *, by: Any, now: datetime) -> int:
    """Whoever approves what VALIDATE asked for lets the gates that it named pass. Returns how many; in a transaction.

    An approval of anything else grants nothing: the last step says what was asked.
    """
    step = operation.steps.order_by("-id").first()
    if step is None or step.stage != Stage.VALIDATE or step.outcome != Step.Outcome.DONE:
        return 0
    rows = [
        Evidence(
            operation=operation, turn=operation.turn, kind=Evidence.Kind.GATE, name=name, tree=step.product["tree"],
            passed=True, detail={"text": f"let pass by {by}", "by": str(by)}, created_at=now,
        )
        for name in step.product.get("asked", [])
    ]  # fmt: skip
    Evidence.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)
