"""The stage engine: one call runs one attempt of one stage of one operation.

First half: claim the turn, run the stage with no transaction open. Second half, one transaction: lock the row,
compare the turn and the claim, transition, write step and evidence, record what comes next.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from agents import lifecycle, size_choice
from agents.faults import BerthLost
from agents.models import Agent, Priority
from agents.outfits import Outfit
from events.faults import Fault, Remembered
from events.journal import record
from operations import faults, step_logs, takeover
from operations.coding import standstill
from operations.coding.claims import MOST_LOST_WORKERS, Claim, claim
from operations.coding.context import AwaitBerth, Context, Done, HandOver, Outcome
from operations.coding.pulse import Pulse
from operations.coding.remedies import recover
from operations.coding.stage_log import StageLog
from operations.coding.stages import STAGES
from operations.coding.storable import storable
from operations.models import Evidence, Operation, Stage, Step
from operations.rows import Rows
from operations.snapshots import snapshot
from operations.submit import advance, end, let_go, load
from resources import hosts
from resources.faults import FleetPaused

log = logging.getLogger(__name__)

Run = Callable[[Context], Outcome]
STEPS = Rows(Step)
BERTH_RECHECK_S = 30.0  # a waiting operation looks at its agent again even if no event came


def run_stage(
    operation_id: uuid.UUID | str,
    *,
    turn: int,
    worker: str,
    time_up: tuple[type[Exception], ...] = (),
    stages: Mapping[Stage, Run] = STAGES,
) -> None:
    """Run the stage of this turn. A stale, doubled or premature call does nothing.

    ``time_up`` is what the caller's machinery raises into a stage that runs too long; ``stages`` is what each does.
    """
    claimed = claim(operation_id, turn=turn, worker=worker, now=timezone.now())
    if claimed is None:
        standstill.halt(operation_id, turn=turn, now=timezone.now())
        return
    operation = claimed.operation
    stage_log = StageLog()
    with Pulse(claimed, stage_log, agent_id=operation.agent_id) as pulse:
        context = Context(operation=operation, log=stage_log, lost=pulse.lost)
        outcome = _attempt(context, claimed, time_up, stages)
    _finish(claimed, context, outcome, worker=worker)


def wake_for_agent(agent_id: uuid.UUID | str, *, worker: str) -> None:
    """Something happened to an agent: the operation that waits for it looks at it again."""
    waiting = Operation.objects.filter(
        agent_id=agent_id, status=Operation.Status.WAITING, stage=Stage.INIT, attention__isnull=True
    )
    for operation_id, turn in waiting.values_list("pk", "turn"):
        run_stage(operation_id, turn=turn, worker=worker)


def agent_gone(agent_id: uuid.UUID | str, *, worker: str) -> None:
    """An agent broke, or is to leave. Whoever waits for it looks; a stage that runs in its berth loses its say."""
    wake_for_agent(agent_id, worker=worker)
    for operation_id in Operation.objects.filter(agent_id=agent_id).values_list("pk", flat=True):
        with transaction.atomic():
            operation = load(operation_id)
            fault = _berth_lost(operation)
            if operation.status != Operation.Status.RUNNING or fault is None:
                continue
            step = operation.steps.filter(outcome=Step.Outcome.RUNNING).last() or Step(
                operation=operation, turn=operation.turn, stage=operation.stage, attempt=1, started_at=timezone.now()
            )
            step.finished_at = timezone.now()
            recover(operation, fault, step=step, actor=worker)


# These work inside the berth; COMMIT and PR need nothing but the vault of its host, COMPLETE neither.
IN_BERTH = frozenset(takeover.STAGES)
ON_HOST = IN_BERTH | {Stage.COMMIT, Stage.PR}


def _berth_lost(operation: Operation) -> Fault | None:
    """Why the stage cannot be in its berth any more; None when it can, or needs none."""
    agent = operation.agent
    if agent is None or agent.state == Agent.State.RUNNING or operation.stage not in IN_BERTH:
        return None
    if agent.state == Agent.State.ERROR and agent.error:
        return Remembered(agent.error)
    return BerthLost(f"agent {agent.name} is {agent.state}")


def _cannot_begin(operation: Operation) -> Fault | None:
    """Why the stage cannot be run here; None when it can. Whoever gets a wake-up finds out, also on another host."""
    if (lost := _berth_lost(operation)) is not None:
        return lost
    host = operation.agent.host if operation.agent is not None and operation.stage in ON_HOST else None
    if host is None:
        return None
    if hosts.verdict(host, now=timezone.now()) is hosts.Verdict.LOST:
        return BerthLost(f"host {host.name} stopped beating", host=host.name)
    if host.name != settings.HOST_NAME:
        return faults.StageInterrupted(f"the stage belongs to host {host.name}, which is there after all")
    return None


def overdue(*, now: datetime, limit: int = 200) -> Sequence[Operation]:
    """Turns that nobody runs although somebody should: their wake-up got lost, or their worker did.

    Each is answered to one caller per redispatch period.
    """
    again = now + timedelta(seconds=settings.REDISPATCH_S)
    due = Operation.objects.filter(
        Q(claim="", wake_up_at__lte=now) | Q(claimed_until__lt=now) & ~Q(claim=""), status__in=Operation.ACTIVE
    ).select_related("agent__host")
    found = []
    for operation in due.order_by("wake_up_at")[:limit]:
        unchanged = Operation.objects.filter(
            pk=operation.pk, turn=operation.turn, claim=operation.claim, wake_up_at=operation.wake_up_at
        )
        if (operation.wake_up_at is None or operation.wake_up_at <= now) and unchanged.update(wake_up_at=again):
            found.append(operation)
    return found


def _attempt(
    context: Context, claimed: Claim, time_up: tuple[type[Exception], ...], stages: Mapping[Stage, Run]
) -> Outcome | Fault:
    """The one place that catches everything: whatever a stage does, the operation gets an answer."""
    if (context.operation.turn, context.operation.claim) != (claimed.turn, claimed.token):
        return faults.StageInterrupted("the operation moved on before this stage began")
    if claimed.lost_workers >= MOST_LOST_WORKERS:
        return WorkerKilled(
            f"{claimed.lost_workers} workers in a row were lost while they ran this stage",
            remedy="Look at the host's kernel log for the out-of-memory killer; raise the template's size, then retry.",
        )
    if (obstacle := _cannot_begin(context.operation)) is not None:
        return obstacle
    try:
        return stages[context.stage](context)
    except Fault as fault:
        if fault.code == FleetPaused.code:
            context.say(f"set aside: {fault.detail}")
        # What is cut off in the middle fails for no reason of its own.
        return faults.StageInterrupted(f"interrupted: {fault.detail}") if context.lost() else fault
    except time_up:
        return faults.StageTimeout(f"stage {context.stage} did not end within its time limit")
    except Exception as error:
        log.exception("stage broke", extra={"operation": str(context.operation.pk), "stage": str(context.stage)})
        return faults.Unexpected(f"{type(error).__name__} in stage {context.stage}; the log has the traceback")


class WorkerKilled(Fault):
    """The stage takes its worker down again and again."""

    code = "stage.worker_lost"


def _finish(claimed: Claim, context: Context, outcome: Outcome | Fault, *, worker: str) -> None:
    now = timezone.now()
    fitted, outcome = _fitted(context.operation, outcome)  # reads files: before the transaction
    with transaction.atomic():
        operation = load(claimed.operation_id)
        step = claimed.step  # ours alone, as long as the claim is
        (step.log, step.log_said), step.finished_at = context.log.kept(), now
        if step.log:
            transaction.on_commit(lambda: step_logs.tell(step.pk, step.log_said, now=now), robust=True)
        if operation.turn != claimed.turn or operation.claim != claimed.token:
            step.refresh_from_db(fields=["outcome"])
            if step.outcome == Step.Outcome.RUNNING:
                step.outcome = Step.Outcome.LOST
            step.save(update_fields=["log", "log_said", "finished_at", "outcome"])
            if operation.turn == claimed.turn + 1:
                takeover.left(operation, actor=worker)
            return
        if context.witnessed:
            Evidence.objects.bulk_create(
                [witnessed.row(operation=operation, turn=claimed.turn, now=now) for witnessed in context.witnessed],
                ignore_conflicts=True,
            )
        lost = _berth_lost(operation)
        if lost is None and isinstance(outcome, Fault) and outcome.code == FleetPaused.code:
            standstill.set_aside(operation, step, now=now)
        elif lost is not None or isinstance(outcome, Fault):
            recover(operation, lost or outcome, step=step, actor=worker)  # type: ignore[arg-type] # one is a fault
        elif isinstance(outcome, AwaitBerth):
            _ask_for_berth(operation, step, fitted=fitted, actor=worker)
        elif isinstance(outcome, HandOver):
            _hand_over(operation, outcome, step=step)
        else:
            _go_on(operation, outcome, step=step, actor=worker)


def _fitted(operation: Operation, outcome: Outcome | Fault) -> tuple[Outfit | None, Outcome | Fault]:
    """The template for an agent that is to be asked for; one that went away since the request is a fault."""
    if not isinstance(outcome, AwaitBerth) or operation.agent_id is not None:
        return None, outcome
    try:
        return size_choice.chosen(operation.template, operation.size), outcome
    except Fault as fault:
        return None, fault


def _ask_for_berth(operation: Operation, step: Step, *, fitted: Outfit | None, actor: str) -> None:
    """Wait for a berth; what the agent's room refuses is a fault like any other."""
    try:
        with transaction.atomic():
            _await_berth(operation, step, fitted=fitted, actor=actor)
    except Fault as fault:
        recover(load(operation.pk), fault, step=step, actor=actor)


