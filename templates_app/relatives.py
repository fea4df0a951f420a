"""Who builds on whom: heirs of a template, and its ancestors placed for a drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from templates_app.documents import Document
from templates_app.verdicts import ancestors_of, heirs_of

WIDTH, HEIGHT = 190, 46  # of a box, in the drawing's units
_GAP_X, _GAP_Y, _MARGIN = 28, 54, 10
_PASSAGE = 16  # the width of a line's own place in a row


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
    """``extends``, from the child up to its parent; ``label`` is its place among several parents."""

    child: str
    parent: str
    place: int
    path: str
    label: str
    x: int
    y: int


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
    """The ancestors of a template in rows: each one row above all that extend it. A circle is cut where it closes.

    A line over several rows has a place of its own in each of them, so that it passes beside the boxes.
    """
    names = {name, *ancestors_of(name, documents)}
    rank = _ranks(names, documents)
    edges = [
        (one, parent.name, place)
        for one in sorted(names & documents.keys())
        for place, parent in enumerate(documents[one].extends, start=1)
    ]
    rows: list[list[str]] = [[] for _ in range(max(rank.values()) + 1)]
    for one in sorted(names):
        rows[rank[one]].append(one)
    for child, parent, _ in edges:
        for level in range(rank[parent] + 1, rank[child]):
            rows[level].append(_passage(child, parent))
    width = max(_width(row) for row in rows) + 2 * _MARGIN
    left: dict[tuple[str, int], int] = {}
    for level, row in enumerate(rows):
        x = (width - _width(row)) // 2
        for one in row:
            left[one, level] = x
            x += _width([one]) + _GAP_X
    boxes = {one: _box(one, documents.get(one), left[one, rank[one]], _top(rank[one])) for one in sorted(names)}
    lines = []
    for child, parent, place in edges:
        through = [
            (left[_passage(child, parent), level] + _PASSAGE // 2, _top(level) + HEIGHT // 2)
            for level in range(rank[child] - 1, rank[parent], -1)
        ]
        lines.append(_line(boxes[child], boxes[parent], place, len(documents[child].extends), through))
    return Drawing(tuple(boxes.values()), tuple(lines), width, _top(len(rows)) - _GAP_Y + _MARGIN)


def _ranks(names: set[str], documents: Mapping[str, Document]) -> dict[str, int]:
    """How many levels of ancestors each has."""
    rank: dict[str, int] = {}

    def of(one: str, above: frozenset[str]) -> int:
        if one in rank or one in above:
            return rank.get(one, 0)
        parents = [p.name for p in documents[one].extends] if one in documents else []
        known = 1 + max((of(parent, above | {one}) for parent in parents), default=-1)
        rank[one] = known
        return known

    for one in sorted(names):
        of(one, frozenset())
    return rank


def _passage(child: str, parent: str) -> str:
    return f"{child} {parent}"  # no template has a blank in its name


def _width(row: list[str]) -> int:
    return sum(_PASSAGE if " " in one else WIDTH for one in row) + max(0, len(row) - 1) * _GAP_X


def _top(level: int) -> int:
    return _MARGIN + level * (HEIGHT + _GAP_Y)


def _box(name: str, document: Document | None, x: int, y: int) -> Box:
    version, abstract = (document.version, document.abstract) if document else ("", False)
    return Box(name, version, document is not None, abstract, x, y)


def _line(child: Box, parent: Box, place: int, of: int, through: list[tuple[int, int]]) -> Line:
    """A curve from the upper edge of the child, where its place among its parents is, to the lower of the parent."""
    x, y = child.x + WIDTH * place // (of + 1), child.y
    path, label_at = f"M{x} {y}", (x + 5, y - 6)
    for to_x, to_y in [*through, (parent.middle, parent.y + HEIGHT)]:
        bend = max(20, abs(y - to_y) // 2)
        path += f" C{x} {y - bend} {to_x} {to_y + bend} {to_x} {to_y}"
        x, y = to_x, to_y
    return Line(child.name, parent.name, place, path, str(place) if of > 1 else "", *label_at)
