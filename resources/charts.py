"""Small charts of what hosts and berths used: lines for an SVG without script or style, and the table behind them.

Pure: points in, coordinates out. Where samples are missing the line is broken, not drawn through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from resources.samples import Point

WIDTH, HEIGHT = 240, 48  # of the SVG's view box
TABLE_ROWS = 8
_GAP = 4  # so many periods without a sample, and nobody knows what was between


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure over time. ``lines`` are the ``points`` of polylines; ``words`` say the same to who cannot see it."""

    label: str
    now: str
    words: str
    lines: tuple[str, ...]
    areas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Charts:
    """The charts of one host or berth over one stretch of time, and the table behind all of them, newest first."""

    charts: tuple[Chart, ...]
    rows: tuple[Point, ...]
    minutes: int


@dataclass(frozen=True, slots=True)
class _Figure:
    """What is drawn: how it is read from a point, and how it is said."""

    label: str
    of: Callable[[Point], int | None]
    said: Callable[[int], str]


def _cores(millis: int) -> str:
    return f"{millis / 1000:.2f} cores"


def _megabytes(amount: int) -> str:
    return f"{amount:,} MB".replace(",", " ")


_FIGURES = (
    _Figure("Processor", lambda point: point.cpu_millis, _cores),
    _Figure("Memory", lambda point: point.memory_mb, _megabytes),
)


def draw(
    points: Sequence[Point], *, since: datetime, until: datetime, period_s: float, tops: Sequence[int] = (0, 0)
) -> Charts:
    """The charts of these points, oldest first. ``tops``: what processor (millis) and memory (MB) are measured against.

    A top of 0, or one that is passed, gives way to the highest value.
    """
    drawn = (
        _chart(figure, points, since=since, until=until, gap=timedelta(seconds=period_s * _GAP), top=top)
        for figure, top in zip(_FIGURES, tops, strict=True)
    )
    step = -(-len(points) // TABLE_ROWS) or 1
    charts = tuple(chart for chart in drawn if chart is not None)
    return Charts(charts, tuple(points[::-1][::step]), round((until - since).total_seconds() / 60))


def _chart(
    figure: _Figure, points: Sequence[Point], *, since: datetime, until: datetime, gap: timedelta, top: int
) -> Chart | None:
    known = [(point.at, value) for point in points if (value := figure.of(point)) is not None]
    if not known:
        return None
    values = [value for _, value in known]
    highest = max(top, *values, 1)
    length = max((until - since).total_seconds(), 1)
    lines = tuple(
        [(_x((at - since).total_seconds() / length), _y(value / highest)) for at, value in stretch]
        for stretch in _stretches(known, gap)
    )
    words = (
        f"{figure.label}: now {figure.said(values[-1])}, from {figure.said(min(values))} to {figure.said(max(values))}"
        + (f", of {figure.said(top)}" if top else "")
    )
    return Chart(
        figure.label, figure.said(values[-1]), words, tuple(map(_points, lines)), tuple(map(_points, map(_area, lines)))
    )


def _stretches(known: Sequence[tuple[datetime, int]], gap: timedelta) -> Iterable[list[tuple[datetime, int]]]:
    number, before = 0, known[0][0]
    numbered = []
    for at, value in known:
        number += at - before > gap
        numbered.append((number, (at, value)))
        before = at
    return ([entry for _, entry in stretch] for _, stretch in groupby(numbered, key=lambda entry: entry[0]))


def _x(share: float) -> float:
    return round(min(max(share, 0), 1) * WIDTH, 1)


def _y(share: float) -> float:
    return round(HEIGHT - 1 - share * (HEIGHT - 2), 1)


def _area(line: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(line[0][0], HEIGHT), *line, (line[-1][0], HEIGHT)]


def _points(line: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in (line if len(line) > 1 else line * 2))
