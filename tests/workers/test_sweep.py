"""The sweep: what got lost is found, doing it twice changes nothing, and one broken duty does not stop the others."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from agents.models import Agent
from events.delivery import DeliveryFailed
from operations import faults, queues
from operations.coding import claims, engine, safekeeping
from operations.models import Operation
from resources.models import Lease, Tick
from tests.flows.fixtures import inline
from tests.flows.inline import Inline, left_held
from workers import routes
from workers.tasks import cleanup

__all__ = ["inline"]


def due_again() -> None:
    Tick.objects.all().delete()


def test_an_operation_whose_wake_up_was_lost_is_found_once_per_period(inline: Inline) -> None:
    operation = inline.submit()
    inline.queued()
    later = timezone.now() + timedelta(seconds=settings.REDISPATCH_S + 1)
    assert [found.pk for found in engine.overdue(now=later)] == [operation.pk]
    assert engine.overdue(now=later) == []
    even_later = later + timedelta(seconds=settings.REDISPATCH_S + 1)
    assert [found.pk for found in engine.overdue(now=even_later)] == [operation.pk]


def test_an_operation_is_not_overdue_before_its_time(inline: Inline) -> None:
    inline.submit()
    assert engine.overdue(now=timezone.now()) == []


def test_a_healthy_stage_is_never_sent_again_however_long_it_runs(inline: Inline) -> None:
    operation = inline.submit()
    claimed = claims.claim(operation.pk, turn=0, worker="worker:a", now=timezone.now())
    assert claimed is not None
    for hours in range(1, 4):
        now = timezone.now() + timedelta(hours=hours)
        Operation.objects.update(claimed_until=now + timedelta(seconds=settings.CLAIM_TTL_S))  # as its pulse does
        assert engine.overdue(now=now) == []
    assert [found.pk for found in engine.overdue(now=timezone.now() + timedelta(hours=9))] == [operation.pk]


def test_what_waits_for_a_person_or_has_ended_is_never_sent(inline: Inline) -> None:
    waiting = inline.finish(inline.submit(approval="plan"))
    finished = inline.finish(inline.submit())
    assert (waiting.status, finished.status) == ("waiting", "succeeded")
    assert engine.overdue(now=timezone.now() + timedelta(days=365)) == []


def test_an_operation_survives_that_every_message_of_its_is_lost(inline: Inline) -> None:
    """Only the sweep's own messages arrive."""
    operation = inline.submit()
    for _sweep in range(60):
        inline.queued()
        past = timezone.now() - timedelta(seconds=1)
        Operation.objects.filter(wake_up_at__isnull=False).update(wake_up_at=past)
        Agent.objects.filter(wake_up_at__isnull=False).update(wake_up_at=past)
        due_again()
        cleanup.sweep()
        for task, arguments in inline.queued():
            if task.startswith(("coding.run_stage", "agents.place", "agents.open", "agents.clear")):
                cleanup.sweep.app.tasks[task](**arguments)
                inline.queued()
        operation.refresh_from_db()
        if operation.status == "succeeded" and not left_held():
            break
    assert operation.status == "succeeded", (operation.stage, operation.error)
    assert left_held() == []


def test_sweeping_twice_does_each_duty_once(inline: Inline) -> None:
    cleanup.sweep()
    first = inline.queued()
    cleanup.sweep()
    assert inline.queued() == []
    sent = {task for task, _ in first}
    assert {"cleanup.orphans", "cleanup.tidy_vaults"} <= sent


def test_sweeping_over_and_over_changes_nothing_that_is_well(inline: Inline) -> None:
    inline.finish(inline.submit())
    before = list(Operation.objects.values()), Lease.objects.count()
    for _time in range(3):
        due_again()
        cleanup.sweep()
        inline.run()
    assert (list(Operation.objects.values()), Lease.objects.count()) == before


