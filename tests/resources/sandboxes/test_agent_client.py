"""Our side of a berth's agent, against agents that are hostile, silent, babbling or none."""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from resources.files import Beneath
from resources.sandboxes import conversation, door, local, terminal
from resources.sandboxes.agent_client import Agent, AgentBabbles
from resources.sandboxes.conversation import CommandLost
from resources.sandboxes.door import AgentUnreachable
from resources.sandboxes.launch import Plan
from resources.sandboxes.protocol import Command, Outcome, Profile, SandboxFailed, Stats, Tier

from .hostile_agent import HEADER, Manners, behind_the_door

COMMAND = Command(argv=("true",), timeout_s=1, output_limit_bytes=1000)
PLAN = Plan(tier=Tier.CONTAINER, name="n", argv=("true",), cwd=Path("/"), environment={}, seal={})


@contextmanager
def berth(place: Path) -> Iterator[Path]:
    place.mkdir()
    yield place
    Beneath(place).remove_tree()
    door.remove(place)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    with berth(tmp_path / "berth") as place:
        yield place


def figures(workspace: Path) -> Stats:
    return Agent(workspace).stats(Profile(owner="a", generation=1, workspace=workspace, memory_mb=64, pids=9))


def test_no_door_no_socket_and_no_listener_are_unreachable(workspace: Path) -> None:
    with pytest.raises(AgentUnreachable):
        Agent(workspace).run(PLAN, COMMAND, cancelled=None)
    directory = door.build(workspace, uid=10001)
    (directory / door.SOCKET).write_text("no socket")
    with pytest.raises(AgentUnreachable, match="no socket"):
        Agent(workspace).run(PLAN, COMMAND, cancelled=None)
    (directory / door.SOCKET).unlink()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(directory / door.SOCKET))
        with pytest.raises(AgentUnreachable):
            Agent(workspace).dial(80)


def test_a_link_to_another_socket_of_the_host_is_not_followed(workspace: Path, tmp_path: Path) -> None:
    directory = door.build(workspace, uid=10001)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "engine.sock"))
        other.listen()
        other.settimeout(0)
        (directory / door.SOCKET).symlink_to(tmp_path / "engine.sock")
        with pytest.raises(AgentUnreachable):
            Agent(workspace).run(PLAN, COMMAND, cancelled=None)
        with pytest.raises(BlockingIOError):
            other.accept()


GREETINGS = (
    b"",
    b"\0",
    HEADER.pack(2, 0),
    HEADER.pack(2, 0) + b"\0\2",
    HEADER.pack(1 << 31, 0) + b"x" * 9,
    b"HTTP/1.1 200 OK\r\n",
)


def test_who_does_not_greet_in_our_version_is_unreachable(tmp_path: Path) -> None:
    def meet(number: int) -> None:
        with (
            berth(tmp_path / f"berth{number}") as place,
            behind_the_door(place, lambda *_: None, greeting=GREETINGS[number]),
            pytest.raises(AgentUnreachable),
        ):
            Agent(place).run(PLAN, COMMAND, cancelled=None)

    started = time.monotonic()
    with ThreadPoolExecutor(len(GREETINGS)) as pool:
        list(pool.map(meet, range(len(GREETINGS))))
    assert time.monotonic() - started < 40


def test_a_silent_agent_costs_the_timeout_of_the_command_and_no_more(workspace: Path) -> None:
    with behind_the_door(workspace, lambda *_: time.sleep(3)):
        started = time.monotonic()
        outcome, _ = Agent(workspace).run(PLAN, COMMAND, cancelled=None)
    assert outcome.timed_out
    assert time.monotonic() - started < 15


def test_an_agent_that_starts_nothing_is_a_fault_before_a_long_command_times_out(workspace: Path) -> None:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
    hung_up: list[bool] = []

    def hang_up() -> None:
        if not hung_up:
            hung_up.append(True)
            os.close(writer)

    wires = conversation.Wires(None, pipes[0][0], pipes[1][0], reader, hang_up)
    held = conversation.Conversation(Command(argv=("x",), timeout_s=60), wires, tier=Tier.CONTAINER, start_s=0.3)
    started = time.monotonic()
    with pytest.raises(SandboxFailed, match="Nothing was started"):
        held.hold(None)
    held.end()
    for _, end in pipes:
        os.close(end)
    assert time.monotonic() - started < 30


def words(text: bytes, *, output: bytes = b"") -> Manners:
    def manners(_connection: socket.socket, descriptors: list[int]) -> None:
        os.write(descriptors[1], output)
        os.write(descriptors[3], text)

    return manners


def run(workspace: Path, manners: Manners) -> tuple[Outcome, bool]:
    with behind_the_door(workspace, manners):
        return Agent(workspace).run(PLAN, COMMAND, cancelled=None)


def test_an_ordinary_answer_is_an_outcome(workspace: Path) -> None:
    outcome, stuck = run(workspace, words(b"sealed\nexit 7\n", output=b"hello"))
    assert (outcome.exit_code, outcome.stdout, stuck) == (7, b"hello", False)


