"""The language of the session host: frames, their payloads, and what can be wrong with them. Pure.

A frame is ``u8 type | u16 channel | payload``, big-endian. On the unix socket each is preceded by its length as u32; on
a websocket the message is the frame. ``docs/terminal-protocol.md`` holds the same tables, and a test compares them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

VERSION = 1
SUBPROTOCOL = "moorage.term.v1"
MOST_DATA = 32_768  # terminal bytes of one DATA frame: half a window, so one is shown while another is on its way
MOST_INPUT = 16_384  # terminal bytes of one INPUT frame
MOST_TAIL = 65_536  # terminal bytes of one TAIL answer
MOST_WORDS = 300  # bytes of a reason or of an error's words
MOST_PAYLOAD = MOST_TAIL + 64
MOST_PEOPLE = 16_384  # bytes of a PEOPLE frame
LIVE_ONLY = 2**64 - 1  # the offset of an ATTACH that has seen nothing: it is shown the screen as it is
WINDOW = 65_536  # bytes that may be on their way to one viewer, not acknowledged yet
ACK_EVERY = 16_384  # a viewer acknowledges at least so often
NO_CODE = -1  # the exit code of a program that was ended rather than ending

_HEADER = struct.Struct(">BH")
_PREFIX = struct.Struct(">IBH")  # the length of header and payload, then the header
_LENGTH_BYTES = _PREFIX.size - _HEADER.size


class Kind(IntEnum):
    """The types of frames; some mean a request one way and its answer the other."""

    HELLO = 0x01
    PING = 0x02
    PONG = 0x03
    ERROR = 0x04
    OPEN = 0x10
    ATTACH = 0x11
    DETACH = 0x12
    CLOSE = 0x13
    TAIL = 0x14
    ACK = 0x15
    DATA = 0x20
    RESYNC = 0x21
    EXIT = 0x22
    SNAPSHOT = 0x23
    PEOPLE = 0x24
    NOTICE = 0x25
    INPUT = 0x30
    RESIZE = 0x31
    CONTROL = 0x32
    TYPIST = 0x33


class Problem(IntEnum):
    """What an ERROR frame says."""

    MALFORMED = 1
    UNKNOWN_TYPE = 2
    VERSION = 3
    NOT_OPEN = 4
    NOT_ATTACHED = 5
    CHANNEL_TAKEN = 6
    STALE_CONTROL = 7
    INPUT_FULL = 8
    BAD_OFFSET = 9
    BAD_SIZE = 10
    TOO_MANY = 11
    OPEN_FAILED = 12
    STOPPING = 13
    NOT_ALLOWED = 14
    AWAY = 15
    RIGHTS_CHANGED = 16


class Wish(IntEnum):
    """What a CONTROL frame asks for."""

    GIVE_BACK = 0
    TAKE = 1
    ASK = 2  # tell whoever has control
    HAND_TO = 3  # to another viewer, by the number that PEOPLE gives


@dataclass(frozen=True)
class Shape:
    """One payload: fixed fields as ``name:type``, then the rest of the bytes under a name, or nothing."""

    fields: tuple[str, ...] = ()
    rest: str = ""
    most_rest: int = 0

    @cached_property
    def layout(self) -> struct.Struct:
        return struct.Struct(">" + "".join(_TYPES[field.partition(":")[2]] for field in self.fields))


_TYPES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i", "uuid": "16s"}
_TERMINAL = "terminal:uuid"

# What a client may send.
ASKED: dict[Kind, Shape] = {
    Kind.HELLO: Shape(("version:u8",)),
    Kind.PING: Shape(rest="echo", most_rest=64),
    Kind.OPEN: Shape((_TERMINAL,)),
    Kind.ATTACH: Shape((_TERMINAL, "offset:u64", "may_type:u8"), rest="name", most_rest=150),
    Kind.DETACH: Shape(),
    Kind.ACK: Shape(("offset:u64",)),
    Kind.CLOSE: Shape(rest="reason", most_rest=MOST_WORDS),
    Kind.TAIL: Shape((_TERMINAL, "limit:u32")),
    Kind.INPUT: Shape(("control_epoch:u32",), rest="bytes", most_rest=MOST_INPUT),
    Kind.RESIZE: Shape(("control_epoch:u32", "columns:u16", "rows:u16")),
    Kind.CONTROL: Shape(("control_epoch:u32", "wish:u8", "viewer:u32")),
    Kind.TYPIST: Shape(("control_epoch:u32", "typist:uuid")),
}

# What the session host answers or tells.
TOLD: dict[Kind, Shape] = {
    Kind.HELLO: Shape(("version:u8",), rest="host_epoch", most_rest=32),
    Kind.PONG: Shape(rest="echo", most_rest=64),
    Kind.ERROR: Shape(("problem:u16",), rest="words", most_rest=MOST_WORDS),
    Kind.OPEN: Shape((_TERMINAL,)),
    Kind.ATTACH: Shape(("start:u64", "head:u64", "control_epoch:u32", "columns:u16", "rows:u16")),
    Kind.DETACH: Shape(),
    Kind.TAIL: Shape((_TERMINAL, "offset:u64"), rest="bytes", most_rest=MOST_TAIL),
    Kind.DATA: Shape(("offset:u64",), rest="bytes", most_rest=MOST_DATA),
    Kind.RESYNC: Shape(("from:u64", "offset:u64")),
    Kind.SNAPSHOT: Shape(
        ("offset:u64", "columns:u16", "rows:u16", "exact:u8", "last:u8"), rest="bytes", most_rest=MOST_DATA
    ),
    Kind.PEOPLE: Shape(("you:u32", "others:u16"), rest="json", most_rest=MOST_PEOPLE),
    Kind.NOTICE: Shape(rest="words", most_rest=MOST_WORDS),
    Kind.EXIT: Shape(("offset:u64", "exit_code:i32"), rest="reason", most_rest=MOST_WORDS),
    Kind.CONTROL: Shape(("control_epoch:u32", "yours:u8")),
    Kind.TYPIST: Shape(("typist:uuid", "taken:u64", "known:u8")),
    Kind.RESIZE: Shape(("columns:u16", "rows:u16")),
}


class BadFrame(Exception):
    """Bytes that are no frame: what follows cannot be trusted either, the connection ends."""


class Refused(Exception):
    """A frame that cannot be obeyed; the connection goes on."""

    def __init__(self, problem: Problem, words: str) -> None:
        super().__init__(words)
        self.problem = problem
        self.words = words


class Frame(NamedTuple):
    """One frame as it arrived. ``kind`` is a number that may mean nothing to us."""

    kind: int
    channel: int
    payload: bytes


def encode(kind: int, channel: int, payload: bytes = b"") -> bytes:
    """One frame with its length, ready for the unix socket."""
    return _PREFIX.pack(_HEADER.size + len(payload), kind, channel) + payload


def message(kind: int, channel: int, payload: bytes = b"") -> bytes:
    """One frame as a websocket message, which has its own length."""
    return _HEADER.pack(kind, channel) + payload


def decode(text: bytes) -> Frame | None:
    """The frame in a websocket message; None when it is too short or too long for one."""
    if not _HEADER.size <= len(text) <= _HEADER.size + MOST_PAYLOAD:
        return None
    kind, channel = _HEADER.unpack_from(text)
    return Frame(kind, channel, text[_HEADER.size :])


def pack(shapes: dict[Kind, Shape], kind: Kind, *values: Any, rest: bytes = b"") -> bytes:
    """The payload of a frame from the values of its fields; what does not fit behind them is cut."""
    shape = shapes[kind]
    return shape.layout.pack(*values) + rest[: shape.most_rest]


def unpack(shapes: dict[Kind, Shape], frame: Frame) -> tuple[Any, ...]:
    """The values of a frame's fields, and the rest as the last one where the shape has a rest.

    Raises Refused for a type that ``shapes`` does not have, and for a payload that is too short or too long.
    """
    shape = shapes.get(frame.kind)  # type: ignore[call-overload] # a number that may be no kind, and then is no key
    if shape is None:
        raise Refused(Problem.UNKNOWN_TYPE, f"no frame of type 0x{frame.kind:02x} is expected here")
    layout, size = shape.layout, len(frame.payload)
    fixed = layout.size
    if not fixed <= size <= fixed + shape.most_rest:
        expected = f"{fixed}" if not shape.most_rest else f"{fixed} to {fixed + shape.most_rest}"
        raise Refused(Problem.MALFORMED, f"{Kind(frame.kind).name} has {size} bytes of payload instead of {expected}")
    values: tuple[Any, ...] = layout.unpack_from(frame.payload)
    return (*values, frame.payload[fixed:]) if shape.rest else values


class Splitter:
    """Frames out of a stream of bytes, in whatever pieces they arrive. Holds less than one frame."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes | memoryview) -> Iterator[Frame]:
        """The frames that are complete now. BadFrame at the first length that no frame has."""
        stream = self._pending + data if self._pending else bytes(data)  # bytes of bytes is no copy
        at, end = 0, len(stream)
        try:
            while end - at >= _PREFIX.size:
                length, kind, channel = _PREFIX.unpack_from(stream, at)
                _check(length)
                if end - at - _LENGTH_BYTES < length:
                    return
                start, at = at + _PREFIX.size, at + _LENGTH_BYTES + length
                yield Frame(kind, channel, stream[start:at])
            if end - at >= _LENGTH_BYTES:
                _check(int.from_bytes(stream[at : at + _LENGTH_BYTES], "big"))
        finally:
            self._pending = stream[at:]


def _check(length: int) -> None:
    if not _HEADER.size <= length <= _HEADER.size + MOST_PAYLOAD:
        raise BadFrame(f"a frame of {length} bytes: it has {_HEADER.size} to {_HEADER.size + MOST_PAYLOAD}")
