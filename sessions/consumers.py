"""``/ws/terminals/``: many terminals on one websocket, as ``docs/terminal-protocol.md`` says.

This end authorises and relays; no terminal byte is kept or understood here. Whoever attaches or takes control is asked
for their right anew, and once a second everybody is.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from django.utils import timezone

from events.faults import Fault
from sessions import presence, relay, revocation, visibility
from sessions.channel import Channel
from sessions.faults import SessionHostAway
from sessions.host import wire
from sessions.host.wire import ASKED, SUBPROTOCOL, TOLD, Frame, Kind, Problem, Refused, Wish
from sessions.models import Terminal
from sessions.outbox import Outbox
from sessions.revocation import Rights

log = logging.getLogger(__name__)

BAD_FRAME, SIGNED_OUT, TOO_SLOW, SERVER_ERROR = 4400, 4401, 4408, 1011
MOST_CHANNELS = 64
MOST_WAITING = 8 << 20  # bytes that a browser has not taken: windows and snapshots of all its channels fit
_OPEN_S = 20.0
_FORWARDED = frozenset({Kind.ACK, Kind.INPUT, Kind.RESIZE, Kind.CONTROL, Kind.TYPIST, Kind.DETACH})
_HARMLESS = frozenset({Kind.ACK, Kind.DETACH})  # also from whoever may only look


class TerminalsConsumer(AsyncWebsocketConsumer):
    """One browser, or ``moorage attach``: up to 64 terminals on one websocket."""

    def __init__(self) -> None:
        super().__init__()
        self._channels: dict[int, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._greeted = self._closed = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One message after the other, without a task for each. Whatever ends the socket: nothing of it stays at the
        session hosts.
        """
        self.scope, self.base_send = scope, send
        self.channel_layer = None  # terminal bytes never cross one
        self._outbox = Outbox(send, spawn=self._spawn)
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass  # how a consumer says that it has ended
        finally:
            self._stop()

    async def dispatch(self, message: Any) -> None:
        """Each frame without a way through the database's thread, which took most of its time.

        The base looks after the database's connections at every message; whoever asks the database here does that too.
        """
        if message["type"] == "websocket.receive":
            await self.receive(message.get("text"), message.get("bytes"))
        else:
            await super().dispatch(message)

    async def connect(self) -> None:
        if SUBPROTOCOL not in self.scope.get("subprotocols", ()):
            await self.close()
            return
        await self.accept(SUBPROTOCOL)
        if not self.scope["user"].is_authenticated:
            await self._end(SIGNED_OUT)
            return
        revocation.of_loop().join(self)

    async def disconnect(self, code: int) -> None:
        self._stop()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._closed:
            return
        frame = wire.decode(bytes_data) if bytes_data is not None else None
        if frame is None:
            await self._end(BAD_FRAME)
            return
        try:
            await self._obey(frame)
        except Refused as refused:
            self.refuse(frame.channel, refused)
        except Fault as fault:
            self.refuse(frame.channel, _refusal(fault))
        except OSError:
            self.refuse(frame.channel, Refused(Problem.AWAY, "the session host is away"))
        except DatabaseError as error:
            log.warning("rights cannot be asked", extra={"error": type(error).__name__})
            await self._end(SERVER_ERROR)

    # --- to the browser -------------------------------------------------------------------------------------------

    def tell(self, kind: int, channel: int, payload: bytes) -> None:
        """One frame for the browser, as soon as it takes it."""
        if self._closed:
            return
        self._outbox.put(wire.message(kind, channel, payload))
        if self._outbox.waiting_bytes > MOST_WAITING:
            self._spawn(self._end(TOO_SLOW))

    def refuse(self, channel: int, refused: Refused) -> None:
        """An ERROR on this channel."""
        self.tell(Kind.ERROR, channel, wire.pack(TOLD, Kind.ERROR, refused.problem, rest=refused.words.encode()))

    def forget(self, channel: Channel) -> None:
        """The channel has no terminal any more; the session host's last word on it has been heard."""
        if self._channels.get(channel.number) is channel:
            del self._channels[channel.number]
        if channel.line is not None:
            channel.line.give_back(channel.upstream)

    # --- from the browser -----------------------------------------------------------------------------------------

    async def _obey(self, frame: Frame) -> None:
        values = wire.unpack(ASKED, frame)
        kind = frame.kind
        if not self._greeted:
            if kind != Kind.HELLO or values != (wire.VERSION,):
                raise Refused(Problem.VERSION, f"a HELLO of version {wire.VERSION} comes first")
            self._greeted = True
            self.tell(Kind.HELLO, frame.channel, wire.pack(TOLD, Kind.HELLO, wire.VERSION))
        elif kind in _FORWARDED:
            await self._forward(frame, values)
        elif kind == Kind.PING:
            self.tell(Kind.PONG, frame.channel, wire.pack(TOLD, Kind.PONG, rest=values[0]))
        elif kind == Kind.ATTACH:
            self._attach(frame.channel, uuid.UUID(bytes=values[0]), offset=values[1])
        else:
            raise Refused(Problem.UNKNOWN_TYPE, f"{Kind(kind).name} is not for a browser to say")

    async def _forward(self, frame: Frame, values: tuple[Any, ...]) -> None:
        channel = self._channels.get(frame.channel)
        if channel is None or channel.line is None:
            if frame.kind == Kind.ACK:
                return  # it crossed the end of its terminal on the way
            raise Refused(Problem.NOT_ATTACHED, f"channel {frame.channel} has no terminal")
        if frame.kind not in _HARMLESS and not self.scope["may_write"]:
            raise Refused(Problem.NOT_ALLOWED, "a token that may only read watches, and steers nothing")
        if frame.kind == Kind.CONTROL and values[1] == Wish.TAKE:
            _, may_type = await self._right_to(channel.terminal_id)
            if not may_type:
                raise Refused(Problem.NOT_ALLOWED, "you may watch this terminal, not type into it")
        channel.line.forward(frame, channel.upstream)
        if not channel.line.writable:
            await channel.line.drain()

    def _attach(self, number: int, terminal_id: uuid.UUID, *, offset: int) -> None:
        if number in self._channels:
            raise Refused(Problem.CHANNEL_TAKEN, f"channel {number} has a terminal: detach it first")
        if len(self._channels) >= MOST_CHANNELS:
            raise Refused(Problem.TOO_MANY, f"{MOST_CHANNELS} terminals are attached")
        channel = self._channels[number] = Channel(self, number, terminal_id)
        self._spawn(self._open(channel, offset=offset))

    async def _open(self, channel: Channel, *, offset: int) -> None:
        """Slow: the row, the line and the session host are asked; frames of other channels go on meanwhile."""
        try:
            terminal, may_type = await self._right_to(channel.terminal_id)
            socket = await database_sync_to_async(_socket_of)(terminal)
            line = await relay.of_loop().line(socket)
            channel.line, channel.upstream = line, line.lend(channel)
            line.send(Kind.OPEN, channel.upstream, terminal.pk.bytes)
            async with asyncio.timeout(_OPEN_S):
                await channel.opened
            name = str(self.scope["user"]).encode()
            channel.may_type = may_type
            line.send(Kind.ATTACH, channel.upstream, terminal.pk.bytes, offset, may_type, rest=name)
            await line.drain()
        except Refused as refused:
            self._give_up(channel, refused)
        except Fault as fault:
            self._give_up(channel, _refusal(fault))
        except (OSError, TimeoutError):
            self._give_up(channel, Refused(Problem.AWAY, "the session host does not answer"))
        except DatabaseError as error:
            self._give_up(channel, Refused(Problem.AWAY, f"rights cannot be asked now ({type(error).__name__})"))

    def _give_up(self, channel: Channel, refused: Refused) -> None:
        self.forget(channel)
        self.refuse(channel.number, refused)

    # --- rights ---------------------------------------------------------------------------------------------------

    async def _right_to(self, terminal_id: uuid.UUID) -> tuple[Terminal, bool]:
        user = await database_sync_to_async(self.scope["still_signed_in"])()
        if user is None or not user.is_authenticated:
            raise Refused(Problem.NOT_ALLOWED, "you are signed out")
        terminal, may_type = await database_sync_to_async(_right)(user, terminal_id)
        return terminal, may_type and self.scope["may_write"]

    def still_signed_in(self) -> Any:
        """The user whom the credential of the handshake proves now. Asks the database."""
        return self.scope["still_signed_in"]()

    def looks_at(self) -> set[uuid.UUID]:
        """The terminals on this socket."""
        return {channel.terminal_id for channel in self._channels.values()}

    def hear_rights(self, asked: set[uuid.UUID], rights: Rights | None) -> None:
        """Whoever was signed out, lost the right to look, or may type or not any more is cut off."""
        if rights is None:
            self._spawn(self._end(SIGNED_OUT))
            return
        for channel in list(self._channels.values()):
            if channel.terminal_id not in asked:
                continue  # attached since
            if (may_type := rights.get(channel.terminal_id)) is None:
                self._cut_off(channel, Refused(Problem.NOT_ALLOWED, "you may not see this terminal any more"))
            elif channel.may_type not in (None, may_type and self.scope["may_write"]):
                self._cut_off(channel, Refused(Problem.RIGHTS_CHANGED, "your rights have changed: attach again"))

    def not_asked(self) -> None:
        """Rights that nobody asks for are none."""
        self._spawn(self._end(SERVER_ERROR))

    def _cut_off(self, channel: Channel, why: Refused) -> None:
        self._channels.pop(channel.number, None)
        channel.leave()
        self.refuse(channel.number, why)

    # --- the end --------------------------------------------------------------------------------------------------

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, OSError):  # the server's word for: the client has gone
            log.error("a terminal socket broke", exc_info=error)
        if not self._closed:
            self._spawn(self._end(SERVER_ERROR))

    async def _end(self, code: int) -> None:
        if self._closed:
            return
        self._stop()
        try:
            async with asyncio.timeout(5):
                await self.close(code)
        except (TimeoutError, OSError) as error:
            log.info("socket would not close", extra={"code": code, "error": type(error).__name__})

    def _stop(self) -> None:
        self._closed = True
        revocation.of_loop().leave(self)
        for channel in self._channels.values():
            channel.leave()
        self._channels.clear()
        current = asyncio.current_task()
        for task in list(self._tasks):
            if task is not current:
                task.cancel()


def _refusal(fault: Fault) -> Refused:
    problem = Problem.AWAY if isinstance(fault, SessionHostAway) else Problem.NOT_OPEN
    return Refused(problem, fault.detail)


def _right(user: Any, terminal_id: uuid.UUID) -> tuple[Terminal, bool]:
    terminal = visibility.terminal(user, terminal_id)
    return terminal, visibility.may_type(user, terminal)


def _socket_of(terminal: Terminal) -> str:
    if terminal.state not in Terminal.OPEN:
        raise Refused(Problem.NOT_OPEN, f"the terminal is {terminal.state}: {terminal.reason}")
    return presence.session_host_of(terminal.agent.host, now=timezone.now()).socket
