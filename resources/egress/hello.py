"""The first bytes of a tunnel on port 443: TLS, and for the host that was asked for. Pure.

A tunnel hides what goes through it. Its first message does not: a ClientHello that names another server (at a provider
that hosts both) would make an allowed name a way to every neighbour of it. RFC 8446, 4.1.2 and RFC 6066, 3.
"""

from __future__ import annotations

from dataclasses import dataclass

RECORD_BYTES = 5 + (1 << 14)
_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0


class NotTls(Exception):
    """The bytes are no ClientHello in one record."""


@dataclass(slots=True)
class _Bytes:
    content: bytes

    def take(self, count: int) -> bytes:
        if count > len(self.content):
            raise NotTls
        taken, self.content = self.content[:count], self.content[count:]
        return taken

    def vector(self, length_bytes: int) -> bytes:
        return self.take(int.from_bytes(self.take(length_bytes), "big"))


def record_bytes(start: bytes) -> int:
    """How long the first record is, from its five first bytes. Raises :class:`NotTls`."""
    length = int.from_bytes(start[3:5], "big")
    if len(start) < 5 or start[0] != _HANDSHAKE or start[1] != 3 or not 0 < length <= RECORD_BYTES - 5:
        raise NotTls
    return 5 + length


def server_name(record: bytes) -> str | None:
    """The server that the client names; None when it names none. Raises :class:`NotTls`."""
    handshake = _Bytes(record[5:])
    if handshake.take(1)[0] != _CLIENT_HELLO:
        raise NotTls
    hello = _Bytes(handshake.vector(3))
    hello.take(2 + 32)  # version, random
    hello.vector(1)  # session
    hello.vector(2)  # cipher suites
    hello.vector(1)  # compression
    extensions = _Bytes(hello.vector(2)) if hello.content else _Bytes(b"")
    while extensions.content:
        kind, body = int.from_bytes(extensions.take(2), "big"), extensions.vector(2)
        if kind == _SERVER_NAME:
            names = _Bytes(_Bytes(body).vector(2))
            if names.take(1)[0] != _HOST_NAME:
                raise NotTls
            return names.vector(2).decode("latin-1")
    return None
