"""One requirement through all nine stages, on real parts."""

from __future__ import annotations

from operations.models import PullRequest, Stage
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import PROJECT, make

NINE = [stage.value for stage in Stage]


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
