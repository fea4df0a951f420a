"""An operation as its events carry it, and what is derived from it when somebody looks."""

from __future__ import annotations

from typing import Any

from agents import placement
from operations.models import Operation, Stage


def snapshot(operation: Operation) -> dict[str, Any]:
    """The state that events carry: initial state plus these is the current state."""
    host = operation.agent.host if operation.agent_id and operation.agent else None
    return {
        "status": str(operation.status),
        "stage": str(operation.stage),
        "turn": operation.turn,
        "progress": operation.progress,
        "agent_id": str(operation.agent_id) if operation.agent_id else None,
        "engine": {"kind": operation.engine_kind or operation.engine, "label": operation.engine_label},
        "attention": attention(operation),
        "error": operation.error,
        "retry_count": operation.retry_count,
        "retry_strategy": operation.retry_strategy,
        "host": host.name if host else None,
    }


def attention(operation: Operation) -> dict[str, Any]:
    """What the operation needs from a person: none, input_required, approval_required, error."""
    if operation.status == Operation.Status.FAILED:
        error = operation.error or {}
        since = operation.completed_at.isoformat() if operation.completed_at else None
        return {"kind": "error", "reason": error.get("detail", ""), "since": since}
    asked = operation.attention or (operation.notice if operation.status in Operation.ACTIVE else None)
    asked = asked or {"kind": "none", "reason": "", "since": None}
    return {name: asked.get(name) for name in ("kind", "reason", "since")}


_OTHER_ANSWERS = frozenset({"budget", "taken_over", "pull_request"})  # words are no answer to these


def waits_for(operation: Operation) -> str:
    """What it waits for from a person: approval_required, input_required, or one of the other answers; or nothing."""
    asked = operation.attention or {}
    about = asked.get("about")
    return str(about if about in _OTHER_ANSWERS else asked.get("kind") or "nothing")


def waits_for_budget(operation: Operation) -> bool:
    """Whether a person has to raise a budget before it goes on."""
    return waits_for(operation) == "budget"


def blocked_by(operation: Operation) -> list[dict[str, Any]]:
    """Why it does not go on: the reasons of its agent, the person it waits for, or the pause before a retry."""
    if operation.status not in Operation.ACTIVE:
        return []
    if operation.status == Operation.Status.WAITING and operation.blocked:
        return list(operation.blocked)
    if operation.attention:
        return [{"kind": operation.attention["kind"], "detail": operation.attention["reason"]}]
    agent = operation.agent
    if operation.status == Operation.Status.WAITING and operation.stage == Stage.INIT and agent is not None:
        return list(agent.blocked_by) or [{"kind": f"agent_{agent.state}", "agent": str(agent.pk)}]
    if operation.status == Operation.Status.WAITING:
        due = operation.wake_up_at.isoformat() if operation.wake_up_at else None
        return [{"kind": "retry_pause", "until": due, "strategy": operation.retry_strategy}]
    if operation.status == Operation.Status.QUEUED:
        return [{"kind": "worker", "detail": "waits for a worker to take it"}]
    return []


def queue_position(operation: Operation) -> int | None:
    """Its agent's place in the queue for a berth, from 1."""
    if operation.status != Operation.Status.WAITING or operation.agent is None:
        return None
    return placement.position(operation.agent)
