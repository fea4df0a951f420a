"""Runs one command in a running container: output bounded, time bounded, whole process tree gone afterwards.

The engine's exec cannot be killed. So what it runs is our launcher, whose standard input is its lifeline: when that
ends — timeout, cancellation, or the death of this very process — it kills the tree.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from docker import DockerClient

from resources.sandboxes.capture import Capture
from resources.sandboxes.conversation import END_S
from resources.sandboxes.deadline import Deadline
from resources.sandboxes.launch import Plan
from resources.sandboxes.policy import LAUNCHER_INSIDE
from resources.sandboxes.protocol import Command, Outcome, SandboxFailed

SANDBOX_FAILED = 125
_CHUNK = 1 << 16
_NOTED_S = 10.0  # how long the engine may take to note the end that its stream has shown
_HEADER = 8  # stream number, three zeros, length: the engine's framing of an exec without a terminal
_STREAMS = {1: "stdout", 2: "stderr"}


@dataclass(slots=True)
class _Frames:
    """Splits the engine's stream of frames, whatever pieces it arrives in."""

    sinks: dict[str, Capture]
    overheard: Callable[[str, bytes], None] | None = None
    _header: bytearray = field(default_factory=bytearray)
    _left: int = 0
    _name: str = "stdout"

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        while chunk:
            if self._left:
                self.sinks[self._name].feed(chunk[: self._left])
                if self.overheard is not None:
                    self.overheard(self._name, chunk[: self._left])
                taken = min(self._left, len(chunk))
                self._left -= taken
                chunk = chunk[taken:]
                continue
            wanted = _HEADER - len(self._header)
            self._header += chunk[:wanted]
            chunk = chunk[wanted:]
            if len(self._header) == _HEADER:
                self._name = _STREAMS.get(self._header[0], "stderr")
                self._left = int.from_bytes(self._header[4:], "big")
                self._header.clear()


def run(
    client: DockerClient, plan: Plan, command: Command, *, cancelled: Callable[[], bool] | None
) -> tuple[Outcome, bool]:
    """Run ``plan`` by the launcher in the container of its name: (the outcome, whether something may still run).

    SandboxFailed when it could not be started there.
    """
    argv = ["python3", "-I", "-S", "-B", LAUNCHER_INSIDE, "attend", plan.name]
    execution = client.api.exec_create(plan.name, argv, stdin=True, stdout=True, stderr=True)["Id"]
    line = plan.as_line(terminal=False, hold=True, stdin=command.stdin)
    outcome, stuck = _hold(client, execution, _Input(line, lifeline=True), plan, command, cancelled)
    if outcome.exit_code == SANDBOX_FAILED and b"moorage: " in outcome.stderr:
        raise SandboxFailed(f"The command could not be started in its sandbox: {outcome.text(500)}")
    return outcome, stuck


def run_unattended(
    client: DockerClient, plan: Plan, command: Command, *, cancelled: Callable[[], bool] | None
) -> tuple[Outcome, bool]:
    """Run the command as it is, in an image without Python. Nobody inside can end it, so what is late is stuck."""
    execution = client.api.exec_create(
        plan.name, list(plan.argv), stdin=True, environment=plan.environment, workdir=str(plan.cwd)
    )["Id"]
    return _hold(client, execution, _Input(command.stdin, lifeline=False), plan, command, cancelled)


@dataclass(frozen=True, slots=True)
class _Input:
    """What is sent first. A ``lifeline`` then stays open, and its end is obeyed; else the end is sent at once."""

    content: bytes
    lifeline: bool


def _hold(
    client: DockerClient,
    execution: str,
    given: _Input,
    plan: Plan,
    command: Command,
    cancelled: Callable[[], bool] | None,
) -> tuple[Outcome, bool]:
    stream: Any = client.api.exec_start(execution, socket=True)
    # The engine's client wraps the socket for blocking reads; we need to wait for several things at once.
    connection = socket.socket(fileno=os.dup(stream.fileno()))
    try:
        captures = {name: Capture(command.output_limit_bytes) for name in _STREAMS.values()}
        held = _Stream(connection, given, _Frames(captures, command.overheard))
        deadline = Deadline(
            timeout_s=command.timeout_s, cancelled=cancelled, hang_up=held.hang_up,
            obey_s=END_S if given.lifeline else 0,
        )  # fmt: skip
        held.hold(deadline)
    finally:
        connection.close()
        stream.close()
    outcome = Outcome(
        exit_code=None if deadline.killed else _exit_code(client, execution),
        stdout=captures["stdout"].content(),
        stderr=captures["stderr"].content(),
        truncated=any(capture.truncated for capture in captures.values()),
        timed_out=deadline.timed_out,
        cancelled=deadline.cancelled,
        duration_s=deadline.passed_s,
        tier=plan.tier,
    )
    return outcome, deadline.stuck


def _exit_code(client: DockerClient, execution: str) -> int:
    until = time.monotonic() + _NOTED_S
    while (answer := client.api.exec_inspect(execution))["Running"] and time.monotonic() < until:
        time.sleep(0.01)  # the stream ends a moment before the engine has noted the end
    code = answer["ExitCode"]
    if code is None:
        raise SandboxFailed("The container engine does not say how the command ended.")
    return int(code)


class _Stream:
    """The engine's one socket for input and output: sends the plan, takes what comes."""

    def __init__(self, connection: socket.socket, given: _Input, frames: _Frames) -> None:
        self._connection = connection
        self._outgoing = memoryview(given.content)
        self._lifeline = given.lifeline
        self._frames = frames
        self._open = True

    def hold(self, deadline: Deadline) -> None:
        """Until the stream ends, or nobody obeyed."""
        self._connection.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while self._open and (wait_s := deadline.wait_s()) is not None:
                self._turn(selector, wait_s)

    def hang_up(self) -> None:
        """Send no more; a launcher ends its tree then. Twice is fine."""
        self._outgoing = memoryview(b"")
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # it hung up first
                raise

    def _turn(self, selector: selectors.BaseSelector, wait_s: float) -> None:
        for _, events in selector.select(wait_s):
            if events & selectors.EVENT_WRITE:
                self._send()
                if not self._outgoing:
                    selector.modify(self._connection, selectors.EVENT_READ)
                    if not self._lifeline:
                        self.hang_up()
            if events & selectors.EVENT_READ:
                self._receive()

    def _send(self) -> None:
        try:
            self._outgoing = self._outgoing[self._connection.send(self._outgoing[:_CHUNK]) :]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._outgoing = memoryview(b"")  # the launcher is gone; the stream's end says so

    def _receive(self) -> None:
        try:
            chunk = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            chunk = b""
        if chunk:
            self._frames.feed(chunk)
        else:
            self._open = False
