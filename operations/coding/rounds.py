"""Rounds of rework: a delivered operation goes back to its engine, on the same branch and the same pull request.

Each function belongs inside a transaction in which the operation's row is locked (:func:`operations.submit.load`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from agents import lifecycle
from events.journal import record
from operations.coding.storable import storable
from operations.models import Operation, PullRequest, Rework, Stage, Step
from operations.snapshots import snapshot
from operations.submit import advance, end

ABOUT = "pull_request"  # what a delivered operation's attention is about

# Where a round begins: on a base that moved, everything that was known of it is looked at again.
BEGINS_AT = {
    Rework.Cause.CHECKS: Stage.CODE,
    Rework.Cause.REVIEW: Stage.CODE,
    Rework.Cause.CONFLICT: Stage.ANALYZE,
    Rework.Cause.PERSON: Stage.CODE,
}


def of(operation: Operation) -> Rework | None:
    """The round that the operation is in, or was in last; None before its first delivery came back."""
    rounds = Rework.objects.filter(pull_request__operation_id=operation.pk).select_related("pull_request")
    return rounds.order_by("-created_at", "-number").first()


def begin(
    operation: Operation, row: PullRequest, *, cause: Rework.Cause, fault: Mapping[str, Any], actor: str
) -> Rework:
    """Send a delivered operation back to work: a new berth, and the stage that the cause calls for."""
    rework = Rework.objects.create(
        pull_request=row, number=row.reworks.count() + 1, cause=cause, head_commit=row.head_commit,
        base_commit=row.base_commit, fault=storable(dict(fault)), turn=operation.turn + 1, created_at=timezone.now(),
    )  # fmt: skip
    operation.stage, operation.resume_at = Stage.INIT, BEGINS_AT[cause]
    operation.status = Operation.Status.QUEUED
    operation.error = operation.attention = operation.completed_at = operation.agent = None
    operation.counting_from = operation.turn + 1
    advance(operation, wake_up_in_s=0)
    record(
        "operation.rework_began", operation, actor=actor, reason=str(fault["detail"]),
        pull_request=brief(row), round=rework.number, cause=str(cause), **snapshot(operation),
    )  # fmt: skip
    return rework


def withdraw(operation: Operation, *, actor: str, reason: str) -> None:
    """End a round that nobody needs any more: what was delivered before it is what counts. Its stage loses its say."""
    operation.steps.filter(outcome=Step.Outcome.RUNNING).update(
        outcome=Step.Outcome.CANCELLED, finished_at=timezone.now()
    )
    operation.stage, operation.resume_at = Stage.COMPLETE, ""
    agent_id = operation.agent_id
    end(operation, status=Operation.Status.SUCCEEDED)
    record("operation.rework_withdrawn", operation, actor=actor, reason=reason, **snapshot(operation))
    if agent_id:
        lifecycle.request_stop(agent_id, actor=actor, reason=reason)


def ask(operation: Operation, row: PullRequest, *, reason: str, actor: str) -> None:
    """A delivered operation draws attention, until its pull request needs nobody any more."""
    words = f"Pull request #{row.number}: {reason}"
    if is_asked(operation) and (operation.attention or {}).get("reason") == words:
        return
    operation.attention = {
        "kind": "input_required", "reason": words, "since": timezone.now().isoformat(), "about": ABOUT,
    }  # fmt: skip
    operation.save(update_fields=["attention"])
    record("operation.input_required", operation, actor=actor, reason=words, pull_request=brief(row),
           **snapshot(operation))  # fmt: skip


def calm(operation: Operation, row: PullRequest, *, actor: str) -> None:
    """Nobody is needed any more."""
    if not is_asked(operation):
        return
    operation.attention = None
    operation.save(update_fields=["attention"])
    record("operation.attention_over", operation, actor=actor, pull_request=brief(row), **snapshot(operation))


def is_asked(operation: Operation) -> bool:
    """Whether a person was asked about the pull request."""
    return (operation.attention or {}).get("about") == ABOUT


def brief(row: PullRequest) -> dict[str, Any]:
    """The pull request as events and results carry it."""
    return {"number": row.number, "url": row.url, "state": str(row.state), "title": row.title}


def may_begin(operation: Operation) -> bool:
    """Whether a round can begin: its work was delivered, and the project still takes work."""
    delivered = operation.status == Operation.Status.SUCCEEDED and operation.result is not None
    return delivered and operation.project.archived_at is None
