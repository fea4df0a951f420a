"""The session host with real PTYs: typing, watching, ending, and what it leaves behind."""

from __future__ import annotations

import os
import select
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.utils import timezone

from agents import lifecycle as agents_lifecycle
from agents.models import Agent
from events import journal
from resources.models import Host
from resources.sandboxes.protocol import Sandbox
from sessions import faults, lifecycle, peek, presence
from sessions.host import client, ledger
from sessions.host.wire import NO_CODE, Kind, Problem, Wish
from sessions.models import SessionHost, Terminal
from tests import factories
from tests.sessions.conftest import DaemonProcess, eventually
from tests.sessions.viewer import Viewer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def terminal(daemon: DaemonProcess, agent: Agent, user: Any) -> Terminal:
    """A terminal that has been asked for."""
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user, title="work", columns=91, rows=33)


def running(mark: str) -> list[int]:
    """The processes whose argv holds the mark."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if mark in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def test_terminal_opens_with_its_size_echoes_and_closes_with_the_exit_code(
    daemon: DaemonProcess, terminal: Terminal
) -> None:
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        assert Terminal.objects.get(pk=terminal.pk).state == "live"
        viewer.take_control()
        viewer.type(b"stty size; echo d''one\n")
        assert b"33 91" in viewer.read_until(b"done\r\n")
        viewer.type(b"exit 7\n")
        _, code, _ = viewer.hear_kind(Kind.EXIT)
        assert code == 7
    row = eventually(lambda: Terminal.objects.filter(pk=terminal.pk, state="closed").first())
    assert (row.exit_code, row.closed_at is not None) == (7, True)
    kinds = [event.kind for event in journal.replay(terminal.topic, after=0)]
    assert kinds[:2] == ["terminal.open_requested", "terminal.opened"]
    assert [kind for kind in kinds[2:] if kind != "terminal.left"] == [
        "terminal.joined", "terminal.took", "terminal.closed",
    ]  # fmt: skip


def test_socket_and_its_directory_are_ours_alone(daemon: DaemonProcess) -> None:
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(daemon.socket.parent.stat().st_mode) == 0o700


def test_killed_shell_closes_the_terminal_with_the_code_of_its_signal(
    daemon: DaemonProcess, terminal: Terminal
) -> None:
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(b"kill -9 $$\n")
        _, code, _ = viewer.hear_kind(Kind.EXIT)
    assert code == 128 + signal.SIGKILL
    row = eventually(lambda: Terminal.objects.filter(pk=terminal.pk, state="closed").first())
    assert row.exit_code == 128 + signal.SIGKILL


def test_two_watch_and_only_the_one_in_control_types(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as first, Viewer(daemon.socket) as second:
        first.open(terminal)
        second.attach(terminal)
        first.type(b"nobody has control\n")
        assert first.refused() == Problem.STALE_CONTROL
        old = first.take_control()
        assert second.hear_kind(Kind.CONTROL) == (old, 0)
        second.control_epoch = old
        second.type(b"the epoch is known to all, control is not\n")
        assert second.refused() == Problem.STALE_CONTROL
        second.take_control()
        first.type(b"echo too late\n")
        assert first.refused() == Problem.STALE_CONTROL
        second.type(b"echo both' 'see\n")
        assert b"late" not in first.read_until(b"both see")
        second.read_until(b"both see")


def test_of_two_who_saw_the_same_epoch_one_gets_control(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as first, Viewer(daemon.socket) as second:
        first.open(terminal)
        second.attach(terminal)
        first.take_control()
        second.say(Kind.CONTROL, 0, Wish.TAKE, 0)
        assert second.refused() == Problem.STALE_CONTROL


def test_control_is_free_again_when_its_holder_hangs_up(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as second:
        with Viewer(daemon.socket) as first:
            first.open(terminal)
            second.attach(terminal)
            first.take_control()
            second.hear_kind(Kind.CONTROL)
        epoch, yours = second.hear_kind(Kind.CONTROL)
        assert (epoch, yours) == (2, 0)
        second.control_epoch = epoch
        second.take_control()


def test_resize_reaches_the_program_the_others_and_the_row(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as viewer, Viewer(daemon.socket) as other:
        viewer.open(terminal)
        other.attach(terminal)
        viewer.take_control()
        viewer.say(Kind.RESIZE, viewer.control_epoch, 0, 24)
        assert viewer.refused() == Problem.BAD_SIZE
        viewer.say(Kind.RESIZE, viewer.control_epoch, 120, 40)
        assert other.hear_kind(Kind.RESIZE) == (120, 40)
        viewer.type(b"stty size\n")
        viewer.read_until(b"40 120")
    eventually(lambda: Terminal.objects.filter(pk=terminal.pk, columns=120, rows=40).exists())


def test_attaching_again_at_the_last_offset_misses_and_repeats_nothing(
    daemon: DaemonProcess, terminal: Terminal
) -> None:
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(b"echo one''half\n")
        viewer.read_until(b"onehalf\r\n")
        everything = client.tail(daemon.socket, terminal.pk, limit=65_536)
        middle = everything.data.index(b"onehalf")
        viewer.say(Kind.DETACH)
        viewer.hear_kind(Kind.DETACH)
        viewer.attach(terminal, offset=middle)
        offset, data = viewer.hear_kind(Kind.DATA)
    assert (offset, data[:9]) == (middle, b"onehalf\r\n")


def test_flood_leaves_memory_flat_and_the_interrupt_key_effective(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as viewer, Viewer(daemon.socket, receive_buffer=4096) as slow:
        viewer.open(terminal)
        slow.attach(terminal)
        viewer.take_control()
        before = daemon.memory_mb()
        viewer.type(b"yes flood\n")
        viewer.read_until(b"flood\r\nflood\r\n")
        until, most = time.monotonic() + 3, 0.0
        while time.monotonic() < until:
            viewer.hear()
            most = max(most, daemon.memory_mb())
        pressed = time.monotonic()
        viewer.type(b"\x03")
        seen, typed_at = b"", pressed
        while b"calmagain" not in seen:
            if time.monotonic() - typed_at > 0.2:  # the interrupt key discards what was typed before the shell is back
                typed_at = time.monotonic()
                viewer.type(b"echo calm''again\n")
            if select.select([viewer.socket], [], [], 0.05)[0]:
                seen = (seen + viewer.hear().payload)[-40_000:]
            assert time.monotonic() - pressed < 60
        assert most - before < 8
        missed_from, goes_on_at = slow.hear_kind(Kind.RESYNC)
        assert goes_on_at > missed_from
        offset, _, _, exact, _, drawn = slow.hear_kind(Kind.SNAPSHOT)
        assert (offset, exact) == (goes_on_at, 1)
        assert b"calmagain" in drawn


def test_snapshot_of_an_ended_terminal_can_still_be_read(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(b"echo last' 'words; exit\n")
        viewer.hear_kind(Kind.EXIT)
    assert b"last words" in client.tail(daemon.socket, terminal.pk, limit=1000).data


def test_closing_the_row_ends_everything_in_the_terminal(daemon: DaemonProcess, terminal: Terminal) -> None:
    mark = f"71.{os.getpid()}"
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(f"(setsid sleep {mark} &)\n".encode())
        eventually(lambda: running(mark))
        lifecycle.close(terminal.pk, actor="user:ada", reason="enough")
        _, code, reason = viewer.hear_kind(Kind.EXIT)
    assert (code, reason) == (NO_CODE, b"enough")
    eventually(lambda: not running(mark))
    assert Terminal.objects.get(pk=terminal.pk).exit_code is None


def test_terminal_ends_with_its_agent(daemon: DaemonProcess, terminal: Terminal, agent: Agent) -> None:
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        agents_lifecycle.request_stop(agent.pk, actor="user:ada", reason="done")
        viewer.hear_kind(Kind.EXIT)
    row = eventually(lambda: Terminal.objects.filter(pk=terminal.pk, state="closed").first())
    assert row.reason == "agent skipper is stopping"


def test_terminal_of_a_sandbox_that_is_gone_says_so(
    daemon: DaemonProcess, agent: Agent, sandbox: Sandbox, user: Any
) -> None:
    eventually(lambda: SessionHost.objects.exists())
    sandbox.close()
    terminal = lifecycle.request_open(agent_id=agent.pk, by=user)
    with Viewer(daemon.socket) as viewer:
        viewer.say(Kind.OPEN, terminal.pk.bytes)
        assert viewer.refused() in {Problem.OPEN_FAILED, Problem.NOT_OPEN}
    row = eventually(lambda: Terminal.objects.filter(pk=terminal.pk, state="closed").first())
    assert "is closed" in row.reason


def test_sigterm_ends_terminals_with_a_reason_and_leaves_no_process(daemon: DaemonProcess, terminal: Terminal) -> None:
    mark = f"72.{os.getpid()}"
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(f"(setsid sleep {mark} &)\n".encode())
        eventually(lambda: running(mark))
        assert daemon.signal(signal.SIGTERM) == 0
        viewer.hear_kind(Kind.EXIT)
    row = Terminal.objects.get(pk=terminal.pk)
    assert (row.state, row.reason) == ("closed", "the session host was stopped")
    assert running(mark) == []
    assert not daemon.socket.exists()
    assert not SessionHost.objects.exists()  # so that the next request is refused rather than left waiting


def test_second_daemon_on_the_same_data_refuses_to_start(daemon: DaemonProcess) -> None:
    second = DaemonProcess(daemon.data)
    second.log = daemon.data / "second.log"
    second.start()
    eventually(second.ended)
    assert "listens at" in second.log.read_text()
    assert not daemon.ended()
    assert not client.reason_not_ready(daemon.socket)


def test_daemon_of_a_host_that_registers_later_waits_for_it(
    daemon: DaemonProcess, host: Host, state_of: Callable[[Terminal], str]
) -> None:
    eventually(lambda: SessionHost.objects.exists())
    SessionHost.objects.all().delete()
    assert daemon.signal(signal.SIGTERM) in {0, 1}
    Host.objects.filter(pk=host.pk).update(name="elsewhere")
    daemon.start()
    time.sleep(1.5)
    assert not SessionHost.objects.exists()
    Host.objects.filter(pk=host.pk).update(name=daemon.host)
    row = eventually(lambda: SessionHost.objects.first())
    assert row.socket == str(daemon.socket)


def test_superseded_daemon_ends_its_terminals_and_itself(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        SessionHost.objects.update(epoch="another", heartbeat_at=timezone.now())
        viewer.hear_kind(Kind.EXIT)
    eventually(daemon.ended)


def test_another_machine_s_session_host_at_the_same_path_is_not_taken_for_ours(
    daemon: DaemonProcess, terminal: Terminal, agent: Agent
) -> None:
    """Two hosts with the same MOORAGE_DATA: the web process of one looks at a terminal of the other."""
    eventually(lambda: Terminal.objects.get().state == Terminal.State.LIVE)
    elsewhere = factories.host("elsewhere")
    Agent.objects.filter(pk=agent.pk).update(host=elsewhere)
    SessionHost.objects.create(
        host=elsewhere, epoch="another", socket=str(daemon.socket), place="there", heartbeat_at=timezone.now()
    )
    with pytest.raises(faults.SessionHostAway, match="another machine's"):
        peek.snapshot(Terminal.objects.get())
    assert not client.nudge(daemon.socket, terminal.pk, epoch="another")


def test_the_same_path_on_another_machine_is_another_session_host(host: Host, data: Path) -> None:
    def identity(epoch: str, place: str) -> ledger.Identity:
        return ledger.Identity(host=host.name, epoch=epoch, socket=str(client.socket_path(data)), place=place)

    here = ledger.place_of(data)
    assert ledger.take_over(identity("first", "another boot:1:2")) == []
    with pytest.raises(faults.SessionHostTaken, match="another session host beats"):
        ledger.take_over(identity("second", here))
    SessionHost.objects.update(heartbeat_at=timezone.now() - presence.AWAY_AFTER * 2)
    assert ledger.take_over(identity("second", here)) == []
    assert ledger.take_over(identity("third", here)) == [], "a start anew in the same place goes at once"


def test_request_is_refused_while_the_session_host_is_away(agent: Agent, user: Any) -> None:
    with pytest.raises(faults.SessionHostAway) as refused:
        lifecycle.request_open(agent_id=agent.pk, by=user)
    assert "manage.py sessionhost" in refused.value.remedy_text
    assert not Terminal.objects.exists()
