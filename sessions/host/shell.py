"""What runs in a terminal, and how its exit code reaches us.

The sandboxes' launcher does not hand the exit code of a program on a PTY on, so the program's parent prints it as the
last thing: an operating-system command that screens ignore. Whoever types can forge it, as they can type ``exit 0``.
"""

from __future__ import annotations

import re

# bash where the berth has it. A constant: nothing of a request ever gets into it.
SHELL = (
    "/bin/sh",
    "-c",
    "if command -v bash >/dev/null 2>&1; then bash -i; else sh -i; fi; printf '\\033]7711;%d\\007' \"$?\"",
)
ENVIRONMENT = {"TERM": "xterm-256color"}
SAID_WITHIN = 4096  # of the end: a job in the background may still have printed something behind it
_SAID = re.compile(rb"\x1b\]7711;([0-9]{1,3})\x07")


def exit_code(last_bytes: bytes) -> int | None:
    """The exit code that ``last_bytes`` ends with; None where none was said, as when the terminal was cut off."""
    said = _SAID.findall(last_bytes)
    return int(said[-1]) if said else None
