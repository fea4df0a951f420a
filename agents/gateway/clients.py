"""The client's end of a call: its request on the way in, and what is sent back for as long as it reads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from agents.gateway import wires
from agents.gateway.faults import BadCall, Slow, TooLong

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[str, str]]
STRANGERS_BYTES = 1 << 20  # what is taken in before anybody looks at the token


class Client:
    """One client. It may leave or stop reading at any time, and then gets no more; neither is anybody's fault."""

    def __init__(self, receive: Receive, send: Send, *, patience_s: float) -> None:
        self._receive, self._send = receive, send
        self._left_s = patience_s  # how long it may keep us waiting in all
        self.gone = self.begun = self.heard = False

    async def body(self, *, announced: int, within_s: float, vouch: Callable[[], Awaitable[None]]) -> bytes:
        """The request's body; ``vouch`` is asked before much of it is taken in, and may raise.

        Raises :class:`TooLong`, :class:`Slow`, and :class:`BadCall` for a client that left.
        """
        try:
            async with asyncio.timeout(within_s):
                body = await self._body(announced, vouch)
        except TimeoutError:
            raise Slow(f"The request was not whole within {within_s:g} s.") from None
        self.heard = True
        return body

    async def _body(self, announced: int, vouch: Callable[[], Awaitable[None]]) -> bytes:
        parts: list[bytes] = []
        size, vouched = 0, False
        while True:
            if max(size, announced) > wires.LARGEST_BODY:
                raise TooLong(f"The request is longer than {wires.LARGEST_BODY >> 20} MiB.")
            if max(size, announced) > STRANGERS_BYTES and not vouched:
                await vouch()
                vouched = True
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise BadCall("The client left before its request was whole.")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if not message.get("more_body"):
                return b"".join(parts)

    async def leaves(self, *, within_s: float) -> bool:
        """Whether it leaves in that time. To be asked once its body is there."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                self.gone = (await self._receive())["type"] == "http.disconnect"
        return self.gone

    async def start(self, status: int, headers: Headers) -> None:
        """The head of the answer."""
        self.begun = True
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
        await self._pass({"type": "http.response.start", "status": status, "headers": raw})

    async def send(self, part: bytes, *, more: bool) -> None:
        """A part of its body. An answer without the last one is broken off: no client takes it for whole."""
        await self._pass({"type": "http.response.body", "body": part, "more_body": more})

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer. Where the request was not taken in to its end, the connection ends with it."""
        more = [] if self.heard else [("connection", "close")]
        await self.start(status, [*headers, *more, ("content-length", str(len(body)))])
        await self.send(body, more=False)

    async def _pass(self, message: dict[str, Any]) -> None:
        if self.gone:
            return
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._left_s):
                await self._send(message)
        except TimeoutError:
            self.gone = True
            log.info("a client does not read its answer")
        self._left_s -= asyncio.get_running_loop().time() - began
