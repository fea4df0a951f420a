"""Ways to a terminal that a benchmark compares: each types and reads, whatever lies between."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from sessions.host import wire
from sessions.host.wire import ASKED, LIVE_ONLY, SUBPROTOCOL, TOLD, Kind, Wish

_READ = 1 << 18
_PATIENCE_S = 60.0


class Line(Protocol):
    """One terminal, and us at it with control."""

    def type(self, data: bytes) -> None: ...

    def read(self) -> bytes:
        """What is printed next, at least one byte."""

    def close(self) -> None: ...


class Raw:
    """The master of a PTY: nothing lies between."""

    def __init__(self, master: int) -> None:
        self._master = master

    def type(self, data: bytes) -> None:
        os.write(self._master, data)

    def read(self) -> bytes:
        return os.read(self._master, _READ)

    def close(self) -> None:
        """Whoever opened the PTY closes it."""


class _Ours:
    """Our protocol; how a frame travels is the subclass's matter."""

    def __init__(self, terminal: uuid.UUID, *, control: bool, offset: int) -> None:
        self._epoch = 0
        self._printed = deque[wire.Frame]()  # before control came
        self.say(Kind.HELLO, wire.VERSION)
        self.say(Kind.ATTACH, terminal.bytes, offset, True, rest=b"bench")
        if control:
            self._epoch = self.hear(Kind.ATTACH)[2]
            self.say(Kind.CONTROL, self._epoch, Wish.TAKE, 0)
            while (frame := self._next()).kind != Kind.CONTROL:
                if frame.kind == Kind.DATA:
                    self._printed.append(frame)
            self._epoch = wire.unpack(TOLD, frame)[0]

    def type(self, data: bytes) -> None:
        self.say(Kind.INPUT, self._epoch, rest=data)

    def read(self) -> bytes:
        offset, data = wire.unpack(TOLD, self._printed.popleft()) if self._printed else self.hear(Kind.DATA)
        self.say(Kind.ACK, offset + len(data))
        return bytes(data)

    def screen(self) -> int:
        """How many bytes redraw it, once all have come."""
        size = 0
        while True:
            *_, last, piece = self.hear(Kind.SNAPSHOT)
            size += len(piece)
            if last:
                return size

    def hear(self, kind: Kind) -> tuple[Any, ...]:
        """The values of the next frame of this kind; others are passed over."""
        while (frame := self._next()).kind != kind:
            if frame.kind == Kind.ERROR:
                raise RuntimeError(str(wire.unpack(TOLD, frame)))
        return wire.unpack(TOLD, frame)

    def say(self, kind: Kind, *values: Any, rest: bytes = b"") -> None:
        self._send(kind, wire.pack(ASKED, kind, *values, rest=rest))

    def _send(self, kind: Kind, payload: bytes) -> None:
        raise NotImplementedError

    def _next(self) -> wire.Frame:
        raise NotImplementedError


class Unix(_Ours):
    """At the session host's own socket."""

    def __init__(self, path: Path, terminal: uuid.UUID, *, control: bool = True, offset: int = LIVE_ONLY) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(_PATIENCE_S)
        self.socket.connect(str(path))
        self._frames, self._arrived = wire.Splitter(), deque[wire.Frame]()
        self._buffer = bytearray(_READ)
        super().__init__(terminal, control=control, offset=offset)

    def close(self) -> None:
        self.socket.close()

    def _send(self, kind: Kind, payload: bytes) -> None:
        self.socket.sendall(wire.encode(kind, 1, payload))

    def _next(self) -> wire.Frame:
        while not self._arrived:
            if not (count := self.socket.recv_into(self._buffer)):
                raise ConnectionError("the session host hung up")
            self._arrived += self._frames.feed(memoryview(self._buffer)[:count])
        return self._arrived.popleft()


class Websocket:
    """A blocking websocket: the library's protocol without its threads, so that little of the time is the client's."""

    def __init__(self, url: str, *, subprotocols: tuple[str, ...] = (), **headers: str) -> None:
        uri = parse_uri(url)
        self.socket = socket.create_connection((uri.host, uri.port), timeout=_PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        names = [Subprotocol(name) for name in subprotocols] or None
        self._protocol = ClientProtocol(uri, subprotocols=names, max_size=1 << 22)
        request = self._protocol.connect()
        request.headers.update(headers)
        self._protocol.send_request(request)
        self._messages = self._arriving()

    def send(self, message: bytes | str) -> None:
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._flush()

    def receive(self) -> bytes:
        """The next message."""
        return next(self._messages)

    def close(self) -> None:
        self.socket.close()

    def open(self) -> None:
        """Returns once it is."""
        self._flush()
        while self._protocol.state.name == "CONNECTING":
            self._hear()
        if self._protocol.handshake_exc is not None:
            raise self._protocol.handshake_exc

    def _arriving(self) -> Iterator[bytes]:
        while True:
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode in (Opcode.BINARY, Opcode.TEXT):
                    yield bytes(event.data)
            self._hear()

    def _hear(self) -> None:
        data = self.socket.recv(_READ)
        if not data:
            raise ConnectionError("the web process hung up")
        self._protocol.receive_data(data)
        self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.socket.sendall(data)


class Web(_Ours):
    """Through the web process, as a browser."""

    def __init__(
        self, port: int, terminal: uuid.UUID, *, token: str, control: bool = True, offset: int = LIVE_ONLY
    ) -> None:
        self.web = Websocket(
            f"ws://127.0.0.1:{port}/ws/terminals/", subprotocols=(SUBPROTOCOL,), Authorization=f"Bearer {token}"
        )
        self.web.open()
        super().__init__(terminal, control=control, offset=offset)

    def close(self) -> None:
        self.web.close()

    def _send(self, kind: Kind, payload: bytes) -> None:
        self.web.send(wire.message(kind, 1, payload))

    def _next(self) -> wire.Frame:
        frame = wire.decode(self.web.receive())
        if frame is None:
            raise RuntimeError("a message that is no frame")
        return frame


class Terminado:
    """At terminado's websocket, in its own language."""

    def __init__(self, port: int) -> None:
        self.web = Websocket(f"ws://127.0.0.1:{port}/terminal")
        self.web.open()

    def type(self, data: bytes) -> None:
        self.web.send(json.dumps(["stdin", data.decode()]))

    def read(self) -> bytes:
        while True:
            kind, text = json.loads(self.web.receive())
            if kind == "stdout":
                return bytes(text.encode())

    def close(self) -> None:
        self.web.close()
