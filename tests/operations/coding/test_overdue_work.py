"""Kept work that retention should have dropped and did not is an orphan like any other."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from events.models import Event
from operations.coding import vault
from operations.models import Operation, Project, Stage
from resources import orphans
from resources.models import Orphan
from tests import factories

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATER = NOW + orphans.GRACE + timedelta(seconds=1)


@pytest.fixture
def project(settings: Any, data_directory: Path) -> Project:
    settings.KEEP_WORK_DAYS, settings.HOST_NAME = 30, "node-a"
    factories.host()
    return Project.objects.create(owner=factories.user(), name="x", repository_url="/nowhere", created_at=NOW)


def kept(project: Project, settings: Any, *, ended_days_ago: int) -> Operation:
    """An operation of which the vault keeps something."""
    store = vault.open_vault(root=Path(settings.DATA) / "vaults", project_id=project.pk)
    tree = subprocess.run(
        ["git", f"--git-dir={store.path}", "mktree"], input=b"", check=True, capture_output=True
    ).stdout.decode().strip()  # fmt: skip
    ended = NOW - timedelta(days=ended_days_ago)
    operation = Operation.objects.create(
        project=project, created_by=project.owner, requirements="x", stage=Stage.CODE,
        status=Operation.Status.CANCELLED, created_at=ended, completed_at=ended,
    )  # fmt: skip
    vault.preserve(vault=store, name=tree, operation_id=operation.pk, label="turn-1")
    return operation


def is_kept(operation: Operation) -> bool:
    store = vault.existing(operation.project_id)
    assert store is not None
    return bool(vault.refs(vault=store, operation_id=operation.pk))


def sweep() -> list[tuple[str, ...]]:
    plans = [orphans.sweep(host_name="node-a", now=when) for when in (NOW, LATER)]
    assert [plan.refused for plan in plans] == ["", ""]
    return [plan.remove for plan in plans]


def test_what_is_long_over_goes_at_the_second_sighting_and_all_else_stays(project: Project, settings: Any) -> None:
    old = kept(project, settings, ended_days_ago=33)
    just_over, fresh = (kept(project, settings, ended_days_ago=days) for days in (31, 1))
    assert sweep() == [(), (str(old.pk),)]
    assert [is_kept(operation) for operation in (old, just_over, fresh)] == [False, True, True]
    assert "its work's time is over" in Orphan.objects.get(kind="kept work").reason
    assert Event.objects.filter(kind="host.orphan_removed", data__name=str(old.pk)).exists()


def test_one_that_is_retried_in_between_keeps_its_work(project: Project, settings: Any) -> None:
    old = kept(project, settings, ended_days_ago=33)
    orphans.sweep(host_name="node-a", now=NOW)
    Operation.objects.filter(pk=old.pk).update(status=Operation.Status.RUNNING, completed_at=None)
    assert orphans.sweep(host_name="node-a", now=LATER).remove == ()
    assert is_kept(old)


def test_more_than_a_few_go_one_sweep_after_the_other_and_stop_no_sweep(project: Project, settings: Any) -> None:
    for _ in range(orphans.FEW + 1):
        kept(project, settings, ended_days_ago=40)
    assert [len(removed) for removed in sweep()] == [0, orphans.FEW]


def test_work_that_is_kept_for_ever_is_nobodys_orphan(project: Project, settings: Any) -> None:
    settings.KEEP_WORK_DAYS = 0
    old = kept(project, settings, ended_days_ago=1000)
    assert sweep() == [(), ()]
    assert is_kept(old)
