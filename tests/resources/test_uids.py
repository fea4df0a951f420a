"""User ids lent to berths: one owner each, from the operator's range."""

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
from django.test import Client
from django.utils import timezone

from agents import placement
from events.models import Event
from resources import leases, uid_traces, uids
from resources.models import Host, Lease
from resources.reasons import in_words
from resources.volumes import berths as volumes
from tests import factories
from tests.at_once import at_once
from tests.patience import eventually

NOW = timezone.now()
Start = Callable[..., subprocess.Popen[bytes]]


def reserve(host: Host, owner: str) -> Lease:
    return uids.reserve(host=host, owner=owner, generation=1, now=NOW, expires_at=NOW + timedelta(minutes=10))


@pytest.mark.django_db(transaction=True)
def test_askers_at_once_get_different_user_ids(settings: Any) -> None:
    settings.UID_RANGE = (210000, 210049)
    host = factories.host()
    taken = at_once([partial(reserve, host, f"agent:{n}") for n in range(50)])
    assert {getattr(lease, "key", lease) for lease in taken} == {str(number) for number in range(210000, 210050)}


@pytest.mark.django_db
def test_an_exhausted_range_says_so_and_what_rests(settings: Any) -> None:
    settings.UID_RANGE = (210000, 210000)
    host = factories.host()
    reserve(host, "agent:1")
    with pytest.raises(uids.UidsExhausted, match=r"210000-210000 of node-a$") as refused:
        reserve(host, "agent:2")
    assert "MOORAGE_UID_RANGE" in refused.value.remedy_text
    leases.release(owner="agent:1", actor="system", reason="left", now=NOW)
    with pytest.raises(uids.UidsExhausted, match="of node-a; 1 rest until nothing of their last holder is left"):
        reserve(host, "agent:2")


# --- lent again only when nothing of the last holder is left ----------------------------------------------------------


@pytest.fixture
def uid(settings: Any, data_directory: Path) -> int:
    """The only one of a range that no other test run on this machine uses."""
    only = 600_000 + os.getpid() % 100_000
    settings.UID_RANGE, settings.HOST_NAME = (only, only), "node-a"
    return only


@pytest.fixture
def start(uid: int) -> Iterator[Start]:
    """A process that sleeps as this user, in a session of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*argv: str, **wanted: Any) -> subprocess.Popen[bytes]:
        as_whom = {"user": uid, "group": uid, "extra_groups": [], **wanted}
        process = subprocess.Popen(argv or ("sleep", "300"), start_new_session=True, cwd="/", **as_whom)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait(30)


def why(host: Host) -> list[str]:
    return [row.detail["why"] for row in uids.resting(host)]


def leave(owner: str) -> None:
    leases.release(owner=owner, actor="system", reason="left", now=NOW)


@pytest.mark.django_db
@pytest.mark.needs_root
def test_a_berth_that_was_cleared_on_its_host_gives_a_clean_user_id_back_at_once(uid: int) -> None:
    host = factories.host()
    reserve(host, "agent:1")
    uids.vacate(owner="agent:1", now=NOW)
    leave("agent:1")
    assert (why(host), reserve(host, "agent:2").key) == ([], str(uid))


@pytest.mark.django_db
@pytest.mark.needs_root
def test_one_that_was_given_back_elsewhere_rests_until_its_host_has_looked(uid: int) -> None:
    host = factories.host()
    reserve(host, "agent:1")
    leave("agent:1")
    assert why(host) == ["its host has not looked yet"]
    assert uids.recheck_on("node-a", now=NOW) == 1
    assert Event.objects.filter(kind="host.capacity_freed", reason="user ids are clean").count() == 1
    assert reserve(host, "agent:2").key == str(uid)


@pytest.mark.django_db
@pytest.mark.needs_root
def test_what_still_runs_is_ended_when_the_berth_is_cleared(uid: int, start: Start) -> None:
    host = factories.host()
    reserve(host, "agent:1")
    process = start("sh", "-c", "sleep 300 & exec sleep 300")
    uids.vacate(owner="agent:1", now=NOW)
    assert process.wait(30) != 0
    leave("agent:1")
    assert reserve(host, "agent:2").key == str(uid)


@pytest.mark.django_db
@pytest.mark.needs_root
@pytest.mark.parametrize("hidden", ["in a pid namespace", "by its saved id alone", "not dumpable"])
def test_a_process_that_hides_keeps_its_user_id_from_everybody_until_it_ends(
    uid: int, start: Start, hidden: str
) -> None:
    """None of these is a stray that we may end: some are somebody's berth by the looks of it."""
    host = factories.host()
    reserve(host, "agent:1")
    drop = ("setpriv", f"--reuid={uid}", "--clear-groups")
    saved = f"import os, time; os.setresuid(0, 0, {uid}); time.sleep(300)"
    quiet = "import ctypes, time; ctypes.CDLL(None).prctl(4, 0); time.sleep(300)"
    process = {
        "in a pid namespace": lambda: start("unshare", "--pid", "--fork", *drop, "sleep", "300", user=0),
        "by its saved id alone": lambda: start(sys.executable, "-c", saved, user=0),
        "not dumpable": lambda: start("unshare", "--pid", "--fork", *drop, sys.executable, "-c", quiet, user=0),
    }[hidden]()
    eventually(lambda: uid_traces.found(range(uid, uid + 1)))
    uids.vacate(owner="agent:1", now=NOW)
    leave("agent:1")
    with pytest.raises(uids.UidsExhausted, match="1 rest until"):
        reserve(host, "agent:2")
    assert uids.recheck_on("node-a", now=NOW) == 0
    assert why(host) == ["1 process runs"]
    for child in (*psutil.Process(process.pid).children(), psutil.Process(process.pid)):
        child.kill()
    eventually(lambda: not uid_traces.found(range(uid, uid + 1)))
    assert uids.recheck_on("node-a", now=NOW) == 1
    assert reserve(host, "agent:2").key == str(uid)


