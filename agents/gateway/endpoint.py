"""The gateway's ASGI application: one request in, the same one out with the key, and the answer back as it comes.

A client that leaves changes nothing: the answer is read to its end and kept, for the attempt that asks again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, connections
from django.utils import timezone

from agents.gateway import answers, calls, wires
from agents.gateway.calls import Admitted
from agents.gateway.faults import BadCall, BudgetHeld, NotServed, TokenRefused
from agents.gateway.ledger import Ended
from agents.gateway.meters import Meter
from agents.gateway.models import ModelCall
from agents.gateway.own_prices import BadPriceFile
from agents.gateway.replies import Reply
from agents.gateway.upstream import headers_back
from events.faults import Fault, FaultClass

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[str, str]]
T = TypeVar("T")
State = ModelCall.State

HELD_PATIENCE_S = 60.0  # for money that calls in flight hold
_LONGEST_STREAM_S = 1200.0
_LONGEST_ERROR = 64 << 10
_CONNECT_S = 10.0
_LISTS = {"/openai/v1/models": "openai", "/anthropic/v1/models": "anthropic", "/ollama/v1/models": "ollama"}


class Unreachable(Fault):
    """The provider cannot be reached, or broke off."""

    fault_class = FaultClass.TRANSIENT
    code = "llm.unavailable"
    http_status = 503
    remedy = "It is tried again; a further provider in MOORAGE_MODELS helps."


class Late(Fault):
    """The provider did not answer in time."""

    fault_class = FaultClass.TRANSIENT
    code = "llm.timeout"
    http_status = 504
    remedy = "It is tried again; a longer MOORAGE_MODEL_TIMEOUT_S or a faster model helps."


class Malfunction(Fault):
    """The gateway itself cannot work: its database or its price file."""

    fault_class = FaultClass.TRANSIENT
    code = "gateway.malfunction"
    http_status = 503
    remedy = "Look at the gateway's log."


class Gateway:
    """The application. Lives in one event loop; :meth:`close` ends its connections and threads."""

    def __init__(self) -> None:
        # SQLite has one writer: threads would only wait for each other, in steps of its busy time-out.
        self._threads = ThreadPoolExecutor(1 if connection.vendor == "sqlite" else 8, thread_name_prefix="ledger")
        self._client: httpx.AsyncClient | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        try:
            if scope["method"] == "GET":
                await self._tell(path, _headers(scope), send)
            else:
                await self._call(path, _headers(scope), await _body(receive), send)
        except Fault as fault:
            await _answer(send, fault.http_status, answers.error_headers(fault), answers.error_body(path, fault))

    async def close(self) -> None:
        """End what is open. Closing twice is fine."""
        if self._client is not None:
            await self._client.aclose()
        for _ in range(self._threads._max_workers):
            self._threads.submit(connections.close_all)
        self._threads.shutdown()

    async def _tell(self, path: str, headers: dict[str, str], send: Send) -> None:
        if path == "/healthz":
            await _answer(send, 200, [("content-type", "text/plain")], b"ok\n")
            return
        dialect = _LISTS.get(path)
        if dialect is None:
            raise NotServed(f"Nothing is served at {path[:100]}.")
        allowed = await self._in_thread(lambda: calls.allowed(token=_token(headers), now=timezone.now()))
        names = [label.partition("/")[2] for label in allowed if label.startswith(f"{dialect}/")]
        listed = [{"id": name, "object": "model", "type": "model", "display_name": name} for name in names]
        body = json.dumps({"object": "list", "data": listed, "has_more": False}).encode()
        await _answer(send, 200, [("content-type", "application/json")], body)

    async def _call(self, path: str, headers: dict[str, str], body: bytes, send: Send) -> None:
        admitted = await self._admit(path, headers, body)
        if isinstance(admitted, Reply):
            known = [("content-type", admitted.content_type), ("x-moorage-replayed", "1")]
            await _answer(send, 200, known, admitted.body)
            return
        passage = _Passage(self, admitted, send)
        limit_s = _LONGEST_STREAM_S if admitted.asked.streamed else settings.MODEL_TIMEOUT_S
        try:
            async with asyncio.timeout(limit_s):
                await passage.run(self._http())
        except (TimeoutError, httpx.TimeoutException) as error:
            await passage.broke(Late(f"{admitted.model.label} did not answer in time."), error)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            why = f"{admitted.model.label} cannot be reached, or broke off: {type(error).__name__}."
            await passage.broke(Unreachable(why), error)

    async def _admit(self, path: str, headers: dict[str, str], body: bytes) -> Admitted | Reply:
        """Admission; where only calls in flight stand in the way, it waits for them."""
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + HELD_PATIENCE_S, 0.02
        while True:
            try:
                return await self._in_thread(
                    lambda: calls.admit(
                        token=_token(headers), path=path, body=body, headers=headers, now=timezone.now()
                    )
                )
            except BudgetHeld:
                if loop.time() > until:
                    raise
                await asyncio.sleep(pause_s)
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
        if self._client is None:
            # The environment's proxies are meant for others; a provider behind one is reached by its base URL.
            limits = httpx.Limits(max_connections=512, max_keepalive_connections=64)
            self._client = httpx.AsyncClient(limits=limits, trust_env=False, follow_redirects=False)
        return self._client


class _Passage:
    """One answer on its way through."""

    def __init__(self, gateway: Gateway, admitted: Admitted, send: Send) -> None:
        self._gateway, self._admitted, self._send = gateway, admitted, send
        self._begun = self._settled = self._headed = False

    async def run(self, http: httpx.AsyncClient) -> None:
        """Send the request and pass its answer on."""
        admitted = self._admitted
        timeout = httpx.Timeout(settings.MODEL_TIMEOUT_S, connect=min(_CONNECT_S, settings.MODEL_TIMEOUT_S))
        content, headers = admitted.asked.body, dict(admitted.headers)
        async with http.stream("POST", admitted.url, content=content, headers=headers, timeout=timeout) as response:
            self._headed = True
            back = headers_back(response.headers.items())
            if response.status_code == 200:
                await self._pass_on(response, back)
            else:
                await self._refused(response, back)

    async def _pass_on(self, response: httpx.Response, back: Headers) -> None:
        kind = response.headers.get("content-type", "")
        meter = Meter(self._admitted.asked, status=200, content_type=kind)
        self._begun = True
        await self._send(_start(200, back))
        async for chunk in response.aiter_bytes():  # plain also where it came compressed, which nobody asked for
            if part := meter.feed(chunk):
                await self._send({"type": "http.response.body", "body": part, "more_body": True})
        rest = meter.end()
        await self._settle(_ended(meter, kind))
        # Only now: whoever has the whole answer can rely on it being in the ledger.
        await self._send({"type": "http.response.body", "body": rest})

    async def _refused(self, response: httpx.Response, back: Headers) -> None:
        """An error of the provider's, without the key that some of them repeat."""
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _LONGEST_ERROR:
                break
        key, status = self._admitted.model.api_key.encode(), response.status_code
        if len(body) > _LONGEST_ERROR:
            body = body[: max(_LONGEST_ERROR - len(key), 0)]  # no end of it holds the beginning of the key
        body = body.replace(key, b"...") if key else body
        failed = f"it answered {status}" if status >= 500 else ""
        await self._settle(Ended(State.FAILED, status=status, error=f"http.{status}"), failed=failed)
        if status == 429:
            headers = {name.lower(): value for name, value in response.headers.items()}
            park = self._gateway._in_thread(
                lambda: calls.park(self._admitted, headers=headers, body=body, now=timezone.now())
            )
            wait_s = await park
            back = [(name, value) for name, value in back if not name.startswith("retry-after")]
            back.append(("retry-after", f"{max(wait_s, 0.001):.3f}"))
        self._begun = True
        # A redirect would send the request, and with it what it says, somewhere else: it is an error.
        await _answer(self._send, status if status >= 400 else 502, back, body)

    async def broke(self, fault: Fault, error: BaseException) -> None:
        """The connection to the provider failed, before or within the answer."""
        sent = self._headed or not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.InvalidURL)
        state = State.LOST if sent else State.FAILED
        await self._settle(Ended(state, error=fault.code), failed=f"{type(error).__name__}")
        if self._begun:
            return  # without its end: the server closes the connection, and no client takes it for a whole answer
        raise fault

    async def _settle(self, ended: Ended, *, failed: str = "") -> None:
        if self._settled:
            return
        self._settled = True
        settle = self._gateway._in_thread(
            lambda: calls.settle(self._admitted, ended, failed=failed, now=timezone.now())
        )
        await asyncio.shield(settle)


def _ended(meter: Meter, kind: str) -> Ended:
    """What an answer with status 200 was."""
    if kind.startswith("text/html"):  # some portal or proxy spoke, not the provider
        return Ended(State.FAILED, status=200, error="reply.html")
    if not meter.complete:
        return Ended(State.LOST, status=200, error="reply.incomplete")
    return Ended(State.SETTLED, meter.usage, status=200, reply=meter.reply, reply_type=kind)


def _headers(scope: dict[str, Any]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _token(headers: dict[str, str]) -> str:
    """The run token, wherever the dialect carries its key."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    token = value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
    if not token:
        raise TokenRefused("The request carries no run token.")
    return token


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadCall("The client left before its request was whole.")
        part = message.get("body", b"")
        size += len(part)
        if size > wires.LARGEST_BODY:
            raise BadCall(f"The request is longer than {wires.LARGEST_BODY >> 20} MiB.")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _start(status: int, headers: Headers) -> dict[str, Any]:
    raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": raw}


async def _answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send(_start(status, [*headers, ("content-length", str(len(body)))]))
    await send({"type": "http.response.body", "body": body})
