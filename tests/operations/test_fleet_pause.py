"""The fleet breaker: nothing new begins while it is open, and everything goes on as it was afterwards."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from django.utils import timezone

from agents import lifecycle
from agents.gateway.models import ModelCall
from agents.models import Agent
from events.models import Event
from operations import snapshots, submit
from operations.coding import standstill
from operations.coding.context import Context, Outcome
from operations.coding.engine import overdue, run_stage
from operations.coding.stages import STAGES
from operations.models import Operation, Stage
from resources import fleet
from tests.fakes.llm_server import LlmServer, Slowly
from tests.flows.fixtures import inline
from tests.flows.inline import Inline, left_held, stages
from tests.flows.test_fences import in_thread, wait_for
from tests.flows.test_llm import APPROVED, DONE, MEND, PLAN, REQUIREMENT, server
from tests.flows.test_setup_hooks import hooked

__all__ = ["inline", "server"]


def pause(reason: str = "the host is on fire") -> None:
    fleet.pause(actor="user:ada", reason=reason, now=timezone.now())


def fresh(operation: Operation) -> Operation:
    return Operation.objects.select_related("project", "agent__host").get(pk=operation.pk)


def state(operation: Operation) -> dict[str, Any]:
    """What a pause may not change for good."""
    rows = Operation.objects.values("status", "stage", "turn", "attention", "blocked", "retry_count")
    return dict(rows.get(pk=operation.pk))


def test_a_stage_that_would_begin_waits_with_the_reason_and_goes_on_afterwards(inline: Inline) -> None:
    operation = inline.submit()
    inline.run(lambda: fresh(operation).stage == "code")
    before = state(operation)
    pause()
    inline.run()
    assert (fresh(operation).status, fresh(operation).stage) == ("waiting", "code")
    (reason,) = snapshots.blocked_by(fresh(operation))
    assert (reason["kind"], reason["by"], reason["detail"]) == ("fleet_paused", "user:ada", "the host is on fire")
    fleet.release(actor="user:eve")
    assert standstill.go_on(now=timezone.now(), actor="system") == 1
    assert state(operation) == before
    assert inline.finish(operation).status == "succeeded"
    assert [outcome for _, outcome in stages(operation) if outcome not in {"done", "waiting"}] == []
    assert left_held() == []


def set_aside_and_released(operation: Operation, *, before: dict[str, Any]) -> None:
    """It waits with the reason, where and as it was; the release puts that back, and counts no attempt."""
    halted = fresh(operation)
    (reason,) = snapshots.blocked_by(halted)
    assert (halted.status, reason["kind"], reason["detail"]) == ("waiting", "fleet_paused", "the host is on fire")
    step = halted.steps.order_by("-id")[0]
    assert (step.outcome, step.fault) == ("waiting", None)
    assert "set aside: user:ada has paused the fleet" in step.log
    fleet.release(actor="user:eve")
    assert standstill.go_on(now=timezone.now(), actor="system") == 1
    assert state(operation) == before


def test_a_stage_that_runs_is_set_aside_before_its_next_command(inline: Inline, data_directory: Path) -> None:
    begun, gate = inline.roots / "begun", inline.roots / "gate"
    first = f"echo one >> {begun}; until [ -e {gate} ]; do sleep 0.05; done; echo end >> {begun}"
    hooks = [f'[sh, -c, "{first}"]', f'[sh, -c, "echo two >> {begun}"]']
    operation = inline.submit(inline.project(default_template=hooked(data_directory, *hooks)))
    inline.run(until=lambda: fresh(operation).stage == "analyze")
    runner = in_thread(lambda: inline.run())
    wait_for(begun.exists)
    before = state(operation)
    pause()
    gate.touch()
    runner.join(60)
    assert not runner.is_alive()
    assert begun.read_text().split() == ["one", "end"], "what runs comes to its end, and nothing else begins"
    set_aside_and_released(operation, before=before)
    assert inline.finish(operation).status == "succeeded"
    assert fresh(operation).steps.filter(stage="analyze", outcome="done").get().attempt == 1


def test_a_stage_that_runs_is_set_aside_at_its_next_call_of_a_model_and_pays_for_none_twice(
    inline: Inline, server: LlmServer
) -> None:
    gate = threading.Event()
    server.script.extend([PLAN, Slowly(MEND, 40, gate), DONE, APPROVED])
    operation = inline.submit(requirements=REQUIREMENT)
    inline.run(until=lambda: fresh(operation).stage == "code")
    runner = in_thread(lambda: inline.run())
    wait_for(lambda: len(server.requests) == 2)
    before = state(operation)
    pause()
    gate.set()
    runner.join(60)
    assert not runner.is_alive()
    assert len(server.requests) == 2
    set_aside_and_released(operation, before=before)
    assert inline.finish(operation).status == "succeeded", fresh(operation).error
    assert len(server.requests) == 4
    assert ModelCall.objects.filter(state="settled").count() == 4


def test_nothing_is_sent_to_the_gateway_of_a_paused_fleet(inline: Inline, server: LlmServer) -> None:
    operation = inline.submit(requirements=REQUIREMENT)
    inline.run(until=lambda: fresh(operation).stage == "plan")
    before = state(operation)
    real = STAGES[Stage.PLAN]

    def planning(context: Context) -> Outcome:
        pause()  # after the stage has begun, before its first call
        return real(context)

    run_stage(operation.pk, turn=fresh(operation).turn, worker="w", stages={**STAGES, Stage.PLAN: planning})
    assert not server.requests
    set_aside_and_released(operation, before=before)


def test_nothing_that_others_can_see_is_done_in_a_pause(inline: Inline) -> None:
    operation = inline.submit()
    inline.run(until=lambda: fresh(operation).stage == "pr")
    before = state(operation)
    real = STAGES[Stage.PR]

    def delivering(context: Context) -> Outcome:
        pause()
        return real(context)

    run_stage(operation.pk, turn=fresh(operation).turn, worker="w", stages={**STAGES, Stage.PR: delivering})
    set_aside_and_released(operation, before=before)
    assert inline.finish(operation).status == "succeeded"


def test_a_release_that_comes_before_the_stage_is_set_aside_is_not_missed(inline: Inline) -> None:
    operation = inline.submit()
    inline.run(until=lambda: fresh(operation).stage == "analyze")

    def meeting(context: Context) -> Outcome:
        pause()
        try:
            context.check()
        finally:
            fleet.release(actor="user:eve")
        raise AssertionError("it went on")

    run_stage(operation.pk, turn=fresh(operation).turn, worker="w", stages={Stage.ANALYZE: meeting})
    (due,) = overdue(now=timezone.now())
    assert due.pk == operation.pk
    inline.wake(operation)
    assert inline.finish(operation).status == "succeeded"


def test_nobody_is_admitted_during_a_pause_and_the_release_alone_wakes_who_waits(inline: Inline) -> None:
    pause()
    agent = lifecycle.request_spawn(template="plain", actor="user:ada")
    inline.run()
    waiting = Agent.objects.get(pk=agent.pk)
    assert (waiting.state, waiting.host, waiting.blocked_by[0]["kind"]) == ("spawning", None, "fleet_paused")
    fleet.release(actor="user:ada")
    inline.run()
    assert Agent.objects.get(pk=agent.pk).state == "running"


def test_what_waits_for_a_person_is_not_touched(inline: Inline) -> None:
    operation = inline.submit(approval="plan")
    inline.run()
    before = state(operation)
    assert before["attention"]["kind"] == "approval_required"
    pause()
    inline.wake(operation)
    inline.run()
    assert state(operation) == before
    submit.approve(by=inline.user, operation_id=operation.pk)
    inline.run()
    assert snapshots.blocked_by(fresh(operation))[0]["kind"] == "fleet_paused"
    fleet.release(actor="user:ada")
    assert inline.finish(operation).status == "succeeded"


def test_one_that_is_cancelled_during_the_pause_stays_cancelled(inline: Inline) -> None:
    operation = inline.submit()
    pause()
    inline.run()
    submit.cancel(by=inline.user, operation_id=operation.pk)
    fleet.release(actor="user:ada")
    assert standstill.go_on(now=timezone.now(), actor="system") == 0
    assert inline.finish(operation).status == "cancelled"


def test_a_new_pause_before_the_first_is_undone_keeps_everything_where_it_is(inline: Inline) -> None:
    operation = inline.submit()
    pause("first")
    inline.run()
    fleet.release(actor="user:ada")
    pause("second")
    assert standstill.go_on(now=timezone.now(), actor="system") == 0
    fleet.release(actor="user:ada")
    assert inline.finish(operation).status == "succeeded"


def test_each_side_of_it_is_in_the_journal_once_with_who_and_why(inline: Inline, settings: Any) -> None:
    operation = inline.submit()
    for _ in range(2):
        pause()
    inline.run()
    standstill.halt(operation.pk, turn=fresh(operation).turn, now=timezone.now())
    for _ in range(2):
        fleet.release(actor="user:eve", reason="it was a toaster")
    inline.run()
    told = Event.objects.filter(kind__in=["fleet.paused", "fleet.released", "operation.paused", "operation.unpaused"])
    assert list(told.order_by("id").values_list("kind", "actor", "reason")) == [
        ("fleet.paused", "user:ada", "the host is on fire"),
        ("operation.paused", "user:ada", "the host is on fire"),
        ("fleet.released", "user:eve", "it was a toaster"),
        ("operation.unpaused", f"worker:{settings.HOST_NAME}", "the fleet is released"),
    ]
