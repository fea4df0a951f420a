"""Where a block of lines stands in a file: every place, exactly or by one uniform indentation; and, for
refusals, the nearest.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MAX_COMPARED_LINES = 4000
MAX_LINE_CHARS = 200
MAX_LOOSE_WORK = 50_000_000  # lines times lines; beyond it a block must stand exactly


@dataclass(frozen=True, slots=True)
class Shift:
    """How the file is indented against the block: the blanks to add in front, or the blanks to take away."""

    add: str = ""
    strip: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """The index (from 0) of the first line, and the indentation shift."""

    start: int
    shift: Shift = Shift()


def exact(lines: Sequence[str], block: Sequence[str]) -> list[int]:
    """Every index at which the block stands, line for line."""
    if not block:
        return []
    # Knuth-Morris-Pratt: linear also where a hostile file and block repeat one line a million times.
    fallback = _borders(block)
    found, matched = [], 0
    for at, line in enumerate(lines):
        while matched and (matched == len(block) or block[matched] != line):
            matched = fallback[matched - 1]
        if block[matched] == line:
            matched += 1
        if matched == len(block):
            found.append(at - matched + 1)
    return found


def _borders(block: Sequence[str]) -> list[int]:
    """For each prefix of the block, the length of its longest border."""
    borders, length = [0], 0
    for line in block[1:]:
        while length and block[length] != line:
            length = borders[length - 1]
        length += block[length] == line
        borders.append(length)
    return borders


def loose(lines: Sequence[str], block: Sequence[str]) -> list[Place]:
    """Every place where the block stands modulo trailing blanks and one uniform shift of its indentation."""
    wanted = [line.rstrip(" \t") for line in block]
    anchor = next((at for at, line in enumerate(wanted) if line), None)
    if anchor is None or len(wanted) * len(lines) > MAX_LOOSE_WORK:
        return []
    trimmed = [line.rstrip(" \t") for line in lines]
    found = []
    for start in range(len(trimmed) - len(wanted) + 1):
        shift = _shift(trimmed[start + anchor], wanted[anchor])
        if shift and all(_shifted(w, shift) == t for w, t in zip(wanted, trimmed[start:], strict=False)):
            found.append(Place(start, shift))
    return found


def reindent(block: Sequence[str], shift: Shift) -> list[str] | None:
    """The block moved by ``shift``; None when a line is indented less than what must be taken away."""
    moved = [_shifted(line, shift) for line in block]
    if any(line is None for line in moved):
        return None
    return [line for line in moved if line is not None]


def _shift(line: str, wanted: str) -> Shift | None:
    if line.lstrip(" \t") != wanted.lstrip(" \t"):
        return None
    here, there = _indent(line), _indent(wanted)
    if here.endswith(there):
        return Shift(add=here[: len(here) - len(there)])
    if there.endswith(here):
        return Shift(strip=there[: len(there) - len(here)])
    return None


def _shifted(line: str, shift: Shift) -> str | None:
    if not line.strip(" \t"):
        return line
    if shift.strip and not line.startswith(shift.strip):
        return None
    return shift.add + line[len(shift.strip) :]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def nearest(lines: Sequence[str], block: Sequence[str]) -> tuple[str, ...]:
    """Up to three remarks that show a person or a model where the block nearly stands. Never used to edit.

    Each line of the block votes for the offset at which it would fit; the winner names the first line that
    differs.
    """
    wanted = [line.strip() for line in block]
    have = [line.strip() for line in lines]
    index: dict[str, list[int]] = {}
    for at, line in enumerate(have):
        if len(line) > 3:
            index.setdefault(line, []).append(at)
    votes = Counter(at - offset for offset, line in enumerate(wanted) for at in index.get(line, ())[:50])
    if votes:
        return _first_difference(lines, block, start=max(votes.most_common(1)[0][0], 0))
    return _similar_lines(lines, wanted)


def _first_difference(lines: Sequence[str], block: Sequence[str], *, start: int) -> tuple[str, ...]:
    for offset, line in enumerate(block):
        at = start + offset
        if at >= len(lines):
            return (f"the file ends at line {len(lines)}; the block goes on with: {_short(line)}",)
        if lines[at] != line:
            return (f"line {at + 1} is:       {_short(lines[at])}", f"the block says: {_short(line)}")
    return (f"the block begins at line {start + 1}, but it does not stand there alone",)


def _similar_lines(lines: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    probe = max(wanted, key=len, default="")[:MAX_LINE_CHARS]
    if not probe:
        return ()
    numbered = {line.strip()[:MAX_LINE_CHARS]: at for at, line in enumerate(lines[:MAX_COMPARED_LINES], start=1)}
    close = difflib.get_close_matches(probe, list(numbered), n=3, cutoff=0.6)
    return tuple(f"line {numbered[line]}: {_short(line)}" for line in close)


def _short(line: str) -> str:
    return line if len(line) <= MAX_LINE_CHARS else line[:MAX_LINE_CHARS] + "…"
