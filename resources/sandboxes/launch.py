"""Runs one planned command to its end: output bounded, time bounded, whole process tree gone afterwards.

The work inside is done by ``launcher.py``, a process of its own per command: it can be a subreaper, which a worker
with other children cannot, and it ends its tree when we close our end of the control pipe — also by dying.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from resources.sandboxes.conversation import END_S, Conversation, Wires
from resources.sandboxes.protocol import Command, Outcome, SandboxFailed, Tier

LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True, slots=True)
class Plan:
    """How to start a command: ``wrapper`` is an argv around the sealing launcher, empty to seal directly."""

    tier: Tier
    name: str  # of the sandbox: how its processes are found again
    argv: tuple[str, ...]
    cwd: Path
    environment: dict[str, str]
    seal: dict[str, Any]
    cgroups: tuple[Path, ...] = ()
    wrapper: tuple[str, ...] = ()

    def as_line(self, *, terminal: bool, hold: bool, stdin: bytes | None = None) -> bytes:
        """The launcher's form: one line of JSON.

        ``hold``: the command ends when our end of the pipe closes. ``stdin``: what the command reads, where the
        launcher's own standard input is the control pipe.
        """
        inner = {
            "argv": self.argv,
            "cwd": str(self.cwd),
            "environment": self.environment,
            "seal": self.seal,
            "terminal": terminal,
        }
        document = {
            "cgroups": [str(group) for group in self.cgroups],
            "wrapper": self.wrapper,
            "inner": inner,
            "hold": hold,
            "stdin": None if stdin is None else stdin.hex(),
        }
        return json.dumps(document).encode("utf-8", "surrogateescape") + b"\n"


@cache
def interpreter() -> str:
    """The real interpreter behind a virtual environment's link: it works without the environment."""
    return os.path.realpath(sys.executable)


def launcher_argv(name: str, *, control: int, status: int) -> list[str]:
    """The supervisor's argv; the sandbox's name in it is how ``close`` finds it from another process."""
    return [interpreter(), "-I", "-S", "-B", str(LAUNCHER), "supervise", name, str(control), str(status)]


def run(plan: Plan, command: Command, *, cancelled: Callable[[], bool] | None) -> Outcome:
    """Run ``plan`` to the end of ``command``'s promises. SandboxFailed when it could not be sealed and started."""
    control_read, control = os.pipe2(os.O_CLOEXEC)
    status, status_write = os.pipe2(os.O_CLOEXEC)
    try:
        process = subprocess.Popen(  # argv list, our own program
            launcher_argv(plan.name, control=control_read, status=status_write),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(control_read, status_write),
            env={},
            cwd="/",
            bufsize=0,
        )
    except OSError as error:
        os.close(control)
        os.close(status)
        raise SandboxFailed(f"The launcher does not start: {error.strerror}.") from error
    finally:
        os.close(control_read)
        os.close(status_write)
    lifeline = Lifeline(control)
    stdin, stdout, stderr = (os.dup(stream.fileno()) for stream in _streams(process))
    for stream in _streams(process):
        stream.close()
    conversation = Conversation(command, Wires(stdin, stdout, stderr, status, lifeline.close), tier=plan.tier)
    try:
        _send(control, plan.as_line(terminal=False, hold=True))
        return conversation.hold(cancelled)
    finally:
        conversation.end()
        _collect(process)


class Lifeline:
    """A descriptor whose end is the command's end. Closing twice is fine."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _streams(process: subprocess.Popen[bytes]) -> tuple[BinaryIO, BinaryIO, BinaryIO]:
    return process.stdin, process.stdout, process.stderr  # type: ignore[return-value]


def _send(control: int, line: bytes) -> None:
    view = memoryview(line)
    try:
        while view:
            view = view[os.write(control, view) :]
    except BrokenPipeError:
        return  # the launcher died at once; its status pipe says so


def _collect(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=END_S)
    except subprocess.TimeoutExpired:
        process.kill()
