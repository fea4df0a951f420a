"""What would happen to an operation, in words, before somebody does it. The same faults as the doors themselves."""

from __future__ import annotations

from operations import faults
from operations.models import Operation


def cancel(operation: Operation) -> str:
    """Raises NotPossibleNow where there is nothing to cancel."""
    if operation.status in Operation.TERMINAL:
        raise faults.NotPossibleNow(
            f"the operation has {operation.status} already", remedy="Only operations that have not ended are cancelled."
        )
    berth = "; its berth is cleared, uncommitted work is kept first" if operation.agent_id else ""
    return f"ends in stage {operation.stage}{berth}. It can be retried from there."


def retry(operation: Operation) -> str:
    """Raises NotPossibleNow where it has not failed."""
    if operation.status not in {Operation.Status.FAILED, Operation.Status.CANCELLED}:
        raise faults.NotPossibleNow(
            f"the operation is {operation.status}", remedy="Only failed and cancelled operations are retried."
        )
    return f"goes on from stage {operation.resume_at or operation.stage}, in a new berth, with all that it made so far."
