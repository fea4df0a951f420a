"""Short questions to a session host, synchronously: is it there, what does a terminal show, look at this row now.

Needs no Django: the supervisor's probe uses it too.
"""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sessions.faults import SessionHostAway, TerminalNotOpen
from sessions.host import wire
from sessions.host.wire import ASKED, TOLD, BadFrame, Frame, Kind, Problem, Refused

log = logging.getLogger(__name__)

_PATIENCE_S = 2.0
_NUDGE_S = 0.2
_READ = 1 << 16


@dataclass(frozen=True, slots=True)
class Tail:
    """The last bytes of a terminal; ``offset`` is that of the first of them, so 0 means that nothing is missing."""

    offset: int
    data: bytes


def socket_path(data: Path) -> Path:
    """Where the session host of a machine listens, beneath MOORAGE_DATA."""
    return data / "run" / "sessionhost.sock"


def lock_path(socket: Path) -> Path:
    """The lock of whoever listens at this socket."""
    return socket.with_suffix(".lock")


class Caller:
    """One connection, one question at a time, each answered in time or with SessionHostAway."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._frames = wire.Splitter()
        self._arrived: list[Frame] = []

    def greet(self) -> str:
        """The session host's epoch."""
        self.send(Kind.HELLO, wire.VERSION)
        _, epoch = self._answer(Kind.HELLO)
        return bytes(epoch).decode("ascii", "replace")

    def send(self, kind: Kind, *values: Any, rest: bytes = b"") -> None:
        """One frame on channel 0."""
        self._connection.sendall(wire.encode(kind, 0, wire.pack(ASKED, kind, *values, rest=rest)))

    def ping(self) -> None:
        """Returns once it has answered."""
        self.send(Kind.PING, rest=b"?")
        self._answer(Kind.PONG)

    def tail(self, terminal_id: uuid.UUID, *, limit: int) -> Tail:
        """At most ``limit`` of the terminal's last bytes. Raises TerminalNotOpen."""
        self.send(Kind.TAIL, terminal_id.bytes, limit)
        _, offset, data = self._answer(Kind.TAIL)
        return Tail(offset, data)

    def _answer(self, kind: Kind) -> tuple[Any, ...]:
        frame = self._next()
        values = wire.unpack(TOLD, frame)
        if frame.kind == Kind.ERROR:
            words = bytes(values[1]).decode("utf-8", "replace")
            if values[0] == Problem.NOT_OPEN:
                raise TerminalNotOpen(words)
            raise SessionHostAway(f"the session host refused: {words}")
        if frame.kind != kind:
            raise BadFrame(f"an answer of type 0x{frame.kind:02x}")
        return values

    def _next(self) -> Frame:
        while not self._arrived:
            data = self._connection.recv(_READ)
            if not data:
                raise BadFrame("it hung up")
            self._arrived += self._frames.feed(data)
        return self._arrived.pop(0)


@contextmanager
def call(path: str | Path, *, epoch: str = "", patience_s: float = _PATIENCE_S) -> Iterator[Caller]:
    """A greeted connection to the session host at this socket. Raises SessionHostAway for all that goes wrong.

    With ``epoch`` it must be that very one: another machine's may listen at the same path of this one.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(patience_s)
        try:
            connection.connect(str(path))
            caller = Caller(connection)
            met = caller.greet()
            if epoch and met != epoch:
                raise SessionHostAway("the session host that listens here is another machine's, or was started anew")
            yield caller
        except OSError as error:
            why = error.strerror or "no answer in time"
            raise SessionHostAway(f"the session host cannot be reached from here ({why})") from error
        except (BadFrame, Refused) as error:
            raise SessionHostAway(f"the session host does not make sense ({error})") from error


def tail(path: str | Path, terminal_id: uuid.UUID, *, limit: int, epoch: str = "") -> Tail:
    """What a terminal printed last. Raises SessionHostAway, or TerminalNotOpen where that host does not have it."""
    with call(path, epoch=epoch) as caller:
        return caller.tail(terminal_id, limit=limit)


def nudge(path: str | Path, terminal_id: uuid.UUID, *, epoch: str = "") -> bool:
    """Have it look at a terminal's row now rather than within a second. False when it cannot be reached: no harm."""
    try:
        with call(path, epoch=epoch, patience_s=_NUDGE_S) as caller:
            caller.send(Kind.OPEN, terminal_id.bytes)
    except SessionHostAway as away:
        log.debug("session host not reached", extra={"reason": away.detail})
        return False
    return True


def reason_not_ready(path: str | Path) -> str:
    """For the supervisor: empty when it answers a ping, else why not."""
    try:
        with call(path, patience_s=1.0) as caller:
            caller.ping()
    except SessionHostAway as away:
        return away.detail
    return ""
