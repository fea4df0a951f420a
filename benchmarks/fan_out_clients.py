"""Sockets that cost next to nothing: a client in one process that reads 500 of them must not be what is measured."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

OPENINGS_AT_ONCE = 25
SETTLE_S = 20.0  # how long after the last event a delivery still counts as one
TEXT, PING, PONG = 0x1, 0x9, 0xA


@dataclass(slots=True)
class Seen:
    """What all the sockets together have received."""

    latencies: list[float] = field(default_factory=list)
    closed: int = 0


class Client(asyncio.Protocol):
    """One websocket: opens, says hello, and notes the age of every ``"sent":`` that arrives."""

    def __init__(self, *, path: str, token: str, hello: str, seen: Seen) -> None:
        self._path, self._token, self._hello, self._seen = path, token, hello, seen
        self._buffer = b""
        self._upgraded = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._token}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        self._seen.closed += 1
        if not self.ready.done():
            self.ready.set_exception(error or ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._buffer += data
        if not self._upgraded:
            if b"\r\n\r\n" not in self._buffer:
                return
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101"):
                self.ready.set_exception(ConnectionError(head.decode("latin-1").partition("\r\n")[0]))
                self._transport.abort()
                return
            self._upgraded = True
            self._say(TEXT, self._hello.encode())
        for opcode, payload in self._frames():
            self._take(opcode, payload, now)

    def _take(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode == PING:
            self._say(PONG, payload)
        elif payload == b'{"type":"ping"}':
            self._say(TEXT, b'{"type":"pong"}')
        elif b'"subscribed"' in payload and not self.ready.done():
            self.ready.set_result(None)
        for piece in payload.split(b'"sent":')[1:]:
            self._seen.latencies.append(now - float(piece.partition(b"}")[0].partition(b",")[0]))

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        """The whole frames of the buffer; a server's are not masked."""
        while len(self._buffer) >= 2:
            length, start = self._buffer[1] & 0x7F, 2
            if length >= 126:
                start = 4 if length == 126 else 10
                length = int.from_bytes(self._buffer[2:start], "big")
            if len(self._buffer) < start + length:
                return
            frame, self._buffer = self._buffer[: start + length], self._buffer[start + length :]
            yield frame[0] & 0x0F, frame[start:]

    def _say(self, opcode: int, payload: bytes) -> None:
        # Masked with zeros: the bytes are as the protocol wants them, and unchanged.
        length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
        self._transport.write(bytes([0x80 | opcode]) + length + bytes(4) + payload)

    def close(self) -> None:
        self._transport.abort()


async def open_all(*, count: int, port: int, path: str, token: str, hello: str, seen: Seen) -> list[Client]:
    """So many sockets, all of them subscribed."""
    gate = asyncio.Semaphore(OPENINGS_AT_ONCE)
    loop = asyncio.get_running_loop()

    async def open_one() -> Client:
        async with gate:
            _, client = await loop.create_connection(
                lambda: Client(path=path, token=token, hello=hello, seen=seen), "127.0.0.1", port
            )
            await asyncio.wait_for(client.ready, 60)
            return client

    return list(await asyncio.gather(*(open_one() for _ in range(count))))


async def settled(seen: Seen, *, expected: int) -> None:
    """Wait until all is there, or nothing more is to be expected."""
    deadline = time.monotonic() + SETTLE_S
    while len(seen.latencies) < expected and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
