"""The last bytes of a stream, addressed by absolute offset. Pure: no clock, no descriptor."""

from __future__ import annotations


class OffsetGone(LookupError):
    """The bytes at this offset have been overwritten, or do not exist yet."""


class Ring:
    """Keeps at most ``capacity`` bytes; ``start`` is the oldest offset kept, ``head`` the next to be written.

    Offsets count every byte ever appended and never repeat, so a reader that knows its offset can stop and go on,
    and asking twice is harmless. They fit in a u64 for the life of any terminal.
    """

    __slots__ = ("_bytes", "_origin", "capacity", "head")

    def __init__(self, capacity: int, *, start: int = 0) -> None:
        if capacity < 1:
            raise ValueError("a ring keeps at least one byte")
        self.capacity = capacity
        self.head = start
        self._origin = start  # the bytes lie at offset less origin, modulo capacity
        self._bytes = bytearray()  # grows to the capacity, then turns: an idle terminal costs nothing

    @property
    def start(self) -> int:
        """The oldest offset that can be read."""
        return self.head - len(self._bytes)

    def append(self, data: bytes) -> None:
        """Take the next bytes of the stream; the oldest ones give way."""
        kept = data[-self.capacity :]
        self.head += len(data) - len(kept)  # these are overwritten before anybody could read them
        if len(kept) < len(data):
            self._bytes.clear()
            turn = (self.head - self._origin) % self.capacity  # a full ring may begin anywhere in its buffer
            self._bytes += kept[len(kept) - turn :] + kept[: len(kept) - turn]
            self.head += len(kept)
            return
        self._write(kept)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        if room := self.capacity - len(self._bytes):
            # Still growing: nothing has been dropped yet.
            self._bytes += view[:room]
            self.head += min(room, len(data))
            view = view[room:]
        while view:
            at = (self.head - self._origin) % self.capacity
            piece = view[: self.capacity - at]
            self._bytes[at : at + len(piece)] = piece
            self.head += len(piece)
            view = view[len(piece) :]

    def read(self, offset: int, limit: int) -> bytes:
        """At most ``limit`` bytes from ``offset`` on; empty at the head. OffsetGone outside ``start..head``."""
        if not self.start <= offset <= self.head:
            raise OffsetGone(f"offset {offset} is not within {self.start}..{self.head}")
        count = max(0, min(limit, self.head - offset))
        at = (offset - self._origin) % self.capacity
        first = bytes(self._bytes[at : at + count])
        return first + bytes(self._bytes[: count - len(first)])

    def tail(self, limit: int) -> tuple[int, bytes]:
        """The offset and the content of the last ``limit`` bytes, or of as many as there are."""
        offset = max(self.start, self.head - max(0, limit))
        return offset, self.read(offset, self.head - offset)
