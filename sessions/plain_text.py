"""What a terminal printed, as plain text: no escape sequences, no controls, nothing that a screen would obey. Pure."""

from __future__ import annotations

import unicodedata

from events.plain_text import ESCAPES

_KEPT = {"\n", "\t"}
_DROPPED = {"Cc", "Cf", "Cs", "Co"}  # controls, and format characters such as the bidirectional overrides


def plain(data: bytes, *, complete: bool) -> str:
    """The text of ``data``; its first line is left out unless ``complete``, for it may begin amidst a sequence."""
    text = data.decode("utf-8", "replace")
    if not complete:
        text = text.partition("\n")[2]
    text = ESCAPES.sub("", text)
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    """One line as it stands after its carriage returns and backspaces."""
    cells: list[str] = []
    at = 0
    for character in line:
        if character == "\r":
            at = 0
        elif character == "\b":
            at = max(0, at - 1)
        elif character in _KEPT or unicodedata.category(character) not in _DROPPED:
            cells[at : at + 1] = [character]
            at += 1
    return "".join(cells).rstrip()
