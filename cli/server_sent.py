"""Server-sent events, read from bytes as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

LONGEST_EVENT = 4_000_000


class Overlong(Exception):
    """The server sent an event that has no end."""


def events(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each complete event; comments and an unfinished last event are dropped."""
    data: list[bytes] = []
    size = 0
    for line in _lines(chunks):
        size += len(line)
        if size > LONGEST_EVENT:
            raise Overlong
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line:
            if data:
                yield b"\n".join(data).decode("utf-8", "replace")
            data, size = [], 0
        elif line.startswith(b":"):
            size -= len(line)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines ending in LF or CRLF. ``splitlines`` would also cut at characters that JSON may hold."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        if len(rest) > LONGEST_EVENT:
            raise Overlong
