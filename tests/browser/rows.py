"""Realistic rows for the console: through the verbs where there is one, else as the engine would save them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from events.journal import record
from operations import permission, projects
from operations.models import Operation, Project, PullRequest, Stage, Step
from operations.snapshots import snapshot
from operations.submit import end, load, submit

HOSTILE = (
    "<script>window.hacked = 1</script>\x1b[31mred\x1b[0m \"'><img src=x onerror=window.hacked=1> \u202egnp.exe"
    " \x1b]8;;javascript:window.hacked=1\x07press\x1b]8;;\x07 \x1b]52;c;aGFja2Vk\x07"
)
TESTS_FAILED = {
    "code": "tests.failed",
    "class": "permanent",
    "detail": "2 of 12 tests fail after the change",
    "remedy": "Say what half a cent should become.",
}

DIFF = """diff --git a/fees.py b/fees.py
index 1111111..2222222 100644
--- a/fees.py
+++ b/fees.py
@@ -1,2 +1,2 @@ def fee(cents):
 def fee(cents):
-    return int(cents)
+    return round(cents)
"""
PRODUCTS: dict[Stage, dict[str, Any]] = {
    Stage.PLAN: {
        "summary": "Round half up.",
        "steps": [{"title": "Change fees.py", "files": ["fees.py"], "detail": ""}],
    },
    Stage.CODE: {"diff": {"text": DIFF, "truncated": False, "changes": []}},
}


def project(by: Any, *, name: str = "harbour-fees", repository_url: str = "https://example.org/fees.git") -> Project:
    """A project; its repository is looked at by no test that uses only rows."""
    return projects.create(by=by, name=name, repository_url=repository_url)


def operation(by: Any, *, of: Project, requirements: str = "Round the fee to whole cents") -> Operation:
    """A requested operation."""
    return submit(by=by, project=of, requirements=requirements)


def failed(
    by: Any, *, of: Project, log: str = "2 failed, 10 passed\n", products: Any = PRODUCTS, **how: Any
) -> Operation:
    """An operation that failed at TEST, with its steps and its event."""
    made = operation(by, of=of, **how)
    now = timezone.now()
    with transaction.atomic():
        row = load(made.pk)
        row.stage, row.error, row.started_at = Stage.TEST, TESTS_FAILED, now
        for turn, stage in enumerate([Stage.INIT, Stage.ANALYZE, Stage.PLAN, Stage.CODE, Stage.TEST]):
            broke = stage == Stage.TEST
            Step.objects.create(
                operation=row, turn=turn, stage=stage, attempt=1, claim=f"claim-{turn}", worker="worker:node-1",
                outcome=Step.Outcome.FAULT if broke else Step.Outcome.DONE, fault=TESTS_FAILED if broke else None,
                action="escalate" if broke else "", log=log, started_at=now, finished_at=now + timedelta(seconds=2),
                product=products.get(stage, {}),
            )  # fmt: skip
        end(row, status=Operation.Status.FAILED)
        record("operation.failed", row, actor="worker:node-1", reason=TESTS_FAILED["detail"], **snapshot(row))
    return row


def asking(by: Any, *, of: Project, kind: str = "approval_required", reason: str = "the plan adds a file") -> Operation:
    """An operation that waits for a person."""
    made = operation(by, of=of)
    with transaction.atomic():
        row = load(made.pk)
        row.status, row.stage = Operation.Status.WAITING, Stage.CODE
        row.attention = {"kind": kind, "reason": reason, "since": timezone.now().isoformat()}
        row.turn += 1
        row.save()
        record(f"operation.{kind}", row, actor="worker:node-1", **snapshot(row))
    return row


def asking_permission(by: Any, *, of: Project) -> Operation:
    """An operation whose agent program asks whether it may run something."""
    made = asking(by, of=of, reason="The agent program asks for permission to execute Run make all")
    Operation.objects.filter(pk=made.pk).update(attention={**(made.attention or {}), "about": permission.ABOUT})
    Step.objects.create(
        operation=made, turn=made.turn - 1, stage=Stage.CODE, attempt=1, claim="claim-code", outcome=Step.Outcome.FAULT,
        action=permission.ACTION, fault={"facts": {"asked": "print"}}, started_at=made.created_at,
        finished_at=made.created_at,
    )  # fmt: skip
    made.refresh_from_db()
    return made


def planned(by: Any, *, of: Project, summary: str = "Round half up.") -> Operation:
    """An operation whose plan waits for approval."""
    made = asking(by, of=of)
    Step.objects.create(
        operation=made, turn=0, stage=Stage.PLAN, attempt=1, claim="claim-plan", outcome=Step.Outcome.DONE,
        started_at=made.created_at, finished_at=made.created_at,
        product={**PRODUCTS[Stage.PLAN], "summary": summary},
    )  # fmt: skip
    return made


def running(by: Any, *, of: Project, log: str = "") -> tuple[Operation, Step]:
    """An operation whose tests run, and the step that runs them."""
    made = operation(by, of=of)
    with transaction.atomic():
        row = load(made.pk)
        row.status, row.stage, row.turn, row.started_at = Operation.Status.RUNNING, Stage.TEST, 1, timezone.now()
        row.save()
        record("operation.stage_finished", row, actor="worker:node-1", finished="code", **snapshot(row))
    step = Step.objects.create(
        operation=row,
        turn=1,
        stage=Stage.TEST,
        attempt=1,
        claim="claim-1",
        started_at=timezone.now(),
        log=log,
        log_said=len(log),
    )
    return row, step


def pull_request(of: Operation, *, head: str, base: str, base_branch: str = "main", **fields: Any) -> PullRequest:
    """An open pull request of the local forge."""
    values = {"title": of.title, "body": "Tests: 12 passed", "number": 1, "head_branch": "moorage/fees", **fields}
    return PullRequest.objects.create(
        project=of.project, operation=of, forge="local", url="/", head_commit=head, base_commit=base,
        base_branch=base_branch, created_at=timezone.now(), **values,
    )  # fmt: skip
