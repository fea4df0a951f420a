"""Operations while the fleet is paused: a turn that would begin or go on is set aside until the release, and says why.

Only those are touched: what waits for a person, a berth or a pause of its own waits on as it was. Each set-aside row
keeps the status and the turn that it had, so that the release restores it and nothing else. A stage that had begun
begins again then, as after the loss of its worker: what models answered is there already, and paid once.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from events.journal import record
from operations.models import Operation, Step
from operations.snapshots import snapshot
from operations.submit import load
from resources import fleet

_AT_ONCE = 500
_FIELDS = ["status", "blocked", "claim", "claimed_until", "wake_up_at"]


def halt(operation_id: uuid.UUID | str, *, turn: int, now: datetime) -> bool:
    """Set this turn aside, if it is the pause that kept it from beginning. Twice changes nothing."""
    pause = fleet.paused()
    if pause is None:
        return False
    with transaction.atomic():
        operation = load(operation_id)
        under_way = operation.claim and operation.claimed_until is not None and operation.claimed_until >= now
        over = operation.turn != turn or operation.status not in Operation.ACTIVE
        if over or operation.attention or under_way or _is_halted(operation):
            return False
        _halt(operation, pause)
    return True


def set_aside(operation: Operation, step: Step, *, now: datetime) -> None:
    """A stage that met the pause half way. Inside a transaction, with the row locked and the claim proved.

    It counts as no attempt. Where the fleet has been released meanwhile the sweep sends the turn again.
    """
    step.outcome = Step.Outcome.WAITING
    step.save(update_fields=["outcome", "log", "log_said", "finished_at"])
    if (pause := fleet.paused()) is not None:
        _halt(operation, pause)
        return
    operation.claim, operation.claimed_until, operation.wake_up_at = "", None, now
    operation.save(update_fields=_FIELDS)


def _halt(operation: Operation, pause: fleet.Pause) -> None:
    operation.blocked = [{**pause.as_reason(), "was": str(operation.status)}]
    operation.status = Operation.Status.WAITING
    operation.claim, operation.claimed_until, operation.wake_up_at = "", None, None
    operation.save(update_fields=_FIELDS)
    record("operation.paused", operation, actor=pause.by, reason=pause.reason, **snapshot(operation))


def go_on(*, now: datetime, actor: str, limit: int = _AT_ONCE) -> int:
    """Put back what a pause set aside, oldest first, unless the fleet is paused again. Returns how many."""
    halted = Operation.objects.filter(
        status=Operation.Status.WAITING, wake_up_at__isnull=True, blocked__0__kind=fleet.PAUSED
    )
    keys = list(halted.order_by("-priority", "created_at").values_list("pk", flat=True)[:limit])
    return sum(_put_back(key, now=now, actor=actor) for key in keys) if keys and fleet.paused() is None else 0


def _put_back(operation_id: uuid.UUID, *, now: datetime, actor: str) -> bool:
    with transaction.atomic():
        operation = load(operation_id)
        if not _is_halted(operation):
            return False
        operation.status, operation.blocked = Operation.Status(operation.blocked[0]["was"]), []
        operation.wake_up_at = now + timedelta(seconds=settings.REDISPATCH_S)  # the event wakes it; else the sweep
        operation.save(update_fields=_FIELDS)
        record("operation.unpaused", operation, actor=actor, reason="the fleet is released", **snapshot(operation))
    return True


def _is_halted(operation: Operation) -> bool:
    waits = operation.status == Operation.Status.WAITING
    return waits and any(reason.get("kind") == fleet.PAUSED for reason in operation.blocked)
