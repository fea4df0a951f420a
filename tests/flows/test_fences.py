"""Who has a say: claims, turns, cancellation, and people who approve."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from agents import lifecycle
from agents.faults import BerthLost
from agents.models import Agent
from events.journal import replay
from operations import faults
from operations.coding import claims, engine
from operations.coding.context import Context
from operations.coding.stage_log import StageLog
from operations.coding.stages import STAGES
from operations.models import Operation, PullRequest, Stage, Step
from operations.submit import answer, approve, cancel, retry
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import FIX, PROJECT, TESTS, Remote, make

DONE = [(stage, "done") for stage in ("analyze", "plan", "code", "test", "validate", "commit", "pr", "complete")]


def in_thread(do: Callable[[], Any]) -> threading.Thread:
    """Started; it closes its database connection."""

    def run() -> None:
        try:
            do()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_for(condition: Callable[[], bool], *, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def running(operation: Operation, stage: str) -> bool:
    return Step.objects.filter(operation=operation, stage=stage, outcome="running").exists()


def sleepy(flag: Path) -> dict[str, str]:
    """The project; its tests sleep as long as ``flag`` is there."""
    head = f"import pathlib, time\n\nwhile pathlib.Path({str(flag)!r}).exists():\n    time.sleep(0.05)\n\n"
    return {**PROJECT, "test_calc.py": head + TESTS}


def up_to(inline: Inline, operation: Operation, stage: str) -> None:
    """Run until the operation has come to the stage, which has not begun."""
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == stage)
    operation.refresh_from_db()
    inline.queued()


def test_a_stale_turn_does_nothing(inline: Inline) -> None:
    operation = inline.submit()
    up_to(inline, operation, "plan")
    before = stages(operation)
    for turn in (0, operation.turn - 1, operation.turn + 1):
        engine.run_stage(operation.pk, turn=turn, worker="worker:other")
    assert stages(operation) == before


def test_a_doubled_task_runs_once(inline: Inline) -> None:
    operation = inline.submit()
    up_to(inline, operation, "plan")
    for _twice in range(2):
        engine.run_stage(operation.pk, turn=operation.turn, worker="worker:a")
    assert stages(operation).count(("plan", "done")) == 1
    assert inline.finish(operation).status == "succeeded"


def test_of_two_runners_at_once_one_runs(inline: Inline) -> None:
    flag = inline.roots / "hold"
    flag.touch()
    operation = inline.submit(inline.project(make(inline.roots / "r.git", sleepy(flag))))
    up_to(inline, operation, "analyze")
    both = [
        in_thread(lambda: engine.run_stage(operation.pk, turn=operation.turn, worker="worker:x")) for _each in range(2)
    ]
    wait_for(lambda: running(operation, "analyze"))
    time.sleep(0.3)
    flag.unlink()
    for thread in both:
        thread.join(30)
    assert [row for row in stages(operation) if row[0] == "analyze"] == [("analyze", "done")]


def test_a_runner_whose_claim_was_taken_over_writes_nothing(inline: Inline) -> None:
    flag = inline.roots / "hold"
    flag.touch()
    operation = inline.submit(inline.project(make(inline.roots / "r.git", sleepy(flag))))
    up_to(inline, operation, "analyze")
    first = in_thread(lambda: engine.run_stage(operation.pk, turn=operation.turn, worker="worker:slow"))
    wait_for(lambda: running(operation, "analyze"))
    later = timezone.now() + timedelta(seconds=settings.CLAIM_TTL_S + 1)
    taken = claims.claim(operation.pk, turn=operation.turn, worker="worker:other", now=later)
    assert taken is not None
    first.join(10)
    assert not first.is_alive(), "the first runner noticed that it had lost its claim, and killed its tests"
    operation.refresh_from_db()
    assert (operation.stage, operation.claim) == ("analyze", taken.token)
    assert stages(operation)[-2:] == [("analyze", "lost"), ("analyze", "running")]
    assert operation.evidence.count() == 0


def test_a_runner_that_was_cancelled_before_it_began_shows_nothing_to_anybody(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    operation = inline.submit(inline.project(remote))
    up_to(inline, operation, "pr")
    assert claims.claim(operation.pk, turn=operation.turn, worker="worker:a", now=timezone.now())
    as_claimed = Operation.objects.select_related("project", "agent__host", "created_by").get(pk=operation.pk)
    cancel(by=inline.user, operation_id=operation.pk)
    context = Context(operation=as_claimed, log=StageLog(), lost=lambda: False)
    with pytest.raises(faults.StageInterrupted):
        STAGES[Stage.PR](context)
    assert list(remote.branches()) == ["main"]
    assert PullRequest.objects.count() == 0


@pytest.mark.parametrize("stage", ["analyze", "test"])
def test_a_cancelled_stage_ends_at_once_and_goes_on_from_there_when_retried(inline: Inline, stage: str) -> None:
    flag = inline.roots / "hold"
    operation = inline.submit(inline.project(make(inline.roots / "r.git", sleepy(flag))))
    up_to(inline, operation, stage)
    flag.touch()
    runner = in_thread(lambda: engine.run_stage(operation.pk, turn=operation.turn, worker="worker:a"))
    workspace = str(settings.DATA / "workspaces")

    def tests_run() -> list[psutil.Process]:
        return [p for p in psutil.process_iter(["cmdline"]) if f"--junitxml={workspace}" in str(p.info["cmdline"])]

    wait_for(lambda: bool(tests_run()))
    asked = time.monotonic()
    cancel(by=inline.user, operation_id=operation.pk, reason="changed my mind")
    runner.join(10)
    assert not runner.is_alive()
    assert time.monotonic() - asked < 5, "a look per second, a kill, and room for a busy machine"
    assert tests_run() == []
    assert stages(operation)[-1] == (stage, "cancelled")
    inline.run()
    assert left_held() == []
    operation.refresh_from_db()
    assert (operation.status, operation.stage) == ("cancelled", stage)

    flag.unlink()
    retry(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    after = [row for row in stages(operation) if row[1] == "done"]
    assert [name for name, _ in after].count("analyze") == 1, "what was done before is not done again"
    assert left_held() == []


@pytest.mark.parametrize("stage", ["init", "plan", "code", "validate", "commit", "pr", "complete"])
def test_an_operation_cancelled_at_any_stage_leaves_nothing_and_can_go_on(inline: Inline, stage: str) -> None:
    operation = inline.submit()
    up_to(inline, operation, stage)
    cancel(by=inline.user, operation_id=operation.pk)
    engine.run_stage(operation.pk, turn=operation.turn, worker="worker:late")
    inline.run()
    operation.refresh_from_db()
    assert operation.status == "cancelled"
    assert left_held() == []
    retry(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert [row for row in stages(operation) if row[1] == "done" and row[0] != "init"] == DONE
    assert PullRequest.objects.count() == 1
    assert left_held() == []


def test_a_cancellation_during_the_push_opens_no_pull_request_until_it_is_retried(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    remote.hook("pre-receive", f"touch {inline.roots}/pushing; sleep 1.5")
    operation = inline.submit(inline.project(remote))
    up_to(inline, operation, "pr")
    runner = in_thread(lambda: engine.run_stage(operation.pk, turn=operation.turn, worker="worker:a"))
    wait_for((inline.roots / "pushing").exists)
    cancel(by=inline.user, operation_id=operation.pk)
    runner.join(20)
    inline.run()
    assert PullRequest.objects.count() == 0
    assert left_held() == []
    retry(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert (len(remote.branches()), PullRequest.objects.count()) == (2, 1)


def test_cancelling_twice_changes_nothing_and_what_has_ended_is_not_cancelled(inline: Inline) -> None:
    operation = inline.submit()
    cancel(by=inline.user, operation_id=operation.pk)
    turn = Operation.objects.get(pk=operation.pk).turn
    cancel(by=inline.user, operation_id=operation.pk)
    assert Operation.objects.get(pk=operation.pk).turn == turn
    inline.run()
    finished = inline.finish(inline.submit())
    for verb in (cancel, retry, approve):
        with pytest.raises(faults.NotPossibleNow) as refused:
            verb(by=inline.user, operation_id=finished.pk)
        assert refused.value.code == "operation.not_possible"


def test_a_requested_approval_of_the_plan_stops_before_any_code_is_written(inline: Inline) -> None:
    operation = inline.finish(inline.submit(approval="plan"))
    assert (operation.status, operation.stage) == ("waiting", "code")
    assert operation.attention["kind"] == "approval_required"
    assert ("code", "done") not in stages(operation)
    inline.wake(operation)
    assert inline.finish(operation).status == "waiting", "a doubled wake-up does not open the gate"
    approve(by=inline.user, operation_id=operation.pk)
    assert inline.finish(operation).status == "succeeded"


def test_a_requested_approval_of_the_pull_request_stops_before_anybody_sees_the_branch(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    operation = inline.finish(inline.submit(inline.project(remote), approval="pull_request"))
    assert (operation.status, operation.stage) == ("waiting", "pr")
    assert list(remote.branches()) == ["main"]
    approve(by=inline.user, operation_id=operation.pk)
    assert inline.finish(operation).status == "succeeded"
    assert len(remote.branches()) == 2


@pytest.mark.parametrize(("approval", "gate"), [("plan", "plan"), ("pull_request", "commit")])
def test_cancelling_and_retrying_is_no_way_past_an_approval(inline: Inline, approval: str, gate: str) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    operation = inline.finish(inline.submit(inline.project(remote), approval=approval))
    cancel(by=inline.user, operation_id=operation.pk)
    inline.run()
    retry(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert (operation.status, operation.attention["kind"]) == ("waiting", "approval_required")
    assert stages(operation).count((gate, "done")) == 2
    assert list(remote.branches()) == ["main"]


def test_an_answer_is_only_taken_when_it_was_asked_for_and_reaches_the_engine(inline: Inline) -> None:
    operation = inline.submit()
    with pytest.raises(faults.NotPossibleNow):
        answer(by=inline.user, operation_id=operation.pk, text="blue")
    up_to(inline, operation, "code")
    asked = {"kind": "input_required", "reason": "Which colour?", "since": None}
    Operation.objects.filter(pk=operation.pk).update(status="waiting", attention=asked, wake_up_at=None)
    answer(by=inline.user, operation_id=operation.pk, text="blue")
    operation = inline.finish(operation)
    assert operation.status == "succeeded"
    assert operation.answers == ["blue"]


def stopped_while_it_analyzes(inline: Inline, *, actor: str) -> Operation:
    """An operation whose agent was asked to leave under its running stage, run to where it ends."""
    flag = inline.roots / "hold"
    flag.touch()
    operation = inline.submit(inline.project(make(inline.roots / "r.git", sleepy(flag))))
    up_to(inline, operation, "analyze")
    operation.refresh_from_db()
    runner = in_thread(lambda: engine.run_stage(operation.pk, turn=operation.turn, worker="worker:a"))
    wait_for(lambda: running(operation, "analyze"))
    lifecycle.request_stop(operation.agent_id, actor=actor, reason="it is in the way")
    flag.unlink()
    inline.finish(operation)
    runner.join(10)
    return inline.finish(operation)


def test_an_agent_stopped_under_a_running_stage_costs_an_environment_and_not_the_operation(inline: Inline) -> None:
    operation = stopped_while_it_analyzes(inline, actor="system")
    assert operation.status == "succeeded", operation.error
    (lost,) = operation.steps.filter(outcome="fault")
    assert (lost.fault["code"], lost.action) == ("agent.berth_lost", "recreate_environment")
    assert left_held() == []


def test_what_a_person_stopped_does_not_begin_again_by_itself_and_goes_on_when_retried(inline: Inline) -> None:
    """Who puts out a fire does not want to see it again under another name."""
    operation = stopped_while_it_analyzes(inline, actor="user:ada")
    assert (operation.status, operation.error["code"]) == ("failed", "agent.stopped_by_hand")
    assert "ada stopped its agent" in operation.error["detail"]
    assert operation.error["remedy"]
    assert Agent.objects.filter(state__in=Agent.LIVE).count() == 0
    retry(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert left_held() == []


def test_an_agent_that_breaks_again_and_again_ends_with_a_person(inline: Inline) -> None:
    """The fault is counted although no runner was there to tell of it."""
    operation = inline.submit()
    for _berth in range(3):
        up_to(inline, operation, "analyze")
        agent = Agent.objects.get(pk=operation.agent_id)
        lost = BerthLost("its host burned down")
        lifecycle.fail(agent.pk, generation=agent.generation, fault=lost, actor="system")
        inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == "init")
    operation = inline.finish(operation)
    assert (operation.status, operation.error["code"]) == ("failed", "agent.berth_lost")
    assert operation.error["remedy"]
    assert left_held() == [f"{agent} error" for agent in Agent.objects.filter(state="error")]


def test_an_agent_stopped_while_it_spawns_is_replaced(inline: Inline) -> None:
    operation = inline.submit()
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).status == "waiting")
    operation.refresh_from_db()
    first = operation.agent_id
    lifecycle.request_stop(first, actor="user:ada", reason="by hand")
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert operation.agent_id != first
    assert left_held() == []


def test_each_step_of_the_way_is_told_in_order_without_a_gap(inline: Inline) -> None:
    operation = inline.finish(inline.submit())
    told = replay(operation.topic, after=0)
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    assert [event.kind for event in told][:2] == ["operation.submitted", "operation.waiting"]
    assert told[-1].kind == "operation.succeeded"
    turns = [event.data["turn"] for event in told]
    assert turns == sorted(set(turns))


def test_the_remote_is_only_asked_what_it_is_asked(inline: Inline) -> None:
    """The base branch moves in mid-run: the commit still builds on what was analyzed."""
    remote: Remote = make(inline.roots / "r.git", PROJECT)
    base = remote.branches()["main"]
    operation = inline.submit(inline.project(remote), requirements=FIX)
    up_to(inline, operation, "code")
    moved = remote.commit({**PROJECT, "news.txt": "new\n"}, parent=base)
    inline.wake(operation)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert remote.branches()["main"] == moved
    assert remote.git("rev-parse", f"{operation.result['commit']}^") == base
