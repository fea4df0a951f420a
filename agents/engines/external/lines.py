"""A program's output as lines, however it arrives, and as little of it as is needed."""

from __future__ import annotations

import re

from agents.engines.external.faults import Flood
from events.plain_text import plain

MOST_BYTES = 64 << 20  # of one attempt
LONGEST_LINE = 4 << 20
LONGEST_SHOWN = 500  # characters of a line in the log
_BLANKS = re.compile(r"\s+")


class Lines:
    """Splits a stream. Raises :class:`Flood` for a line, or a stream, that is too long."""

    def __init__(self, *, longest: int = LONGEST_LINE, most: int = MOST_BYTES) -> None:
        self._longest, self._left = longest, most
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now, without their ends."""
        self._left -= len(data)
        if self._left < 0:
            raise Flood("The program wrote more than an attempt may.")
        before = len(self._rest)
        self._rest += data
        if self._rest.find(b"\n", before) < 0:
            lines: list[bytes] = []
        else:
            *whole, rest = self._rest.split(b"\n")
            lines, self._rest = [bytes(line) for line in whole], bytearray(rest)
        if max(map(len, [*lines, self._rest])) > self._longest:
            raise Flood(f"The program wrote a line of more than {self._longest >> 20} MiB.")
        return lines


def shown(text: str, *, limit: int = LONGEST_SHOWN) -> str:
    """One harmless line of somebody else's text."""
    line = _BLANKS.sub(" ", plain(text[: limit * 8])).strip()
    return line if len(line) <= limit else line[:limit] + "…"