@pytest.mark.parametrize(
    "trouble",
    [OperationalError("locked"), InterfaceError("closed"), DeliveryFailed("away"), OSError(28, "full"),
     faults.NotPossibleNow("no")],
    ids=lambda trouble: type(trouble).__name__,
)  # fmt: skip
def test_a_duty_that_fails_does_not_stop_the_others(
    inline: Inline, trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def fail(_now: datetime) -> None:
        raise trouble

    table = (cleanup.Duty("broken", 1, fail), cleanup.Duty("sound", 1, lambda _now: done.append("sound")))
    with caplog.at_level(logging.WARNING):
        cleanup.perform(table, now=timezone.now())
    assert done == ["sound"]
    assert "duty failed" in caplog.text


def test_every_vault_is_tidied_and_a_broken_one_does_not_stop_the_others(
    inline: Inline, caplog: pytest.LogCaptureFixture
) -> None:
    inline.finish(inline.submit())
    inline.finish(inline.submit())
    vaults = sorted((settings.DATA / "vaults").glob("*.git"))
    (vaults[0] / "HEAD").unlink()
    with caplog.at_level(logging.WARNING):
        assert safekeeping.tidy_vaults(now=timezone.now()) == 1
    assert vaults[0].name in str([getattr(entry, "vault", "") for entry in caplog.records])
    assert list((vaults[1] / "objects" / "pack").glob("*.pack"))


def test_unfinished_work_is_kept_before_its_berth_is_cleared(inline: Inline) -> None:
    from operations.coding import vault
    from operations.submit import cancel

    operation = inline.submit()
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == "code")
    inline.queued()
    operation.refresh_from_db()
    workspace = next((settings.DATA / "workspaces").iterdir())
    (workspace / "tree" / "half.txt").write_text("half done\n")
    assert safekeeping.keep_work(operation.agent_id) is None, "while somebody works there nothing is taken"
    cancel(by=inline.user, operation_id=operation.pk)
    inline.run()
    store = vault.open_vault(root=settings.DATA / "vaults", project_id=operation.project_id)
    kept = vault.refs(vault=store, operation_id=operation.pk)
    assert any(label.startswith("unfinished-") for label in kept)
    assert left_held() == []


def test_a_berth_that_cannot_be_read_is_cleared_all_the_same(inline: Inline) -> None:
    from operations.submit import cancel

    operation = inline.submit()
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == "code")
    inline.queued()
    workspace = next((settings.DATA / "workspaces").iterdir())
    tree = workspace / "tree"
    tree.rename(workspace / "away")
    tree.symlink_to("/etc")
    cancel(by=inline.user, operation_id=operation.pk)
    inline.run()
    assert left_held() == []


def test_what_people_see_of_the_queue_adds_up(inline: Inline) -> None:
    def counts() -> tuple[int, int, int]:
        (status,) = queues.status(now=timezone.now())
        return status.total_operations, status.active_operations, status.waiting_operations

    assert counts() == (0, 0, 0)
    inline.submit()
    waiting: Any = inline.submit(approval="plan")
    assert counts() == (2, 0, 2)
    inline.run()
    waiting.refresh_from_db()
    assert counts() == (1, 0, 1)
    (status,) = queues.status(now=timezone.now())
    assert status.reasons == {"approval_required": 1}
    assert status.oldest_wait_s >= 0


def test_the_average_wait_is_over_all_that_wait_however_many(inline: Inline) -> None:
    project, now = inline.project(), timezone.now()
    waited = [100] * 200 + [0] * 50
    Operation.objects.bulk_create(
        Operation(project=project, requirements="x", created_by=inline.user, created_at=now - timedelta(seconds=each))
        for each in waited
    )
    (status,) = queues.status(now=now)
    assert (status.waiting_operations, status.average_wait_s, status.oldest_wait_s) == (250, 80.0, 100.0)


def test_what_a_host_is_asked_over_and_over_does_not_pile_up_behind_a_long_stage(inline: Inline) -> None:
    duties = [duty for duty in cleanup.DUTIES if duty.name in {"remove orphans", "tidy vaults"}]
    inline.queued()
    sent: dict[str, Any] = {}
    with current_app.connection_for_read() as connection:
        for duty in duties:
            duty.do(timezone.now())
            message = connection.default_channel.basic_get(routes.host_queue(settings.HOST_NAME), no_ack=True)
            sent[duty.name] = datetime.fromisoformat(str(message.headers["expires"]))
    for duty in duties:
        late = timezone.now() + timedelta(seconds=max(duty.every_s, settings.SWEEP_S) + 1)
        assert timezone.now() < sent[duty.name] < late, duty.name
