"""Requesting work, and steering it: submit, cancel, retry, approve, answer.

Each door is one transaction: load with the row locked, decide, change, save, record.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from agents import admittance, lifecycle, size_choice
from agents.engines import registry
from agents.gateway import tokens
from agents.models import Capability, Priority
from agents.outfits import outfit
from events.journal import record
from operations import faults, permission, policy, projects, snapshots
from operations.models import Operation, Project, Stage, Step
from operations.rows import Rows
from operations.snapshots import snapshot

# What a request fixes; everything else of the row moves, and is all that is written after it.
_FIXED = frozenset(
    {"id", "type", "project", "capability", "requirements", "engine", "template", "size", "approval", "priority",
     "idempotency_key", "created_by", "created_at"}
)  # fmt: skip
MOVING = tuple(field.name for field in Operation._meta.concrete_fields if field.name not in _FIXED)
ROWS = Rows(Operation)
LONGEST_ANSWER = 20_000
LONGEST_REQUIREMENT = 512_000  # characters; a larger change is better a branch of its own
# What an operation may wait for from a person, in words.
_WANTED = {
    "approval_required": "an approval",
    "input_required": "an answer",
    "taken_over": "its berth to be handed back",
}


def submit(
    *,
    by: Any,
    project: Project,
    requirements: str,
    engine: str = "auto",
    template: str = "",
    size: Mapping[str, int] | None = None,
    priority: Priority = Priority.NORMAL,
    capability: str = Capability.DEVELOPMENT,
    approval: str = Operation.Approval.NONE,
    metadata: dict[str, Any] | None = None,
    idempotency_key: str = "",
) -> Operation:
    """Request a coding operation. The same Idempotency-Key and request again answers the first operation.

    ``size`` has what its berth shall have of memory_mb, cpu_millis and disk_mb instead of the template's. Raises for an
    empty or oversized requirement, an unknown engine, template or capability, one that the template does not offer, a
    size that it does not grant, an archived project.
    """
    _check_requirement(requirements)
    kind = registry.kind_of(engine)
    (capability,) = lifecycle.check_capabilities([capability], pointer="/capability")
    template = template or project.default_template
    fitted = outfit(template)
    spec = fitted.spec
    admittance.check(spec, template=template, user=by)
    registry.check_available(kind, spec=spec)
    admittance.check_capabilities(spec, [capability], template=template, pointer="/capability")
    now = timezone.now()
    operation = Operation(
        project=project, requirements=requirements, engine=kind.value, template=template, size=dict(size or {}),
        priority=priority, capability=capability, approval=approval, metadata=metadata or {},
        idempotency_key=idempotency_key, created_by=by, created_at=now,
        wake_up_at=now + timedelta(seconds=settings.REDISPATCH_S),
    )  # fmt: skip
    if idempotency_key and (earlier := _earlier(operation)):
        return earlier
    size_choice.check(fitted, operation.size)
    try:
        with transaction.atomic():
            projects.lock_open(project.pk)
            ROWS.insert(operation)
            actor = f"user:{by}"
            record("operation.submitted", operation, actor=actor, **snapshot(operation))
            record(
                "project.operation_submitted",
                project,
                actor=actor,
                operation_id=str(operation.pk),
                title=operation.title,
            )
    except IntegrityError:  # the same key came twice at once: the other request was first
        earlier = _earlier(operation)
        if earlier is None:
            raise
        return earlier
    return operation


def cancel(*, by: Any, operation_id: uuid.UUID | str, reason: str = "") -> Operation:
    """Stop the operation at any point. Its turn moves on, so that a running stage loses its say at once."""
    visible = policy.operation(by, operation_id)
    with transaction.atomic():
        operation = load(visible.pk)
        if operation.status == Operation.Status.CANCELLED:
            return operation
        if operation.status in Operation.TERMINAL:
            raise faults.NotPossibleNow(
                f"the operation has {operation.status} already",
                remedy="Only operations that have not ended are cancelled.",
            )
        actor = f"user:{by}"
        operation.steps.filter(outcome=Step.Outcome.RUNNING).update(
            outcome=Step.Outcome.CANCELLED, finished_at=timezone.now()
        )
        if (operation.attention or {}).get("kind") == "approval_required":
            # Whoever retries is asked again: nothing goes past a gate that nobody opened.
            operation.stage = list(Stage)[Stage(operation.stage).position - 1]
        end(operation, status=Operation.Status.CANCELLED)
        record("operation.cancelled", operation, actor=actor, reason=reason, **snapshot(operation))
        let_go(operation, actor=actor)
    return operation


def retry(*, by: Any, operation_id: uuid.UUID | str, stage: str = "") -> Operation:
    """Go on from ``stage``, or from the one that failed, in a new berth, with all that the stages before it made.

    Raises NotPossibleNow for a stage that it has not come to: those before it made nothing to go on with.
    """
    visible = policy.operation(by, operation_id)
    spec = size_choice.chosen(visible.template, visible.size).spec
    admittance.check(spec, template=visible.template, user=by)
    admittance.check_capabilities(spec, [visible.capability], template=visible.template, pointer="")
    with transaction.atomic():
        operation = load(visible.pk)
        if operation.status not in {Operation.Status.FAILED, Operation.Status.CANCELLED}:
            raise faults.NotPossibleNow(
                f"the operation is {operation.status}", remedy="Only failed and cancelled operations are retried."
            )
        projects.lock_open(operation.project_id)
        reached = Stage(operation.resume_at or operation.stage)
        start = _start_of_retry(stage, reached=reached)
        operation.resume_at = "" if start is Stage.INIT else start
        operation.stage, operation.status = Stage.INIT, Operation.Status.QUEUED
        operation.error = operation.attention = operation.completed_at = operation.agent = None
        operation.retry_count += 1
        operation.retry_strategy, operation.last_retry_at = "manual", timezone.now()
        operation.counting_from = operation.turn + 1
        advance(operation)
        record("operation.retried", operation, actor=f"user:{by}", **snapshot(operation))
    return operation


def approve(*, by: Any, operation_id: uuid.UUID | str) -> Operation:
    """Let an operation that waits for a person's approval go on."""
    return _resume(by, operation_id, wanted="approval_required", kind="operation.approved")


