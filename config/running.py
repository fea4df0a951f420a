"""One part of the stack while it runs: its process, its output, and what became of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from typing import IO

from config.output import Output
from config.parts import ROOT, Part

_TETHER = ROOT / "config" / "tether.py"
_LINE_BYTES = 16_384
_TAIL_LINES = 12
_FIRST_ATTEMPTS = 3  # a part that never came up is given up after so many ends
_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # the last value stays
_STEADY_S = 60.0  # after so long alive, an end counts as the first again
_PROBE_EVERY_S = 0.1


class Running:
    """Owned by the supervising thread; other threads only read its public attributes."""

    def __init__(self, part: Part, environment: Mapping[str, str], output: Output) -> None:
        self.part = part
        self.ready = False
        self.given_up = False
        self.reason = "not started: it waits for " + ", ".join(part.after) if part.after else "not started"
        self.pid: int | None = None
        self._environment = {**environment, "PYTHONUNBUFFERED": "1", **part.environment}
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._was_ready = self._printed_ready = False
        self._ends = 0
        self._started = self._due = self._probe_due = 0.0
        self._kill_at: float | None = None

    def start_when_due(self, *, now: float) -> None:
        """Start it, unless it is done or its back-off is not over."""
        if now < self._due or self.given_up or (self.part.once and self.ready):
            return
        argv = (sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *self.part.argv)
        try:
            self._process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # its own group, and no terminal whose ^C would reach it before us
            )
        except OSError as error:  # no process or descriptor left on this machine: that may pass
            self.reason, self._due = f"cannot be started: {error.strerror}", now + _BACK_OFF_S[-1]
            self._say(self.reason)
            return
        self._tail.clear()
        self._printed_ready = False
        self._started, self._probe_due, self._kill_at = now, now, None
        self.reason = "running" if self.part.once else "starting"
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: it was asked for above
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self.pid = self._process.pid

    def look(self, *, now: float) -> None:
        """Note its end, or ask whether it is up."""
        if (code := self._collect_end()) is not None:
            self._ended(code, now=now)
        elif not self.ready and not self.part.once and now >= self._probe_due:
            self._probe_due = now + _PROBE_EVERY_S
            self.reason = self._ask()
            if not self.reason:
                self.ready = True
                self._say(f"is up after {now - self._started:.1f} s" + (" again" if self._was_ready else ""))
                self._was_ready = True

    def _ask(self) -> str:
        if self.part.probe is not None:
            return self.part.probe()
        return "" if self._printed_ready or not self.part.ready_line else f"has not said {self.part.ready_line!r} yet"

    def stop_or_kill(self, *, now: float, at_once: bool) -> None:
        """Ask it to stop; once its time is over (or ``at_once``) kill its group. Called until it is gone."""
        if self._collect_end() is not None or self._process is None:
            return
        if self._kill_at is None:
            self._kill_at = now + self.part.stop_s
            self._process.terminate()
        if at_once or now > self._kill_at:
            if not at_once:
                self._say(f"did not stop within {self.part.stop_s:.0f} s: killed")
            os.killpg(self._process.pid, signal.SIGKILL)

    def finish_reading(self) -> None:
        """Let the last lines reach the log."""
        if self._reader is not None:
            self._reader.join(1.0)

    def _collect_end(self) -> int | None:
        """The exit code once it has ended; what it left of its group is killed before its id is free."""
        if self._process is None:
            return None
        if os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        os.killpg(self._process.pid, signal.SIGKILL)  # the unreaped leader keeps the group's id ours
        code = self._process.wait()
        self._process = self.pid = None
        return code

    def _ended(self, code: int, *, now: float) -> None:
        if self.part.once and code == 0:
            self.ready, self.reason = True, ""
            self._say(f"done after {now - self._started:.1f} s")
            return
        self.finish_reading()
        self._ends = 1 if now - self._started > _STEADY_S else self._ends + 1
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self.reason = "\n  ".join((how, *self._tail))
        self.ready = False
        if not self._was_ready and (self.part.once or self._ends >= _FIRST_ATTEMPTS):
            self.given_up = True
            return
        wait_s = _BACK_OFF_S[min(self._ends, len(_BACK_OFF_S)) - 1]
        self._due = now + wait_s
        self._say(f"{how}; starting it again in {wait_s:g} s")

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while raw := stream.readline(_LINE_BYTES):
                text = raw.decode("utf-8", "replace").rstrip()
                if text:
                    self._tail.append(text)
                    self._printed_ready |= bool(self.part.ready_line) and self.part.ready_line in text
                    self._output.line(self.part.name, text)

    def _say(self, text: str) -> None:
        self._output.line("moorage", f"{self.part.name} {text}")
