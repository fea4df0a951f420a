"""The gateway's ASGI application: one request in, the same one out with the key, and the answer back as it comes."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import httpx
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, connections
from django.utils import timezone

from agents.gateway import answers, calls
from agents.gateway.calls import Admitted
from agents.gateway.clients import Client, Receive, Send
from agents.gateway.faults import BadCall, BudgetHeld, Malfunction, NotServed, TokenRefused
from agents.gateway.hearts import Heart
from agents.gateway.own_prices import BadPriceFile
from agents.gateway.passage import Passage
from agents.gateway.replies import Reply
from events.faults import Fault

log = logging.getLogger(__name__)

T = TypeVar("T")

_LISTS = {"/openai/v1/models": "openai", "/anthropic/v1/models": "anthropic", "/ollama/v1/models": "ollama"}
_JSON = ("content-type", "application/json")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the gateway waits for whom, in seconds. For a provider that is silent it is MOORAGE_MODEL_TIMEOUT_S."""

    stream_s: float = 1200.0  # for the end of a stream, however busily it flows
    request_s: float = 60.0  # for a client's whole request
    reader_s: float = 120.0  # for a client that reads slowly, in all
    held_s: float = 60.0  # for money that calls in flight hold
    leave_s: float = 4.0  # for calls to be settled when it is told to stop


class Gateway:
    """The application. Lives in one event loop; :meth:`close` ends its connections and threads."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        # SQLite has one writer: threads would only wait for each other, in steps of its busy time-out.
        self._threads = ThreadPoolExecutor(1 if connection.vendor == "sqlite" else 8, thread_name_prefix="ledger")
        self._http_client: httpx.AsyncClient | None = None
        self._open: set[asyncio.Task[Any]] = set()
        self._heart = Heart(self._in_thread, every_s=settings.HOST_TTL_S / 4)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            task = cast("asyncio.Task[Any]", asyncio.current_task())
            self._open.add(task)
            try:
                await self._respond(scope, Client(receive, send, patience_s=self._patience.reader_s))
            finally:
                self._open.discard(task)

    async def close(self) -> None:
        """Break off what still runs and let it be settled, then end what is open. Closing twice is fine."""
        for task in self._open:
            if not task.cancelling():  # a second time would disturb what the first one began
                task.cancel()
        if self._open:
            await asyncio.wait(self._open, timeout=self._patience.leave_s)
        await self._heart.stop()
        if self._http_client is not None:
            await self._http_client.aclose()
            self._http_client = None
        if not self._threads._shutdown:
            width = self._threads._max_workers
            each = threading.Barrier(width)  # none takes the turn of another
            for _ in range(width):
                self._threads.submit(_close_connections, each)
        self._threads.shutdown()

    async def _live(self, receive: Receive, send: Send) -> None:
        while (event := (await receive())["type"]) != "lifespan.shutdown":
            await send({"type": f"{event}.complete"})
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: dict[str, Any], client: Client) -> None:
        path, headers = scope["path"], _headers(scope)
        try:
            if scope["method"] == "GET":
                await self._tell(path, headers, client)
            elif scope["method"] == "POST":
                await self._call(path, headers, client)
            else:
                raise NotServed(f"Nothing is served at {scope['method'][:20]} {path[:100]}.")
        except Fault as fault:
            if not client.begun:
                body = answers.error_body(path, fault)
                await client.answer(fault.http_status, answers.error_headers(fault), body)

    async def _tell(self, path: str, headers: dict[str, str], client: Client) -> None:
        if path == "/healthz":
            await client.answer(200, [("content-type", "text/plain")], b"ok\n")
            return
        dialect = _LISTS.get(path)
        if dialect is None:
            raise NotServed(f"Nothing is served at {path[:100]}.")
        allowed = await self._allowed(headers)
        names = [label.partition("/")[2] for label in allowed if label.startswith(f"{dialect}/")]
        listed = [{"id": name, "object": "model", "type": "model", "display_name": name} for name in names]
        body = json.dumps({"object": "list", "data": listed, "has_more": False}).encode()
        await client.answer(200, [_JSON], body)

    async def _allowed(self, headers: dict[str, str]) -> list[str]:
        token = _token(headers)
        return await self._in_thread(lambda: calls.allowed(token=token, now=timezone.now()))

    async def _call(self, path: str, headers: dict[str, str], client: Client) -> None:
        async def vouch() -> None:
            await self._allowed(headers)

        length = headers.get("content-length", "")
        announced = int(length) if length.isascii() and length.isdigit() else 0
        body = await client.body(announced=announced, within_s=self._patience.request_s, vouch=vouch)
        await self._heart.beats()
        admitted = await self._admit(path, headers, body, client)
        if isinstance(admitted, Reply):
            known = [("content-type", admitted.content_type), ("x-moorage-replayed", "1")]
            await client.answer(200, known, admitted.body)
            return
        passage = Passage(admitted, client, path=path, in_thread=self._in_thread)
        await passage.run(self._http(), stream_s=self._patience.stream_s)

    async def _admit(self, path: str, headers: dict[str, str], body: bytes, client: Client) -> Admitted | Reply:
        """Admission; where only calls in flight stand in the way, it waits for them as long as the client does."""
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + self._patience.held_s, 0.02
        token = _token(headers)
        while True:
            try:
                return await self._in_thread(
                    lambda: calls.admit(
                        token=token, path=path, body=body, headers=headers, now=timezone.now(), gateway=self._heart.id
                    )
                )
            except BudgetHeld:
                if loop.time() > until:
                    raise
                if await client.leaves(within_s=pause_s):
                    raise BadCall("The client left before its call was made.") from None
                pause_s = min(pause_s * 2, 1.0)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        def bounded() -> T:
            close_old_connections()
            try:
                return work()
            except (DatabaseError, BadPriceFile) as error:
                log.exception("the gateway cannot work")
                raise Malfunction(f"The gateway cannot work: {type(error).__name__}.") from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, bounded)

    def _http(self) -> httpx.AsyncClient:
        if self._http_client is None:
            # The environment's proxies are meant for others; a provider behind one is reached by its base URL.
            limits = httpx.Limits(max_connections=512, max_keepalive_connections=64)
            self._http_client = httpx.AsyncClient(limits=limits, trust_env=False, follow_redirects=False)
        return self._http_client


def _close_connections(each: threading.Barrier) -> None:
    connections.close_all()
    each.wait(5)


def _headers(scope: dict[str, Any]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _token(headers: dict[str, str]) -> str:
    """The run token, wherever the dialect carries its key."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    token = value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
    if not token:
        raise TokenRefused("The request carries no run token.")
    return token
