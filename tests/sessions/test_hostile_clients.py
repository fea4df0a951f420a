"""What is no frame, too much, too early or too late: the daemon says so, and the others do not notice."""

from __future__ import annotations

import socket
import struct
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.models import Agent
from sessions import lifecycle
from sessions.faults import SessionHostAway, TerminalNotOpen
from sessions.host import client, wire
from sessions.host.wire import Kind, Problem
from sessions.models import SessionHost, Terminal
from tests.sessions.conftest import DaemonProcess, eventually
from tests.sessions.viewer import Viewer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def viewer(daemon: DaemonProcess) -> Iterator[Viewer]:
    with Viewer(daemon.socket) as connected:
        yield connected
    assert not client.reason_not_ready(daemon.socket)


@pytest.fixture
def terminal(daemon: DaemonProcess, agent: Agent, user: Any) -> Terminal:
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user)


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", bytes(4), struct.pack(">I", 2) + b"ab", b"\xff" * 64])
def test_what_is_no_frame_is_answered_and_hung_up_on(viewer: Viewer, garbage: bytes) -> None:
    viewer.raw(garbage)
    assert viewer.refused() == Problem.MALFORMED
    with pytest.raises((EOFError, ConnectionResetError)):
        viewer.hear()


def test_unknown_types_and_wrong_sizes_are_refused_and_the_connection_goes_on(viewer: Viewer) -> None:
    viewer.raw(struct.pack(">IBH", 3, 0xEE, 1))
    assert viewer.refused() == Problem.UNKNOWN_TYPE
    viewer.raw(wire.encode(Kind.ATTACH, 1, b"short"))
    assert viewer.refused() == Problem.MALFORMED
    viewer.raw(wire.encode(Kind.INPUT, 1, bytes(4 + wire.MOST_INPUT + 1)))
    assert viewer.refused() == Problem.MALFORMED
    viewer.say(Kind.PING, rest=b"alive")
    assert viewer.hear_kind(Kind.PONG) == (b"alive",)


@pytest.mark.parametrize(
    "first", [wire.encode(Kind.PING, 0), wire.encode(Kind.HELLO, 0, b"\x63"), wire.encode(Kind.HELLO, 0)]
)
def test_who_does_not_greet_first_is_hung_up_on(daemon: DaemonProcess, first: bytes) -> None:
    with Viewer(daemon.socket, greet=False) as rude:
        rude.raw(first)
        assert rude.refused() in {Problem.VERSION, Problem.MALFORMED}
        with pytest.raises((EOFError, ConnectionResetError)):
            rude.hear()


def test_frames_that_need_a_terminal_are_refused_without_one(viewer: Viewer) -> None:
    for kind, values in (
        (Kind.DETACH, ()),
        (Kind.CLOSE, ()),
        (Kind.INPUT, (0,)),
        (Kind.RESIZE, (0, 80, 24)),
        (Kind.CONTROL, (0, 1, 0)),
    ):
        viewer.say(kind, *values)
        assert viewer.refused() == Problem.NOT_ATTACHED
    viewer.say(Kind.ATTACH, uuid.uuid4().bytes, 0, 1)
    assert viewer.refused() == Problem.NOT_OPEN


def test_channel_carries_one_terminal_and_offsets_behind_the_head_are_refused(
    viewer: Viewer, terminal: Terminal
) -> None:
    viewer.open(terminal, channel=3)
    viewer.say(Kind.ATTACH, terminal.pk.bytes, 0, 1, channel=3)
    assert viewer.refused() == Problem.CHANNEL_TAKEN
    viewer.say(Kind.ATTACH, terminal.pk.bytes, 2**64 - 2, 1, channel=4)
    assert viewer.refused() == Problem.BAD_OFFSET
    viewer.attach(terminal, offset=wire.LIVE_ONLY, channel=4)


def test_many_channels_on_one_connection_see_the_same(viewer: Viewer, terminal: Terminal) -> None:
    viewer.open(terminal, channel=1)
    for channel in range(2, 20):
        viewer.attach(terminal, offset=wire.LIVE_ONLY, channel=channel)
    viewer.take_control(channel=1)
    viewer.type(b"echo every''where\n", channel=1)
    seen: dict[int, bytes] = dict.fromkeys(range(2, 20), b"")
    while any(b"everywhere" not in printed for printed in seen.values()):
        frame = viewer.hear()
        if frame.kind == Kind.DATA and frame.channel in seen:
            seen[frame.channel] += frame.payload[8:]


def test_client_that_asks_and_never_listens_costs_the_daemon_nothing(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as deaf:
        deaf.open(terminal)
        deaf.take_control()
        deaf.type(b"seq 100000; echo printed' 'all\n")
        eventually(lambda: b"printed all\r" in client.tail(daemon.socket, terminal.pk, limit=100).data)
        before = daemon.memory_mb()
        deaf.socket.settimeout(0.5)
        questions = wire.encode(Kind.TAIL, 1, terminal.pk.bytes + struct.pack(">I", 65_536)) * 100_000
        with pytest.raises(TimeoutError):  # the daemon stops reading: our own socket fills up
            deaf.raw(questions)
        assert not client.reason_not_ready(daemon.socket)
        assert daemon.memory_mb() - before < 8


def test_program_that_does_not_read_refuses_more_than_a_bounded_input(viewer: Viewer, terminal: Terminal) -> None:
    viewer.open(terminal)
    viewer.take_control()
    viewer.type(b"stty raw -echo; exec sleep 60\n")
    viewer.read_until(b"sleep 60\r\n")
    time.sleep(0.5)
    for _ in range(40):
        viewer.type(b"x" * 16_000)
    assert viewer.refused() == Problem.INPUT_FULL


def test_crowd_that_comes_at_once_is_served(daemon: DaemonProcess) -> None:
    crowd = [Viewer(daemon.socket, greet=False) for _ in range(300)]
    for each in crowd:
        each.say(Kind.HELLO, wire.VERSION)
    for each in crowd:
        assert each.hear_kind(Kind.HELLO)[0] == wire.VERSION
        each.socket.close()


def test_silent_stranger_is_hung_up_on(daemon: DaemonProcess) -> None:
    with Viewer(daemon.socket, greet=False) as silent, pytest.raises(EOFError):
        silent.hear()


def test_client_says_away_for_whatever_answers_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with pytest.raises(SessionHostAway, match="No such file"):
        client.tail(path, uuid.uuid4(), limit=1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert not client.nudge(path, uuid.uuid4())
        assert "reached" in client.reason_not_ready(path)


def test_client_says_which_terminal_is_not_there(daemon: DaemonProcess) -> None:
    with pytest.raises(TerminalNotOpen):
        client.tail(daemon.socket, uuid.uuid4(), limit=1)
