"""What can go wrong with a request for work."""

from __future__ import annotations

from events.faults import Fault, FaultClass


class ProjectNotFound(Fault):
    """No project has this id, or not for this user."""

    code = "project.not_found"
    http_status = 404


class ProjectExists(Fault):
    """The user has a project of this name already."""

    code = "project.exists"
    http_status = 409
    remedy = "Choose another name, or use the existing project."


class ProjectBusy(Fault):
    """The project still has operations that have not ended."""

    code = "project.busy"
    http_status = 409
    remedy = "Cancel its operations first."


class OperationNotFound(Fault):
    """No operation has this id, or not for this user."""

    code = "operation.not_found"
    http_status = 404


class RequirementRefused(Fault):
    """The requirement is empty or too long."""

    code = "requirement.refused"
    http_status = 400


class AnswerRefused(Fault):
    """The answer is empty or too long."""

    code = "answer.refused"
    http_status = 400
    remedy = "Answer the question that the operation waits with, in words."


class IdempotencyConflict(Fault):
    """The same Idempotency-Key came with another request."""

    code = "idempotency.conflict"
    http_status = 409
    remedy = "Use a new Idempotency-Key for a new request."


class NotPossibleNow(Fault):
    """The operation's status does not allow what was asked."""

    code = "operation.not_possible"
    http_status = 409


class StageInterrupted(Fault):
    """The operation was cancelled or moved on while the stage ran; what the stage found is dropped."""

    fault_class = FaultClass.TRANSIENT
    code = "stage.interrupted"


class StageTimeout(Fault):
    """The stage ran longer than a stage may."""

    fault_class = FaultClass.TRANSIENT
    code = "stage.timeout"
    remedy = "See in its log what took so long; split the requirement, or set spec.tests.timeout_s lower; then retry."


class Unexpected(Fault):
    """An error that no table knows: it goes to a person, with the traceback in the log."""

    code = "stage.unexpected"
    remedy = "Look at the worker's log under the operation's id, then retry; tell us if it comes again."


class StaffOnly(Fault):
    """Only staff may do this."""

    code = "operation.staff_only"
    http_status = 403
    remedy = "Ask an operator."
