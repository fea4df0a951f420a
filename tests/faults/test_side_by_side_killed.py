"""kill -9 of the worker while two steps of a plan are under way: what was paid for is not paid again."""

from __future__ import annotations

from collections import deque

import pytest

from operations.models import Stage
from tests.fakes.llm_server import Hang, LlmServer, Once
from tests.flows.repositories import PROJECT, make
from tests.flows.stack import IN_A_HURRY, running_stack
from tests.flows.test_llm import APPROVED, KEY, MEND, REQUIREMENT
from tests.flows.test_side_by_side import DONE, ONE, PLAN, TWO, WRITE
from tests.patience import eventually

pytestmark = [pytest.mark.slow, pytest.mark.needs_redis, pytest.mark.timeout(900)]


def test_a_killed_worker_asks_again_only_what_was_not_answered() -> None:
    settings = {
        "MOORAGE_ISOLATION": "bare", "MOORAGE_ALLOW_BARE": "1", "MOORAGE_WORKER_PROCESSES": "1",
        "MOORAGE_MODELS": "openai:gpt-5", "OPENAI_API_KEY": KEY,
    }  # fmt: skip
    with LlmServer(PLAN, APPROVED) as server:
        settings["OPENAI_BASE_URL"] = server.base_url("openai")
        # Both have an answer and ask for the next one when the worker dies; one of those comes, the other never does.
        server.parts = {ONE: deque([Once(MEND, TWO), DONE]), TWO: deque([Once(WRITE, ONE), Hang(60), DONE])}
        with running_stack(beats=1, **IN_A_HURRY, **settings) as stack:
            remote = make(stack.remotes / "calc.git", PROJECT)
            operation = stack.ask("submit", remote=str(remote.path), requirements=REQUIREMENT, name="calc")
            eventually(lambda: len(server.holding(ONE)) == len(server.holding(TWO)) == 2, within_s=240)
            eventually(
                lambda: [state for state, *_ in stack.ask("model_calls", id=operation)].count("settled") == 4,
                within_s=240,
            )
            assert stack.ask("kill_in", id=operation, stage=Stage.CODE.value, parts=["worker"])

            assert stack.ask("wait", ids=[operation]), (stack.ask("operation", id=operation), stack.log())
            row = stack.ask("operation", id=operation)
            assert row["status"] == "succeeded", (row["error"], stack.ask("steps", id=operation))
            outcomes = [outcome for stage, outcome in stack.ask("steps", id=operation) if stage == "code"]
            assert outcomes == ["lost", "done"]
            # The plan, two and three answers of the steps, the review: each asked once at the provider.
            assert (len(server.holding(ONE)), len(server.holding(TWO)), len(server.requests)) == (2, 3, 7)
            replays = [replays for _state, _cost, replays in stack.ask("model_calls", id=operation)]
            assert sorted(replays) == [0, 0, 0, 0, 1, 1, 1]
            branch = row["result"]["branch"]
            assert remote.git("show", f"{branch}:NEWS.txt") == "sub() subtracts."
            assert remote.branches() == {"main": row["result"]["base_commit"], branch: row["result"]["commit"]}
            assert stack.ask("pull_requests", id=operation) == 1
            assert stack.ask("left_held") == []