@pytest.mark.django_db
@pytest.mark.needs_root
def test_a_workspace_or_a_volume_that_is_still_its_own_keeps_a_user_id_too(uid: int, data_directory: Path) -> None:
    host = factories.host()
    reserve(host, "agent:1")
    places = [data_directory / "workspaces" / "a-1", data_directory / "volumes" / "scratch" / "a-1" / "0"]
    for place in places:
        place.mkdir(parents=True)
        os.chown(place, uid, uid)
    uids.vacate(owner="agent:1", now=NOW)
    leave("agent:1")
    uids.recheck_on("node-a", now=NOW)
    assert why(host) == ["2 directories are its own"]
    places[0].rmdir()
    uids.recheck_on("node-a", now=NOW)
    assert why(host) == ["1 directory is its own"]
    places[1].rmdir()
    assert uids.recheck_on("node-a", now=NOW) == 1


@pytest.mark.django_db
@pytest.mark.needs_root
def test_kept_volumes_are_taken_back_from_whom_wrote_them(uid: int, data_directory: Path) -> None:
    host = factories.host()
    reserve(host, "agent:1")
    kept = volumes.kept_at("project-1-x")
    kept.mkdir(parents=True)
    (kept / "a").write_text("kept")
    for place in (kept, kept / "a"):
        os.chown(place, uid, uid)
    uids.recheck_on("node-a", now=NOW)
    assert kept.stat().st_uid == uid  # it is lent: somebody writes there
    uids.vacate(owner="agent:1", now=NOW)
    assert {place.stat().st_uid for place in (kept, kept / "a")} == {0}


@pytest.mark.django_db
@pytest.mark.needs_root
def test_one_that_a_stranger_uses_is_never_lent_and_the_screen_says_why(uid: int, start: Start) -> None:
    host = factories.host()
    start()
    uids.recheck_on("node-a", now=NOW)
    with pytest.raises(uids.UidsExhausted):
        reserve(host, "agent:1")
    client = Client()
    staff = factories.user("root", staff=True)
    staff.is_superuser = True
    staff.save()
    client.force_login(staff)
    page = client.get(f"/admin/resources/host/{host.pk}/change/").content.decode()
    for words in ("User ids that rest", str(uid), "1 process runs"):
        assert words in page


@pytest.mark.django_db
@pytest.mark.needs_root
def test_a_host_whose_user_ids_all_rest_takes_no_berth_and_says_why(uid: int, start: Start) -> None:
    host = factories.host()
    host.facts["uids"] = 1
    host.save()
    start()
    uids.recheck_on("node-a", now=NOW)
    agent = factories.agent()
    assert not placement.place(agent.pk, now=NOW)
    (reason,) = type(agent).objects.get(pk=agent.pk).blocked_by
    assert (reason["kind"], reason["needs"], reason["free"]) == ("uids", 1, 0)
    assert in_words(reason).startswith("node-a has no user id to lend")
