"""Who builds on whom: heirs of a template, and its ancestors placed for a drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from templates_app.documents import Document
from templates_app.verdicts import ancestors_of, heirs_of

WIDTH, HEIGHT = 190, 46  # of a box, in the drawing's units
_GAP_X, _GAP_Y, _MARGIN = 28, 54, 10


@dataclass(frozen=True, slots=True)
class Box:
    """One template in the drawing; ``x`` and ``y`` are its upper left corner."""

    name: str
    version: str
    there: bool
    abstract: bool
    x: int
    y: int

    @property
    def middle(self) -> int:
        return self.x + WIDTH // 2


@dataclass(frozen=True, slots=True)
class Line:
    """``extends``, from the child up to its parent; ``place`` counts from 1 where there are several parents."""

    child: str
    parent: str
    place: int
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A template with its ancestors above it, as boxes and lines. The more general, the higher."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: int
    height: int


def heirs(name: str, documents: Mapping[str, Document]) -> tuple[Document, ...]:
    """All templates that build on a name, nearest first."""
    distance: dict[str, int] = {}
    for heir in heirs_of([name], documents) - {name}:
        distance[heir] = 1 if any(parent.name == name for parent in documents[heir].extends) else 2
    return tuple(documents[heir] for heir in sorted(distance, key=lambda one: (distance[one], one)))


def drawing(name: str, documents: Mapping[str, Document]) -> Drawing:
    """The ancestors of a template in rows: each one row above all that extend it. A circle is cut where it closes."""
    names = {name, *ancestors_of(name, documents)}
    rank: dict[str, int] = {}

    def height_of(one: str, above: frozenset[str]) -> int:
        if one in rank or one in above:
            return rank.get(one, 0)
        parents = [p.name for p in documents[one].extends] if one in documents else []
        known = 1 + max((height_of(parent, above | {one}) for parent in parents), default=-1)
        rank[one] = known
        return known

    for one in sorted(names):
        height_of(one, frozenset())
    rows = [sorted(one for one in names if rank[one] == level) for level in range(max(rank.values()) + 1)]
    rows = [row for row in rows if row]
    widest = max(len(row) for row in rows)
    width = 2 * _MARGIN + widest * WIDTH + (widest - 1) * _GAP_X
    boxes: dict[str, Box] = {}
    for level, row in enumerate(rows):
        start = (width - len(row) * WIDTH - (len(row) - 1) * _GAP_X) // 2
        for index, one in enumerate(row):
            x, y = start + index * (WIDTH + _GAP_X), _MARGIN + level * (HEIGHT + _GAP_Y)
            document = documents.get(one)
            version, abstract = (document.version, document.abstract) if document else ("", False)
            boxes[one] = Box(one, version, document is not None, abstract, x, y)
    lines = tuple(
        Line(one, parent.name, place, _path(boxes[one], boxes[parent.name]))
        for one in sorted(names & documents.keys())
        for place, parent in enumerate(documents[one].extends, start=1)
    )
    height = 2 * _MARGIN + len(rows) * HEIGHT + (len(rows) - 1) * _GAP_Y
    return Drawing(tuple(boxes.values()), lines, width, height)


def _path(child: Box, parent: Box) -> str:
    """A curve from the upper edge of the child to the lower edge of the parent."""
    top, bottom = parent.y + HEIGHT, child.y
    bend = max(20, (bottom - top) // 2)
    return (
        f"M{child.middle} {bottom} C{child.middle} {bottom - bend} {parent.middle} {top + bend} {parent.middle} {top}"
    )
