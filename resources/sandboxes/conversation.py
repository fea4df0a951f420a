"""One running command, from our side: feeds its input, drains both streams, watches clock and cancellation.

The other side is a launcher, started by us or by a berth's agent. What it says is not trusted: what is kept of it is
bounded, what it must say has a time, and a word that does not fit is a fault.
"""

from __future__ import annotations

import os
import re
import selectors
from collections.abc import Callable
from dataclasses import dataclass

from resources.sandboxes.capture import Capture
from resources.sandboxes.deadline import Deadline
from resources.sandboxes.protocol import Command, Outcome, SandboxFailed, Tier

END_S = 15.0  # how long the launcher may take to kill a tree before we stop waiting for it
START_S = 30.0  # how long the launcher may take to start the command
SAID_BYTES = 4096  # more than any launcher has to say
_CHUNK = 1 << 16
_PIPE_READS = 64  # chunks: four times as much as the largest pipe that a user may ask for holds
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
        self._deadline: Deadline | None = None
        self._silent = False

    @property
    def stuck(self) -> bool:
        """Whether it did not obey: something of it may still run."""
        return self._deadline is not None and self._deadline.stuck

    def hold(self, cancelled: Callable[[], bool] | None) -> Outcome:
        """Until the launcher has said how it ended, or had END_S to obey and did not."""
        self._deadline = deadline = Deadline(
            timeout_s=self._command.timeout_s, cancelled=cancelled, hang_up=self._wires.hang_up, obey_s=END_S
        )
        self._register()
        while self._status_open and (wait_s := deadline.wait_s(broken=self._broken(deadline))) is not None:
            self._listen()
            self._turn(wait_s)
        self._drain()
        return self._outcome(deadline)

    def _broken(self, deadline: Deadline) -> bool:
        """Whether the launcher does not do its part: it started nothing in its time, or says what none says."""
        self._silent = not self._said and deadline.passed_s >= self._start_s
        return self._silent or len(self._said) > SAID_BYTES

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
            if self._command.overheard is not None:
                self._command.overheard(name, chunk)
        return True

    def _drain(self) -> None:
        """What the pipes still hold, and no more: a process that escaped must not keep us reading for ever."""
        for key in list(self._selector.get_map().values()):
            if key.data in ("stdout", "stderr"):
                for _ in range(_PIPE_READS):  # counted, not timed: a pause of ours must not lose what was said
                    if not self._receive(key.fd, key.data):
                        break

    def _outcome(self, deadline: Deadline) -> Outcome:
        killed = deadline.killed
        lost = not killed and self._lines() == ["sealed"]
        code = KILLED if lost else self._exit_code()
        if not killed and code is None:
            raise SandboxFailed(self._why(), tier=self._tier.value)
        outcome = Outcome(
            exit_code=None if killed else code,
            stdout=self._captures["stdout"].content(),
            stderr=self._captures["stderr"].content(),
            truncated=any(capture.truncated for capture in self._captures.values()),
            timed_out=deadline.timed_out,
            cancelled=deadline.cancelled,
            duration_s=deadline.passed_s,
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
