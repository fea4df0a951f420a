"""A command's output without what is another each time though nothing has changed.

How long a test run took, and where objects lay in memory, say nothing to a coder. With them, running the same tests
again would not look like the same action with the same result, and a stage that begins again after kill -9 would ask a
model something new and pay for it anew.
"""

from __future__ import annotations

import re

_TIME = r"[\d.]+ ?m?s(?: \(\d+:\d\d:\d\d\))?"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.M), to)
    for pattern, to in (
        # pytest: "==== 1 failed, 2 passed in 0.12s ====", filled up to the width of the screen
        (rf"^=* ?((?:\d+ [a-z]+(?:, )?)+|no tests ran) in {_TIME} ?=*$", r"\1"),
        (r"(/pytest-of-[\w.-]+/pytest-)\d+", r"\1N"),  # its temporary directories are numbered by run
        (rf"^(Ran \d+ tests?) in {_TIME}$", r"\1"),  # unittest
        (r"^([ \t]*(?:# )?duration_ms:?) [\d.]+$", r"\1 N"),  # node
        (r"^(ok[ \t]+\S+)[ \t]+[\d.]+s$", r"\1"),  # go
        (r"^(Time:[ \t]+)[\d.]+ m?s\b.*$", r"\1N"),  # jest
        (rf"^(test result: .*;) finished in {_TIME}$", r"\1"),  # cargo
        (r"\b(at 0x)[0-9a-f]{6,16}\b", r"\1N"),  # <object at 0x7f0c5e0a1b50>
    )
)


def steady(text: str) -> str:
    """The text without them. Times that a program itself prints or measures stay."""
    for pattern, to in _RULES:
        text = pattern.sub(to, text)
    return text
