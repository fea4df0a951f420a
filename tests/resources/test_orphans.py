"""The orphan sweep removes only what is certainly ours and nobody's, on the second sighting."""

from __future__ import annotations

import os
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from resources import leases, orphans
from resources.models import Host, Lease
from tests import factories

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATER = NOW + orphans.GRACE
LONG_AGO = NOW - timedelta(days=1)


@pytest.fixture
def workspaces(data_directory: Path) -> Path:
    (data_directory / "workspaces").mkdir()
    return data_directory / "workspaces"


@pytest.fixture
def host() -> Host:
    """A host whose ledger is older than anything it sees."""
    made = factories.host()
    Host.objects.filter(pk=made.pk).update(created_at=LONG_AGO)
    return made


def workspace(root: Path, host: Host, *, released: bool) -> Path:
    """A directory with work in it, and what the ledger says of it."""
    path = root / f"{uuid.uuid4()}-2"
    path.mkdir()
    (path / "main.py").write_text("pass\n")
    owner = f"agent:{path.name[:36]}"
    leases.intend(
        host=host, kind=Lease.Kind.DIRECTORY, key=path.name, owner=owner, generation=2, now=NOW, expires_at=LATER
    ).save()
    if released:
        leases.release(owner=owner, actor="system", reason="left", now=NOW)
    return path


def sweep(now: datetime = NOW) -> orphans.Plan:
    return orphans.sweep(host_name="node-a", now=now)


def test_an_orphan_goes_at_the_second_sighting_after_the_grace(workspaces: Path, host: Host) -> None:
    orphan, lived_in = workspace(workspaces, host, released=True), workspace(workspaces, host, released=False)
    assert sweep(NOW) == orphans.Plan(())
    assert sweep(LATER - timedelta(seconds=1)) == orphans.Plan(())
    assert orphan.exists()
    assert sweep(LATER) == orphans.Plan((orphan.name,))
    assert not orphan.exists()
    assert (lived_in / "main.py").exists()
    assert sweep(LATER) == orphans.Plan(())


def test_strangers_are_left_alone_for_ever(workspaces: Path, host: Host) -> None:
    never_heard_of = workspaces / f"{uuid.uuid4()}-1"
    never_heard_of.mkdir()
    (workspaces / "notes").mkdir()
    (workspaces / f"{uuid.uuid4()}-2.bak").mkdir()
    (workspaces / f"{uuid.uuid4()}-3").write_text("a file")
    for when in (NOW, LATER, LATER + orphans.GRACE):
        assert sweep(when) == orphans.Plan(())
    assert len(list(workspaces.iterdir())) == 4


def test_a_link_in_the_place_of_a_workspace_is_not_followed(workspaces: Path, host: Host, tmp_path: Path) -> None:
    orphan = workspace(workspaces, host, released=True)
    precious = tmp_path / "precious"
    orphan.rename(precious)
    orphan.symlink_to(precious)
    for when in (NOW, LATER):
        assert sweep(when) == orphans.Plan(())
    assert (precious / "main.py").exists()


def test_what_another_host_released_is_a_stranger_here(workspaces: Path, host: Host) -> None:
    elsewhere = workspace(workspaces, factories.host("node-b"), released=True)
    sweep(NOW)
    assert sweep(LATER) == orphans.Plan(())
    assert elsewhere.exists()


def test_one_that_is_leased_again_between_two_sightings_starts_anew(workspaces: Path, host: Host) -> None:
    path = workspace(workspaces, host, released=True)
    sweep(NOW)
    again = leases.intend(
        host=host, kind=Lease.Kind.DIRECTORY, key=path.name, owner="agent:x", generation=2, now=NOW, expires_at=LATER
    )
    again.save()
    sweep(NOW + timedelta(seconds=1))
    leases.release(owner="agent:x", actor="system", reason="left", now=NOW)
    assert sweep(LATER) == orphans.Plan(())
    assert path.exists()


def test_a_ledger_younger_than_what_it_would_remove_is_not_believed(workspaces: Path, host: Host) -> None:
    orphan = workspace(workspaces, host, released=True)
    Host.objects.filter(pk=host.pk).update(created_at=timezone.now() + timedelta(minutes=1))
    sweep(NOW)
    assert sweep(LATER).refused == "the ledger is younger than what it would remove"
    assert orphan.exists()


def test_an_inhabitant_cannot_stop_the_sweep_by_dating_its_directory_back(workspaces: Path, host: Host) -> None:
    orphan = workspace(workspaces, host, released=True)
    os.utime(orphan, (0, 0))
    sweep(NOW)
    assert sweep(LATER) == orphans.Plan((orphan.name,))


def test_more_than_a_fifth_at_once_is_refused(workspaces: Path, host: Host) -> None:
    for _ in range(orphans.FEW + 1):
        workspace(workspaces, host, released=True)
    for _ in range(10):
        workspace(workspaces, host, released=False)
    sweep(NOW)
    refused = sweep(LATER)
    assert refused == orphans.Plan((), refused="4 of 14 workspaces at once is too many to be true")
    assert len(list(workspaces.iterdir())) == 14
    for _ in range(6):
        workspace(workspaces, host, released=False)
    assert len(sweep(LATER).remove) == 4, "a fifth of twenty is not too many"


def test_without_a_ledger_nothing_is_removed(workspaces: Path) -> None:
    (workspaces / f"{uuid.uuid4()}-1").mkdir()
    assert sweep(NOW).refused == "this host has no ledger"