def _await_berth(operation: Operation, step: Step, *, fitted: Outfit | None, actor: str) -> None:
    """The request for an agent and the link to it in one transaction: the wake-up cannot come before the link."""
    operation.status = Operation.Status.WAITING
    if operation.agent is not None:  # looked again, and it still waits: nothing new to tell
        step.delete()
        operation.claim, operation.claimed_until = "", None
        # It may have moved while we looked: then its own wake-up found us busy.
        pause_s = BERTH_RECHECK_S if operation.agent.state == Agent.State.SPAWNING else 0
        operation.wake_up_at = timezone.now() + timedelta(seconds=pause_s)
        operation.save(update_fields=["status", "claim", "claimed_until", "wake_up_at"])
        return
    step.outcome = Step.Outcome.WAITING
    step.save()
    operation.agent = lifecycle.request_spawn(
        template=operation.template,
        actor=actor,
        by=operation.created_by,
        project_id=operation.project_id,
        capabilities=[operation.capability],
        priority=Priority(operation.priority),
        fitted=fitted,
    )
    advance(operation, wake_up_in_s=BERTH_RECHECK_S)
    record("operation.waiting", operation, actor=actor, reason="waits for a berth", **snapshot(operation))


def _hand_over(operation: Operation, outcome: HandOver, *, step: Step) -> None:
    """To whom the berth was promised; who has given it up since leaves the stage to begin again."""
    step.outcome, step.product = Step.Outcome.WAITING, {"tree": outcome.tree}
    step.save()
    if by := takeover.promised(operation):
        takeover.begin(operation, by=by, berth=takeover.Berth.FREE)
    else:
        advance(operation)
        record("operation.stage_finished", operation, actor=step.worker, finished=step.stage, **snapshot(operation))


