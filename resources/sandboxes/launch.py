"""Runs one planned command to its end: output bounded, time bounded, whole process tree gone afterwards.

The work inside is done by ``launcher.py``, a process of its own per command: it can be a subreaper, which a worker
with other children cannot, and it ends its tree when we close our end of the control pipe — also by dying.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from resources.sandboxes.capture import Capture
from resources.sandboxes.protocol import Command, Outcome, SandboxFailed, Tier

LAUNCHER = Path(__file__).with_name("launcher.py")
POLL_S = 0.2
DRAIN_S = 1.0  # after the tree is dead: what is still in the pipes
END_S = 15.0  # how long the launcher may take to kill a tree before we stop waiting for it
START_S = 30.0
_CHUNK = 1 << 16


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
    with ExitStack() as stack:
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
        stack.enter_context(process)
        conversation = _Conversation(plan, command, process, control=control, status=status)
        stack.callback(conversation.end)
        return conversation.hold(cancelled)


class _Conversation:
    """One running command, from our side: feeds stdin, drains both streams, watches clock and cancellation."""

    def __init__(
        self, plan: Plan, command: Command, process: subprocess.Popen[bytes], *, control: int, status: int
    ) -> None:
        self._plan = plan
        self._command = command
        self._process = process
        self._control: int | None = control
        self._status = status
        self._said = b""
        self._stdin = memoryview(command.stdin)
        self._captures = {
            "stdout": Capture(command.output_limit_bytes),
            "stderr": Capture(command.output_limit_bytes),
        }
        self._selector = selectors.DefaultSelector()
        self._timed_out = False
        self._cancelled = False

    def hold(self, cancelled: Callable[[], bool] | None) -> Outcome:
        """Until the launcher has said how it ended, or had END_S to obey and did not."""
        started = time.monotonic()
        self._send_plan()
        self._register()
        deadline = started + self._command.timeout_s
        next_poll = started
        give_up_at: float | None = None
        while self._status_open:
            now = time.monotonic()
            if give_up_at is None:
                self._timed_out = now >= deadline
                if not self._timed_out and cancelled is not None and now >= next_poll:
                    self._cancelled = cancelled()
                    next_poll = now + POLL_S
                if self._timed_out or self._cancelled:
                    self._hang_up()
                    give_up_at = now + END_S
            elif now >= give_up_at:
                break  # a process in an uninterruptible wait: nothing kills it, and we do not hang with it
            self._turn(min(POLL_S, max(0.0, deadline - now)) if give_up_at is None else POLL_S)
        self._drain()
        return self._outcome(time.monotonic() - started)

    def end(self) -> None:
        """Close every descriptor and collect the launcher."""
        self._hang_up()
        self._selector.close()
        os.close(self._status)
        for stream in self._streams():
            stream.close()
        try:
            self._process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    @property
    def _status_open(self) -> bool:
        return self._status in self._selector.get_map()

    def _streams(self) -> tuple[BinaryIO, ...]:
        return tuple(s for s in (self._process.stdin, self._process.stdout, self._process.stderr) if s)  # type: ignore[misc]

    def _send_plan(self) -> None:
        assert self._control is not None  # noqa: S101 — only _hang_up clears it
        line = memoryview(self._plan.as_line(terminal=False, hold=True))
        try:
            while line:
                line = line[os.write(self._control, line) :]
        except BrokenPipeError:
            return  # the launcher died at once; its status pipe says so below

    def _register(self) -> None:
        for stream in self._streams():
            os.set_blocking(stream.fileno(), False)
        os.set_blocking(self._status, False)
        self._selector.register(self._status, selectors.EVENT_READ, "status")
        self._selector.register(self._process.stdout, selectors.EVENT_READ, "stdout")  # type: ignore[arg-type]
        self._selector.register(self._process.stderr, selectors.EVENT_READ, "stderr")  # type: ignore[arg-type]
        if self._stdin:
            self._selector.register(self._process.stdin, selectors.EVENT_WRITE, "stdin")  # type: ignore[arg-type]
        elif self._process.stdin:
            self._process.stdin.close()

    def _turn(self, wait_s: float) -> None:
        for key, _ in self._selector.select(wait_s):
            if key.data == "stdin":
                self._feed()
            else:
                self._receive(key.fd, key.data)

    def _feed(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 — opened as a pipe
        try:
            self._stdin = self._stdin[os.write(stdin.fileno(), self._stdin[:_CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._stdin = memoryview(b"")  # the command does not want the rest
        if not self._stdin:
            self._selector.unregister(stdin)
            stdin.close()

    def _receive(self, descriptor: int, name: str) -> bool:
        """Take what is there; False at the end of the stream, or when nothing is there now."""
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._selector.unregister(descriptor)
            return False
        if name == "status":
            self._said = (self._said + chunk)[-4096:]
        else:
            self._captures[name].feed(chunk)
        return True

    def _drain(self) -> None:
        """What the pipes still hold, for a moment: a process that escaped must not keep us reading for ever."""
        until = time.monotonic() + DRAIN_S
        for key in list(self._selector.get_map().values()):
            if key.data in ("stdout", "stderr"):
                while time.monotonic() < until and self._receive(key.fd, key.data):
                    continue

    def _hang_up(self) -> None:
        if self._control is not None:
            os.close(self._control)
            self._control = None

    def _outcome(self, duration_s: float) -> Outcome:
        killed = self._timed_out or self._cancelled
        lines = self._said.decode("utf-8", "replace").splitlines()
        codes = [int(line[5:]) for line in lines if line.startswith("exit ")]
        if not killed and ("sealed" not in lines or not codes):
            raise SandboxFailed(_why_not_started(lines, self._captures["stderr"].content()), tier=self._plan.tier.value)
        return Outcome(
            exit_code=None if killed else codes[-1],
            stdout=self._captures["stdout"].content(),
            stderr=self._captures["stderr"].content(),
            truncated=any(capture.truncated for capture in self._captures.values()),
            timed_out=self._timed_out,
            cancelled=self._cancelled,
            duration_s=duration_s,
            tier=self._plan.tier,
        )


def _why_not_started(lines: list[str], stderr: bytes) -> str:
    causes = [line[7:] for line in lines if line.startswith("failed ")]
    tail = stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return "The command could not be started in its sandbox: " + "; ".join(causes + tail or ["no cause given"])[:500]
