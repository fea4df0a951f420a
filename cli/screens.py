"""Where a watched operation is shown: a terminal that is redrawn, plain lines, or JSON lines."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol, TextIO

from cli import progress, terminal


class Screen(Protocol):
    """Shows an operation's states in the order in which they were seen."""

    def show(self, operation: dict[str, Any], steps: list[dict[str, Any]]) -> None: ...

    def note(self, text: str) -> None:
        """Something about the watching itself."""

    def tick(self) -> None:
        """Time has passed."""

    def finish(self, operation: dict[str, Any]) -> None: ...

    def leave(self) -> None:
        """Whatever comes next begins on a line of its own. After ``finish`` and twice is fine."""


def screen_for(stream: TextIO, *, as_json: bool) -> Screen:
    """JSON where it is asked for, redrawing on a terminal, plain lines anywhere else."""
    if as_json:
        return JsonLines()
    return Redrawn(stream) if stream.isatty() else PlainLines(stream)


class _Finished:
    """Tells which steps have ended since the last look, in order; their place stands in for a missing id."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def news(self, steps: list[dict[str, Any]]) -> list[str]:
        lines = []
        for place, step in enumerate(steps):
            key = f"{step.get('id', place)}/{step.get('outcome')}"
            if step.get("outcome") not in ("running", "waiting") and key not in self._shown:
                self._shown.add(key)
                lines.append(progress.step_line(step))
        return lines


class PlainLines:
    """One line per change, as for a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._finished = _Finished()
        self._last = ""

    def show(self, operation: dict[str, Any], steps: list[dict[str, Any]]) -> None:
        for line in self._finished.news(steps):
            self._write(line)
        if operation.get("status") in progress.TERMINAL:
            return
        now = progress.way_on(operation) or progress.current_line(operation)
        if now != self._last:
            self._write(now)
            self._last = now

    def note(self, text: str) -> None:
        self._write(f"… {terminal.clean(text)}")

    def tick(self) -> None:
        """Nothing: a log does not tick."""

    def finish(self, operation: dict[str, Any]) -> None:
        for line in progress.closing(operation):
            self._write(line)

    def leave(self) -> None:
        """Nothing: every line is whole."""

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class Redrawn:
    """Finished steps stay; the last line is drawn anew, with the seconds that it lasts."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._finished = _Finished()
        self._current = ""
        self._since = time.monotonic()
        self._half = False  # whether the cursor stands behind a line that is not ended

    def show(self, operation: dict[str, Any], steps: list[dict[str, Any]]) -> None:
        for line in self._finished.news(steps):
            self._keep(line)
        now = progress.way_on(operation) or progress.current_line(operation)
        if now != self._current:
            self._current, self._since = now, time.monotonic()
        self.tick()

    def note(self, text: str) -> None:
        self._keep(f"… {terminal.clean(text)}")
        self.tick()

    def tick(self) -> None:
        lasted = int(time.monotonic() - self._since)
        width = terminal.columns(self._stream) - 1
        line = f"{self._current}  ({lasted} s)" if lasted else self._current
        self._stream.write("\r\x1b[K" + terminal.fit(line, width))
        self._stream.flush()
        self._half = True

    def finish(self, operation: dict[str, Any]) -> None:
        self._stream.write("\r\x1b[K")
        for line in progress.closing(operation):
            print(line, file=self._stream, flush=True)
        self._half = False

    def leave(self) -> None:
        if self._half:
            print(file=self._stream, flush=True)
        self._half = False

    def _keep(self, line: str) -> None:
        width = terminal.columns(self._stream)
        self._stream.write(f"\r\x1b[K{terminal.fit(line, width)}\n")


class JsonLines:
    """The operation's document, one per line, whenever it is another than before."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, operation: dict[str, Any], steps: list[dict[str, Any]]) -> None:
        line = terminal.as_json(operation, indent=None)
        if line != self._last:
            print(line, flush=True)
            self._last = line

    def note(self, text: str) -> None:
        print(*terminal.clean_lines(text), file=sys.stderr)

    def tick(self) -> None:
        """Nothing: a document does not tick."""

    def finish(self, operation: dict[str, Any]) -> None:
        self.show(operation, [])

    def leave(self) -> None:
        """Nothing: every line is whole."""
