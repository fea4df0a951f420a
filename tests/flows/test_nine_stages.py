"""One requirement through all nine stages, on real parts."""

from __future__ import annotations

from operations.coding import recordings
from operations.models import Evidence, Operation, PullRequest, Stage
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import PROJECT, make

NINE = [stage.value for stage in Stage]
HEAD = "diff --git a/calc.py b/calc.py\n--- a/calc.py\n+++ b/calc.py\n"
BREAKS = HEAD + "@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a + b\n+    return a - b\n"
MENDS = HEAD + (
    "@@ -1,6 +1,6 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n \n \n def sub(a, b):\n"
    "-    return a + b\n+    return a - b\n"
)


def test_a_requirement_becomes_a_commit_a_branch_and_a_pull_request(inline: Inline) -> None:
    remote = make(inline.roots / "calc.git", PROJECT)
    base = remote.branches()["main"]
    operation = inline.finish(inline.submit(inline.project(remote)))

    assert (operation.status, operation.stage, operation.progress) == ("succeeded", "complete", 1.0), operation.error
    assert [stage for stage, outcome in stages(operation) if outcome == "done"] == NINE
    result = operation.result
    assert remote.branches() == {"main": base, result["branch"]: result["commit"]}
    assert remote.git("rev-parse", f"{result['commit']}^") == base == result["base_commit"]
    assert remote.git("rev-parse", f"{result['commit']}^{{tree}}") == result["tree"]
    assert "return a - b" in remote.git("show", f"{result['branch']}:calc.py")
    row = PullRequest.objects.get()
    assert (row.head_commit, row.head_branch, row.base_branch, row.state) == (
        result["commit"], result["branch"], "main", "open",
    )  # fmt: skip
    assert result["pull_request"] == {"number": 1, "url": row.url, "state": "open", "title": row.title}
    assert result["tests"] == {
        "before": {"passed": 1, "failed": 1, "errors": 0, "skipped": 0},
        "after": {"passed": 2, "failed": 0, "errors": 0, "skipped": 0},
    }
    assert result["diffstat"] == {"files": 1, "insertions": 1, "deletions": 1}
    assert left_held() == []


def test_the_size_that_was_asked_for_is_that_of_the_berth(inline: Inline) -> None:
    operation = inline.submit(size={"memory_mb": 1500})
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == Stage.PLAN)
    operation.refresh_from_db()
    agent = operation.agent
    assert agent.sandbox["profile"]["memory_mb"] == agent.resolved["taken"]["memory_mb"] == 1500
    assert (agent.resolved["chosen"], agent.resolved["spec"]["size"]["memory_mb"]) == ({"memory_mb": 1500}, 1500)
    assert inline.finish(operation).status == "succeeded"


def test_the_result_names_evidence_that_was_seen_on_the_tree_that_was_committed(inline: Inline) -> None:
    operation = inline.finish(inline.submit())
    proofs = Evidence.objects.filter(pk__in=operation.result["evidence"])
    by_kind = {kind: set(proofs.filter(kind=kind).values_list("tree", flat=True)) for kind in Evidence.Kind.values}
    assert by_kind["tests.run"] == by_kind["gate"] == {operation.result["tree"]}
    assert by_kind["tests.baseline"] != by_kind["tests.run"]
    tests = proofs.get(kind="tests.run")
    assert (tests.passed, tests.exit_code, tests.tier) == (True, 0, "bare")
    assert tests.counts == operation.result["tests"]["after"]
    assert "pytest" in tests.command


def test_the_pull_request_says_what_was_proved_and_that_no_model_was_used(inline: Inline) -> None:
    operation = inline.finish(inline.submit())
    body = PullRequest.objects.get().body
    for words in ("no AI was used", "| before | 1 | 1 | 0 | 0 |", "| after | 2 | 0 | 0 | 0 |", str(operation.pk)):
        assert words in body
    assert operation.result["tree"] in body


def test_the_steps_tell_the_whole_way_with_their_logs(inline: Inline) -> None:
    operation = inline.finish(inline.submit())
    done = operation.steps.filter(outcome="done")
    assert all(step.finished_at >= step.started_at for step in done)
    assert all(step.worker and step.claim for step in done)
    assert "2 passed" in done.get(stage="test").log
    assert not operation.steps.filter(outcome="running").exists()


def test_two_operations_at_once_do_not_meet(inline: Inline) -> None:
    operations = [inline.submit() for _each in range(2)]
    inline.run()
    for operation in operations:
        operation.refresh_from_db()
        assert operation.status == "succeeded", operation.error
    assert left_held() == []


def test_work_that_is_sent_back_is_tried_as_often_as_the_table_says(inline: Inline) -> None:
    """A recording of two attempts: the first breaks what worked."""
    remote = make(inline.roots / "r.git", PROJECT)
    project = inline.project(remote)
    first = inline.finish(inline.submit(project))
    recording = recordings.of(first)
    recording["attempts"] = [{"summary": "breaks", "diff": BREAKS}, {"summary": "mends", "diff": MENDS}]
    operation = inline.finish(inline.submit(project, engine="replay", metadata={"recording": recording}))
    assert operation.status == "succeeded", operation.error
    assert [row for row in stages(operation) if row[0] in {"code", "test"}] == [
        ("code", "done"), ("test", "fault"), ("code", "done"), ("test", "done"),
    ]  # fmt: skip
    assert operation.result["tree"] == first.result["tree"]
