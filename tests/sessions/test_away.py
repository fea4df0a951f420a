"""kill -9 of the session host: what is kept goes on under the next one, what is not is said to be lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.models import Agent
from resources.sandboxes import selection
from resources.sandboxes.protocol import Profile, Sandbox, Tier
from sessions import lifecycle
from sessions.host.wire import Kind
from sessions.models import SessionHost, Terminal
from tests.sessions.conftest import DaemonProcess, eventually
from tests.sessions.test_daemon import running
from tests.sessions.viewer import Viewer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(
    params=[
        Tier.BARE,
        pytest.param(Tier.PROCESS, marks=pytest.mark.needs_bubblewrap),
        pytest.param(Tier.CONTAINER, marks=pytest.mark.needs_docker),
    ]
)
def sandbox(data: Path, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    workspace = data / "workspace"
    workspace.mkdir()
    profile = Profile(owner=f"agent:{os.getpid()}", generation=1, workspace=workspace, image="moorage/sandbox:latest")
    opened = selection.open_sandbox(profile, minimum=Tier.BARE, allow_bare=True, prefer=request.param)
    assert opened.tier == request.param
    yield opened
    opened.close()


def asked(agent: Agent, user: Any) -> Terminal:
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user, title="work", columns=91, rows=33, recording="output")


def keepers_of(daemon: DaemonProcess) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "ppid"])
        if process.info["ppid"] == daemon.pid and any("stand_in.py" in word for word in process.info["cmdline"] or [])
    ]


def test_terminal_goes_on_under_the_next_session_host_and_says_what_may_be_missing(
    daemon: DaemonProcess, agent: Agent, user: Any
) -> None:
    terminal = asked(agent, user)
    mark = f"75.{os.getpid()}"
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(f"word=kept; sleep {mark} & echo be''fore\n".encode())
        viewer.read_until(b"before\r\n")
        before = viewer.attach(terminal, channel=2)[1]
        epoch = SessionHost.objects.get().epoch
        daemon.signal(signal.SIGKILL)
    assert Terminal.objects.get(pk=terminal.pk).state == "live"
    daemon.start()
    eventually(lambda: SessionHost.objects.exclude(epoch=epoch).exists())
    with Viewer(daemon.socket) as viewer:
        viewer.open(asked(agent, user), channel=2)  # so the new one has looked at all its terminals meanwhile
        viewer.say(Kind.OPEN, terminal.pk.bytes)
        viewer.hear_kind(Kind.OPEN)
        start, head, *_ = viewer.attach(terminal, offset=before)
        assert start >= before
        assert head >= before
        assert b"may be missing" in viewer.hear_kind(Kind.NOTICE)[0]
        viewer.take_control()
        viewer.type(b"echo $word' 'after; stty size\n")
        assert b"33 91" in viewer.read_until(b"33 91")
        assert running(mark)
        viewer.type(b"kill %1; exit 9\n")
        assert viewer.hear_kind(Kind.EXIT)[1] == 9
    row = eventually(lambda: Terminal.objects.filter(pk=terminal.pk, state="closed").first())
    assert row.exit_code == 9
    eventually(lambda: not running(mark))


def test_keeper_that_died_too_leaves_a_lost_terminal_and_no_process(
    daemon: DaemonProcess, agent: Agent, user: Any
) -> None:
    terminal = asked(agent, user)
    mark = f"76.{os.getpid()}"
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(f"(setsid nohup sleep {mark} >/dev/null 2>&1 &)\n".encode())
        eventually(lambda: running(mark))
        (keeper,) = keepers_of(daemon)
        daemon.signal(signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    eventually(lambda: not running(mark))
    daemon.start()
    row = eventually(lambda: Terminal.objects.filter(pk=terminal.pk, state="lost").first())
    assert row.reason == "the session host was started anew"


def test_kept_terminal_that_nobody_wants_any_more_is_ended(daemon: DaemonProcess, agent: Agent, user: Any) -> None:
    terminal = asked(agent, user)
    mark = f"77.{os.getpid()}"
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(f"sleep {mark}\n".encode())
        eventually(lambda: running(mark))
        daemon.signal(signal.SIGKILL)
    lifecycle.close(terminal.pk, actor="user:ada", reason="enough")
    assert running(mark)
    daemon.start()
    eventually(lambda: not running(mark))
