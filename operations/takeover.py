"""A person takes over the berth of a running operation, works there by hand, and hands it back.

Taking over fences the turn: a stage that runs loses its say at once and leaves the berth within seconds, as at a
cancellation; ``berth`` in the reason says when it has. Handing back lets the engine take in what lies there: the tree
that a person made is tested and judged like any other, and what was seen on the tree of before proves nothing of it.
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.utils import timezone

from agents import admittance
from events.journal import record
from operations import faults, policy
from operations.models import Operation, Stage, Step
from operations.snapshots import snapshot, waits_for
from operations.submit import advance, load

TAKEN_OVER, HANDED_BACK = "taken_over", "handed_back"
STAGES = (Stage.ANALYZE, Stage.PLAN, Stage.CODE, Stage.TEST, Stage.VALIDATE)  # these work in a berth
TAKEN_IN = (Stage.CODE, Stage.TEST, Stage.VALIDATE)  # in these there is a checkout that a person may change


class Berth(StrEnum):
    """Whether the stage that ran has left the berth."""

    BEING_LEFT = "being_left"
    FREE = "free"


_WORDS = {
    Berth.BEING_LEFT: "{by} takes over the berth; the stage that runs is just leaving it",
    Berth.FREE: "{by} works in the berth, and hands it back when done",
}


def take_over(*, by: Any, operation_id: uuid.UUID | str) -> Operation:
    """The operation waits, and its berth is the person's. Again by the same person changes nothing.

    Before there is a checkout to change, in ANALYZE and PLAN, the berth is only promised: the operation goes on, and
    CODE begins by handing the berth over (``promised``), so that nothing done by hand is thrown away by the stage.
    Raises NotPossibleNow for one that has no berth now, waits for an approval or its budget, or is somebody else's.
    """
    visible = policy.operation(by, operation_id)
    with transaction.atomic():
        operation = load(visible.pk)
        if (held := reason(operation)) and held["by"] == str(by):
            return operation
        if promised(operation) == str(by):
            return operation
        _check(operation)
        admittance.check(operation.agent.resolved.get("spec", {}), template=operation.template, user=by)  # type: ignore[union-attr] # checked
        if operation.stage not in TAKEN_IN:
            _promise(operation, by=str(by), kind="operation.take_over_promised", actor=f"user:{by}")
            return operation
        # Whoever runs it writes when it ended: until then it is still in the berth.
        runs = operation.steps.filter(outcome=Step.Outcome.RUNNING).update(outcome=Step.Outcome.CANCELLED)
        begin(operation, by=str(by), berth=Berth.BEING_LEFT if runs else Berth.FREE)
    return operation


def begin(operation: Operation, *, by: str, berth: Berth) -> None:
    """It waits while the berth is the person's. Inside the caller's transaction."""
    operation.status, operation.take_over_by = Operation.Status.WAITING, ""
    operation.attention = {
        "kind": "input_required", "reason": _WORDS[Berth.FREE].format(by=by),
        "since": timezone.now().isoformat(), "about": TAKEN_OVER,
    }  # fmt: skip
    advance(operation, wake_up_in_s=None, blocked=[_waits(by, str(operation.stage), berth)])
    record("operation.taken_over", operation, actor=f"user:{by}", berth=berth.value, **snapshot(operation))


def promised(operation: Operation) -> str:
    """To whom the berth of one that is at work is promised; empty where it is not."""
    return operation.take_over_by if operation.status in Operation.ACTIVE else ""


def hand_back(*, by: Any, operation_id: uuid.UUID | str) -> Operation:
    """It goes on with the stage in which it was taken over, with the berth's files as they are.

    A berth that was only promised is given up. Raises NotPossibleNow where nobody has taken it over.
    """
    visible = policy.operation(by, operation_id)
    with transaction.atomic():
        operation = load(visible.pk)
        held = reason(operation)
        if held is None and promised(operation):
            _promise(operation, by="", kind="operation.take_over_withdrawn", actor=f"user:{by}")
            return operation
        if held is None:
            raise faults.NotPossibleNow("nobody has taken this operation over")
        operation.steps.filter(finished_at=None).update(finished_at=timezone.now())  # whose worker died meanwhile
        stage = Stage(operation.stage)
        operation.status, operation.attention = Operation.Status.RUNNING, None
        if stage in TAKEN_IN:
            operation.stage = Stage.CODE  # it takes the tree in; then the work goes on where it was
        advance(operation, blocked=[{"kind": HANDED_BACK, "by": held["by"], "stage": stage.value}])
        record("operation.handed_back", operation, actor=f"user:{by}", **snapshot(operation))
    return operation


def left(operation: Operation, *, actor: str) -> None:
    """The stage that ran has ended: the berth is the person's alone. Inside the caller's transaction."""
    held = reason(operation)
    if held is None or held["berth"] == Berth.FREE:
        return
    operation.blocked = [_waits(held["by"], held["stage"], Berth.FREE)]
    operation.save(update_fields=["blocked"])
    record("operation.berth_left", operation, actor=actor, berth=Berth.FREE.value, **snapshot(operation))


def reason(operation: Operation) -> dict[str, Any] | None:
    """By whom it is taken over, in which stage, and whether the berth is free; None where it is not."""
    waits = operation.status == Operation.Status.WAITING
    return _found(operation, TAKEN_OVER) if waits and operation.attention else None


def handed_back(operation: Operation) -> dict[str, Any] | None:
    """By whom this very turn was handed back, and in which stage; None where it was not."""
    return _found(operation, HANDED_BACK)


def possible(operation: Operation) -> bool:
    """Whether it can be taken over now."""
    try:
        _check(operation)
    except faults.NotPossibleNow:
        return False
    return True


def _promise(operation: Operation, *, by: str, kind: str, actor: str) -> None:
    """Whoever runs it goes on: no new turn."""
    operation.take_over_by = by
    operation.save(update_fields=["take_over_by"])
    record(kind, operation, actor=actor, **snapshot(operation))


def _waits(by: str, stage: str, berth: Berth) -> dict[str, Any]:
    return {"kind": TAKEN_OVER, "by": by, "stage": stage, "berth": berth.value, "detail": _WORDS[berth].format(by=by)}


def _found(operation: Operation, kind: str) -> dict[str, Any] | None:
    return next((dict(reason) for reason in operation.blocked if reason.get("kind") == kind), None)


def _check(operation: Operation) -> None:
    if held := reason(operation):
        raise faults.NotPossibleNow(f"{held['by']} has taken it over", remedy="Ask them to hand it back.")
    if by := promised(operation):
        raise faults.NotPossibleNow(f"its berth is promised to {by}", remedy="Ask them to hand it back.")
    if operation.status in Operation.TERMINAL or operation.agent is None or operation.stage not in STAGES:
        raise faults.NotPossibleNow(
            f"the operation is {operation.status} in stage {operation.stage}",
            remedy="It is taken over while it works in its berth: from analyze to validate.",
        )
    if waits_for(operation) in {"approval_required", "budget"}:
        raise faults.NotPossibleNow("it waits for your approval or its budget", remedy="Decide that first.")
