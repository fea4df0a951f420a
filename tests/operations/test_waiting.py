"""Whatever waits says why, and what a person is needed for is said in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from agents import upkeep
from operations import snapshots
from operations.coding import engine
from operations.coding.context import Context, Outcome
from operations.coding.git_faults import Unreachable
from operations.models import Operation, Stage
from resources import hosts
from resources.models import Host
from tests.flows.fixtures import inline
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import BREAK, PROJECT, make

__all__ = ["inline"]


def fresh(operation: Operation) -> Operation:
    return Operation.objects.select_related("project", "agent__host").get(pk=operation.pk)


def kinds(operation: Operation) -> list[str]:
    return [reason["kind"] for reason in snapshots.blocked_by(fresh(operation))]


def test_a_request_that_nobody_took_yet_waits_for_a_worker(inline: Inline) -> None:
    assert kinds(inline.submit()) == ["worker"]


def test_operations_without_room_say_what_they_lack_and_stand_in_line(inline: Inline) -> None:
    inline.register_host(memory_mb=10)
    first, second = inline.submit(), inline.submit()
    inline.run()
    (reason,) = snapshots.blocked_by(fresh(first))
    assert (reason["kind"], reason["free_mb"]) == ("memory", 10)
    assert reason["needs_mb"] > 10
    assert [snapshots.queue_position(fresh(each)) for each in (first, second)] == [1, 2]
    inline.register_host()
    for operation in (first, second):
        assert inline.finish(operation).status == "succeeded"
    assert left_held() == []


def test_an_urgent_operation_stands_before_the_others(inline: Inline) -> None:
    inline.register_host(slots=0)
    usual, urgent = inline.submit(), inline.submit(priority=2)
    inline.run()
    assert [snapshots.queue_position(fresh(each)) for each in (usual, urgent)] == [2, 1]


def test_a_pause_before_a_retry_says_until_when(inline: Inline) -> None:
    def unreachable(_context: Context) -> Outcome:
        raise Unreachable("the line is cut")

    remote = make(inline.roots / "r.git", PROJECT)
    operation = inline.submit(inline.project(remote))
    inline.run(until=lambda: fresh(operation).stage == "pr")
    inline.queued()
    turn = fresh(operation).turn
    engine.run_stage(operation.pk, turn=turn, worker="worker:a", stages={Stage.PR: unreachable})

    waiting = fresh(operation)
    assert (waiting.status, waiting.retry_strategy) == ("waiting", "fresh_clone")
    assert waiting.wake_up_at is not None
    assert snapshots.blocked_by(waiting) == [
        {"kind": "retry_pause", "until": waiting.wake_up_at.isoformat(), "strategy": "fresh_clone"}
    ]
    assert inline.queued() == [], "the sweep wakes it when the pause is over"
    assert inline.run_pauses(operation).status == "succeeded"


def test_a_failed_operation_asks_for_a_person_with_its_reason(inline: Inline) -> None:
    operation = fresh(inline.finish(inline.submit(requirements=BREAK)))
    attention = snapshots.attention(operation)
    assert attention["kind"] == "error"
    assert "test_add" in attention["reason"]
    assert attention["since"]
    assert snapshots.blocked_by(operation) == []


def test_progress_only_grows_on_the_way_and_ends_at_one(inline: Inline) -> None:
    operation = inline.submit()
    seen = [fresh(operation).progress]

    def look() -> bool:
        seen.append(fresh(operation).progress)
        return False

    inline.run(until=look)
    assert seen == sorted(seen)
    assert (seen[0], fresh(operation).progress) == (0.0, 1.0)


def test_an_operation_on_a_host_that_went_silent_moves_to_one_that_lives(inline: Inline, settings: Any) -> None:
    operation = inline.submit()
    inline.run(until=lambda: fresh(operation).stage == "code")
    inline.queued()
    inline.beats = False
    silent = timezone.now() - timedelta(seconds=upkeep.PATIENCE * settings.HOST_TTL_S + 5)
    Host.objects.update(heartbeat_at=silent)
    assert upkeep.fail_on_lost_hosts(now=timezone.now()) == 1
    inline.run(until=lambda: kinds(operation) == ["host_lost"])
    assert kinds(operation) == ["host_lost"]
    assert "agents.clear_berth" not in {task for task, _ in inline.ran}, "nothing is sent to a silent host"
    hosts.beat(name=settings.HOST_NAME, facts=Host.objects.get().facts, now=timezone.now())
    inline.run_task("agents.place_waiting", {})
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert stages(operation).count(("code", "done")) == 1
    (fault,) = operation.steps.filter(outcome="fault")
    assert (fault.fault["code"], fault.action) == ("agent.berth_lost", "recreate_environment")
