"""What a benchmark answers: figures, each beside a baseline of the same run where a ratio says more than a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import quantiles

MARK = "figures: "  # the line of a benchmark's output that is for machines


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. ``met`` is None where there is no goal."""

    name: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None
    baseline: float | None = None
    baseline_name: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of the baseline."""
        return round(self.value / self.baseline, 2) if self.baseline else None


def at_most(name: str, value: float, unit: str, limit: float) -> Figure:
    """A figure whose goal is a bound."""
    return Figure(name, round(value, 2), unit, goal=f"≤ {limit:g} {unit}", met=value <= limit)


def shares(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Median, 95th and 99th percentile, in milliseconds."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return tuple(round(cuts[at - 1] * 1000, 2) for at in (50, 95, 99))  # type: ignore[return-value] # three of three


def main(measure: Callable[[], list[Figure]]) -> None:
    """Run one benchmark by itself: its table, and the line for ``python -m benchmarks``."""
    found = measure()
    print("\n".join(table(found)))
    print(MARK + json.dumps([asdict(figure) for figure in found]))


def figures_in(output: str) -> list[Figure]:
    """The figures that a benchmark printed."""
    line = next(line for line in reversed(output.splitlines()) if line.startswith(MARK))
    return [Figure(**fields) for fields in json.loads(line.removeprefix(MARK))]


def table(found: Sequence[Figure]) -> list[str]:
    """Lines for people."""
    rows = [("figure", "value", "baseline", "ratio", "goal", "")]
    for figure in found:
        beside = f"{figure.baseline:g} {figure.unit} {figure.baseline_name}" if figure.baseline is not None else "–"
        met = {None: "", True: "✓", False: "✗"}[figure.met]
        ratio = f"{figure.ratio:g}" if figure.ratio is not None else "–"
        rows.append((figure.name, f"{figure.value:g} {figure.unit}", beside, ratio, figure.goal or "–", met))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
