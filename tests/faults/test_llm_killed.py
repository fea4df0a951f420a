"""kill -9 in each stage of work by a model: one tree, commit, branch, pull request, and nothing is paid for twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from operations.models import Stage
from tests.fakes.liar import Liar, replace
from tests.fakes.llm_server import LlmServer
from tests.flows.repositories import CALC, PROJECT, make
from tests.flows.stack import IN_A_HURRY, Stack, running_stack

pytestmark = [pytest.mark.slow, pytest.mark.needs_redis, pytest.mark.timeout(900)]
MEND = replace("calc.py", "def sub(a, b):\n    return a + b\n", "def sub(a, b):\n    return a - b\n")
CALLS = 4  # the plan, the edit, that it is done, the review


@pytest.fixture
def provider() -> Iterator[LlmServer]:
    with LlmServer() as running:
        running.otherwise = Liar((MEND,))
        yield running


@pytest.fixture
def stack(provider: LlmServer) -> Iterator[Stack]:
    models = {
        "MOORAGE_MODELS": "openai:gpt-5", "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": provider.base_url("openai"),
        "MOORAGE_ISOLATION": "bare", "MOORAGE_ALLOW_BARE": "1", "MOORAGE_WORKER_PROCESSES": "1",
    }  # fmt: skip
    with running_stack(beats=1, **IN_A_HURRY, **models) as running:
        yield running


def test_a_worker_that_is_killed_in_each_stage_costs_no_call_that_was_paid_for(
    stack: Stack, provider: LlmServer
) -> None:
    remote = make(stack.remotes / "calc.git", PROJECT)
    operation = stack.ask("submit", remote=str(remote.path), requirements="sub() must subtract.", name="killed")
    hit = [
        stage
        for stage in Stage
        if stage is not Stage.INIT and stack.ask("kill_in", id=operation, stage=stage.value, parts=["worker"])
    ]

    assert stack.ask("wait", ids=[operation]), (stack.ask("operation", id=operation), stack.log())

    row = stack.ask("operation", id=operation)
    assert row["status"] == "succeeded", (row["error"], stack.ask("steps", id=operation))
    assert {Stage.PLAN, Stage.CODE, Stage.VALIDATE} <= set(hit), hit
    result = row["result"]
    assert remote.branches() == {"main": result["base_commit"], result["branch"]: result["commit"]}
    assert remote.git("rev-parse", f"{result['commit']}^") == result["base_commit"]
    assert remote.git("show", f"{result['branch']}:calc.py") == CALC.replace(
        "def sub(a, b):\n    return a + b", "def sub(a, b):\n    return a - b"
    ).strip()  # fmt: skip
    assert stack.ask("pull_requests", id=operation) == 1
    ledger = stack.ask("ledger")
    assert ledger["states"] == {"settled": CALLS}
    assert len(provider.requests) == CALLS
    assert (ledger["spent"], ledger["held"]) == (ledger["cost"], 0)
    assert stack.ask("left_held") == []
