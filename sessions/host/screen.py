"""What a terminal shows now, so that a viewer who comes late, or was too slow, sees exactly that.

Raw bytes of before do not redraw a screen: their beginning is cut off, and an emulator answers old queries in them into
the shell. So a terminal emulator follows along, and its dump redraws. It does not know every DEC private mode; those
are tracked beside it.

The emulator is slower than a program that prints. It is fed only when somebody looks, or when too much waits for it;
lines that have scrolled away by then are left out (:mod:`sessions.host.scrolled`), which changes nothing on the screen.
"""

from __future__ import annotations

import codecs
import re
from typing import Protocol, TypedDict

import avt

from sessions.host import scrolled

MOST_DUMP = 1 << 20  # bytes; a screen that would take more is shown without colours
_MOST_WAITING = 1 << 17  # bytes that the emulator has not been fed: a few milliseconds of its work
_WORTH_SKIPPING = 1 << 14
_SLICE = 4096  # characters; the emulator keeps all lines that scroll away until a piece is over
# Modes of a terminal that the emulator ignores or forgets in its dump, and that change what is typed or shown.
_TRACKED = frozenset({9, 12, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 2004})
_MODES = re.compile(
    rb"\x1b\[\?(?P<modes>[0-9;]{1,64})(?P<set>[hl])|\x1b\[(?P<cursor>[0-9]?) q|\x1b(?P<keypad>[=>])"
    rb"|(?P<reset>\x1bc|\x1b\[!p)"
)
_LONGEST_MODE = 70


class Packed(TypedDict):
    """A screen on its way to another process."""

    drawn: str
    cut: str
    modes: str
    cut_mode: str
    exact: bool


class Screen(Protocol):
    """Follows what a terminal prints."""

    exact: bool  # whether the dump is the screen itself, or only resembles it

    def feed(self, data: bytes) -> None:
        """The next bytes, cut anywhere."""

    def resize(self, columns: int, rows: int) -> None: ...

    def dump(self) -> tuple[bytes, bool]:
        """What redraws the screen on an emulator that was just reset, and whether exactly. Asks it nothing."""

    def pack(self) -> Packed:
        """All that another one needs to go on in its place."""

    def unpack(self, packed: Packed) -> None: ...

    def text(self) -> list[str]:
        """The visible lines as plain text."""


class Emulated:
    """The screen of a real emulator, with the modes that it does not know tracked beside it."""

    def __init__(self, *, columns: int, rows: int) -> None:
        self._terminal = avt.Vt(columns, rows, 0)
        self._rows = rows
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = bytearray()
        self._steady: bool | None = None  # whether lines alone can scroll all of it away; None: to be looked at
        self._modes = Modes()
        self.exact = True

    def feed(self, data: bytes) -> None:
        """The next bytes. They wait: of a flood only what stays on the screen is ever looked at."""
        self._waiting += data
        if len(self._waiting) >= _MOST_WAITING and not (self._skip() and len(self._waiting) < _MOST_WAITING // 2):
            self._catch_up()

    def resize(self, columns: int, rows: int) -> None:
        """The new size; programs draw anew for it."""
        self._catch_up()
        self._terminal.resize(columns, rows)
        self._steady = None
        self._rows = rows

    def dump(self) -> tuple[bytes, bool]:
        """What redraws the screen, its cursor and its modes."""
        self._catch_up()
        # One-byte introducers are not understood by every emulator once they are UTF-8.
        drawn = self._terminal.dump().replace("\x9b", "\x1b[").encode("utf-8", "replace")
        if len(drawn) <= MOST_DUMP:
            return self._modes.dump() + drawn, self.exact  # the drawn part may end amid a sequence
        return "\r\n".join(self.text()).encode("utf-8", "replace")[:MOST_DUMP], False

    def pack(self) -> Packed:
        """All that another emulator needs to go on in its place."""
        self._catch_up()
        cut = self._decoder.getstate()[0].hex()
        modes, cut_mode = self._modes.dump().hex(), self._modes.cut.hex()
        return {"drawn": self._terminal.dump(), "cut": cut, "modes": modes, "cut_mode": cut_mode, "exact": self.exact}

    def unpack(self, packed: Packed) -> None:
        """Go on where another one was packed; this one has seen nothing yet."""
        self._terminal.feed_str(packed["drawn"])
        self._steady = None
        self._decoder.setstate((bytes.fromhex(packed["cut"]), 0))
        self._modes.feed(bytes.fromhex(packed["modes"]))
        self._modes.cut = bytes.fromhex(packed["cut_mode"])
        self.exact = packed["exact"]

    def text(self) -> list[str]:
        """The visible lines, blanks at their ends cut off."""
        self._catch_up()
        return [line.text.rstrip() for line in self._terminal.view()]

    def _skip(self) -> bool:
        """Leave out lines that have scrolled away, all but the colour in which they end."""
        if not self._is_steady() or (cut := scrolled.away(self._waiting, rows=self._rows)) is None:
            return False
        self._terminal.feed_str(scrolled.left_by(self._waiting[:cut]).decode("ascii"))
        del self._waiting[:cut]
        return True

    def _is_steady(self) -> bool:
        if self._steady is None:
            self._steady = not self._decoder.getstate()[0] and scrolled.whole_screen(self._terminal.dump())
        return self._steady

    def _catch_up(self) -> None:
        if len(self._waiting) >= _WORTH_SKIPPING:
            self._skip()
        if not self._waiting:
            return
        self._modes.feed(bytes(self._waiting))
        text = self._decoder.decode(self._waiting)
        self._waiting.clear()
        self._steady = None
        for at in range(0, len(text), _SLICE):
            self._terminal.feed_str(text[at : at + _SLICE])


class Modes:
    """The private modes, keypad mode and cursor shape that a program has set and not taken back."""

    def __init__(self) -> None:
        self._set: dict[int, bool] = {}
        self._keypad, self._cursor = b"", b""
        self.cut = b""  # the beginning of a sequence whose end has not come yet

    def feed(self, data: bytes) -> None:
        """The next bytes, cut anywhere."""
        data = self.cut + data
        end = 0
        for found in _MODES.finditer(data):
            end = found.end()
            if found["reset"]:
                self._set.clear()
                self._keypad = self._cursor = b""
            elif found["modes"]:
                for number in found["modes"].split(b";"):
                    if number and int(number) in _TRACKED:
                        self._set[int(number)] = found["set"] == b"h"
            elif found["keypad"]:
                self._keypad = b"" if found["keypad"] == b">" else b"\x1b="
            else:
                self._cursor = found[0]
        last = data.rfind(b"\x1b", max(end, len(data) - _LONGEST_MODE))
        self.cut = data[last:] if last >= 0 else b""

    def dump(self) -> bytes:
        """What sets them again."""
        modes = (b"\x1b[?%d%c" % (number, b"h" if on else b"l") for number, on in sorted(self._set.items()))
        return b"".join(modes) + self._keypad + self._cursor
