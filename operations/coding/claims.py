"""Who runs a turn: a claim by compare-and-swap, lost as soon as the turn moves on."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from events.journal import record
from operations.models import Operation, Step
from operations.rows import Rows
from operations.snapshots import snapshot

WORKER_LOST = "operation.worker_lost"
MOST_LOST_WORKERS = 3  # a stage that takes its worker down so often is not tried again


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one turn of one operation, and the step row that tells of it."""

    operation: Operation  # as it was claimed; whoever writes loads it again
    turn: int
    token: str
    step: Step
    lost_workers: int  # how many workers were lost on this very turn

    @property
    def operation_id(self) -> uuid.UUID:
        return self.operation.pk

    @property
    def step_id(self) -> int:
        return self.step.pk


_OPERATIONS, _STEPS = Rows(Operation), Rows(Step)

# One statement takes the turn and answers the row as it is from then on.
_ACTIVE = ", ".join(f"'{status}'" for status in Operation.ACTIVE)
_TAKE = f"""
UPDATE {_OPERATIONS.table}
   SET claim = %s, claimed_until = %s, status = '{Operation.Status.RUNNING}', started_at = COALESCE(started_at, %s)
 WHERE id = %s AND turn = %s AND status IN ({_ACTIVE}) AND attention IS NULL
   AND (claim = '' OR claimed_until < %s) AND NOT EXISTS (SELECT 1 FROM resources_fleetpause)
RETURNING {_OPERATIONS.columns}
"""  # noqa: S608 - the model's own words


def claim(operation_id: uuid.UUID | str, *, turn: int, worker: str, now: datetime) -> Claim | None:
    """Claim the turn. None when it is stale, ended, held up by a person or the fleet, or run by somebody else."""
    token = uuid.uuid4().hex
    at, until = map(connection.ops.adapt_datetimefield_value, (now, now + timedelta(seconds=settings.CLAIM_TTL_S)))
    key = Operation._meta.pk.get_db_prep_value(operation_id, connection)
    with transaction.atomic():
        operation = _OPERATIONS.first(_TAKE, [token, until, at, key, turn, at])
        if operation is None:
            return None
        stage = operation.stage
        with connection.cursor() as cursor:
            # One look at the few steps is cheaper than a question for each of the three figures.
            cursor.execute("SELECT turn, stage, outcome FROM operations_step WHERE operation_id = %s", [key])
            earlier = cursor.fetchall()
        if any(outcome == Step.Outcome.RUNNING for _, _, outcome in earlier):
            _lose(operation, now=now)
        entries = {at for at, of, outcome in earlier if of == stage and at != turn and outcome != Step.Outcome.WAITING}
        step = Step(
            operation_id=operation.pk, agent_id=operation.agent_id, turn=turn, stage=stage, attempt=1 + len(entries),
            claim=token, worker=worker, started_at=now,
        )  # fmt: skip
        _STEPS.insert(step)
    lost = sum(at == turn and outcome in {Step.Outcome.RUNNING, Step.Outcome.LOST} for at, _, outcome in earlier)
    return Claim(operation, turn, token, step, lost)


def _lose(operation: Operation, *, now: datetime) -> None:
    """Whoever ran this has not been heard for as long as a claim lives: its step is over, and the journal says so."""
    lost = operation.steps.filter(outcome=Step.Outcome.RUNNING)
    for step in lost:
        held = {"stage": step.stage, "attempt": step.attempt, "agent_id": str(step.agent_id) if step.agent_id else None}
        record(
            WORKER_LOST, operation, actor="system", worker=step.worker, held=held, **snapshot(operation),
            reason=f"{step.worker or 'its worker'} was lost while it ran {step.get_stage_display()}",
        )  # fmt: skip
    lost.update(outcome=Step.Outcome.LOST, finished_at=now)
