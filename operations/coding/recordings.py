"""Recordings: what an operation's engine did, as the replay engine reads it."""

from __future__ import annotations

from typing import Any

from operations import faults
from operations.coding import changes, vault
from operations.models import Operation, Stage, Step


def of(operation: Operation) -> dict[str, Any]:
    """Its CODE attempts, each as the diff on what the one before left. Raises NotPossibleNow before there is one."""
    done = operation.steps.filter(outcome=Step.Outcome.DONE)
    analyzed = done.filter(stage=Stage.ANALYZE).order_by("-id").first()
    attempts = list(done.filter(stage=Stage.CODE, pk__gt=analyzed.pk if analyzed else 0).order_by("id"))
    if analyzed is None or not attempts:
        raise faults.NotPossibleNow("the operation has not coded anything yet, so there is nothing to record")
    store = vault.existing(operation.project_id)
    trees = [analyzed.product["tree"], *(step.product["tree"] for step in attempts)]
    if store is None or not all(vault.has(store, tree) for tree in trees):
        raise faults.NotPossibleNow(
            "the vault of this host does not hold the operation's work",
            remedy="Ask the host that it ran on; what is older than MOORAGE_KEEP_WORK_DAYS is dropped.",
        )
    before, recorded = analyzed.product["tree"], []
    for step in attempts:
        diff = changes.diff(vault=store, base_tree=before, tree=step.product["tree"])
        if diff.truncated:
            raise faults.NotPossibleNow("the operation's diff is too big to be recorded: a part of it replays nothing")
        recorded.append({"summary": step.product["summary"], "diff": diff.text})
        before = step.product["tree"]
    return {
        "format": 1,
        "recorded_at": operation.created_at.isoformat(),
        "engine_label": operation.engine_label,
        "base_tree": analyzed.product["tree"],
        "attempts": recorded,
    }
