"""kill -9 at the worst moments: the result is that of an undisturbed run, and nothing is done twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from operations.models import Stage
from tests.flows.repositories import FIX, PROJECT, Remote, make
from tests.flows.stack import IN_A_HURRY, Stack, running_stack

pytestmark = [pytest.mark.slow, pytest.mark.needs_redis, pytest.mark.timeout(900)]
BARE = {"MOORAGE_ISOLATION": "bare", "MOORAGE_ALLOW_BARE": "1", "MOORAGE_WORKER_PROCESSES": "1"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One for all; every test leaves it empty."""
    with running_stack(beats=2, **IN_A_HURRY, **BARE) as running:
        yield running


def remote_of(stack: Stack, name: str) -> Remote:
    return make(stack.remotes / f"{name}.git", PROJECT)


def request(stack: Stack, name: str) -> tuple[Remote, str]:
    remote = remote_of(stack, name)
    return remote, stack.ask("submit", remote=str(remote.path), requirements=FIX, name=name)


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> dict[str, Any]:
    """The result of a run that nobody interfered with, also as a proof that the stack works."""
    _remote, operation = request(stack, "undisturbed")
    assert stack.ask("wait", ids=[operation]), stack.log()
    result: dict[str, Any] = stack.ask("operation", id=operation)["result"]
    return result


def assert_as_if_nothing_happened(stack: Stack, remote: Remote, operation: str, undisturbed: dict[str, Any]) -> None:
    assert stack.ask("wait", ids=[operation]), (stack.ask("operation", id=operation), stack.log())
    row = stack.ask("operation", id=operation)
    assert row["status"] == "succeeded", (row["error"], stack.ask("steps", id=operation))
    result = row["result"]
    assert result["tree"] == undisturbed["tree"]
    assert result["tests"] == undisturbed["tests"]
    assert remote.branches() == {"main": result["base_commit"], result["branch"]: result["commit"]}
    assert remote.git("rev-parse", f"{result['commit']}^") == result["base_commit"]
    assert stack.ask("pull_requests", id=operation) == 1
    assert stack.ask("left_held") == []


def test_a_child_that_is_killed_in_each_of_the_nine_stages_costs_time_and_nothing_else(
    stack: Stack, undisturbed: dict[str, Any]
) -> None:
    remote, operation = request(stack, "children")
    hit = []
    for stage in Stage:
        # INIT runs in the control worker at first, in threads, and in the host's at its second look: both die.
        first = stage is Stage.INIT
        parts = ["control", "worker"] if first else ["worker"]
        if stack.ask("kill_in", id=operation, stage=stage.value, parts=parts, whole=first):
            hit.append(stage)
    assert_as_if_nothing_happened(stack, remote, operation, undisturbed)
    # INIT and COMPLETE are over in milliseconds: a miss there is no failure of theirs.
    assert set(Stage) - {Stage.INIT, Stage.COMPLETE} <= set(hit), (hit, stack.ask("steps", id=operation))
    lost = [stage for stage, outcome in stack.ask("steps", id=operation) if outcome == "lost"]
    assert {stage.value for stage in hit} <= set(lost)


@pytest.mark.parametrize("stage", ["code", "pr"])
def test_a_whole_worker_that_is_killed_is_replaced_and_its_stage_done_again(
    stack: Stack, undisturbed: dict[str, Any], stage: str
) -> None:
    remote, operation = request(stack, f"worker-{stage}")
    assert stack.ask("kill_in", id=operation, stage=stage, parts=["worker"], whole=True)
    assert_as_if_nothing_happened(stack, remote, operation, undisturbed)


def test_redis_killed_in_mid_run_costs_nothing(stack: Stack, undisturbed: dict[str, Any]) -> None:
    remote, operation = request(stack, "redis")
    assert stack.ask("wait_stage", id=operation, stage="analyze")
    os.kill(stack.supervisor.pids()["redis"], signal.SIGKILL)
    assert_as_if_nothing_happened(stack, remote, operation, undisturbed)


def test_a_request_while_redis_is_dead_is_taken_at_once_and_done_later(
    stack: Stack, undisturbed: dict[str, Any]
) -> None:
    remote = remote_of(stack, "no-redis")
    taken = stack.ask(
        "submit_without_redis", pid=stack.supervisor.pids()["redis"], remote=str(remote.path), requirements=FIX,
        name="no-redis",
    )  # fmt: skip
    assert taken["waits"]
    assert taken["seconds"] < 15, "a broker that is away is not waited for"
    assert_as_if_nothing_happened(stack, remote, taken["id"], undisturbed)


def test_every_message_may_come_several_times(stack: Stack, undisturbed: dict[str, Any]) -> None:
    remote, operation = request(stack, "doubled")
    assert stack.ask("wait", ids=[operation], doubling=True), stack.log()
    assert_as_if_nothing_happened(stack, remote, operation, undisturbed)
    done = [stage for stage, outcome in stack.ask("steps", id=operation) if outcome == "done"]
    assert done == [stage.value for stage in Stage]


def test_a_worker_that_is_asked_to_stop_lets_its_stage_end_or_gives_it_back(
    stack: Stack, undisturbed: dict[str, Any]
) -> None:
    remote, operation = request(stack, "polite")
    assert stack.ask("wait_stage", id=operation, stage="analyze")
    os.kill(stack.supervisor.pids()["worker"], signal.SIGTERM)
    assert_as_if_nothing_happened(stack, remote, operation, undisturbed)
