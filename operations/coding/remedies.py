"""What an operation does about a fault of its stage, once :mod:`operations.coding.recovery` has decided it.

Everything here runs in the caller's transaction, with the operation's row locked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from agents import lifecycle
from agents.faults import StoppedByHand
from events.faults import Fault
from events.journal import record
from events.models import Event
from operations import permission
from operations.coding import recovery
from operations.coding.storable import storable
from operations.models import Operation, Stage, Step
from operations.snapshots import snapshot
from operations.submit import advance, end, let_go


def recover(operation: Operation, fault: Fault, *, step: Step | None, actor: str) -> None:
    """Write the fault to the step, where there is one, and take the next action."""
    decision = _decide(operation, fault)
    if decision.action is recovery.Action.RECREATE_ENVIRONMENT and (by_hand := _stopped_by_hand(operation, step)):
        fault, decision = by_hand, _decide(operation, by_hand)
    document = storable({**fault.as_dict(), "kind": decision.kind.value, "stage": operation.stage})
    if step is not None:
        step.outcome, step.fault, step.action = Step.Outcome.FAULT, document, decision.action.value
        step.save()
    RECOVER[decision.action](operation, document, decision, actor)


def _decide(operation: Operation, fault: Fault) -> recovery.Decision:
    earlier = operation.steps.filter(turn__gte=operation.counting_from, outcome=Step.Outcome.FAULT).exclude(action="")
    return recovery.decide(
        stage=Stage(operation.stage),
        fault=fault,
        engine_kind=operation.engine_kind,
        earlier=[(fault or {}).get("kind", "") for fault in earlier.values_list("fault", flat=True)],
        reworks=operation.agent.resolved["spec"]["engine"]["max_attempts"] if operation.agent else None,
    )


def _stopped_by_hand(operation: Operation, step: Step | None) -> StoppedByHand | None:
    """Who stops an agent that sets its host on fire means its work too: it does not begin again by itself.

    None where the berth was lost otherwise, or was gone before this stage began: that somebody wanted.
    """
    if operation.agent is None or step is None:
        return None
    asked = Event.objects.filter(
        topic=operation.agent.topic, kind="agent.stop_requested", actor__startswith="user:",
        created_at__gte=step.started_at,
    ).last()  # fmt: skip
    if asked is None:
        return None
    who = asked.actor.removeprefix("user:")
    return StoppedByHand(f"{who} stopped its agent {operation.agent.name} while {operation.stage} ran")


def _retry(operation: Operation, document: dict[str, Any], decision: recovery.Decision, actor: str) -> None:
    operation.stage = decision.stage
    operation.retry_count += 1
    operation.retry_strategy, operation.last_retry_at = decision.action.value, timezone.now()
    operation.status = Operation.Status.WAITING if decision.pause_s else Operation.Status.RUNNING
    advance(operation, wake_up_in_s=decision.pause_s)
    record(
        "operation.retrying", operation, actor=actor, reason=document["detail"], fault=document,
        action=decision.action.value, pause_s=decision.pause_s, **snapshot(operation),
    )  # fmt: skip


def _wait_for_provider(operation: Operation, document: dict[str, Any], decision: recovery.Decision, actor: str) -> None:
    """The provider named a time; the run comes back then, in its place in the line."""
    operation.status = Operation.Status.WAITING
    until = (timezone.now() + timedelta(seconds=decision.pause_s)).isoformat()
    reason = {"kind": "provider", "detail": document["detail"], "until": until}
    advance(operation, wake_up_in_s=decision.pause_s, blocked=[reason])
    record("operation.waiting", operation, actor=actor, reason=document["detail"], **snapshot(operation))


def _ask_person(operation: Operation, document: dict[str, Any], decision: recovery.Decision, actor: str) -> None:
    """The stage begins again with the answer."""
    operation.status = Operation.Status.WAITING
    reason = document["detail"]
    operation.attention = {"kind": "input_required", "reason": reason, "since": timezone.now().isoformat()}
    advance(operation, wake_up_in_s=None)
    record("operation.input_required", operation, actor=actor, reason=reason, **snapshot(operation))


def _ask_permission(operation: Operation, document: dict[str, Any], decision: recovery.Decision, actor: str) -> None:
    """The program begins again once a person approved, or said why not."""
    operation.status = Operation.Status.WAITING
    reason = document["detail"]
    operation.attention = {
        "kind": "approval_required", "reason": reason, "since": timezone.now().isoformat(), "about": permission.ABOUT,
    }  # fmt: skip
    advance(operation, wake_up_in_s=None)
    record("operation.approval_required", operation, actor=actor, reason=reason, **snapshot(operation))


def _wait_for_budget(operation: Operation, document: dict[str, Any], decision: recovery.Decision, actor: str) -> None:
    """Nothing more is spent until a person raises the budget, or a new day or month begins."""
    operation.status = Operation.Status.WAITING
    facts = {name: value for name, value in document.get("facts", {}).items() if value is not None}
    operation.attention = {
        "kind": "input_required", "reason": f"{document['detail']} {document['remedy']}".strip(),
        "since": timezone.now().isoformat(), "about": "budget",
    }  # fmt: skip
    advance(operation, wake_up_in_s=None, blocked=[{"kind": "budget", "detail": document["detail"], **facts}])
    record("operation.waiting", operation, actor=actor, reason=document["detail"], **snapshot(operation))


def _recreate(operation: Operation, document: dict[str, Any], decision: recovery.Decision, actor: str) -> None:
    if operation.agent_id:
        lifecycle.request_stop(operation.agent_id, actor=actor, reason="environment is created again")
    operation.agent = None
    operation.resume_at = operation.resume_at or ("" if decision.stage == Stage.INIT else decision.stage)
    _retry(operation, document, recovery.Decision(decision.action, decision.kind, Stage.INIT, decision.pause_s), actor)


def _escalate(operation: Operation, document: dict[str, Any], decision: recovery.Decision, actor: str) -> None:
    operation.error = {**document, "remedy": document["remedy"] or "Look at its steps and their logs, then retry."}
    end(operation, status=Operation.Status.FAILED)
    record("operation.failed", operation, actor=actor, reason=document["detail"], **snapshot(operation))
    let_go(operation, actor=actor)


RECOVER = {
    recovery.Action.RETRY: _retry,
    recovery.Action.REWORK: _retry,
    recovery.Action.FRESH_CLONE: _retry,  # the stages fetch again whenever they talk to the remote
    recovery.Action.RECREATE_ENVIRONMENT: _recreate,
    recovery.Action.WAIT_FOR_BUDGET: _wait_for_budget,
    recovery.Action.WAIT_FOR_PROVIDER: _wait_for_provider,
    recovery.Action.ASK: _ask_person,
    recovery.Action.ASK_PERMISSION: _ask_permission,
    recovery.Action.ESCALATE: _escalate,
}
