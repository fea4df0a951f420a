"""The terminal of whoever runs us, lent to a program elsewhere: raw while that lasts, then always as it was."""

from __future__ import annotations

import contextlib
import os
import termios
import tty
from types import TracebackType
from typing import Any

from cli.terminal import clean

# What a program may have switched on and a shell does not expect: alternate screen, mouse and focus reports, bracketed
# paste, a hidden cursor, application keys, colours, line drawing, insert mode, a scrolling region (kept in place by the
# saved cursor).
_CALM = (
    b"\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l"
    b"\x1b[?25h\x1b[?1l\x1b>\x1b[0m\x1b(B\x0f\x1b[?7h\x1b[4l\x1b[?6l\x1b7\x1b[r\x1b8"
)
_CLEAR = _CALM + b"\x1b[H\x1b[2J"


class ScreenGone(Exception):
    """The terminal was closed: nothing can be shown on it."""


class RawTerminal:
    """Raw mode as a context: on the way out, however that is, modes and settings are what they were."""

    def __init__(self, keyboard: int, screen: int) -> None:
        self.keyboard, self.screen = keyboard, screen
        self._saved: list[Any] = []

    def __enter__(self) -> RawTerminal:
        self._saved = termios.tcgetattr(self.keyboard)
        self.lend()
        return self

    def lend(self) -> None:
        """Raw from now on; what was typed already is not lost. Raises ScreenGone."""
        try:
            tty.setraw(self.keyboard, termios.TCSADRAIN)
        except (OSError, termios.error) as error:
            raise ScreenGone from error

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.give_back()

    def give_back(self) -> None:
        """As it was before it was lent; twice is fine."""
        # The terminal itself may be gone: then there is nothing to give back.
        with contextlib.suppress(ScreenGone):
            self.show(_CALM)
        with contextlib.suppress(OSError, termios.error):
            # Answers of the terminal that are still on their way are not typed into the shell.
            termios.tcsetattr(self.keyboard, termios.TCSAFLUSH, self._saved)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        size = os.get_terminal_size(self.screen)
        return max(1, min(1000, size.columns)), max(1, min(1000, size.lines))

    def show(self, data: bytes) -> None:
        """All of it, as it is. Raises ScreenGone."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.screen, view) :]
        except OSError as error:
            raise ScreenGone from error

    def clear(self) -> None:
        """An empty screen in a terminal without special modes."""
        self.show(_CLEAR)

    def say(self, words: str) -> None:
        """A line of ours among those of the program."""
        self.show(f"\r\n\x1b[0m[moorage: {clean(words)}]\r\n".encode())
