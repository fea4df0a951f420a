"""Which steps of a plan may be carried out side by side, and in which order the rest comes.

Two steps are independent where both say which files they touch, no file is in both, and neither is said to come after
the other. Who says less than that waits for all that comes before, and is waited for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from agents.engines.paths import jail
from agents.engines.protocol import EditRefused, PlanStep

_PATTERN = frozenset("*?[]{}")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Steps by their numbers in the plan, from 1: at one time, or one after the other."""

    numbers: tuple[int, ...]
    beside: bool


def stretches(steps: Sequence[PlanStep], *, most: int, known: Collection[str] = ()) -> tuple[Stretch, ...]:
    """The steps in the order in which to carry them out, at most ``most`` at one time.

    ``known`` are the files that are there: a step that names a folder of them does not say which files it touches.
    """
    files = [files_of(step, known=known) for step in steps]
    levels: list[int] = []
    for at in range(len(steps)):
        earlier = [levels[before] for before in range(at) if _waits(at, before, steps, files)]
        levels.append(1 + max(earlier, default=-1))
    found: list[Stretch] = []
    for level in range(max(levels, default=-1) + 1):
        numbers = tuple(at + 1 for at, one in enumerate(levels) if one == level)
        for start in range(0, len(numbers), max(most, 1)):
            _append(found, numbers[start : start + max(most, 1)])
    return tuple(found)


def files_of(step: PlanStep, *, known: Collection[str] = ()) -> frozenset[str]:
    """The files that a step says it touches, in their normal form; none where it does not say exactly."""
    try:
        files = frozenset(jail(path.strip()) for path in step.files)
    except EditRefused:
        return frozenset()
    if any(_PATTERN & set(path) or any(file.startswith(f"{path}/") for file in known) for path in files):
        return frozenset()
    return files


def _waits(at: int, before: int, steps: Sequence[PlanStep], files: Sequence[frozenset[str]]) -> bool:
    """Whether step ``at`` has to wait for the earlier step ``before``; both from 0."""
    after = steps[at].after
    if any(not 0 < number <= at for number in after):  # it waits for something that is not before it: for all, then
        return True
    return before + 1 in after or not files[at] or not files[before] or _overlap(files[at], files[before])


def _overlap(one: Collection[str], other: Collection[str]) -> bool:
    """Whether a file is in both, or one would have to be a folder of the other's."""
    return any(f"{a}/".startswith(f"{b}/") or f"{b}/".startswith(f"{a}/") for a in one for b in other)


def _append(found: list[Stretch], numbers: tuple[int, ...]) -> None:
    """A single step joins the single ones before it: one coder carries them out in order."""
    if len(numbers) > 1:
        found.append(Stretch(numbers, beside=True))
    elif found and not found[-1].beside:
        found[-1] = Stretch(found[-1].numbers + numbers, beside=False)
    else:
        found.append(Stretch(numbers, beside=False))
