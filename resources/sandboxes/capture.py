"""Output of a command, kept within a bound whatever the command writes."""

from __future__ import annotations


class Capture:
    """The first and the last half of a stream of bytes; what lies between is counted, not kept."""

    def __init__(self, limit_bytes: int) -> None:
        self._head_limit = limit_bytes // 2
        self._tail_limit = limit_bytes - self._head_limit
        self._head = bytearray()
        self._tail = bytearray()
        self._cut_bytes = 0

    @property
    def truncated(self) -> bool:
        """Whether something was cut out."""
        return self._cut_bytes > 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        self._tail += chunk
        excess = len(self._tail) - self._tail_limit
        if excess > 0:
            del self._tail[:excess]
            self._cut_bytes += excess

    def content(self) -> bytes:
        """What was kept; a line in its middle names the number of bytes that are missing there."""
        if not self._cut_bytes:
            return bytes(self._head + self._tail)
        return bytes(self._head) + f"\n… {self._cut_bytes} bytes cut …\n".encode() + bytes(self._tail)
