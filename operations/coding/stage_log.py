"""The log of one stage attempt: bounded, with the middle cut out, safe to store and to show."""

from __future__ import annotations

import threading

LIMIT = 262_144  # characters kept
_CUT = "\n… the middle of this log was cut out …\n"


class StageLog:
    """Lines from the stage's thread; read by its pulse."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._head: list[str] = []
        self._tail: list[str] = []
        self._head_size = self._tail_size = self._said = 0
        self._cut = self._changed = False

    def say(self, line: str) -> None:
        """Append one line (or several)."""
        text = line.replace("\0", "").encode("utf-8", "replace").decode()[: LIMIT // 4] + "\n"
        with self._lock:
            self._changed = True
            self._said += len(text)
            if self._head_size + len(text) <= LIMIT // 2 and not self._tail:
                self._head.append(text)
                self._head_size += len(text)
                return
            self._tail.append(text)
            self._tail_size += len(text)
            while self._tail_size > LIMIT // 2 - len(_CUT):
                self._tail_size -= len(self._tail.pop(0))
                self._cut = True

    def text(self) -> str:
        """All that is kept, in order."""
        return self.kept()[0]

    def kept(self) -> tuple[str, int]:
        """All that is kept, in order, and how many characters were said in all: the last of them are its end."""
        with self._lock:
            return "".join(self._head) + (_CUT if self._cut else "") + "".join(self._tail), self._said

    def unsaved(self) -> tuple[str, int] | None:
        """What is kept if it changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, False
        return self.kept() if changed else None
