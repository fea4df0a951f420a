"""Processes under lent user ids that outlived their berth: found, told from all others, and ended by the sweep."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from events.models import Event
from resources import hosts, leases, orphans, uids
from resources.models import Host, Lease, Orphan
from resources.sandboxes import strays
from tests import factories
from tests.patience import eventually

pytestmark = [pytest.mark.django_db, pytest.mark.needs_root]

NOW = timezone.now()
LATER = NOW + orphans.GRACE + timedelta(seconds=1)
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def uid(settings: Any, data_directory: Path) -> int:
    """The first of a range that no other test run on this machine uses."""
    first = 400_000 + os.getpid() % 100_000 * 10
    settings.UID_RANGE, settings.HOST_NAME = (first, first + 9), "node-a"
    return first


@pytest.fixture
def host(uid: int) -> Host:
    made = factories.host()
    Host.objects.filter(pk=made.pk).update(created_at=NOW - timedelta(days=1))
    return Host.objects.get(pk=made.pk)


@pytest.fixture
def start() -> Iterator[Start]:
    """A process that sleeps, as this user, in a session of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def run(uid: int, *argv: str) -> subprocess.Popen[bytes]:
        command = argv or ("sleep", "300")
        process = subprocess.Popen(command, user=uid, group=uid, extra_groups=[], start_new_session=True, cwd="/")
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.wait(30)


def lend(host: Host, uid: int, *, released: bool) -> None:
    owner = f"agent:{uid}"
    leases.intend(
        host=host, kind=Lease.Kind.UID, key=str(uid), owner=owner, generation=1, now=NOW, expires_at=LATER
    ).save()
    if released:
        leases.release(owner=owner, actor="system", reason="left", now=NOW)


def sweep() -> tuple[str, ...]:
    plans = [orphans.sweep(host_name="node-a", now=when) for when in (NOW, LATER)]
    assert plans[0] == orphans.Plan(())
    return plans[1].remove


def test_what_outlived_its_berth_goes_at_the_second_sighting(host: Host, uid: int, start: Start) -> None:
    escaped = start(uid, "sh", "-c", "sleep 300 & exec sleep 300")
    lend(host, uid, released=True)
    assert sweep() == (f"processes of uid {uid}",)
    assert escaped.wait(30) != 0
    assert strays.by_uid(range(uid, uid + 1)) == {}
    said = Event.objects.get(topic=hosts.topic(host), kind="host.orphan_removed")
    assert (said.data["what"], said.reason[:26]) == ("stray", "its berth was given back a")


def test_user_ids_that_are_lent_now_are_left_alone(host: Host, uid: int, start: Start) -> None:
    lend(host, uid, released=True)
    assert uids.recheck(host, now=NOW) == 1
    lend(host, uid, released=False)
    lives = start(uid)
    assert sweep() == ()
    assert lives.poll() is None
    assert not Orphan.objects.exists()


def test_a_user_id_that_another_host_of_the_machine_lends_is_left_alone(host: Host, uid: int, start: Start) -> None:
    lives = start(uid)
    lend(host, uid, released=True)
    lend(factories.host("node-b"), uid, released=False)
    assert sweep() == ()
    assert lives.poll() is None


def test_what_the_ledger_never_lent_is_listed_for_staff_and_left_alone(host: Host, uid: int, start: Start) -> None:
    stranger = start(uid)
    assert sweep() == ()
    assert stranger.poll() is None
    client = APIClient()
    client.force_authenticate(factories.user("root", staff=True))
    (row,) = client.get("/api/v1/orphans/").json()["results"]
    assert (row["kind"], row["key"], row["fate"]) == ("stray", f"processes of uid {uid}", "kept")
    assert "never heard" in row["reason"]


def test_what_lives_beneath_a_launcher_or_in_its_own_pid_namespace_is_no_stray(
    uid: int, tmp_path: Path, start: Start
) -> None:
    launcher = tmp_path / "launcher.py"
    program = f"import subprocess\nsubprocess.run(['sleep', '300'], user={uid}, group={uid}, extra_groups=[])\n"
    launcher.write_text(program)
    contained = start(0, "unshare", "--pid", "--fork", "setpriv", f"--reuid={uid}", "--clear-groups", "sleep", "300")
    above = start(0, sys.executable, str(launcher))
    for process in (contained, above):
        eventually(partial(_has_child_of, uid, process.pid))
    assert strays.by_uid(range(uid, uid + 1)) == {}
    above.kill()
    assert eventually(lambda: strays.by_uid(range(uid, uid + 1)))
    strays.end(uid)
    assert strays.by_uid(range(uid, uid + 1)) == {}
    assert contained.poll() is None


def _has_child_of(uid: int, pid: int) -> bool:
    return uid in [child.uids().real for child in psutil.Process(pid).children()]


def test_a_process_that_calls_itself_a_launcher_hides_nobody(uid: int, tmp_path: Path, start: Start) -> None:
    start(uid, "sh", "-c", "sleep 300 & wait", str(tmp_path / "launcher.py"))
    assert eventually(lambda: len(strays.by_uid(range(uid, uid + 1)).get(uid, [])) == 2)
