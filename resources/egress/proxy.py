"""The proxy of one berth: one request per connection, to a destination that its guard allows, within its caps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from resources.egress import addresses, heads, hello
from resources.egress.rules import is_literal

log = logging.getLogger(__name__)

_CHUNK = 1 << 16
_LINGER_S = 1.0
_TLS, _PLAIN = 443, 80
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_WHY = {
    "not_allowed": "no template and no operator allows it",
    "tunnel.plain_http": "a tunnel to port 80 could not be looked into: send the http:// URL itself",
    "tunnel.not_tls": "only TLS goes through a tunnel to port 443",
    "tunnel.other_server": "the TLS handshake names another server than the tunnel",
    "address.private": "its address is private; an operator lists such hosts in MOORAGE_EGRESS_PRIVATE_HOSTS",
}


@dataclass(frozen=True, slots=True)
class Caps:
    """What one connection and one berth may take."""

    head_s: float = 10.0
    connect_s: float = 10.0
    idle_s: float = 120.0
    life_s: float = 3600.0
    connections: int = 64
    connection_bytes: int = 4 << 30  # both ways together
    berth_bytes: int = 64 << 30  # of one berth, since the proxy started


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[list[str], int], Awaitable[Streams]]  # to the first of the addresses that answers


class Guard(Protocol):
    """Who decides for one berth, and who hears of what was refused."""

    async def allows(self, host: str, port: int) -> bool: ...

    async def denied(self, host: str, port: int, reason: str) -> None: ...


class _Refused(Exception):
    """The answer to the client; ``denied`` also tells the guard."""

    def __init__(self, status: int, reason: str, text: str = "", *, denied: bool = False) -> None:
        super().__init__(text or _WHY.get(reason, reason))
        self.status = status
        self.reason = reason
        self.denied = denied


@dataclass(slots=True, eq=False)
class _Connection:
    """One client's connection while it lasts."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    task: asyncio.Task[None]
    heard_at: float
    host: str = ""
    port: int = 0
    moved_bytes: int = 0
    let_through: bool = False  # until then nothing has to be ended: it is refused with an answer
    established: bool = False  # a tunnel that stands: what we write now would be taken for the server's


