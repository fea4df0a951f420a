"""Text from outside, made harmless for a screen: terminal escapes go, what is invisible becomes visible."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

# ECMA-48: CSI, OSC (ended by BEL or ST), the other control strings, and short escapes, in 7 and in 8 bits. A control
# string that does not end in its line loses its introducer only: text must not vanish behind one.
ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\n]*(?:\x1b\\|\x9c)"
    r"|\x1b(?:[ -/]*[0-~])?"
)
# Control characters except tab and newline; bidirectional overrides and zero-width characters (CVE-2021-42574).
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def plain(text: str) -> str:
    """The text without terminal escapes; other characters that act unseen stand as ⟨U+202E⟩."""
    without = ESCAPES.sub("", text.replace("\r\n", "\n"))
    return _INVISIBLE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", without)


def tail(text: str, *, limit: int) -> tuple[str, bool]:
    """The last ``limit`` characters, from the start of a line where there is one; and whether something was cut."""
    if len(text) <= limit:
        return text, False
    kept = text[-limit:]
    head, newline, rest = kept.partition("\n")
    return (rest if newline and rest else head), True


def span(length: timedelta) -> str:
    """A length of time in words of at most two parts: 340 ms, 4.2 s, 3 min 5 s, 2 h 10 min, 5 d."""
    seconds = max(0.0, length.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole < 600 and whole % 60 else "")
    if whole < 86_400:
        return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 >= 60 else "")
    return f"{whole // 86_400} d"


def ago(moment: datetime | None, *, now: datetime) -> str:
    """How long ago, in words; "never" for no moment."""
    if moment is None:
        return "never"
    passed = timedelta(seconds=int((now - moment).total_seconds()))
    return "just now" if passed < timedelta(seconds=2) else f"{span(passed)} ago"
