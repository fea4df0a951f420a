"""Money of operations: what a run may spend, raising it, and going on where the money ran out."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db import transaction

from agents.gateway import limits
from agents.gateway.limits import State
from agents.gateway.models import Scope
from events.journal import record
from operations import faults, policy, submit
from operations.models import Operation
from operations.snapshots import snapshot


def of(*, by: Any, operation_id: uuid.UUID | str, now: datetime) -> list[State]:
    """What the operation and those it belongs to have spent, and may."""
    return accounts(policy.operation(by, operation_id), now=now)


def accounts(operation: Operation, *, now: datetime) -> list[State]:
    """The accounts that its calls are booked on: its own first, then those that it shares."""
    wanted = limits.places(
        run_id=operation.pk, agent_id=operation.agent_id, user_id=operation.created_by_id,
        project_id=operation.project_id, day=now.date(),
    )  # fmt: skip
    return limits.states(wanted)


def raise_run(
    *,
    by: Any,
    operation_id: uuid.UUID | str,
    usd: float | None,
    tokens: int | None = None,
    calls: int | None = None,
    now: datetime,
) -> Operation:
    """Set an operation's own limits; if it waits for money, it goes on and meets the new limits at its next call."""
    operation = policy.operation(by, operation_id)
    if operation.status in Operation.TERMINAL:
        raise faults.NotPossibleNow(f"the operation has {operation.status} already")
    limits.put(scope=Scope.RUN, key=str(operation.pk), usd=usd, tokens=tokens, calls=calls, actor=f"user:{by}", now=now)
    Operation.objects.filter(pk=operation.pk).update(notice=None)
    _resume(operation.pk, actor=f"user:{by}")
    return policy.operation(by, operation.pk)


def put(
    *,
    by: Any,
    scope: str,
    key: str,
    usd: float | None,
    tokens: int | None = None,
    calls: int | None = None,
    reason: str = "",
    now: datetime,
) -> None:
    """Set the limits of a scope, for staff; what waits for money looks again."""
    if not by.is_staff:
        raise faults.StaffOnly("Only staff set budgets of projects, users, agents and days.")
    limits.put(scope=scope, key=key, usd=usd, tokens=tokens, calls=calls, actor=f"user:{by}", reason=reason, now=now)
    for waiting in _waiting().values_list("pk", flat=True):
        _resume(waiting, actor=f"user:{by}")


def note_low(operation_id: uuid.UUID | str, *, reason: str, now: datetime) -> None:
    """A soft limit was crossed: it goes on, and whoever looks is told."""
    with transaction.atomic():
        operation = submit.load(operation_id)
        if operation.status not in Operation.ACTIVE:
            return
        notice = {"kind": "budget_low", "reason": reason, "since": now.isoformat()}
        Operation.objects.filter(pk=operation.pk).update(notice=notice)  # no turn: whoever runs it goes on
        operation.notice = notice
        record("operation.budget_low", operation, actor="system", reason=reason, **snapshot(operation))


def resume_renewed(*, now: datetime) -> int:
    """Operations whose budget counts by day or month go on when a new one has begun."""
    current = {now.date().isoformat(), f"{now:%Y-%m}"}
    resumed = 0
    for operation in _waiting():
        period = next((reason.get("period") for reason in operation.blocked), "")
        if period and period not in current:
            resumed += _resume(operation.pk, actor="system")
    return resumed


def _waiting() -> Any:
    return Operation.objects.filter(status=Operation.Status.WAITING, attention__about="budget")


def _resume(operation_id: uuid.UUID, *, actor: str) -> bool:
    with transaction.atomic():
        operation = submit.load(operation_id)
        if operation.status != Operation.Status.WAITING or (operation.attention or {}).get("about") != "budget":
            return False
        operation.status, operation.attention = Operation.Status.RUNNING, None
        submit.advance(operation)
        record("operation.budget_raised", operation, actor=actor, **snapshot(operation))
        return True
