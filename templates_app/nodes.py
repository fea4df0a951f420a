"""A value together with where each part of it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from templates_app.schema import Schema, child, element, list_rule
from templates_app.yaml_text import Json, Path


class How(StrEnum):
    """By what a value came to be where it is."""

    SET = "set"
    REPLACE = "replace"
    APPEND = "append"
    PREPEND = "prepend"
    REMOVE = "remove"  # an empty list or map, left behind by $remove or $delete
    VARIABLE = "variable"


@dataclass(frozen=True, slots=True)
class Origin:
    """Which layer set a value, where and how, and what lay there before."""

    template: str
    version: str
    file: str
    path: Path  # in that file, from its root
    line: int
    column: int
    how: How
    shadowed: Node | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar."""

    value: bool | int | float | str | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class MapNode:
    """A map; its own origin matters only while it is empty."""

    items: dict[str, Node]
    origin: Origin


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list; its own origin matters only while it is empty."""

    items: list[Node]
    origin: Origin


Node: TypeAlias = Leaf | MapNode | ListNode


def plain(node: Node) -> Json:
    """The bare value, freshly built."""
    if isinstance(node, MapNode):
        return {key: plain(item) for key, item in node.items.items()}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.value


def leaves(node: Node, path: Path = ()) -> list[tuple[Path, Node]]:
    """Every scalar and every empty map or list, with its path in the value."""
    if isinstance(node, MapNode) and node.items:
        return [leaf for key, item in node.items.items() for leaf in leaves(item, (*path, key))]
    if isinstance(node, ListNode) and node.items:
        return [leaf for index, item in enumerate(node.items) for leaf in leaves(item, (*path, index))]
    return [(path, node)]


def nearest(node: Node, path: Path) -> Node:
    """The node at ``path``, or the last one on the way to it."""
    for step in path:
        below: Node | None = None
        if isinstance(node, MapNode):
            below = node.items.get(str(step))
        elif isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
            below = node.items[step]
        if below is None:
            return node
        node = below
    return node


def follow(node: Node | None, path: str, schema: Schema) -> tuple[bool, Node | None]:
    """The node at a dotted path (``ports.web.description``), after whether the schema knows such a path.

    The elements of a list merged by key go by their key, those of other lists by their number.
    """
    here: Schema | None = schema
    for step in path.split("."):
        if here is None or here.get("type") not in (None, "object", "array"):
            return False, None
        if here.get("type") == "array" or isinstance(node, ListNode):
            rule = list_rule(here)
            if not rule.key and not step.isdecimal():
                return False, None
            node = _item(node, step, rule.key) if isinstance(node, ListNode) else None
            here = element(here)
        else:
            node = node.items.get(step) if isinstance(node, MapNode) else None
            here = child(here, step)
    return here is not None, node


def _item(node: ListNode, step: str, key: str) -> Node | None:
    if not key:
        return node.items[int(step)] if len(step) < 6 and int(step) < len(node.items) else None
    return next((item for item in node.items if key_of(item, key) == step), None)


def key_of(node: Node, key: str) -> str | None:
    """The merge key of an element of a keyed list."""
    name = node.items.get(key) if isinstance(node, MapNode) else None
    return name.value if isinstance(name, Leaf) and isinstance(name.value, str) else None
