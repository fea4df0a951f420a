"""A host goes away under an operation that has not ended: whatever it does at that moment, it goes on elsewhere."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import upkeep
from operations.coding import engine
from operations.models import Operation, PullRequest
from operations.submit import approve
from resources.models import Host
from tests.flows.inline import Inline

OTHER = "node-2"


def up_to(inline: Inline, operation: Operation, stage: str) -> None:
    """Run until the operation has come to the stage, whose message is lost with the host."""
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == stage)
    inline.queued()


def lose_the_host(inline: Inline, settings: Any) -> None:
    """This machine's host stops beating and its disk is gone; another one begins to lend."""
    Host.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=upkeep.PATIENCE * settings.HOST_TTL_S + 5))
    shutil.rmtree(Path(settings.DATA) / "vaults", ignore_errors=True)  # before ANALYZE there is none
    settings.HOST_NAME = OTHER
    inline.register_host()


def sweep(inline: Inline, operation: Operation) -> Operation:
    """What the sweep does in the long run: lost hosts are noticed, lost wake-ups sent again."""
    upkeep.fail_on_lost_hosts(now=timezone.now())
    return inline.run_pauses(operation)


@pytest.mark.parametrize("stage", ["analyze", "plan", "code", "test", "validate", "commit", "pr"])
@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "not noticed yet"])
def test_an_operation_goes_on_elsewhere_from_whatever_stage_its_host_was_lost_in(
    inline: Inline, settings: Any, stage: str, noticed: bool
) -> None:
    operation = inline.submit()
    up_to(inline, operation, stage)
    lose_the_host(inline, settings)
    if noticed:
        upkeep.fail_on_lost_hosts(now=timezone.now())

    inline.wake(operation)
    operation = sweep(inline, operation)

    assert operation.status == "succeeded", (operation.stage, operation.error)
    assert operation.agent.host.name == OTHER
    assert PullRequest.objects.count() == 1


def test_a_result_is_written_although_the_host_that_made_it_is_gone(inline: Inline, settings: Any) -> None:
    operation = inline.submit()
    up_to(inline, operation, "complete")
    lose_the_host(inline, settings)
    inline.wake(operation)
    assert sweep(inline, operation).status == "succeeded"


@pytest.mark.parametrize("approval", ["plan", "pull_request"])
def test_an_approval_reaches_an_operation_whose_host_was_lost_meanwhile(
    inline: Inline, settings: Any, approval: str
) -> None:
    operation = inline.finish(inline.submit(approval=approval))
    assert operation.attention["kind"] == "approval_required"
    lose_the_host(inline, settings)
    upkeep.fail_on_lost_hosts(now=timezone.now())
    approve(by=inline.user, operation_id=operation.pk)
    for _gate in range(2):  # what begins again is shown again
        operation = sweep(inline, operation)
        if operation.attention:
            approve(by=inline.user, operation_id=operation.pk)
    operation = sweep(inline, operation)
    assert operation.status == "succeeded", (operation.stage, operation.error)


def test_nothing_is_sent_to_a_host_that_is_lost(inline: Inline, settings: Any) -> None:
    operation = inline.submit()
    up_to(inline, operation, "code")
    first = settings.HOST_NAME
    lose_the_host(inline, settings)
    upkeep.fail_on_lost_hosts(now=timezone.now())
    sweep(inline, operation)
    settings.HOST_NAME = first
    assert inline.queued() == []


def test_a_stage_is_not_run_on_another_host_than_that_of_its_berth(inline: Inline, settings: Any) -> None:
    operation = inline.submit()
    up_to(inline, operation, "code")
    operation.refresh_from_db()
    settings.HOST_NAME = OTHER
    engine.run_stage(operation.pk, turn=operation.turn, worker=f"worker:{OTHER}")
    (fault,) = operation.steps.filter(outcome="fault")
    assert (fault.fault["code"], fault.action) == ("stage.interrupted", "retry")
