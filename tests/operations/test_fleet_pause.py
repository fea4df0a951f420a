"""The fleet breaker: nothing new begins while it is open, and everything goes on as it was afterwards."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from agents import lifecycle
from agents.models import Agent
from events.models import Event
from operations import snapshots, submit
from operations.coding import standstill
from operations.models import Operation
from resources import fleet
from tests.flows.fixtures import inline
from tests.flows.inline import Inline, left_held, stages

__all__ = ["inline"]


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
