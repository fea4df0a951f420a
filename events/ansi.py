"""Terminal output as safe markup: colours and weights of text become classes, everything else that acts goes.

Select Graphic Rendition is ECMA-48, 8.3.117; the 256 colours are xterm's. Background colours are dropped: what a
program puts on one is readable on ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from events.plain_text import plain

_SGR = re.compile(r"\x1b\[([0-9;:]{0,80})m")
_WEIGHTS = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "struck"}
_ENDS = {21: ("bold",), 22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("inverse",), 29: ("struck",)}
_LEVELS = (0, 95, 135, 175, 215, 255)  # of the 6 × 6 × 6 cube


@dataclass(frozen=True, slots=True)
class _Pen:
    """How the text behind it looks: a colour from 0 to 7, and weights."""

    colour: int | None = None
    weights: frozenset[str] = frozenset()

    @property
    def classes(self) -> str:
        colour = [] if self.colour is None else [f"ansi-{self.colour}"]
        return " ".join([*colour, *(f"ansi-{weight}" for weight in sorted(self.weights))])


def marked(text: str, *, after: str = "") -> SafeString:
    """The text as HTML: escaped, without control sequences, with ``<span class="ansi-…">`` around what has a look.

    ``after`` is what was shown before it, whose colours go on.
    """
    pen, parts, position = _Pen(), [], 0
    for found in _SGR.finditer(after):
        pen = _moved(pen, found[1])
    for found in _SGR.finditer(text):
        parts.append(_piece(text[position : found.start()], pen))
        pen, position = _moved(pen, found[1]), found.end()
    parts.append(_piece(text[position:], pen))
    return mark_safe("".join(parts))  # noqa: S308 - every piece is escaped


def _piece(text: str, pen: _Pen) -> str:
    shown = plain(text)
    if not shown or not pen.classes:
        return escape(shown)
    return format_html('<span class="{}">{}</span>', pen.classes, shown)


def _moved(pen: _Pen, parameters: str) -> _Pen:
    """The pen behind one sequence; what it does not know it leaves as it is."""
    codes = [int(code) if len(code) < 4 and code else 0 for code in re.split("[;:]", parameters)]
    while codes:
        code = codes.pop(0)
        if code == 0:
            pen = _Pen()
        elif code in _WEIGHTS:
            pen = replace(pen, weights=pen.weights | {_WEIGHTS[code]})
        elif code in _ENDS:
            pen = replace(pen, weights=pen.weights.difference(_ENDS[code]))
        elif 30 <= code <= 37 or 90 <= code <= 97:
            pen = replace(pen, colour=code % 10)
        elif code == 39:
            pen = replace(pen, colour=None)
        elif code in {38, 48}:
            colour, codes = _extended(codes)
            pen = replace(pen, colour=colour) if code == 38 else pen
    return pen


def _extended(codes: list[int]) -> tuple[int | None, list[int]]:
    """The colour behind a 38 or 48 as one of our eight, and what follows it."""
    kind, rest = (codes[0], codes[1:]) if codes else (0, [])
    if kind == 5 and rest:
        return _of_256(rest[0]), rest[1:]
    if kind == 2 and len(rest) >= 3:
        return _nearest(rest[0], rest[1], rest[2]), rest[3:]
    return None, []  # cut short: what follows belongs to it


def _of_256(number: int) -> int | None:
    if number < 16:
        return number % 8
    if number > 231:
        return None  # greys: as the text around
    cube = number - 16
    return _nearest(_LEVELS[cube // 36], _LEVELS[cube // 6 % 6], _LEVELS[cube % 6])


def _nearest(red: int, green: int, blue: int) -> int | None:
    """Which of red, green and blue are more than half of the strongest; greys have no colour."""
    most = max(red, green, blue)
    if most - min(red, green, blue) < 40:
        return None
    return sum(bit for bit, part in ((1, red), (2, green), (4, blue)) if part > most * 0.6)
