"""The frames of ``/ws/terminals/`` that ``moorage attach`` says and hears, see ``docs/terminal-protocol.md``. Pure."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from uuid import UUID

SUBPROTOCOL = "moorage.term.v1"
VERSION = 1
MOST_INPUT = 16_384
LIVE_ONLY = 2**64 - 1  # nothing was seen yet: show the screen as it is
NO_CODE = -1
MOST_FRAME = 1 << 18


class Kind(IntEnum):
    """The types of frames that an attached terminal needs."""

    HELLO = 0x01
    ERROR = 0x04
    ATTACH = 0x11
    DETACH = 0x12
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


class Problem(IntEnum):
    """The errors that lead anywhere; the others are only said."""

    STALE_CONTROL = 7
    INPUT_FULL = 8
    BAD_OFFSET = 9
    STOPPING = 13
    NOT_ALLOWED = 14
    AWAY = 15
    RIGHTS_CHANGED = 16


_LAYOUTS = {
    Kind.ERROR: ">H",
    Kind.ATTACH: ">QQIHH",
    Kind.DATA: ">Q",
    Kind.RESYNC: ">QQ",
    Kind.EXIT: ">Qi",
    Kind.SNAPSHOT: ">QHHBB",
    Kind.PEOPLE: ">IH",
    Kind.RESIZE: ">HH",
    Kind.CONTROL: ">IB",
}


class NotAFrame(Exception):
    """The server sent something else."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame: the values of its fields, and the bytes behind them."""

    kind: int
    values: tuple[Any, ...]
    rest: bytes

    @property
    def words(self) -> str:
        return self.rest.decode("utf-8", "replace")

    @property
    def people(self) -> list[dict[str, Any]]:
        """Who is at the terminal, of a PEOPLE frame."""
        try:
            listed = json.loads(self.rest)
        except (ValueError, RecursionError) as error:
            raise NotAFrame("a list of people that is none") from error
        return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def heard(message: str | bytes) -> Heard:
    """A message of the server. Raises NotAFrame."""
    if isinstance(message, str) or len(message) < 3:
        raise NotAFrame("a message that is no frame")
    kind, layout = message[0], _LAYOUTS.get(message[0], ">")  # type: ignore[call-overload] # an int that may be no Kind
    size = struct.calcsize(layout)
    if len(message) < 3 + size:
        raise NotAFrame(f"a frame of type 0x{kind:02x} that ends early")
    return Heard(kind, struct.unpack_from(layout, message, 3), message[3 + size :])


def _frame(kind: Kind, layout: str = ">", *values: Any, rest: bytes = b"") -> bytes:
    return struct.pack(">BH", kind, 0) + struct.pack(layout, *values) + rest


def hello() -> bytes:
    return _frame(Kind.HELLO, ">B", VERSION)


def attach(terminal: UUID, *, offset: int) -> bytes:
    return _frame(Kind.ATTACH, ">16sQB", terminal.bytes, offset, 0)


def detach() -> bytes:
    return _frame(Kind.DETACH)


def ack(offset: int) -> bytes:
    return _frame(Kind.ACK, ">Q", offset)


def typed(epoch: int, data: bytes) -> list[bytes]:
    """Keystrokes, in as many frames as it takes."""
    pieces = (data[at : at + MOST_INPUT] for at in range(0, len(data), MOST_INPUT))
    return [_frame(Kind.INPUT, ">I", epoch, rest=piece) for piece in pieces]


def resize(epoch: int, columns: int, rows: int) -> bytes:
    return _frame(Kind.RESIZE, ">IHH", epoch, columns, rows)


def take(epoch: int) -> bytes:
    """The wish for control, having seen this epoch."""
    return _frame(Kind.CONTROL, ">IBI", epoch, 1, 0)
