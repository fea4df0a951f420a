"""What reaches the terminal: text without control characters, tables that fit, JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

UNLIMITED = 1_000_000
NARROWEST = 4
# Escape sequences (Cc), bidirectional overrides and invisible characters (Cf), lone surrogates, line breaks.
UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def clean(text: object) -> str:
    """One printable line of anything; line breaks and tabs become blanks."""
    spaced = str(text).replace("\r\n", " ").replace("\n", " ").replace("\t", " ")
    return "".join(letter for letter in spaced if unicodedata.category(letter) not in UNPRINTABLE)


def clean_lines(text: str) -> list[str]:
    """Printable lines; tabs stay, for diffs."""
    return [
        "".join(letter for letter in line if letter == "\t" or unicodedata.category(letter) not in UNPRINTABLE)
        for line in text.split("\n")
    ]


def width_of(text: str) -> int:
    """Columns that a clean text takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    marks = sum(unicodedata.combining(letter) > 0 for letter in text)
    return len(text) + wide - marks


def fit(text: str, width: int) -> str:
    """The text, cut with an ellipsis where it takes more columns."""
    if width_of(text) <= width:
        return text
    kept = text
    while kept and width_of(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…" if width > 0 else ""


def columns(stream: TextIO) -> int:
    """The width to fit into: the terminal's, or COLUMNS; without bounds for a file or a pipe."""
    if stream.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return max(20, shutil.get_terminal_size().columns)
    return UNLIMITED


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, width: int) -> list[str]:
    """Aligned lines; the widest columns give way first where all together are too wide."""
    cells = [list(headings)] + [[clean("" if cell is None else cell) for cell in row] for row in rows]
    widths = [max(width_of(row[at]) for row in cells) for at in range(len(headings))]
    room = width - 2 * (len(widths) - 1)
    while sum(widths) > room and max(widths) > NARROWEST:
        excess, widest = sum(widths) - room, max(widths)
        runner_up = max((w for w in widths if w < widest), default=NARROWEST)
        at = len(widths) - 1 - widths[::-1].index(widest)
        widths[at] = max(NARROWEST, runner_up - 1 if widest - runner_up < excess else widest - excess)
    return [_row(row, widths) for row in cells]


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [fit(cell, width) for cell, width in zip(row, widths, strict=True)]
    padded = (cell + " " * (width - width_of(cell)) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def facts(pairs: Iterable[tuple[str, object]], *, width: int) -> list[str]:
    """One line per fact that there is, names aligned."""
    known = [(name, clean(value)) for name, value in pairs if value not in (None, "", [], {})]
    longest = max((len(name) for name, _ in known), default=0)
    return [fit(f"{name:<{longest}}  {value}", width) for name, value in known]


def as_json(document: Any, *, indent: int | None = 2) -> str:
    """JSON in plain ASCII, so that nothing in it can steer a terminal."""
    return json.dumps(document, indent=indent, ensure_ascii=True)


def say(lines: Iterable[str]) -> None:
    """Lines on stdout."""
    for line in lines:
        print(line)


def complain(lines: Iterable[str]) -> None:
    """Lines on stderr, sanitised, behind whatever stdout still holds."""
    sys.stdout.flush()
    for line in lines:
        print(*clean_lines(line), file=sys.stderr)
