"""The one log of the stack: every line with the name of its part, coloured where a person looks at it."""

from __future__ import annotations

import threading
import time
from typing import TextIO

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)
# Parts print what others sent them: no byte of it may move the cursor or set the title of a terminal.
_HARMLESS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09}


class Output:
    """Writes whole lines from several threads. ``broken`` is set once the reader of the log has gone."""

    def __init__(self, log: TextIO, *, width: int) -> None:
        self._log = log
        self._width = max(width, len("moorage"))
        self._coloured = log.isatty()
        self._colours: dict[str, int] = {}
        self._lock = threading.Lock()
        self.broken = False

    def line(self, part: str, text: str) -> None:
        """One line of ``part``."""
        prefix = f"{time.strftime('%H:%M:%S')} {part:<{self._width}} |"
        with self._lock:
            if self._coloured:
                colour = self._colours.setdefault(part, _COLOURS[len(self._colours) % len(_COLOURS)])
                prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
            try:
                self._log.write(f"{prefix} {text.translate(_HARMLESS)}\n")
                self._log.flush()
            except (OSError, ValueError):  # ValueError: it was closed by its owner
                self.broken = True
