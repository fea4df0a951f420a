"""Berths: opened once, given back entirely when opening fails or is cut short, cleared before they are released."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import berths, health, lifecycle, placement, upkeep
from agents.models import Agent, State
from events.models import Event
from resources import hosts, leases, orphans
from resources.models import Host, Lease
from resources.sandboxes import selection
from resources.sandboxes.protocol import Command, SandboxGone, Tier
from resources.workspaces import create, lease_of, offer
from tests import factories
from tests.at_once import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.needs_landlock]

WORKER = "worker:node-a"
NOW = timezone.now()


@pytest.fixture(autouse=True)
def landlock(settings: Any, data_directory: Path) -> Iterator[None]:
    """Every berth of these tests is opened in the tier that needs nothing installed, and closed at the end."""
    settings.ISOLATION = "landlock"
    data_directory.chmod(0o711)
    yield
    for agent in Agent.objects.exclude(sandbox=None):
        try:
            selection.adopt(agent.sandbox or {}).close()
        except SandboxGone:
            continue


def loaded(agent: Agent) -> Agent:
    return Agent.objects.select_related("host").get(pk=agent.pk)


def opened(template: str = "lightweight") -> Agent:
    agent = factories.placed(template)
    berths.open_berth(agent.pk, generation=agent.generation, worker=WORKER)
    agent = loaded(agent)
    assert agent.state == State.RUNNING, agent.error
    return agent


def open_it(agent: Agent) -> None:
    berths.open_berth(agent.pk, generation=agent.generation, worker=WORKER)


def clear(agent: Agent) -> None:
    berths.clear_berth(agent.pk, generation=loaded(agent).generation, worker=WORKER)


def workspaces(settings: Any) -> list[Path]:
    root = Path(settings.DATA) / "workspaces"
    return sorted(root.iterdir()) if root.is_dir() else []


def kinds(agent: Agent) -> list[str]:
    return list(Event.objects.filter(topic=agent.topic).order_by("seq").values_list("kind", flat=True))


def nothing_is_left_of(agent: Agent, settings: Any) -> bool:
    return not leases.live(owner=agent.owner) and not workspaces(settings)


# --- the good way -----------------------------------------------------------------------------------------------------


def test_an_opened_berth_runs_commands_says_its_tier_and_holds_its_leases(settings: Any) -> None:
    factories.host()
    agent = opened("python-web")
    assert (agent.tier, agent.claimed_until, agent.wake_up_at) == (Tier.LANDLOCK, None, None)
    held = {(lease.kind, lease.name): lease for lease in leases.live(owner=agent.owner)}
    assert {lease.state for lease in held.values()} == {Lease.State.HELD}
    wanted = {"slot", "memory", "cpu", "disk", "port", "directory", "process"} | (
        {"uid"} if os.geteuid() == 0 else set()
    )
    assert {kind for kind, _ in held} == wanted
    port = held["port", "web"].key
    assert agent.sandbox is not None
    outcome = selection.adopt(agent.sandbox).run(Command(argv=("sh", "-c", "echo $PORT_WEB $PORT; pwd")))
    assert outcome.text().split() == [port, port, str(workspaces(settings)[0])]
    assert health.judge(agent, health.facts_of(agent), now=timezone.now()).verdict is health.Verdict.IDLE
    assert kinds(agent) == ["agent.spawn_requested", "agent.placed", "agent.running"]


def test_two_berths_have_nothing_in_common(settings: Any) -> None:
    factories.host()
    first, second = opened("python-web"), opened("python-web")
    for kind in (Lease.Kind.PORT, Lease.Kind.DIRECTORY, Lease.Kind.PROCESS, Lease.Kind.UID):
        keys = [{lease.key for lease in leases.live(owner=agent.owner, kind=kind)} for agent in (first, second)]
        assert not keys[0] & keys[1]
    assert len(workspaces(settings)) == 2


def test_the_sandbox_is_told_the_leased_user_id_and_the_install(settings: Any) -> None:
    factories.host()
    agent = opened()
    uid = [int(lease.key) for lease in leases.live(owner=agent.owner, kind=Lease.Kind.UID)]
    assert len(uid) == (1 if os.geteuid() == 0 else 0)
    assert all(settings.UID_RANGE[0] <= number <= settings.UID_RANGE[1] for number in uid)
    assert agent.sandbox is not None
    assert agent.sandbox["profile"]["install"] == settings.INSTALL_ID
    assert len(settings.INSTALL_ID) > 20


def test_leaving_clears_everything_and_twice_is_fine(settings: Any) -> None:
    host = factories.host()
    agent = opened("python-web")
    reference = agent.sandbox
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="enough")
    clear(agent)
    clear(agent)
    gone = loaded(agent)
    assert (gone.state, gone.sandbox, gone.wake_up_at) == (State.STOPPED, None, None)
    assert nothing_is_left_of(agent, settings)
    assert hosts.usage(host) == hosts.Usage(0, 0, 0, 0, 0)
    assert reference is not None
    with pytest.raises(SandboxGone):
        selection.adopt(reference)
    assert kinds(agent)[-2:] == ["agent.stop_requested", "agent.stopped"]


# --- stop at any time -------------------------------------------------------------------------------------------------


def test_one_without_a_host_leaves_at_once(settings: Any) -> None:
    agent = factories.agent()
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="")
    clear(agent)
    assert loaded(agent).state == State.STOPPED


def test_one_that_was_only_placed_leaves_its_reservations(settings: Any) -> None:
    factories.host()
    agent = factories.placed("python-web")
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="")
    clear(agent)
    assert loaded(agent).state == State.STOPPED
    assert nothing_is_left_of(agent, settings)


def test_a_late_order_to_open_or_clear_an_older_generation_is_ignored(settings: Any) -> None:
    factories.host()
    agent = opened()
    berths.open_berth(agent.pk, generation=1, worker=WORKER)
    berths.clear_berth(agent.pk, generation=1, worker=WORKER)
    berths.clear_berth(agent.pk, generation=agent.generation, worker=WORKER)
    assert loaded(agent).state == State.RUNNING
    assert len(workspaces(settings)) == 1


# --- opening fails ----------------------------------------------------------------------------------------------------


def isolation_is_missing(settings: Any) -> str:
    settings.ISOLATION = "bare"
    return "isolation.unavailable"


def workspaces_cannot_be_written(settings: Any) -> str:
    (Path(settings.DATA) / "workspaces").write_text("a file where the directory belongs")
    return "sandbox.failed"


def template_broke_after_the_request(settings: Any) -> str:
    settings.TEMPLATE_DIRECTORIES = [Path(settings.DATA) / "no-templates"]
    return "template.not_found"


def user_ids_ran_out(settings: Any) -> str:
    settings.UID_RANGE = (210000, 210000)
    host = Host.objects.get()
    Lease.objects.create(
        host=host, kind=Lease.Kind.UID, key="210000", owner="agent:other", generation=1, created_at=NOW, expires_at=NOW
    )
    return "uids.exhausted"


FAILURES: list[Callable[[Any], str]] = [
    isolation_is_missing, workspaces_cannot_be_written, template_broke_after_the_request,
    *([user_ids_ran_out] if os.geteuid() == 0 else []),
]  # fmt: skip


@pytest.mark.parametrize("prepare", FAILURES, ids=lambda prepare: prepare.__name__)
def test_a_failed_opening_gives_back_all_it_took_says_why_and_can_be_retried(
    prepare: Callable[[Any], str], settings: Any
) -> None:
    given = {name: getattr(settings, name) for name in ("ISOLATION", "TEMPLATE_DIRECTORIES", "UID_RANGE")}
    host = factories.host()
    agent = factories.placed("python-web")
    code = prepare(settings)
    open_it(agent)
    failed = loaded(agent)
    assert failed.state == State.ERROR
    assert failed.error is not None
    assert failed.error["code"] == code
    assert failed.error["detail"]
    assert "None" not in failed.error["detail"]
    root = Path(settings.DATA) / "workspaces"
    if root.is_file():
        root.unlink()
    clear(agent)
    assert nothing_is_left_of(agent, settings)
    assert hosts.usage(host).slots == 0
    assert kinds(agent)[-2:] == ["agent.failed", "agent.cleared"]
    for name, value in given.items():
        setattr(settings, name, value)
    Lease.objects.filter(owner="agent:other").delete()
    lifecycle.retry(agent.pk, actor="user:ada", reason="mended")
    assert placement.place(agent.pk, now=timezone.now())
    open_it(loaded(agent))
    assert loaded(agent).state == State.RUNNING


def test_a_failed_one_can_be_stopped_before_and_after_it_was_cleared(settings: Any) -> None:
    factories.host()
    for cleared_first in (True, False):
        agent = factories.placed()
        settings.ISOLATION = "bare"
        open_it(agent)
        if cleared_first:
            clear(agent)
        lifecycle.request_stop(agent.pk, actor="user:ada", reason="")
        clear(agent)
        assert loaded(agent).state == State.STOPPED
        assert nothing_is_left_of(agent, settings)


# --- cut short: the halves of opening, and what comes after a kill between them ---------------------------------------


def test_an_opener_killed_before_its_sandbox_is_followed_by_one_that_starts_clean(settings: Any) -> None:
    factories.host()
    agent = factories.placed("python-web")
    killed = berths._claim(agent.pk, generation=1, state=State.SPAWNING)
    assert killed is not None
    leftover = berths.workspace_of(agent, generation=1)
    limit_mb = berths._intend_workspace(killed, leftover, offer())
    create(leftover, limit_mb=limit_mb, kind=offer().kind)
    (leftover / "half").write_text("written")
    open_it(agent)
    assert loaded(agent).state == State.SPAWNING, "its claim still lives"
    Agent.objects.filter(pk=agent.pk).update(claimed_until=NOW - timedelta(seconds=1))
    open_it(agent)
    assert loaded(agent).state == State.RUNNING
    assert not (leftover / "half").exists()
    kinds_held = [lease.kind for lease in leases.live(owner=agent.owner)]
    assert len(kinds_held) == len(set(kinds_held)), "nothing was taken twice"


@pytest.mark.needs_loop_devices
def test_an_image_that_cannot_be_made_is_no_reason_for_no_berth(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offer().kind == "image", "this host has made one before"
    (tmp_path / "mkfs.ext4").write_text("#!/bin/sh\necho no room >&2; exit 1\n")
    (tmp_path / "mkfs.ext4").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    factories.host()
    agent = factories.placed()
    open_it(agent)
    assert loaded(agent).state == State.RUNNING
    lease = lease_of(agent.owner)
    assert lease is not None
    assert (lease.detail["kind"], "no room" in lease.detail["reason"]) == ("directory", True)
    assert loaded(agent).tier_note.startswith("Disk is counted, not bounded.")


def test_an_opener_killed_after_its_sandbox_is_followed_by_one_that_makes_it_anew(settings: Any) -> None:
    factories.host()
    agent = factories.placed("python-web")
    killed = berths._claim(agent.pk, generation=1, state=State.SPAWNING)
    assert killed is not None
    berths._open(killed)
    Agent.objects.filter(pk=agent.pk).update(claimed_until=NOW - timedelta(seconds=1))
    open_it(agent)
    running = loaded(agent)
    assert running.state == State.RUNNING
    assert running.sandbox is not None
    assert selection.adopt(running.sandbox).run(Command(argv=("true",))).ok
    kinds_held = [lease.kind for lease in leases.live(owner=agent.owner)]
    assert len(kinds_held) == len(set(kinds_held))


def test_one_that_is_stopped_while_its_berth_is_opened_leaves_nothing_behind(settings: Any) -> None:
    factories.host()
    agent = factories.placed()
    opener = berths._claim(agent.pk, generation=1, state=State.SPAWNING)
    assert opener is not None
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="changed my mind")
    clear(agent)
    assert loaded(agent).state == State.STOPPED
    sandbox = berths._open(opener)  # takes a directory and a process lease after everything was released
    with pytest.raises(lifecycle.faults.StaleGeneration):
        berths._running(opener, sandbox, generation=1, worker=WORKER)
    berths._abandon(opener, sandbox, worker=WORKER)
    assert nothing_is_left_of(agent, settings)
    assert not sandbox.alive()
    assert loaded(agent).state == State.STOPPED


def test_a_slow_opener_does_not_take_the_berth_of_the_one_that_followed_it(settings: Any) -> None:
    factories.host()
    agent = factories.placed()
    slow = berths._claim(agent.pk, generation=1, state=State.SPAWNING)
    assert slow is not None
    Agent.objects.filter(pk=agent.pk).update(claimed_until=NOW - timedelta(seconds=1))
    open_it(agent)
    sandbox = selection.adopt(loaded(agent).sandbox or {})
    with pytest.raises(lifecycle.faults.StaleGeneration):
        berths._running(slow, sandbox, generation=1, worker=WORKER)
    berths._abandon(slow, sandbox, worker=WORKER)
    assert sandbox.run(Command(argv=("true",))).ok
    assert loaded(agent).state == State.RUNNING
    assert len(workspaces(settings)) == 1


def test_a_slow_opener_whose_claim_was_taken_over_does_not_finish_for_the_other(settings: Any) -> None:
    factories.host()
    agent = factories.placed()
    slow = berths._claim(agent.pk, generation=1, state=State.SPAWNING)
    assert slow is not None
    Agent.objects.filter(pk=agent.pk).update(claimed_until=NOW - timedelta(seconds=1))
    follower = berths._claim(agent.pk, generation=1, state=State.SPAWNING)
    assert follower is not None
    sandbox = berths._open(follower)
    with pytest.raises(lifecycle.faults.StaleGeneration):
        berths._running(slow, sandbox, generation=1, worker=WORKER)
    berths._abandon(slow, sandbox, worker=WORKER)
    berths._running(follower, sandbox, generation=1, worker=WORKER)
    assert loaded(agent).state == State.RUNNING
    assert sandbox.run(Command(argv=("true",))).ok


@pytest.mark.django_db(transaction=True)
def test_opening_at_once_opens_once(settings: Any) -> None:
    factories.host()
    agent = factories.placed("python-web")
    assert at_once([partial(open_it, agent) for _ in range(6)]) == [None] * 6
    assert loaded(agent).state == State.RUNNING
    assert kinds(agent).count("agent.running") == 1
    assert len(workspaces(settings)) == 1
    held = [lease.kind for lease in leases.live(owner=agent.owner)]
    assert len(held) == len(set(held))


@pytest.mark.django_db(transaction=True)
def test_stopping_while_it_is_opened_ends_without_a_trace_whoever_wins(settings: Any) -> None:
    factories.host()
    for _ in range(6):
        agent = factories.placed("python-web")

        def stop_and_clear(agent: Agent = agent) -> None:
            lifecycle.request_stop(agent.pk, actor="user:ada", reason="")
            clear(agent)

        doings: list[Callable[[], None]] = [partial(open_it, agent), stop_and_clear]
        assert at_once(doings) == [None, None]
        assert loaded(agent).state == State.STOPPED
        assert nothing_is_left_of(agent, settings)


@pytest.mark.django_db(transaction=True)
def test_clearing_at_once_clears_once(settings: Any) -> None:
    factories.host()
    agent = opened()
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="")
    assert at_once([partial(clear, agent) for _ in range(6)]) == [None] * 6
    assert loaded(agent).state == State.STOPPED
    assert kinds(agent).count("agent.stopped") == 1


@pytest.mark.needs_bubblewrap
def test_where_the_service_is_root_each_berth_runs_as_the_user_id_it_leased(settings: Any) -> None:
    settings.ISOLATION = "process"
    factories.host()
    agents = [opened(), opened()]
    inside = [selection.adopt(agent.sandbox or {}).run(Command(argv=("id", "-u"))).text().strip() for agent in agents]
    if os.geteuid() == 0:
        leased = [leases.live(owner=agent.owner, kind=Lease.Kind.UID)[0].key for agent in agents]
        assert inside == leased
        assert len(set(inside)) == 2
    else:
        assert inside == [str(os.geteuid())] * 2


@pytest.mark.parametrize(
    "tier",
    [
        pytest.param("landlock", marks=pytest.mark.needs_landlock),
        pytest.param("process", marks=pytest.mark.needs_bubblewrap),
        pytest.param("container", marks=pytest.mark.needs_docker),
    ],
)
def test_a_host_that_returns_after_it_was_written_off_ends_what_still_runs_there(tier: str, settings: Any) -> None:
    settings.ISOLATION = tier
    host = factories.host(tiers=[Tier(tier)])
    Host.objects.filter(pk=host.pk).update(created_at=NOW - timedelta(days=1))
    agent = opened()
    assert agent.sandbox is not None
    sandbox = selection.adopt(agent.sandbox)
    pid, terminal = sandbox.spawn_pty(Command(argv=("sleep", "1000")), columns=80, rows=24)
    try:
        assert runs(pid)
        lifecycle.request_stop(agent.pk, actor="user:ada", reason="")
        Host.objects.filter(pk=host.pk).update(heartbeat_at=NOW - timedelta(days=1))
        assert upkeep.write_off(now=NOW) == 1
        assert runs(pid), "nobody was there to end it"
        factories.host(tiers=[Tier(tier)])
        for when in (NOW, NOW + orphans.GRACE):
            orphans.sweep(host_name="node-a", now=when)
        assert workspaces(settings) == []
        assert not runs(pid)
        assert not sandbox.alive()
    finally:
        os.close(terminal)


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
