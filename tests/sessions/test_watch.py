"""A terminal that shows the work of an agent: anybody who may see the agent watches, and nobody types."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agents import lifecycle as agents_lifecycle
from agents.models import Agent
from config.access.models import Scope, issue
from resources.sandboxes.protocol import Command, Sandbox
from resources.transcripts import Transcribed, directory_of
from sessions import lifecycle, upkeep, visibility
from sessions.host import handover
from sessions.host.wire import LIVE_ONLY, Kind, Problem, Wish
from sessions.models import SessionHost, Terminal
from tests.sessions.conftest import DaemonProcess, eventually
from tests.sessions.viewer import Viewer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def work(sandbox: Sandbox, data: Path, settings: Any) -> Transcribed:
    """The sandbox as a stage has it, on the session host's data."""
    settings.DATA = data
    return Transcribed(sandbox, label="test")


@pytest.fixture
def watch(daemon: DaemonProcess, agent: Agent, user: Any) -> Terminal:
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user, kind=Terminal.Kind.WATCH)


def followers(sandbox: Sandbox) -> list[int]:
    """The processes that follow its transcript."""
    place = str(directory_of(Path(sandbox.reference()["profile"]["workspace"])))
    return [each.pid for each in psutil.process_iter(["cmdline"]) if place in (each.info["cmdline"] or [])]


def test_it_shows_the_work_as_it_happens_and_to_who_comes_late_from_the_start(
    daemon: DaemonProcess, watch: Terminal, work: Transcribed
) -> None:
    work.run(Command(argv=("echo", "before anybody came")))
    with Viewer(daemon.socket) as first, Viewer(daemon.socket) as late:
        first.open(watch)
        first.read_until(b"before anybody came\r\n")
        work.run(Command(argv=("sh", "-c", "echo amid; exit 4")))
        assert b"$ sh -c 'echo amid; exit 4'" in first.read_until(b"exit 4 after")
        late.attach(watch, offset=LIVE_ONLY)
        assert b"before anybody came\r\n" in late.read_until(b"exit 4 after")


def test_nobody_types_in_it(daemon: DaemonProcess, watch: Terminal, work: Transcribed, user: Any) -> None:
    assert not visibility.may_type(user, watch)
    assert visibility.rights_to(user, [watch.pk]) == {watch.pk: False}
    with Viewer(daemon.socket) as viewer:
        viewer.say(Kind.OPEN, watch.pk.bytes)
        viewer.hear_kind(Kind.OPEN)
        viewer.attach(watch, may_type=False)
        viewer.say(Kind.CONTROL, viewer.control_epoch, Wish.TAKE, 0)
        assert viewer.refused() == Problem.NOT_ALLOWED
        viewer.type(b"never\n")
        assert viewer.refused() == Problem.STALE_CONTROL
        work.run(Command(argv=("echo", "after")))
        assert b"never" not in viewer.read_until(b"after\r\n")


def test_it_closes_with_the_berth_and_what_follows_ends(
    daemon: DaemonProcess, watch: Terminal, work: Transcribed, agent: Agent, sandbox: Sandbox
) -> None:
    with Viewer(daemon.socket) as viewer:
        viewer.open(watch)
        assert followers(sandbox)
        agents_lifecycle.request_stop(agent.pk, actor="test", reason="the work is done")
        viewer.hear_kind(Kind.EXIT)
    eventually(lambda: Terminal.objects.filter(pk=watch.pk, state="closed").exists())
    eventually(lambda: not followers(sandbox))


def test_an_upgrade_of_the_session_host_takes_nothing_from_it(
    daemon: DaemonProcess, watch: Terminal, work: Transcribed
) -> None:
    work.run(Command(argv=("echo", "before it")))
    with Viewer(daemon.socket) as viewer:
        viewer.open(watch)
        viewer.read_until(b"before it\r\n")
    handover.request(daemon.socket)
    work.run(Command(argv=("echo", "behind it")))
    with Viewer(daemon.socket) as viewer:
        viewer.attach(watch, offset=LIVE_ONLY)
        seen = viewer.read_until(b"behind it\r\n")
    assert seen.count(b"before it\r\n") == 1


def test_what_follows_does_not_outlive_its_session_host(
    daemon: DaemonProcess, watch: Terminal, work: Transcribed, user: Any, agent: Agent, sandbox: Sandbox
) -> None:
    with Viewer(daemon.socket) as viewer:
        viewer.open(watch)
    assert followers(sandbox)
    daemon.signal(signal.SIGKILL)
    eventually(lambda: not followers(sandbox))
    daemon.start()
    eventually(lambda: Terminal.objects.filter(pk=watch.pk, state="lost").exists())
    work.run(Command(argv=("echo", "still told")))
    again = lifecycle.request_open(agent_id=agent.pk, by=user, kind=Terminal.Kind.WATCH)
    with Viewer(daemon.socket) as viewer:
        viewer.open(again)
        viewer.read_until(b"still told\r\n")


def test_there_is_one_of_an_agent_it_keeps_no_idle_agent_and_is_not_counted_as_a_shell(
    host: Any, agent: Agent, user: Any, stranger: Any, settings: Any, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = tmp_path
    now = timezone.now()
    SessionHost.objects.create(host=host, epoch="1", socket=str(tmp_path / "absent"), heartbeat_at=now)

    def post(who: Any) -> Any:
        http = Client(headers={"Authorization": f"Bearer {issue(user=who, scope=Scope.WRITE)}"})
        document = {"agent_id": str(agent.pk), "kind": "watch"}
        return http.post("/api/v1/sessions/", document, content_type="application/json")

    first = post(user)
    assert (first.status_code, first.json()["kind"], first.json()["title"]) == (202, "watch", "the work of skipper")
    stranger.is_staff = True
    stranger.save()
    assert post(stranger).json()["id"] == first.json()["id"]
    assert upkeep.agents_attended() == set()
    for _ in range(lifecycle.MOST_PER_AGENT):
        lifecycle.request_open(agent_id=agent.pk, by=user)
    assert upkeep.agents_attended() == {agent.pk}
    stranger.is_staff = False
    stranger.save()
    assert post(stranger).status_code == 404


def test_the_button_of_the_console_leads_to_the_one_that_is_open(
    host: Any, agent: Agent, user: Any, tmp_path: Path, settings: Any
) -> None:
    settings.STATIC_ROOT = tmp_path
    SessionHost.objects.create(host=host, epoch="1", socket=str(tmp_path / "absent"), heartbeat_at=timezone.now())
    user.is_staff = user.is_superuser = True
    user.save()
    browser = Client()
    browser.force_login(user)
    address = reverse("admin:terminals_terminal_open", args=[agent.pk])
    answers = [browser.post(address, {"watch": "1"}) for _ in range(2)]
    watch = Terminal.objects.get()
    assert watch.kind == "watch"
    page = reverse("admin:terminals_terminal_change", args=[watch.pk])
    assert [(answer.status_code, answer["Location"]) for answer in answers] == [(302, page)] * 2
