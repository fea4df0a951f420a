"""An operation in words: the line of a step, what it waits for, how it ended. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cli.terminal import clean

TERMINAL = ("succeeded", "failed", "cancelled")
MARKS = {"done": "✓", "fault": "✗", "lost": "✗", "cancelled": "■", "waiting": "…", "running": "…"}
_STAGE_WIDTH = 9


def mapping(value: Any) -> dict[str, Any]:
    """The value, if it is an object."""
    return value if isinstance(value, dict) else {}


def step_line(step: dict[str, Any]) -> str:
    """``✗ test       3.2 s  tests.failed: … → rework``."""
    mark = MARKS.get(str(step.get("outcome")), "?")
    stage = f"{clean(step.get('stage', '?')):<{_STAGE_WIDTH}}"
    took = seconds_between(step.get("started_at"), step.get("finished_at"))
    duration = f"{took:6.1f} s" if took is not None else " " * 8
    return f"{mark} {stage} {duration}  {_detail(step)}".rstrip()


def _detail(step: dict[str, Any]) -> str:
    said = []
    attempt = step.get("attempt")
    if isinstance(attempt, int) and attempt > 1:
        said.append(f"attempt {attempt}")
    fault, product = mapping(step.get("fault")), mapping(step.get("product"))
    if fault:
        said.append(f"{clean(fault.get('code', 'fault'))}: {clean(fault.get('detail', ''))}")
    elif isinstance(product.get("summary"), str):
        said.append(clean(product["summary"]))
    elif tests := counted(product.get("counts")) or counted(mapping(product.get("baseline")).get("counts")):
        said.append(tests)
    if step.get("outcome") == "lost":
        said.append("its worker was lost")
    action = clean(step.get("action") or "")
    return " · ".join(said) + (f" → {action}" if action else "")


def current_line(operation: dict[str, Any]) -> str:
    """What it does right now, or what it waits for."""
    status, stage = clean(operation.get("status", "?")), clean(operation.get("stage", "?"))
    said = [] if status == "running" else [status]
    said += waiting_for(operation)
    return f"… {stage:<{_STAGE_WIDTH}} {', '.join(said)}".rstrip()


def waiting_for(operation: dict[str, Any]) -> list[str]:
    """Each reason why it does not go on, and its place in the queue."""
    blocked = operation.get("blocked_by")
    said = [reason(entry) for entry in blocked if isinstance(entry, dict)] if isinstance(blocked, list) else []
    if isinstance(operation.get("queue_position"), int):
        said.append(f"position {operation['queue_position']} in the queue")
    return said


def reason(entry: dict[str, Any]) -> str:
    """As the server says it; of one that has no words ``memory (host node-1, needs_mb 1536, free_mb 900)``."""
    if entry.get("words"):
        return clean(entry["words"])
    kind = clean(entry.get("kind", "unknown"))
    more = ", ".join(
        clean(value) if name == "detail" else f"{clean(name)} {clean(value)}"
        for name, value in entry.items()
        if name != "kind" and value not in (None, "")
    )
    return f"{kind} ({more})" if more else kind


def attention(operation: dict[str, Any]) -> tuple[str, str]:
    """(kind, reason) of what a person is asked for; ("none", "") where nobody is."""
    asked = mapping(operation.get("attention"))
    return clean(asked.get("kind") or "none"), clean(asked.get("reason") or "")


def way_on(operation: dict[str, Any]) -> str:
    """The command that answers the operation's question, or nothing."""
    kind, why = attention(operation)
    if kind == "input_required" and operation.get("status") == "succeeded":
        return f"! {why}: `moorage operation rework {clean(operation.get('id', ''))} [TEXT]`, or leave, or close"
    verb = {"approval_required": "approve", "input_required": "answer"}.get(kind)
    if verb is None or operation.get("status") in TERMINAL:
        return ""
    blocked = operation.get("blocked_by")
    if isinstance(blocked, list) and any(mapping(entry).get("kind") == "budget" for entry in blocked):
        return f"! {why}: `moorage operation budget {clean(operation.get('id', ''))} USD`"
    if isinstance(blocked, list) and any(mapping(entry).get("kind") == "taken_over" for entry in blocked):
        return f"! {why}: `moorage operation hand-back {clean(operation.get('id', ''))}`"
    command = f"moorage operation {verb} {clean(operation.get('id', ''))}{' TEXT' if verb == 'answer' else ''}"
    return f"! {why or kind.replace('_', ' ')}: `{command}`"


def closing(operation: dict[str, Any]) -> list[str]:
    """The summary at the end: branch, commit, pull request, tests; or the error and its remedy."""
    status = clean(operation.get("status", "?"))
    took = seconds_between(operation.get("created_at"), operation.get("completed_at"))
    label = clean(mapping(operation.get("engine")).get("label") or "")
    head = f"{'✓' if status == 'succeeded' else '✗'} {status}" + (f" after {took:.1f} s" if took is not None else "")
    lines = [head + (f" · {label}" if label else "")]
    error, result = mapping(operation.get("error")), mapping(operation.get("result"))
    if error:
        lines.append(f"  error         {clean(error.get('code', ''))}: {clean(error.get('detail', ''))}")
        if error.get("remedy"):
            lines.append(f"  what helps    {clean(error['remedy'])}")
    lines += [f"  {name:<13} {text}" for name, text in _outcome(result) if text]
    return lines


def _outcome(result: dict[str, Any]) -> list[tuple[str, str]]:
    request, stat, tests = (mapping(result.get(key)) for key in ("pull_request", "diffstat", "tests"))
    before, after = counted(tests.get("before")), counted(tests.get("after"))
    opened = f"#{clean(request.get('number'))} {clean(request.get('title', ''))} {clean(request.get('url', ''))}"
    changed = f"{stat.get('files')} files, +{stat.get('insertions')} −{stat.get('deletions')}" if stat else ""
    return [
        ("branch", clean(result.get("branch") or "")),
        ("commit", clean(result.get("commit") or "")),
        ("pull request", opened if request else ""),
        ("changed", clean(changed)),
        ("tests", f"{before or 'none'} → {after or 'none'}" if before or after else ""),
    ]


def counted(counts: Any) -> str:
    """``9 passed, 1 failed``; empty where there are no counts."""
    numbers = mapping(counts)
    said = [
        f"{numbers[name]} {name}"
        for name in ("passed", "failed", "errors", "skipped")
        if isinstance(numbers.get(name), int) and (numbers[name] or name == "passed")
    ]
    return ", ".join(said)


def seconds_between(first: Any, last: Any) -> float | None:
    """Seconds between two RFC 3339 moments; None where one is missing or is not a moment."""
    try:
        return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    except (TypeError, ValueError):
        return None