class BerthProxy:
    """Serves the connections of one berth. Lives in one event loop."""

    def __init__(
        self,
        guard: Guard,
        *,
        resolve: addresses.Resolve,
        private_hosts: frozenset[str] = frozenset(),
        ours: Mapping[str, tuple[str, int]] | None = None,
        caps: Caps | None = None,
        own_addresses: Callable[[], frozenset[str]] = addresses.own_addresses,
        connect: Connect | None = None,
    ) -> None:
        self._guard = guard
        self._resolve = resolve
        self._private_hosts = private_hosts
        self._ours = ours or {}  # services of our own, by the name that berths know them by: plain HTTP on port 80
        self._caps = caps or Caps()
        self._own_addresses = own_addresses
        self._connect_to = connect or _connect_to_one
        self._live: set[_Connection] = set()
        self._moved_bytes = 0
        self._looking_up = asyncio.Semaphore(4)  # one berth must not hold every thread of the resolver

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from beginning to end: the callback of the listening socket."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 — the server runs callbacks as tasks
        connection = _Connection(reader, writer, task, heard_at=asyncio.get_running_loop().time())
        try:
            if len(self._live) >= self._caps.connections:
                # Not a moment longer than the answer takes: descriptors are shared with other berths.
                writer.write(_TOO_MANY)
                await self._guard.denied("", 0, "caps.connections")
                return
            self._live.add(connection)
            async with asyncio.timeout(self._caps.life_s):
                await self._serve(connection)
        except _Refused as refused:
            await self._answer(connection, refused)
        except (OSError, EOFError, TimeoutError):
            log.debug("a connection broke off", exc_info=True)  # theirs to notice
        except asyncio.CancelledError:
            return  # only we cancel this task, and nothing comes after it: withdrawn, or the proxy ends
        finally:
            self._live.discard(connection)
            writer.close()

    async def recheck(self) -> None:
        """End every connection to a destination that is not allowed any more."""
        for connection in list(self._live):
            if connection.let_through and not await self._guard.allows(connection.host, connection.port):
                connection.task.cancel()

    async def close(self) -> None:
        """End all connections. Closing twice is fine."""
        tasks = [connection.task for connection in self._live]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, connection: _Connection) -> None:
        request = await self._read_request(connection)
        connection.host, connection.port = request.host, request.port
        if not await self._guard.allows(request.host, request.port):
            raise _Refused(403, "not_allowed", denied=True)
        connection.let_through = True
        if request.tunnel and request.port == _PLAIN and request.host not in self._ours:
            raise _Refused(403, "tunnel.plain_http", denied=True)
        server_reader, server_writer = await self._connect(request)
        try:
            if request.tunnel:
                connection.writer.write(_ESTABLISHED)
                connection.established = True
                if request.port == _TLS:
                    server_writer.write(await self._hello(connection, request.host))
            else:
                server_writer.write(request.onward)
            await self._relay(connection, server_reader, server_writer, request)
        finally:
            server_writer.close()

    async def _read_request(self, connection: _Connection) -> heads.Request:
        try:
            async with asyncio.timeout(self._caps.head_s):
                head = await connection.reader.readuntil(b"\r\n\r\n")
            return heads.parse(head)
        except asyncio.LimitOverrunError:
            raise _Refused(431, "request.too_long", "the head of the request is too long") from None
        except TimeoutError:
            raise _Refused(408, "request.too_slow", "the request did not come in time") from None
        except heads.Malformed as error:
            raise _Refused(error.status, "request.malformed", str(error), denied=True) from None

    async def _connect(self, request: heads.Request) -> Streams:
        """To one of the addresses that were looked at, and to no name: a second look-up could answer otherwise."""
        try:
            async with asyncio.timeout(self._caps.connect_s):
                if request.host in self._ours and request.port == _PLAIN:
                    return await asyncio.open_connection(*self._ours[request.host], limit=_CHUNK)
                async with self._looking_up:
                    found = await addresses.pinned(
                        request.host,
                        request.port,
                        resolve=self._resolve,
                        private_ok=request.host in self._private_hosts,
                        own=self._own_addresses(),
                    )
                return await self._connect_to(found, request.port)
        except addresses.AddressRefused as refused:
            raise _Refused(403, refused.reason, denied=True) from None
        except (OSError, UnicodeError) as error:
            raise _Refused(502, "unreachable", f"the host cannot be reached ({type(error).__name__})") from error

    async def _hello(self, connection: _Connection, host: str) -> bytes:
        """The client's first TLS record, if it is one for this host."""
        try:
            async with asyncio.timeout(self._caps.head_s):
                start = await connection.reader.readexactly(5)
                record = start + await connection.reader.readexactly(hello.record_bytes(start) - 5)
            named = hello.server_name(record)
        except hello.NotTls:
            raise _Refused(403, "tunnel.not_tls", denied=True) from None
        if named is None and not is_literal(host):
            raise _Refused(403, "tunnel.other_server", denied=True)
        if named is not None and named.lower().removesuffix(".") != host:
            raise _Refused(403, "tunnel.other_server", denied=True)
        return record

    async def _relay(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request: heads.Request,
    ) -> None:
        """Until both sides have ended; for a plain request until the server has. Silence ends it too."""
        limit = None if request.tunnel else request.body_bytes
        up = asyncio.create_task(self._pump(connection, connection.reader, writer, limit=limit))
        down = asyncio.create_task(self._pump(connection, reader, connection.writer))
        loop = asyncio.get_running_loop()
        waiting = {up, down}
        # A service of ours has time limits of its own, and what it waits for may think for long.
        idle_s = self._caps.life_s if request.host in self._ours else self._caps.idle_s
        connection.heard_at = loop.time()
        try:
            while waiting and (request.tunnel or not down.done()):
                done, waiting = await asyncio.wait(waiting, timeout=idle_s / 4, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                if loop.time() - connection.heard_at > idle_s:
                    raise TimeoutError("nothing came for too long")
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _pump(
        self,
        connection: _Connection,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        limit: int | None = None,
    ) -> None:
        left = limit
        while left is None or left > 0:
            chunk = await source.read(_CHUNK if left is None else min(_CHUNK, left))
            if not chunk:
                break
            self._count(connection, len(chunk))
            sink.write(chunk)
            await sink.drain()
            left = None if left is None else left - len(chunk)
        if limit is None and sink.can_write_eof():
            sink.write_eof()

    def _count(self, connection: _Connection, moved: int) -> None:
        connection.heard_at = asyncio.get_running_loop().time()
        connection.moved_bytes += moved
        self._moved_bytes += moved
        if connection.moved_bytes > self._caps.connection_bytes:
            raise _Refused(0, "caps.connection_bytes", denied=True)
        if self._moved_bytes > self._caps.berth_bytes:
            raise _Refused(0, "caps.berth_bytes", denied=True)

    async def _answer(self, connection: _Connection, refused: _Refused) -> None:
        """Tell the guard and the client; where an answer has begun there is no second one, it just ends."""
        if refused.denied:
            await self._guard.denied(connection.host, connection.port, refused.reason)
        if not refused.status or connection.established:
            return
        where = f" to {connection.host}:{connection.port}" if connection.host else ""
        body = f"Moorage egress: no connection{where}: {refused} [{refused.reason}]\n".encode()
        status = f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}\r\n"
        headers = f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        try:
            connection.writer.write(status.encode() + headers.encode() + body)
            connection.writer.write_eof()
            async with asyncio.timeout(_LINGER_S):
                # Closing with bytes unread would reset the connection, and the answer with it.
                while await connection.reader.read(_CHUNK):
                    continue
        except (OSError, TimeoutError):
            return


async def _connect_to_one(found: list[str], port: int) -> Streams:
    problem = OSError("no address")
    for address in found:
        try:
            return await asyncio.open_connection(address, port, limit=_CHUNK)
        except OSError as error:
            problem = error
    raise problem
