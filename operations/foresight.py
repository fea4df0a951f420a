"""What a verb would do to an operation, in words, before somebody presses its button: for pages and previews alike.

Each sentence goes on from the operation's name, or from "It". The same faults as the doors themselves.
"""

from __future__ import annotations

from events.plain_text import plain
from operations import faults, permission
from operations.models import Operation, Stage

# What does not depend on how the operation stands, in whole sentences.
ALWAYS = {
    "refuse": "Once refused, the agent program goes on without it and is told your words.",
    "another_round": "The engine goes on from its branch, with your words and all that fails or was said now; "
    "the same gates and tests follow, and it is pushed to the same pull request.",
    "leave": "The pull request is yours: Moorage watches it and changes nothing, until you ask for a round again.",
    "close": "The pull request is closed without a merge; its branch stays.",
    "raise_budget": "Models are paid up to this sum in all; what it has spent counts.",
}


def cancel(operation: Operation) -> str:
    """Raises NotPossibleNow where there is nothing to cancel."""
    if operation.status in Operation.TERMINAL:
        raise faults.NotPossibleNow(
            f"the operation has {operation.status} already", remedy="Only operations that have not ended are cancelled."
        )
    berth = "its place in the line is given up"
    if operation.agent:
        berth = f"the berth of {plain(operation.agent.name)} is cleared, uncommitted work is kept first"
    made = "What its finished stages made is kept: it can be retried."
    return f"stops at {operation.get_stage_display()}; {berth}. {made}"


def retry(operation: Operation) -> str:
    """Raises NotPossibleNow where it has not failed."""
    if operation.status not in {Operation.Status.FAILED, Operation.Status.CANCELLED}:
        raise faults.NotPossibleNow(
            f"the operation is {operation.status}", remedy="Only failed and cancelled operations are retried."
        )
    stage = Stage(operation.resume_at or operation.stage).label
    return f"takes a new berth and goes on from {stage} with what was made before; later results are made again."


def approve(operation: Operation) -> str:
    """What opens once the gate does that it waits at."""
    if permission.is_asked(operation):
        return "resumes: the agent program goes on and may do this, wherever it asks for the very same again."
    if operation.stage == Stage.CODE:
        return "begins to code."
    return "pushes its branch and opens a pull request."
