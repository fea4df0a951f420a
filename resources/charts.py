"""Small charts of figures over time: lines for an SVG without script or style, and the table behind them.

Pure: points in, coordinates out. Where samples are missing the line is broken, not drawn through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, zip_longest
from typing import Any, Protocol

from resources.samples import Point

__all__ = ["Charts", "Figure", "draw"]

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
    """The charts of one thing over one stretch of time, and the table behind all of them, newest first."""

    charts: tuple[Chart, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[datetime, tuple[str, ...]], ...]
    minutes: int


class Moment(Protocol):
    """Figures at one moment: a sample of a host, a minute of the queue."""

    @property
    def at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Figure:
    """How one figure is read from a moment, and how it is said; not ``drawn``: it stands in the table alone.

    ``summed``: what happened in each moment, of which the sum is said, not the last.
    """

    label: str
    of: Callable[[Any], int | None]
    said: Callable[[int], str]
    drawn: bool = True
    summed: bool = False


def _cores(millis: int) -> str:
    return f"{millis / 1000:.2f} cores"


def _megabytes(amount: int) -> str:
    return f"{amount:,} MB"


def _of_point(name: str) -> Callable[[Point], int | None]:
    return lambda point: getattr(point, name)


MEASURED = (
    Figure("Processor", _of_point("cpu_millis"), _cores),
    Figure("Memory", _of_point("memory_mb"), _megabytes),
    Figure("Disk", _of_point("disk_mb"), _megabytes, drawn=False),
    Figure("Processes", _of_point("processes"), str, drawn=False),
)


def draw(
    points: Sequence[Moment],
    *,
    since: datetime,
    until: datetime,
    period_s: float,
    tops: Sequence[int] = (),
    figures: Sequence[Figure] = MEASURED,
) -> Charts:
    """The charts of these points, oldest first. ``tops``: what the first of the figures are measured against.

    A top of 0, or one that is passed, gives way to the highest value.
    """
    drawn = (
        _chart(figure, points, since=since, until=until, gap=timedelta(seconds=period_s * _GAP), top=top)
        for figure, top in zip_longest([figure for figure in figures if figure.drawn], tops, fillvalue=0)
        if isinstance(figure, Figure) and isinstance(top, int)
    )
    step = -(-len(points) // TABLE_ROWS) or 1
    rows = tuple((point.at, tuple(_cell(figure, point) for figure in figures)) for point in points[::-1][::step])
    charts = tuple(chart for chart in drawn if chart is not None)
    heads = tuple(figure.label for figure in figures)
    return Charts(charts, heads, rows, round((until - since).total_seconds() / 60))


def _cell(figure: Figure, point: Moment) -> str:
    value = figure.of(point)
    return "—" if value is None else figure.said(value)


def _chart(
    figure: Figure, points: Sequence[Moment], *, since: datetime, until: datetime, gap: timedelta, top: int
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
    now, words = _said(figure, values, top)
    return Chart(figure.label, now, words, tuple(map(_points, lines)), tuple(map(_points, map(_area, lines))))


def _said(figure: Figure, values: Sequence[int], top: int) -> tuple[str, str]:
    """The figure beside the label, and the whole in words."""
    most = figure.said(max(values))
    if figure.summed:
        whole = figure.said(sum(values))
        return whole, f"{figure.label}: {whole} in all, at most {most} at a time"
    now = figure.said(values[-1])
    words = f"{figure.label}: now {now}, from {figure.said(min(values))} to {most}"
    return now, words + (f", of {figure.said(top)}" if top else "")


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
