"""Which of the failing tests a requirement is about."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"[A-Za-z_]\w{2,}")


def meant(requirement: str, failing: Sequence[str]) -> tuple[str, ...]:
    """The tests that it names: by function, by class, by file, or by the module that the file is the test of.

    All of them where it names none. ``failing`` are names as in a JUnit report: ``tests.test_gcd::test_small[1]``.
    """
    words = set(_WORD.findall(requirement))
    named = tuple(name for name in failing if _names(name) & words)
    return named or tuple(failing)


def _names(test: str) -> set[str]:
    group, _, function = test.partition("[")[0].rpartition("::")
    parts = [part for part in re.split(r"[.:/]+", group) if part]
    files = [part for part in parts if part.startswith("test_") or part.endswith("_test")]
    return {function, *files, *(file.removeprefix("test_").removesuffix("_test") for file in files)} - {""} | {
        part for part in parts if part[:1].isupper()
    }
