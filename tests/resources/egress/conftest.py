"""A small web server on loopback, names that lead to it, and a client that says exactly what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from resources.egress import heads, rules
from resources.egress.proxy import BerthProxy, Caps

LOOPBACK = "127.0.0.1"


class Listed:
    """A guard with a fixed list, which remembers what was refused."""

    def __init__(self, *entries: str) -> None:
        self.rules = [rules.parse(entry) for entry in entries]
        self.refused: list[tuple[str, int, str]] = []

    async def allows(self, host: str, port: int) -> bool:
        return rules.allows(self.rules, host=host, port=port)

    async def denied(self, host: str, port: int, reason: str) -> None:
        self.refused.append((host, port, reason))


class Names:
    """A resolver whose answers a test sets; one with several answers gives them in turn."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers = {name.replace("_", "."): list(given) for name, given in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise OSError("no such name")
        return self.answers[host]


class Web:
    """Answers every request with what it received, then closes."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            self.heads.append(await reader.read(65536))
            writer.write(self.answer)
            await writer.drain()
        finally:
            writer.close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    made = Web()
    server = await asyncio.start_server(made.handle, LOOPBACK, 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


Asked = Callable[..., Coroutine[Any, Any, bytes]]
Opened = Callable[..., Awaitable[tuple[BerthProxy, Asked]]]


async def ask(path: Path, said: bytes, *, within_s: float = 60.0) -> bytes:
    """What the proxy answers until it closes."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(said)
        async with asyncio.timeout(within_s):
            return await reader.read(-1)
    finally:
        writer.close()


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    """``opened(guard, resolve=…)``: a proxy on a socket, and a way to talk to it."""
    servers: list[tuple[asyncio.Server, BerthProxy]] = []

    async def open_one(guard: Listed, **wanted: object) -> tuple[BerthProxy, Asked]:
        proxy = BerthProxy(guard, own_addresses=frozenset, **wanted)  # type: ignore[arg-type]
        path = tmp_path / f"{len(servers)}.sock"
        server = await asyncio.start_unix_server(proxy.handle, str(path), limit=heads.HEAD_BYTES)
        servers.append((server, proxy))

        async def talk(said: bytes, **how: float) -> bytes:
            return await ask(path, said, **how)

        return proxy, talk

    yield open_one
    for server, proxy in servers:
        server.close()
        await proxy.close()


HASTY = Caps(
    head_s=0.3, connect_s=1.0, idle_s=0.4, life_s=3.0, connections=3, connection_bytes=100_000, berth_bytes=150_000
)
