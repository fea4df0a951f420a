"""Which of the failing tests a requirement is about."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agents.engines.repair.inside.naming import words_for

_WORD = re.compile(r"[A-Za-z_]\w{2,}")


def words(requirement: str) -> set[str]:
    """The words of a requirement that could be the name of something."""
    return set(_WORD.findall(requirement))


def meant(requirement: str, failing: Sequence[str]) -> tuple[str, ...]:
    """The tests that it names: by function, by class, by file, or by the module that the file is the test of.

    All of them where it names none. ``failing`` are names as in a JUnit report: ``tests.test_gcd::test_small[1]``.
    """
    said = words(requirement)
    named = tuple(name for name in failing if words_for(name) & said)
    return named or tuple(failing)