def answer(*, by: Any, operation_id: uuid.UUID | str, text: str) -> Operation:
    """Answer the question that an operation waits with, or say why not where an agent program asks for permission.

    Raises AnswerRefused for one that is empty or too long.
    """
    _check_answer(text)
    return _resume(by, operation_id, wanted="input_required", kind="operation.answered", text=text)


def refuse(*, by: Any, operation_id: uuid.UUID | str, text: str) -> Operation:
    """Refuse what an agent program asks permission for, and say why not, whatever the words are.

    Raises AnswerRefused for words that are empty or too long.
    """
    _check_answer(text)
    return _resume(by, operation_id, wanted="permission", kind="operation.answered", text=text, refused=True)


def _check_answer(text: str) -> None:
    if not text.strip() or len(text) > LONGEST_ANSWER or "\0" in text:
        raise faults.AnswerRefused(f"an answer has 1 to {LONGEST_ANSWER} characters, and no NUL", pointer="/text")


def _resume(
    by: Any, operation_id: uuid.UUID | str, *, wanted: str, kind: str, text: str = "", refused: bool = False
) -> Operation:
    visible = policy.operation(by, operation_id)
    with transaction.atomic():
        operation = load(visible.pk)
        if operation.agent is not None:
            admittance.check(operation.agent.resolved.get("spec", {}), template=operation.template, user=by)
        waits_for = snapshots.waits_for(operation)
        if permission.is_asked(operation):
            allowed = not refused and (not text or permission.is_yes(text))
            permission.decide(operation, allowed=allowed, said=text)
            waits_for = wanted  # approved, or answered with why not
        if operation.status != Operation.Status.WAITING or waits_for != wanted:
            raise faults.NotPossibleNow(
                f"the operation is {operation.status} and waits for {_WANTED.get(waits_for, waits_for)}, "
                f"not for {_WANTED.get(wanted, wanted)}"
            )
        if text:
            operation.answers = [*operation.answers, text]
        operation.status, operation.attention = Operation.Status.RUNNING, None
        advance(operation)
        record(kind, operation, actor=f"user:{by}", **snapshot(operation))
    return operation


