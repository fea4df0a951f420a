"""A value together with where each part of it came from.

A merged specification is a tree of leaves, maps and lists. Nothing in it is ever changed once it is made: a layer
that says more makes a new map, which knows the one that it was made from. What a leaf shadows is what its key held
in those, so that laying hundreds of leaves over hundreds of others makes no more than one map.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from templates_app.yaml_text import Json, Path


class How(StrEnum):
    """By what a value came to be where it is."""

    SET = "set"
    REPLACE = "replace"
    APPEND = "append"
    PREPEND = "prepend"
    REMOVE = "remove"  # an empty list or map, left behind by $remove or $delete
    ADAPT = "adapt"  # a rule for the host at hand, or a size cut to what is free there
    VARIABLE = "variable"


@dataclass(frozen=True, slots=True)
class Written:
    """A value as one layer wrote it, and where. ``path`` is that in the layer's file, from its root."""

    value: Json
    template: str
    version: str
    file: str
    path: Path
    line: int
    column: int
    how: How


# What was written, and what lies beneath it besides what the maps around it know: the text that a variable replaced.
Leaf: TypeAlias = "tuple[Written, Node | None]"


@dataclass(slots=True)
class MapNode:
    """A map. ``written`` and ``below`` are its own place and shadow; they matter only while it is empty.

    ``previous`` is the map that it was laid over; ``flat``: it holds leaves only.
    """

    items: dict[str, Node]
    written: Written
    below: Node | None = field(default=None, repr=False)
    previous: MapNode | None = field(default=None, repr=False)
    flat: bool = False


@dataclass(slots=True)
class ListNode:
    """A list; ``key`` is what its elements are merged by, ``replaced`` whether a later list takes its place.

    ``whole`` is the list with its value, where it is just as one layer wrote it.
    """

    items: list[Node]
    written: Written
    below: Node | None = field(default=None, repr=False)
    key: str = ""
    replaced: bool = False
    whole: Written | None = field(default=None, repr=False)


Node: TypeAlias = "tuple[Written, Node | None] | MapNode | ListNode"


def written_of(node: Node) -> Written:
    """Who wrote the node itself; for a map or list that is not empty, whoever made it."""
    return node[0] if isinstance(node, tuple) else node.written


def plain(node: Node) -> Json:
    """The bare value, freshly built."""
    if isinstance(node, tuple):
        return node[0].value
    if isinstance(node, MapNode):
        return {key: plain(item) for key, item in node.items.items()}
    return [plain(item) for item in node.items]


def leaves(node: Node, path: Path = ()) -> list[tuple[Path, Node]]:
    """Every scalar and every empty map or list, with its path in the value."""
    found: list[tuple[Path, Node]] = []
    _gather(node, path, found)
    return found


def _gather(node: Node, path: Path, found: list[tuple[Path, Node]]) -> None:
    if isinstance(node, tuple) or not node.items:
        found.append((path, node))
    elif isinstance(node, MapNode):
        for key, item in node.items.items():
            _gather(item, (*path, key), found)
    else:
        for index, item in enumerate(node.items):
            _gather(item, (*path, index), found)


def newest(node: Node) -> Written:
    """Of a list or map: its last leaf, whose layer touched it last."""
    while not isinstance(node, tuple) and node.items:
        node = list(node.items.values())[-1] if isinstance(node, MapNode) else node.items[-1]
    return written_of(node)


def nearest(node: Node, path: Path) -> Node:
    """The node at ``path``, or the last one on the way to it."""
    for step in path:
        inner = step_down(node, str(step))
        if inner is None:
            return node
        node = inner
    return node


def step_down(node: Node, step: str) -> Node | None:
    """One step down: the field of a map, the element of a list by its key or else by its number."""
    if isinstance(node, MapNode):
        return node.items.get(step)
    if isinstance(node, ListNode):
        if node.key and not step.isdecimal():
            return next((item for item in node.items if key_of(item, node.key) == step), None)
        return node.items[int(step)] if step.isdecimal() and len(step) < 6 and int(step) < len(node.items) else None
    return None


def key_of(node: Node, key: str) -> str | None:
    """The merge key of an element of a keyed list."""
    name = node.items.get(key) if isinstance(node, MapNode) else None
    value = name[0].value if isinstance(name, tuple) else None
    return value if isinstance(value, str) else None
