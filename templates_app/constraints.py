"""Which versions of a parent will do: the words after ``@`` in ``extends``.

Versions and their order are those of semver.org. A bare version (``2``, ``2.1``, ``2.1.3``) asks for at least that
one within its major, ``^`` is npm's and cargo's (``^0`` is any 0.x, ``^1.0.0-rc.1`` takes a later candidate), a blank
or a comma means "and"; everything else is read by the ``semantic-version`` library (``~``, ``>=1.2,<3``, …).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from semantic_version import SimpleSpec, Version

_BARE = re.compile(r"\d+(\.\d+){0,2}")
_CARET = re.compile(r"\^(\d+(?:\.\d+){0,2})((?:-[0-9A-Za-z.-]+)?)")


def constraint_problem(text: str) -> str:
    """What is wrong with a constraint, in words; empty when nothing is."""
    try:
        _spec(text.strip())
    except ValueError:
        return "is no version constraint"
    return ""


def fits(version: str, constraint: str) -> bool:
    """Whether a version is one of those that will do."""
    return not constraint or _spec(constraint).match(Version(version))


def exclude_each_other(one: str, other: str) -> bool:
    """Whether no version at all satisfies both.

    If one does, then 0.0.0 does, or a version that one of them names, or one just above such a version.
    """
    named = [Version.coerce(text) for text in re.findall(r"\d+(?:\.\d+){0,2}", f"{one} {other}")]
    candidates = [Version("0.0.0"), *named, *above(named)]
    return not any(_spec(one).match(version) and _spec(other).match(version) for version in candidates)


def above(versions: Iterable[Version]) -> list[Version]:
    """What comes right after each: ``>1.2`` begins at 1.3.0, ``>1.2.3`` at 1.2.4."""
    return [after for one in versions for after in (one.next_patch(), one.next_minor(), one.next_major())]


@functools.lru_cache(maxsize=1024)
def _spec(text: str) -> SimpleSpec:
    if _BARE.fullmatch(text):
        version = Version.coerce(text)
        return SimpleSpec(f">={version},<{version.major + 1}")
    joined = re.sub(r"([<>=!^~])\s+", r"\1", text.strip())  # a blank after an operator says nothing
    return SimpleSpec(",".join(map(_clause, re.split(r"\s*,\s*|\s+", joined))))


def _clause(text: str) -> str:
    """A caret as two bounds: up to where the first number that is not zero, or the last written, goes up."""
    caret = _CARET.fullmatch(text)
    if caret is None:
        return text
    numbers = [int(number) for number in caret[1].split(".")]
    fixed = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
    above = [*numbers[:fixed], numbers[fixed] + 1]
    least, most = (Version.coerce(".".join(map(str, bound))) for bound in (numbers, above))
    return f">={least}{caret[2]},<{most}"
