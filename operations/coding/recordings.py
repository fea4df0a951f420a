"""Recordings: what an operation's engine did, as the replay engine reads it."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from operations import faults
from operations.coding import changes, vault
from operations.models import Operation, Stage, Step


def of(operation: Operation) -> dict[str, Any]:
    """Its CODE attempts, each as the diff on what the one before left. Raises NotPossibleNow before there is one."""
    done = operation.steps.filter(outcome=Step.Outcome.DONE)
    analyzed = done.filter(stage=Stage.ANALYZE).order_by("-id").first()
    attempts = list(done.filter(stage=Stage.CODE).order_by("id"))
    if analyzed is None or not attempts:
        raise faults.NotPossibleNow("the operation has not coded anything yet, so there is nothing to record")
    store = vault.open_vault(root=settings.DATA / "vaults", project_id=operation.project_id)
    before, recorded = analyzed.product["tree"], []
    for step in attempts:
        diff = changes.diff(vault=store, base_tree=before, tree=step.product["tree"])
        recorded.append({"summary": step.product["summary"], "diff": diff.text})
        before = step.product["tree"]
    return {
        "format": 1,
        "recorded_at": operation.created_at.isoformat(),
        "engine_label": operation.engine_label,
        "base_tree": analyzed.product["tree"],
        "attempts": recorded,
    }
