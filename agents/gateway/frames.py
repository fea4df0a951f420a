"""Cutting a stream into its events, however the reads cut it: a line's end may come in two halves.

Each piece is the bytes as they came, its blank line included, so that all pieces together are the stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_EVENT = 4 << 20
# An event ends at a blank line; a line ends with CR LF, LF or CR (WHATWG, server-sent events). A CR at the end of what
# was read may be half of a CR LF.
_LINE_END = rb"(?>\r\n|\n|\r(?!\Z))"
_BLANK_LINE = re.compile(_LINE_END * 2)
_LINE = re.compile(rb"\n")
_LONGEST_END = 4  # bytes of a blank line
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of the stream. ``readable`` is False for parts of an event too long to be looked at."""

    raw: bytes
    readable: bool = True


class Frames:
    """Feed it what was read; :meth:`rest` is what came behind the last whole event."""

    def __init__(self, *, by_line: bool) -> None:
        self._end = _LINE if by_line else _BLANK_LINE
        self._pending = bytearray()
        self._searched = 0
        self._too_long = False

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        """The events that this chunk completes, and of one that is too long what there is of it."""
        self._pending += chunk
        begin = 0
        while found := self._end.search(self._pending, self._searched):
            yield Piece(bytes(self._pending[begin : found.end()]), readable=not self._too_long)
            begin = self._searched = found.end()
            self._too_long = False
        del self._pending[:begin]
        if len(self._pending) > LONGEST_EVENT:
            kept = len(self._pending) - _LONGEST_END
            self._too_long = True
            yield Piece(bytes(self._pending[:kept]), readable=False)
            del self._pending[:kept]
        self._searched = max(0, len(self._pending) - _LONGEST_END)

    def rest(self) -> Piece:
        """What is left when the stream is over. Nothing is left afterwards."""
        left = Piece(bytes(self._pending), readable=not self._too_long)
        self._pending.clear()
        self._searched = 0
        return left


def data_of(event: bytes) -> bytes:
    """The data of a server-sent event: its lines in one; comments and other fields are no part of it."""
    values = [line[5:] for line in event.removeprefix(_BOM).splitlines() if line.startswith(b"data:")]
    return b"\n".join(value.removeprefix(b" ") for value in values)
