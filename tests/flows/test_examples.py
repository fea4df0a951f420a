"""The examples on the real stack: Redis, workers, beat."""

from __future__ import annotations

import pytest

from tests.flows.stack import running_stack


@pytest.mark.slow
@pytest.mark.needs_redis
@pytest.mark.needs_landlock
@pytest.mark.timeout(900)
def test_the_three_examples_become_pull_requests_and_leave_nothing_behind() -> None:
    with running_stack(MOORAGE_SWEEP_S="1") as stack:
        report = stack.ask("examples")
    assert report["ok"], report
    assert sorted(row["name"] for row in report["operations"]) == ["cargo-manifest", "harbor-queue", "tide-table"]
    assert {row["stages"] for row in report["operations"]} == {9}
    assert report["left_held"] == report["surprises"] == []
