"""Our side of a berth's agent. Nothing it says is trusted: not a path, not a command, not a length.

A request is one frame with the descriptors it is about; those we pass are pipes, a terminal and a socket that we made
ourselves. The agent never passes one to us, so it cannot make us wait in a read of something it chose. What it may
answer is bounded, and so is the time it has. See docs/sandbox-agent.md for the frames.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path

from resources.sandboxes import door
from resources.sandboxes.conversation import Conversation, Wires, printable
from resources.sandboxes.door import AgentUnreachable
from resources.sandboxes.launch import Plan
from resources.sandboxes.protocol import Command, Outcome, Profile, SandboxFailed, Stats

VERSION = 1
HEADER = struct.Struct("!IB")
FIGURE = struct.Struct("!qqq")
HELLO_S = 5.0
ANSWER_S = 10.0
ANSWER_BYTES = 1000


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 0
    RUN = 1
    DIAL = 2
    STAT = 3
    DONE = 16
    FAILED = 17
    FIGURES = 18


class AgentBabbles(SandboxFailed):
    """The agent answered what no agent answers, or nothing in its time: what it runs is not what we started."""

    code = "sandbox.agent_babbles"
    remedy = "Recreate the environment; if this repeats, look at what the image runs."


class Agent:
    """The agent behind the door of one workspace. Keeps nothing: it is found again after a restart of ours."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace

    def run(self, plan: Plan, command: Command, *, cancelled: Callable[[], bool] | None) -> tuple[Outcome, bool]:
        """(the outcome, whether something may still run because it did not obey). AgentUnreachable: nothing ran."""
        connection = self._greeted()
        ours: list[int] = []
        theirs: list[int] = []
        try:
            for reading in (False, True, True, True):  # input, output, errors, status
                reader, writer = os.pipe2(os.O_CLOEXEC)
                ours.append(reader if reading else writer)
                theirs.append(writer if reading else reader)
            _ask(connection, Kind.RUN, plan.as_line(terminal=False, hold=True), theirs)
        except BaseException:
            connection.close()
            _close(ours)
            raise
        finally:
            _close(theirs)
        stdin, stdout, stderr, status = ours
        wires = Wires(stdin, stdout, stderr, status, connection.close)
        conversation = Conversation(command, wires, tier=plan.tier)
        try:
            return conversation.hold(cancelled), conversation.stuck
        finally:
            conversation.end()

    def start_terminal(self, plan: Plan, *, slave: int) -> tuple[socket.socket, int]:
        """(the connection, whose end ends the tree; the status pipe) of a command asked to run on ``slave``."""
        connection = self._greeted()
        status, status_write = os.pipe2(os.O_CLOEXEC)
        try:
            _ask(connection, Kind.RUN, plan.as_line(terminal=True, hold=True), (slave, status_write))
        except BaseException:
            connection.close()
            os.close(status)
            raise
        finally:
            os.close(status_write)
        return connection, status

    def dial(self, port: int) -> socket.socket:
        """A stream to a TCP port of the berth's own loopback. SandboxFailed when nobody listens there."""
        if not 0 < port < 65536:
            raise SandboxFailed(f"{port} is no port.")
        ours, theirs = socket.socketpair()
        try:
            with self._greeted() as connection, theirs:
                _ask(connection, Kind.DIAL, json.dumps({"port": port}).encode(), (theirs.fileno(),))
                _answer(connection, Kind.DONE, size=0)
        except BaseException:
            ours.close()
            raise
        return ours

    def stats(self, profile: Profile) -> Stats:
        """What the berth says it uses; what cannot be is None."""
        with self._greeted() as connection:
            _ask(connection, Kind.STAT, b"", ())
            memory, processes, cpu_ns = FIGURE.unpack(_answer(connection, Kind.FIGURES, size=FIGURE.size))
        return Stats(
            memory_mb=_within(memory >> 20, profile.memory_mb),
            processes=_within(processes, profile.pids),
            cpu_s=cpu_ns / 1e9 if cpu_ns >= 0 else None,
        )

    def _greeted(self) -> socket.socket:
        """A connection whose other end has said that it speaks our version."""
        connection = door.knock(self._workspace, within_s=HELLO_S)
        try:
            kind, payload = _frame(connection, until=time.monotonic() + HELLO_S)
        except AgentBabbles as error:
            connection.close()
            raise AgentUnreachable(f"The berth's agent does not greet: {error.detail}") from error
        except BaseException:
            connection.close()
            raise
        if kind == Kind.FAILED:
            connection.close()
            raise SandboxFailed(f"The berth's agent refuses: {_words(payload)}")
        if (kind, payload) != (Kind.HELLO, VERSION.to_bytes(2, "big")):
            connection.close()
            raise AgentUnreachable("The berth's agent speaks another version.")
        return connection


def _ask(connection: socket.socket, kind: Kind, payload: bytes, descriptors: Sequence[int]) -> None:
    connection.settimeout(ANSWER_S)
    message = memoryview(HEADER.pack(len(payload), kind) + payload)
    try:
        sent = socket.send_fds(connection, [message], list(descriptors))
        if sent < len(message):  # a peer that has its request may be gone already
            connection.sendall(message[sent:])
    except OSError as error:
        raise AgentBabbles(f"The berth's agent takes no request: {error.strerror or error}.") from error


def _answer(connection: socket.socket, wanted: Kind, *, size: int) -> bytes:
    kind, payload = _frame(connection, until=time.monotonic() + ANSWER_S)
    if kind == Kind.FAILED:
        raise SandboxFailed(f"The berth's agent could not: {_words(payload)}")
    if kind != wanted or len(payload) != size:
        raise AgentBabbles("The berth's agent answers something else.")
    return payload


def _frame(connection: socket.socket, *, until: float) -> tuple[int, bytes]:
    length, kind = HEADER.unpack(_exactly(connection, HEADER.size, until=until))
    if length > ANSWER_BYTES:
        raise AgentBabbles("The berth's agent announces more than an answer may have.")
    return kind, _exactly(connection, length, until=until)


def _exactly(connection: socket.socket, size: int, *, until: float) -> bytes:
    """``size`` bytes by ``until``: a byte now and then does not buy more time."""
    received = bytearray()
    while len(received) < size:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise AgentBabbles("The berth's agent is silent.")
        connection.settimeout(left_s)
        try:
            piece = connection.recv(size - len(received))
        except OSError as error:
            raise AgentBabbles(f"The berth's agent is silent: {error.strerror or error}.") from error
        if not piece:
            raise AgentBabbles("The berth's agent hung up.")
        received += piece
    return bytes(received)


def _words(payload: bytes) -> str:
    return printable(payload.decode("utf-8", "replace"))[:300]


def _within(value: int, most: int) -> int | None:
    return min(value, most) if value >= 0 else None


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
