"""What the demo prints: a line per change while it runs, a table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from events.journal import replay
from operations.models import Operation, Step

MARKS = {"done": "✓", "fault": "✗", "waiting": "…", "lost": "?", "cancelled": "-"}


class Watcher:
    """Follows operations through the journal and prints what is new."""

    def __init__(self, names: dict[str, str], *, say: Callable[[str], None]) -> None:
        self._names, self._say = names, say
        self._cursor = dict.fromkeys(names, 0)
        self._width = max(map(len, names.values()))
        self._began = time.monotonic()

    def look(self) -> None:
        """Print a line for each event since the last look."""
        for operation_id, name in self._names.items():
            for event in replay(f"operation.{operation_id}", after=self._cursor[operation_id]):
                self._cursor[operation_id] = event.seq
                text = _line(event.kind, event.data, event.reason, operation_id)
                if text:
                    self._say(f"{time.monotonic() - self._began:6.1f} s  {name:<{self._width}}  {text}")


def _line(kind: str, data: dict[str, Any], reason: str, operation_id: str) -> str:
    verb = kind.partition(".")[2]
    if verb == "submitted":
        return "→ submitted"
    if verb == "waiting":
        return "… waits for a berth"
    if verb == "stage_finished" or (verb == "succeeded"):
        detail = _detail(operation_id, data["finished"])
        ending = "  — succeeded" if verb == "succeeded" else ""
        return f"✓ {data['finished']:<9}{detail}{ending}"
    if verb == "retrying":
        fault = data["fault"]
        return f"✗ {fault['stage']:<9}{fault['code']}: {reason} → {data['action']}"
    if verb == "failed":
        return f"✗ failed: {reason}"
    return f"· {verb}"


def _detail(operation_id: str, stage: str) -> str:
    step = Step.objects.filter(operation_id=operation_id, stage=stage, outcome="done").order_by("-id").first()
    product = step.product if step else {}
    match stage:
        case "init":
            return f"{product.get('host', '')}, isolation {product.get('tier', '')}"
        case "analyze":
            return f"{product.get('file_count', '?')} files, tests before: {_counts(product['baseline']['counts'])}"
        case "plan":
            return str(product.get("summary", ""))
        case "code":
            stat = product["diffstat"]
            return f"attempt {product['attempt']}: {stat['files']} files, +{stat['insertions']} -{stat['deletions']}"
        case "test":
            return f"tests after: {_counts(product['counts'])}"
        case "validate":
            return f"{len(product['gates'])} gates green"
        case "commit":
            return f"{product['commit'][:12]} on tree {product['tree'][:12]}"
        case "pr":
            return f"#{product['number']} {product['title']}"
    return ""


def _counts(counts: dict[str, int]) -> str:
    parts = [f"{counts['passed']} passed"]
    parts += [f"{counts[key]} {key}" for key in ("failed", "errors", "skipped") if counts[key]]
    return ", ".join(parts)


def row(name: str, operation: Operation) -> dict[str, Any]:
    """One operation in the report."""
    result = operation.result or {}
    steps = list(operation.steps.values_list("stage", "outcome"))
    ended = operation.completed_at or operation.created_at
    return {
        "name": name,
        "id": str(operation.pk),
        "status": operation.status,
        "engine": {"kind": operation.engine_kind, "label": operation.engine_label},
        "stages": len({stage for stage, outcome in steps if outcome == "done"}),
        "code_attempts": sum(1 for stage, outcome in steps if stage == "code" and outcome == "done"),
        "tier": result.get("tier", ""),
        "tests": result.get("tests"),
        "branch": result.get("branch", ""),
        "commit": result.get("commit", ""),
        "pull_request": result.get("pull_request"),
        "seconds": round((ended - operation.created_at).total_seconds(), 1),
        "error": operation.error,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The closing table."""
    header = ("project", "status", "engine", "isolation", "stages", "attempts", "tests", "commit", "pull request", "s")
    lines = [header, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    drawn.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join([*drawn, "", *(f"{row['name']}: branch {row['branch']}" for row in rows if row["branch"])])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    tests = row["tests"]
    shown = f"{_counts(tests['before'])} → {_counts(tests['after'])}" if tests else "–"
    pull = row["pull_request"]
    return (
        row["name"], row["status"], row["engine"]["label"] or row["engine"]["kind"], row["tier"], str(row["stages"]),
        str(row["code_attempts"]), shown, row["commit"][:12], f"#{pull['number']} {pull['state']}" if pull else "–",
        f"{row['seconds']:.1f}",
    )  # fmt: skip
