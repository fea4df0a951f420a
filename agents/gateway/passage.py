"""One admitted call on its way to the provider, and the answer on its way back as it comes.

However it ends, the call is settled. A client that leaves, or reads too slowly, changes nothing: the answer is read to
its end and kept, for the attempt that asks again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
from django.conf import settings
from django.utils import timezone

from agents.gateway import answers, calls, parking
from agents.gateway.calls import Admitted
from agents.gateway.clients import Client, Headers
from agents.gateway.faults import Late, Malfunction, Unreachable
from agents.gateway.ledger import Ended
from agents.gateway.meters import Meter
from agents.gateway.models import ModelCall
from agents.gateway.upstream import headers_back
from events.faults import Fault

log = logging.getLogger(__name__)

T = TypeVar("T")
InThread = Callable[[Callable[[], T]], Awaitable[T]]
State = ModelCall.State

_LONGEST_ERROR = 64 << 10
_CONNECT_S = 10.0
_TAIL_S = 1.0  # from the last event of a stream to the end of the connection, which is then used again
_BOOKING_PAUSES_S = (0.2, 0.5, 1, 2, 4, 8)  # a database that is away comes back; what was paid for is known here
# These were raised before anything of the request had left.
_UNSENT = (
    httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)  # fmt: skip


class Passage:
    """A call from here to its settlement. ``path`` is where the client asked, and says how it reads errors."""

    def __init__(self, admitted: Admitted, client: Client, *, path: str, in_thread: InThread[Any]) -> None:
        self._admitted, self._client, self._path, self._in_thread = admitted, client, path, in_thread
        self._meter: Meter | None = None
        self._settled = self._headed = False

    async def run(self, http: httpx.AsyncClient, *, stream_s: float) -> None:
        """Send the request, pass its answer on, settle. A stream may last ``stream_s`` in all.

        Raises the fault that the client is to be told while nothing of an answer was sent.
        """
        label = self._admitted.model.label
        limit_s = stream_s if self._admitted.asked.streamed else settings.MODEL_TIMEOUT_S
        try:
            async with asyncio.timeout(limit_s):
                await self._exchange(http)
        except (TimeoutError, httpx.TimeoutException) as error:
            await self._broke(Late(f"{label} did not answer in time."), error)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            why = f"{label} cannot be reached, or broke off: {type(error).__name__}."
            await self._broke(Unreachable(why), error)
        finally:
            # Only for what nobody foresaw, and for a gateway that is told to stop: all else is settled by now.
            await self._settle(self._unfinished(State.LOST, "gateway.broke_off"))

    async def _exchange(self, http: httpx.AsyncClient) -> None:
        admitted = self._admitted
        timeout = httpx.Timeout(settings.MODEL_TIMEOUT_S, connect=min(_CONNECT_S, settings.MODEL_TIMEOUT_S))
        headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in admitted.headers.items()]
        sending = http.stream("POST", admitted.url, content=admitted.asked.body, headers=headers, timeout=timeout)
        async with sending as response:
            self._headed = True
            back = headers_back(response.headers.items())
            if response.status_code == 200:
                await self._pass_on(response, back)
            else:
                await self._refused(response, back)

    async def _pass_on(self, response: httpx.Response, back: Headers) -> None:
        kind = response.headers.get("content-type", "")
        self._meter = meter = Meter(self._admitted.asked, content_type=kind)
        await self._client.start(200, back)
        try:
            async with asyncio.timeout(None) as deadline:
                async for chunk in response.aiter_bytes():  # plain also where it came compressed, unasked
                    if part := meter.feed(chunk):
                        await self._client.send(part, more=True)
                    if meter.complete and deadline.when() is None:
                        deadline.reschedule(asyncio.get_running_loop().time() + _TAIL_S)
        except (TimeoutError, httpx.HTTPError):
            if not meter.complete:
                raise
        rest = meter.end()
        await self._settle(_ended(meter, kind))
        # Only now: whoever has the whole answer can rely on it being in the ledger.
        await self._client.send(rest, more=False)

    async def _refused(self, response: httpx.Response, back: Headers) -> None:
        """An error of the provider's, without the key that some of them repeat."""
        status = response.status_code
        # Whoever says that it accepted the request may charge for it, whatever it means by another number than 200.
        ended = Ended(State.LOST if status < 300 else State.FAILED, status=status, error=f"http.{status}")
        try:
            body = await _start_of(response)
        except httpx.HTTPError:  # what it said is lost, that it refused is not
            body = b""
        body = self._without_key(body)
        await self._settle(ended, failed=f"it answered {status}" if status >= 500 else "")
        headers = {name.lower(): value for name, value in response.headers.items()}
        if rest := parking.rest_of(status, headers, body, now=timezone.now()):
            wait_s = await self._in_thread(lambda: calls.park(self._admitted, rest))
            back = [(name, value) for name, value in back if not name.startswith("retry-after")]
            back.append(("retry-after", f"{max(wait_s, 0.001):.3f}"))
            status = max(status, 429)  # an account without money is no mistake of the client's: others may help
        # A redirect would send the request, and with it what it says, somewhere else: it is an error.
        await self._client.answer(status if status >= 400 else 502, back, body)

    def _without_key(self, body: bytes) -> bytes:
        key = self._admitted.model.api_key.encode()
        if len(body) > _LONGEST_ERROR:
            body = body[: max(_LONGEST_ERROR - len(key), 0)]  # no end of it holds the beginning of the key
        return body.replace(key, b"...") if key else body

    async def _broke(self, fault: Fault, error: BaseException) -> None:
        """The connection to the provider failed, before or within the answer."""
        sent = self._headed or not isinstance(error, _UNSENT)
        ended = self._unfinished(State.LOST if sent else State.FAILED, fault.code)
        await self._settle(ended, failed=type(error).__name__)
        if not self._client.begun:
            raise fault
        if self._meter is not None and self._meter.in_parts:
            # It says why; and without the stream's end, no client takes it for a whole answer.
            await self._client.send(answers.error_event(self._path, fault), more=True)

    def _unfinished(self, state: State, error: str) -> Ended:
        """With the usage, where the provider told that of the whole answer before the connection broke."""
        if self._meter is None:
            return Ended(state, error=error)
        return Ended(state, self._meter.usage, status=200, error=error, answered=self._meter.model)

    async def _settle(self, ended: Ended, *, failed: str = "") -> None:
        if not self._settled:
            self._settled = True
            await asyncio.shield(asyncio.ensure_future(self._book(ended, failed)))

    async def _book(self, ended: Ended, failed: str) -> None:
        """In the ledger, also where the database is away for a moment. Raises :class:`Malfunction` after a while."""

        def book() -> None:
            calls.settle(self._admitted, ended, failed=failed, now=timezone.now())

        for pause_s in _BOOKING_PAUSES_S:
            try:
                await self._in_thread(book)
            except Malfunction:
                await asyncio.sleep(pause_s)
            else:
                return
        await self._in_thread(book)


def _ended(meter: Meter, kind: str) -> Ended:
    """What an answer with status 200 was."""
    if kind.lower().startswith("text/html"):  # some portal or proxy spoke, not the provider
        return Ended(State.FAILED, status=200, error="reply.html")
    if not meter.complete:
        return Ended(State.LOST, meter.usage, status=200, error="reply.incomplete", answered=meter.model)
    return Ended(State.SETTLED, meter.usage, status=200, answered=meter.model, reply=meter.reply, reply_type=kind)


async def _start_of(response: httpx.Response) -> bytes:
    """A little more of its body than is passed on, so that a longer one is known."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _LONGEST_ERROR:
            break
    return body