def _go_on(operation: Operation, done: Done, *, step: Step, actor: str) -> None:
    stage = Stage(operation.stage)
    step.outcome, step.product = Step.Outcome.DONE, storable(done.product)
    STEPS.update(step, ("outcome", "product", "log", "log_said", "finished_at"))
    for field, value in done.fields.items():
        setattr(operation, field, storable(value))
    if stage is Stage.COMPLETE:
        _succeed(operation, actor=actor)
        return
    operation.stage = operation.resume_at or list(Stage)[stage.position + 1]
    operation.resume_at = ""
    gate = APPROVALS.get((stage, operation.approval))
    if gate:
        operation.status = Operation.Status.WAITING
        operation.attention = {"kind": "approval_required", "reason": gate, "since": timezone.now().isoformat()}
        advance(operation, wake_up_in_s=None)
        kind = "operation.approval_required"
    else:
        operation.status = Operation.Status.RUNNING
        advance(operation)
        kind = "operation.stage_finished"
    record(kind, operation, actor=actor, finished=stage.value, **snapshot(operation))


# After which stage a requested approval stops the operation, and what the person is asked.
APPROVALS: dict[tuple[Stage, str], str] = {
    (Stage.PLAN, Operation.Approval.PLAN): "Look at the plan and approve it.",
    (Stage.COMMIT, Operation.Approval.PULL_REQUEST): "Look at the diff and approve the pull request.",
}


def _succeed(operation: Operation, *, actor: str) -> None:
    end(operation, status=Operation.Status.SUCCEEDED)
    record("operation.succeeded", operation, actor=actor, finished=Stage.COMPLETE.value, **snapshot(operation))
    let_go(operation, actor=actor)
