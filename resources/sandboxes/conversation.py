"""One running command, from our side: feeds its input, drains both streams, watches clock and cancellation.

The other side is a launcher, started by us or by a berth's agent. What it says is not trusted: what is kept of it is
bounded, what it must say has a time, and a word that does not fit is a fault.
"""

from __future__ import annotations

import os
import re
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass

from resources.sandboxes.capture import Capture
from resources.sandboxes.protocol import Command, Outcome, SandboxFailed, Tier

POLL_S = 0.2
DRAIN_S = 1.0  # after the tree is dead: what is still in the pipes
END_S = 15.0  # how long the launcher may take to kill a tree before we stop waiting for it
START_S = 30.0  # how long the launcher may take to start the command
SAID_BYTES = 4096  # more than any launcher has to say
_CHUNK = 1 << 16
KILLED = 137  # what shells answer for SIGKILL
_EXIT = re.compile(r"exit ([0-9]{1,3})")


class CommandLost(SandboxFailed):
    """The command was started, and then what supervised it was killed. ``outcome`` is what is known of it."""

    code = "sandbox.command_lost"

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("The command was lost: what ran it in the sandbox was killed.", tier=outcome.tier.value)
        self.outcome = outcome


@dataclass(slots=True)
class Wires:
    """Our ends of the pipes. The conversation owns and closes them; ``hang_up`` ends the command, twice is fine."""

    stdin: int | None
    stdout: int
    stderr: int
    status: int
    hang_up: Callable[[], None]


class Conversation:
    """Holds one command until its launcher has said how it ended."""

    def __init__(self, command: Command, wires: Wires, *, tier: Tier, start_s: float = START_S) -> None:
        self._command = command
        self._wires = wires
        self._tier = tier
        self._start_s = start_s
        self._said = b""
        self._stdin = memoryview(command.stdin)
        self._peer = command.peer
        self._captures = {
            "stdout": Capture(command.output_limit_bytes),
            "stderr": Capture(command.output_limit_bytes),
        }
        self._selector = selectors.DefaultSelector()
        self._timed_out = False
        self._cancelled = False
        self._silent = False
        self.stuck = False  # it did not obey: something of it may still run

    def hold(self, cancelled: Callable[[], bool] | None) -> Outcome:
        """Until the launcher has said how it ended, or had END_S to obey and did not."""
        started = time.monotonic()
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
                self._silent = not self._said and now >= started + self._start_s
                if self._timed_out or self._cancelled or self._silent or len(self._said) > SAID_BYTES:
                    self._wires.hang_up()
                    give_up_at = now + END_S
            elif now >= give_up_at:
                self.stuck = True  # a process in an uninterruptible wait: nothing kills it, and we do not hang with it
                break
            self._listen()
            self._turn(min(POLL_S, max(0.0, deadline - now)) if give_up_at is None else POLL_S)
        self._drain()
        return self._outcome(time.monotonic() - started)

    def end(self) -> None:
        """Hang up and close every descriptor."""
        self._wires.hang_up()
        self._selector.close()
        for descriptor in (self._wires.stdin, self._wires.stdout, self._wires.stderr, self._wires.status):
            if descriptor is not None:
                os.close(descriptor)

    @property
    def _status_open(self) -> bool:
        return self._wires.status in self._selector.get_map()

    def _register(self) -> None:
        wires = self._wires
        for name in ("status", "stdout", "stderr"):
            descriptor = getattr(wires, name)
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ, name)
        if wires.stdin is not None:
            os.set_blocking(wires.stdin, False)
        self._offer()

    def _offer(self) -> None:
        """Wait for the command to take what there is for it; without more to come, end its input."""
        stdin = self._wires.stdin
        if stdin is None or stdin in self._selector.get_map():
            return
        if self._stdin:
            self._selector.register(stdin, selectors.EVENT_WRITE, "stdin")
        elif self._peer is None:
            self._close_stdin()

    def _listen(self) -> None:
        """Ask the peer what comes next, once the command has taken what came before."""
        if self._peer is None or self._stdin or self._wires.stdin is None:
            return
        words = self._peer.says()
        if words is None:
            self._close_stdin()
        else:
            self._stdin = memoryview(words)
            self._offer()

    def _turn(self, wait_s: float) -> None:
        for key, _ in self._selector.select(wait_s):
            if key.data == "stdin":
                self._feed(key.fd)
            else:
                self._receive(key.fd, key.data)

    def _feed(self, stdin: int) -> None:
        try:
            self._stdin = self._stdin[os.write(stdin, self._stdin[:_CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._stdin = memoryview(b"")  # the command does not want the rest
        if not self._stdin:
            self._selector.unregister(stdin)
            self._offer()

    def _close_stdin(self) -> None:
        if self._wires.stdin is not None:
            os.close(self._wires.stdin)
            self._wires.stdin = None

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
            self._said = (self._said + chunk)[: SAID_BYTES + 1]
        else:
            self._captures[name].feed(chunk)
            if name == "stdout" and self._peer is not None:
                self._peer.heard(chunk)
        return True

    def _drain(self) -> None:
        """What the pipes still hold, for a moment: a process that escaped must not keep us reading for ever."""
        until = time.monotonic() + DRAIN_S
        for key in list(self._selector.get_map().values()):
            if key.data in ("stdout", "stderr"):
                while time.monotonic() < until and self._receive(key.fd, key.data):
                    continue

    def _outcome(self, duration_s: float) -> Outcome:
        killed = self._timed_out or self._cancelled
        lost = not killed and self._lines() == ["sealed"]
        code = KILLED if lost else self._exit_code()
        if not killed and code is None:
            raise SandboxFailed(self._why(), tier=self._tier.value)
        outcome = Outcome(
            exit_code=None if killed else code,
            stdout=self._captures["stdout"].content(),
            stderr=self._captures["stderr"].content(),
            truncated=any(capture.truncated for capture in self._captures.values()),
            timed_out=self._timed_out,
            cancelled=self._cancelled,
            duration_s=duration_s,
            tier=self._tier,
        )
        if lost:
            raise CommandLost(outcome)
        return outcome

    def _lines(self) -> list[str]:
        return self._said.decode("utf-8", "replace").splitlines()

    def _exit_code(self) -> int | None:
        """The code, if the launcher said just what a launcher says: sealed, then how it ended."""
        lines = self._lines()
        ended = _EXIT.fullmatch(lines[1]) if len(lines) == 2 and lines[0] == "sealed" else None
        return int(ended[1]) if ended and int(ended[1]) < 256 else None

    def _why(self) -> str:
        if self._silent:
            return f"Nothing was started in the sandbox within {self._start_s:g} seconds."
        if len(self._said) > SAID_BYTES:
            return "The sandbox's launcher does not speak our protocol."
        causes = [line[7:] for line in self._lines() if line.startswith("failed ")]
        tail = self._captures["stderr"].content().decode("utf-8", "replace").strip().splitlines()[-1:]
        cause = "; ".join(causes + tail or ["no cause given"])[:500]
        return f"The command could not be started in its sandbox: {printable(cause)}"


def printable(text: str) -> str:
    """Without control characters: it ends up on terminals and in logs."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
