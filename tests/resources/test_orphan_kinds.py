"""The sweep on real containers, networks, volumes and processes: ours and nobody's go, all else stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import docker.errors
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from events.models import Event
from resources import hosts, leases, orphans
from resources.models import Host, Lease, Orphan
from resources.sandboxes import policy, selection
from resources.sandboxes.engine import engine
from resources.sandboxes.protocol import Profile, Sandbox, SandboxGone, Tier
from tests import factories
from tests.at_once import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.needs_docker]

ROOT = Path(__file__).resolve().parents[2]
NOW = timezone.now()
LATER = NOW + orphans.GRACE + timedelta(seconds=1)


@pytest.fixture
def host(settings: Any, data_directory: Path) -> Host:
    settings.HOST_NAME, settings.INSTALL_ID = "node-a", f"test-{uuid.uuid4()}"
    data_directory.chmod(0o711)
    (data_directory / "workspaces").mkdir(mode=0o711)
    made = factories.host()
    Host.objects.filter(pk=made.pk).update(created_at=NOW - timedelta(days=1))
    return Host.objects.get(pk=made.pk)


@pytest.fixture
def opened(settings: Any, host: Host) -> Iterator[list[Sandbox]]:
    boxes: list[Sandbox] = []
    yield boxes
    for box in boxes:
        box.close()


def container(settings: Any, host: Host, opened: list[Sandbox], *, ledger: str) -> str:
    """A real container; the ledger holds it, has given it back, or never heard of it. Returns its name."""
    key = f"{uuid.uuid4()}-1"
    owner = f"agent:{key[:-2]}"
    place = Path(settings.DATA) / "workspaces" / key
    place.mkdir(mode=0o755)
    if ledger != "unknown":
        leases.intend(
            host=host, kind=Lease.Kind.DIRECTORY, key=key, owner=owner, generation=1, now=NOW, expires_at=LATER
        ).save()
    profile = Profile(owner=owner, generation=1, workspace=place, memory_mb=64, install=settings.INSTALL_ID)
    opened.append(selection.open_sandbox(profile, minimum=Tier.CONTAINER, allow_bare=False))
    if ledger == "released":
        leases.release(owner=owner, actor="system", reason="left", now=NOW)
    return str(opened[-1].reference()["name"])


def runs(name: str) -> bool:
    with engine() as client:
        try:
            return bool(client.containers.get(name).status == "running")
        except docker.errors.NotFound:
            return False


def sweep(host: Host) -> list[orphans.Plan]:
    return [orphans.sweep(host_name=host.name, now=when) for when in (NOW, LATER)]


def test_a_released_container_goes_and_a_held_one_and_an_unknown_one_stay(
    settings: Any, host: Host, opened: list[Sandbox]
) -> None:
    released, held, unknown = (
        container(settings, host, opened, ledger=ledger) for ledger in ("released", "held", "unknown")
    )
    first, second = sweep(host)
    assert first == orphans.Plan(())
    assert released in second.remove
    assert (runs(released), runs(held), runs(unknown)) == (False, True, True)
    fates = dict(Orphan.objects.filter(kind="container").values_list("key", "fate"))
    assert fates == {released: Orphan.Fate.REMOVED, unknown: Orphan.Fate.KEPT}
    said = Event.objects.filter(topic=hosts.topic(host), kind="host.orphan_removed", data__name=released).get()
    assert "its berth was given back" in said.reason


def test_a_dry_run_tells_and_touches_nothing(settings: Any, host: Host, opened: list[Sandbox]) -> None:
    released = container(settings, host, opened, ledger="released")
    out = StringIO()
    call_command("orphans", "--dry-run", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert {"kind": "container", "name": released, "fate": "waits"}.items() <= told["found"][0].items()
    assert (told["removed"], told["dry_run"]) == ([], True)
    assert not Orphan.objects.exists()
    assert runs(released)


def test_the_command_sweeps_and_says_what_waits(settings: Any, host: Host, opened: list[Sandbox]) -> None:
    released = container(settings, host, opened, ledger="released")
    out = StringIO()
    call_command("orphans", stdout=out)
    assert released in out.getvalue()
    assert "Removed after its grace" in out.getvalue()
    assert Orphan.objects.filter(key=released, fate=Orphan.Fate.WAITS).exists()


def test_the_command_on_a_host_that_never_registered_says_so(settings: Any) -> None:
    settings.HOST_NAME = "nobody"
    with pytest.raises(CommandError, match="never registered"):
        call_command("orphans")


def test_the_command_on_a_database_that_lacks_migrations_says_how_to_migrate(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "MOORAGE_DATA": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "manage.py", "orphans", "--dry-run"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "migrations are missing" in ran.stderr
    assert "manage.py migrate" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_old_database_that_was_restored_removes_nothing_newer(
    settings: Any, host: Host, opened: list[Sandbox]
) -> None:
    """What was made after the copy is unknown to it; what it knows to be released may live again by now."""
    newer = [container(settings, host, opened, ledger="held") for _ in range(2)]
    Lease.objects.all().delete()
    assert [plan.remove for plan in sweep(host)] == [(), ()]
    assert all(map(runs, newer))
    again = container(settings, host, opened, ledger="released")
    Host.objects.filter(pk=host.pk).update(created_at=timezone.now() + timedelta(days=1))  # younger than all there is
    assert [plan.remove for plan in sweep(host)] == [(), ()]
    assert runs(again)
    assert "younger" in Orphan.objects.get(key=again).reason


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_remove_once_and_fail_never(settings: Any, host: Host, opened: list[Sandbox]) -> None:
    released = container(settings, host, opened, ledger="released")
    held = container(settings, host, opened, ledger="held")
    for when in (NOW, LATER):
        plans = at_once([partial(orphans.sweep, host_name=host.name, now=when) for _ in range(4)])
        assert all(isinstance(plan, orphans.Plan) for plan in plans), plans
    assert (runs(released), runs(held)) == (False, True)
    assert Orphan.objects.filter(kind="container", key=released, fate=Orphan.Fate.REMOVED).count() == 1


def test_clocks_that_differ_by_minutes_remove_nothing_early(settings: Any, host: Host, opened: list[Sandbox]) -> None:
    released = container(settings, host, opened, ledger="released")
    for minutes in (0, -7, 5, -30, 9):
        assert orphans.sweep(host_name=host.name, now=NOW + timedelta(minutes=minutes)).remove == ()
    assert runs(released)


def test_networks_and_volumes_with_our_label_are_judged_likewise(settings: Any, host: Host) -> None:
    key = f"{uuid.uuid4()}-1"
    owner = f"agent:{key[:-2]}"
    lease = leases.intend(
        host=host, kind=Lease.Kind.DIRECTORY, key=key, owner=owner, generation=1, now=NOW, expires_at=LATER
    )
    lease.save()
    leases.release(owner=owner, actor="system", reason="left", now=NOW)
    labels = {
        policy.INSTALL_LABEL: settings.INSTALL_ID, policy.OWNER_LABEL: owner, policy.GENERATION_LABEL: "1",
    }  # fmt: skip
    with engine() as client:
        ours = client.volumes.create(f"moorage-{key}", labels=labels)
        theirs = client.volumes.create(f"stranger-{key}", labels={**labels, policy.INSTALL_LABEL: "another"})
        try:
            assert sweep(host)[1].remove == (ours.name,)
            assert theirs.name in {volume.name for volume in client.volumes.list()}
        finally:
            theirs.remove()
    assert not Orphan.objects.filter(key=theirs.name).exists()


def test_staff_see_each_with_its_reason_and_others_do_not(settings: Any, host: Host, opened: list[Sandbox]) -> None:
    released = container(settings, host, opened, ledger="released")
    sweep(host)
    client = APIClient()
    client.force_authenticate(factories.user("root", staff=True))
    (row,) = [row for row in client.get("/api/v1/orphans/").json()["results"] if row["key"] == released]
    assert (row["fate"], row["host"], row["kind"]) == ("removed", "node-a", "container")
    client.force_authenticate(factories.user("ada"))
    assert client.get("/api/v1/orphans/").status_code == 403


def test_a_closed_one_is_gone(settings: Any, host: Host, opened: list[Sandbox]) -> None:
    container(settings, host, opened, ledger="released")
    sweep(host)
    with pytest.raises(SandboxGone):
        selection.adopt(opened[0].reference())