def load(operation_id: uuid.UUID | str) -> Operation:
    """The operation with its row locked where the database locks rows. Inside a transaction only."""
    key = Operation._meta.pk.get_db_prep_value(operation_id, connection)
    lock = "FOR UPDATE" if connection.features.has_select_for_update else ""
    operation = ROWS.first(f"SELECT {ROWS.columns} FROM {ROWS.table} WHERE id = %s {lock}", [key])  # noqa: S608
    if operation is None:
        raise faults.OperationNotFound(f"there is no operation {operation_id}")
    return operation


def advance(operation: Operation, *, wake_up_in_s: float | None = 0, blocked: Sequence[dict[str, Any]] = ()) -> None:
    """Raise the turn and drop the claim, so that whoever ran the old turn has no say any more; then save.

    With 0 the event that the caller records wakes the next turn, and the sweep only if that got lost; with a pause the
    sweep does; with None nobody: it waits for a person, or has ended. ``blocked`` says why it waits of itself.
    """
    operation.blocked = list(blocked)
    operation.turn += 1
    operation.claim, operation.claimed_until = "", None
    pause = settings.REDISPATCH_S if wake_up_in_s == 0 else wake_up_in_s
    operation.wake_up_at = None if pause is None else timezone.now() + timedelta(seconds=pause)
    ROWS.update(operation, MOVING)


def let_go(operation: Operation, *, actor: str) -> None:
    """Tell the project of an operation that has ended, and let its agent go. In the caller's transaction."""
    record(
        "project.operation_ended", operation.project, actor=actor, operation_id=str(operation.pk),
        status=operation.status,
    )  # fmt: skip
    if operation.agent_id:
        lifecycle.request_stop(operation.agent_id, actor=actor, reason=f"operation {operation.status}")


def end(operation: Operation, *, status: Operation.Status) -> None:
    """Bring the operation to a terminal status, and save."""
    operation.status, operation.completed_at = status, timezone.now()
    operation.attention = operation.notice = None
    operation.take_over_by = ""
    tokens.revoke(operation.pk, now=operation.completed_at)
    advance(operation, wake_up_in_s=None)


def _start_of_retry(stage: str, *, reached: Stage) -> Stage:
    """The stage to begin at: the one asked for, if it was come to."""
    if not stage:
        return reached
    if stage not in Stage or Stage(stage).position > reached.position:
        raise faults.NotPossibleNow(
            f"it cannot go on from {stage[:20]!r}: it came to {reached.value}",
            remedy=f"Name {reached.value} or a stage before it.", pointer="/stage",
        )  # fmt: skip
    return Stage(stage)


def _check_requirement(text: str) -> None:
    if not text.strip():
        raise faults.RequirementRefused(
            "the requirement is empty", remedy="Say what should change.", pointer="/requirements"
        )
    if len(text) > LONGEST_REQUIREMENT:
        raise faults.RequirementRefused(
            f"the requirement has {len(text)} characters; {LONGEST_REQUIREMENT} are the most",
            remedy="Shorten it, or split the change.", pointer="/requirements",
        )  # fmt: skip
    if "\0" in text:
        raise faults.RequirementRefused("the requirement contains a NUL character", pointer="/requirements")


# What makes a repeated request the same request.
_SAME = ("project_id", "requirements", "engine", "template", "size", "priority", "capability", "approval", "metadata")


def _earlier(wanted: Operation) -> Operation | None:
    """The operation that this request made before, under its Idempotency-Key."""
    rows = Operation.objects.select_related("project", "agent__host")
    earlier = rows.filter(created_by=wanted.created_by, idempotency_key=wanted.idempotency_key).first()
    if earlier is not None and any(getattr(earlier, field) != getattr(wanted, field) for field in _SAME):
        raise faults.IdempotencyConflict(
            f"Idempotency-Key {wanted.idempotency_key[:40]!r} was used for another request"
        )
    return earlier