VERDICTS = (
    b"exit 0\n",
    b"sealedexit 0\n",
    b"sealed\nexit 256\n",
    b"sealed\nexit -1\n",
    b"sealed\nexit \xd9\xa3\n",
    b"sealed\nexit 0\nexit 0\n",
    b"sealed\nexit 99999999999999999999\n",
    b"failed no\n",
    b"failed \x1b]0;title\x07\n",
    b"\xff\xfe",
)


@pytest.mark.parametrize("said", VERDICTS)
def test_a_verdict_that_no_launcher_gives_is_a_fault(workspace: Path, said: bytes) -> None:
    with pytest.raises(SandboxFailed) as caught:
        run(workspace, words(said))
    assert caught.value.detail.isprintable()


def test_a_supervisor_that_was_killed_leaves_what_is_known(workspace: Path) -> None:
    with pytest.raises(CommandLost) as caught:
        run(workspace, words(b"sealed\n", output=b"half"))
    assert (caught.value.outcome.exit_code, caught.value.outcome.stdout) == (137, b"half")


def test_babble_is_bounded_in_memory_and_time(workspace: Path) -> None:
    def babble(_connection: socket.socket, descriptors: list[int]) -> None:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            os.write(descriptors[3], b"sealed\n" * 5000)
            os.write(descriptors[1], b"x" * 50_000)

    started = time.monotonic()
    with behind_the_door(workspace, babble), pytest.raises(SandboxFailed, match="protocol"):
        Agent(workspace).run(PLAN, Command(argv=("x",), timeout_s=30, output_limit_bytes=100), cancelled=None)
    assert time.monotonic() - started < 25


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0",
        HEADER.pack(24, 18) + b"x" * 23,
        HEADER.pack(0xFFFFFFFF, 18),
        HEADER.pack(3, 18) + b"abc",
        HEADER.pack(0, 16),
    ],
)
def test_answers_of_another_size_or_kind_are_babble(workspace: Path, answer: bytes) -> None:
    with behind_the_door(workspace, lambda connection, _: connection.sendall(answer)), pytest.raises(AgentBabbles):
        figures(workspace)


def test_impossible_figures_are_unknown_and_never_above_the_limits(workspace: Path) -> None:
    def lie(connection: socket.socket, _descriptors: list[int]) -> None:
        connection.sendall(HEADER.pack(24, 18) + struct.pack("!qqq", -5, 1 << 60, -1))

    with behind_the_door(workspace, lie):
        stats = figures(workspace)
    assert (stats.memory_mb, stats.processes, stats.cpu_s) == (None, 9, None)


def test_a_drop_of_bytes_now_and_then_buys_no_time(workspace: Path) -> None:
    def drip(connection: socket.socket, _descriptors: list[int]) -> None:
        for byte in HEADER.pack(24, 18) + b"x" * 24:
            connection.sendall(bytes([byte]))
            time.sleep(0.7)

    started = time.monotonic()
    with pytest.raises(SandboxFailed), behind_the_door(workspace, drip):
        figures(workspace)
    assert time.monotonic() - started < 25


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_no_port_is_not_dialled(workspace: Path, port: int) -> None:
    with pytest.raises(SandboxFailed, match="no port"):
        Agent(workspace).dial(port)


def test_random_answers_end_in_a_result_or_a_fault_and_leak_no_descriptor(workspace: Path) -> None:
    chance = random.Random(20261120)

    def anything(connection: socket.socket, descriptors: list[int]) -> None:
        for _ in range(chance.randrange(4)):
            noise = chance.choice(
                [chance.randbytes(chance.randrange(40)), b"sealed\n", b"exit 3\n", HEADER.pack(0, 16)]
            )
            target = chance.choice([None, *descriptors])
            if target is None:
                connection.sendall(noise)
            else:
                os.write(target, noise)
        if chance.random() < 0.3 and descriptors:
            os.close(descriptors[-1])

    agent = Agent(workspace)
    tasks = (
        lambda: agent.run(PLAN, COMMAND, cancelled=None),
        lambda: agent.dial(8080).close(),
        lambda: figures(workspace),
    )
    with behind_the_door(workspace, anything):
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(120):
            try:
                chance.choice(tasks)()
            except SandboxFailed:
                continue
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_terminal_that_does_not_start_is_a_fault_without_a_process_or_descriptor(workspace: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))

    def refuse(_connection: socket.socket, descriptors: list[int]) -> None:
        os.write(descriptors[1], b"failed no such thing \x1b[2J\n")

    with behind_the_door(workspace, refuse), pytest.raises(SandboxFailed, match="no such thing"):
        terminal.spawn_in_berth(Agent(workspace), PLAN, columns=80, rows=24, owner=None)
    assert len(os.listdir("/proc/self/fd")) <= before
    assert local.launchers("n") == []
