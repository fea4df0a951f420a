"""The lines that a unified diff adds and takes away, each with its path and number."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_ESCAPED = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its sign; ``number`` is that of the new file, or of the old one where it was taken away."""

    path: str
    number: int
    text: str


def split(text: str) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """The added lines and the removed ones. Only what stands outside of hunks counts as a header."""
    added: list[Line] = []
    removed: list[Line] = []
    before, after, old, new, in_hunk = "", "", 0, 0, False
    for line in text.split("\n"):
        if line.startswith("diff --git "):
            in_hunk = False
        elif not in_hunk and line.startswith("--- "):
            before = _path(line[4:])
        elif not in_hunk and line.startswith("+++ "):
            after = _path(line[4:])
        elif match := _HUNK.match(line):
            old, new, in_hunk = int(match[1]), int(match[2]), True
        elif in_hunk and line.startswith("+"):
            added.append(Line(after, new, line[1:]))
            new += 1
        elif in_hunk and line.startswith("-"):
            removed.append(Line(before, old, line[1:]))
            old += 1
        elif in_hunk and line.startswith(" "):
            old, new = old + 1, new + 1
    return tuple(added), tuple(removed)


def _path(name: str) -> str:
    """The path of a header; git quotes unusual names as C does, and puts a tab behind those with blanks."""
    if name.startswith('"') and name.rstrip().endswith('"'):
        raw = name.rstrip()[1:-1].encode()
        name = _ESCAPED.sub(_unescaped, raw).decode("utf-8", "backslashreplace")
    return name.rstrip("\t")[2:] if name[:2] in {"a/", "b/"} else name


def _unescaped(match: re.Match[bytes]) -> bytes:
    inner = match[1]
    return bytes([int(inner, 8) & 0xFF]) if len(inner) == 3 else _LETTERS.get(inner, inner)
