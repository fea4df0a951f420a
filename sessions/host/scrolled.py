"""Which part of an output has scrolled off the screen for good, so that no emulator needs to see it. Pure.

A line of text, of colours and of what acts within its line leaves nothing behind once it has scrolled away, but the
colour and the character set in which the next one begins. That holds where the whole screen scrolls.
"""

from __future__ import annotations

import re

_TITLE = rb"\][^\x07\x1b\x18\x1a\r\n]*(?:\x07|\x1b\\|\x1b?\Z)"  # or a link; what it holds is not shown
# Colours; to erase, insert, delete and move within the line; a character set. The last one may not be complete yet.
_IN_LINE = rb"\[[0-9;:]*(?:[mKCDGPX@]|\Z)|\((?:[0B]|\Z)|" + _TITLE + rb"|\\|\Z"
_ELSEWHERE = re.compile(rb"\x1b(?!" + _IN_LINE + rb")")
_LONG_CONTROL = re.compile(rb"\xc2[\x80-\x9f]")
_OTHER_CONTROLS = (b"\x0e", b"\x0f", b"\x18", b"\x1a")  # searches for one byte each are the fastest
_COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
_NO_COLOUR = (b"\x1b[m", b"\x1b[0m")
_CHARACTER_SET = b"\x1b("
_LINE_END = b"\r\n"

_MARGINS = re.compile("\x9b[0-9]+;[0-9]+r")
_INTRODUCERS = "\x1b\x90\x98\x9b\x9d\x9e\x9f"
_COMPLETE = re.compile(r"(?:\x9b|\x1b\[)[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-OQ-WYZ\\`-~]")


def away(output: bytes | bytearray, *, rows: int) -> int | None:
    """How much of it cannot be seen any more once the rest was printed; None where that cannot be told.

    What is left begins with a line, and scrolls a screen of so many rows twice.
    """
    if any(control in output for control in _OTHER_CONTROLS):
        return None
    if _ELSEWHERE.search(output) or _LONG_CONTROL.search(output):
        return None
    cut = len(output)
    for _ in range(2 * rows + 1):
        cut = output.rfind(_LINE_END, 0, cut)
        if cut < 0:
            return None
    return cut + len(_LINE_END)


def left_by(gone: bytes | bytearray) -> bytes:
    """The sequences that leave the colour and the character set that it leaves."""
    at = gone.rfind(_CHARACTER_SET)
    character_set = gone[at : at + len(_CHARACTER_SET) + 1] if at >= 0 else b""
    plain_at = max(gone.rfind(sequence) for sequence in _NO_COLOUR)
    return bytes(character_set) + b"".join(_COLOUR.findall(gone, max(0, plain_at)))


def whole_screen(drawn: str) -> bool:
    """Whether the screen of an emulator that drew this scrolls as one, and is not amid a sequence."""
    at = max(drawn.rfind(introducer) for introducer in _INTRODUCERS)
    return not _MARGINS.search(drawn) and (at < 0 or _COMPLETE.match(drawn, at) is not None)
