"""A layer made ready: read once when its document is parsed, merged as often as it is used.

Each scalar is located once, each list knows its strategy, each directive is taken apart. The layer has passed
:mod:`templates_app.validate`, so that nothing here can be wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from templates_app.nodes import How, Leaf, ListNode, MapNode, Node, Written, plain
from templates_app.schema import FREE, Kind, Schema, Strategy, child, element, kind_wanted, list_rule, range_fact
from templates_app.validate import directives_in, plain_key
from templates_app.yaml_text import Json, Path

Locate: TypeAlias = Callable[[Json, Path, How], Written]


@dataclass(frozen=True, slots=True)
class MapLayer:
    """A map's fields; ``ready`` is what it makes of nothing, None where directives in it have a say."""

    entries: tuple[tuple[str, Content], ...]
    written: Written
    ready: MapNode | None
    leaves: dict[str, Node] | None  # the fields, where all of them are scalars


@dataclass(frozen=True, slots=True)
class ListLayer:
    """A list's elements, as they are merged or put where nothing is, and as they are ``added`` to others.

    ``keys`` names the elements of a list merged by ``key``, ``values`` those of one that unites.
    """

    strategy: Strategy
    key: str
    keys: tuple[str, ...]
    values: tuple[object, ...]
    items: tuple[Content, ...]
    added: tuple[Content, ...]
    written: Written
    ready: ListNode | None
    replaced: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """``$delete: true``."""

    written: Written


@dataclass(frozen=True, slots=True)
class Replace:
    """``$replace``, or a number where a range may stand."""

    content: Content


@dataclass(frozen=True, slots=True)
class Extend:
    """``$append`` or ``$prepend``."""

    how: How
    layer: ListLayer


@dataclass(frozen=True, slots=True)
class Remove:
    """``$remove``: names of a keyed list, values of any other."""

    unwanted: tuple[Json, ...]
    key: str
    written: Written


Content: TypeAlias = "Leaf | MapLayer | ListLayer | Delete | Replace | Extend | Remove"


def prepared(spec: dict[str, Json], schema: Schema, path: Path, *, locate: Locate, how: How = How.SET) -> MapLayer:
    """A whole layer. ``locate`` makes what was written out of a value, its path in the file and its how."""
    return _Preparation(locate, fixed=how is not How.SET).of_map(spec, schema, path, how)


class _Preparation:
    """One layer; ``fixed``: every value came by the same means, whatever directive it stands in."""

    def __init__(self, locate: Locate, *, fixed: bool) -> None:
        self._locate = locate
        self._fixed = fixed

    def content(self, value: Json, schema: Schema, path: Path, how: How) -> Content:
        if isinstance(value, dict) and directives_in(value):
            return self._directive(value, schema, path, how)
        if range_fact(schema) and not isinstance(value, dict):
            # A number stands for a range without a least: it takes the place of whatever range was there.
            request: Leaf = (self._locate(value, path, how), None)
            return Replace(self._map_of({"request": request}, path, how))
        if isinstance(value, dict):
            return self.of_map(value, schema, path, how)
        if isinstance(value, list):
            return self.of_list(value, schema, path, how)
        return (self._locate(value, path, how), None)

    def of_map(self, value: dict[str, Json], schema: Schema, path: Path, how: How) -> MapLayer:
        contents = {}
        for raw, inner in value.items():
            key = plain_key(raw)
            contents[key] = self.content(inner, child(schema, key) or FREE, (*path, raw), how)
        return self._map_of(contents, path, how)

    def _map_of(self, contents: dict[str, Content], path: Path, how: How) -> MapLayer:
        written = self._locate({}, path, how)
        nodes = {key: ready(content) for key, content in contents.items()}
        whole = {key: node for key, node in nodes.items() if node is not None}
        flat = all(isinstance(node, tuple) for node in nodes.values())
        node = MapNode(whole, written, flat=flat) if len(whole) == len(nodes) else None
        return MapLayer(tuple(contents.items()), written, node, whole if flat else None)

    def of_list(self, value: list[Json], schema: Schema, path: Path, how: How) -> ListLayer:
        rule = list_rule(schema)
        items = self._elements(value, schema, path, rule.key, how)
        adding = how if how is not How.SET else How.APPEND
        added = items if rule.strategy is Strategy.REPLACE else self._elements(value, schema, path, rule.key, adding)
        written = self._locate([], path, how)
        nodes = [node for node in map(ready, items) if node is not None]
        unites = rule.strategy is Strategy.UNION
        replaced = rule.strategy is Strategy.REPLACE and kind_wanted(schema) is Kind.LIST
        values = tuple(identity(item) for item in value) if unites else ()
        doubled = len(set(values)) < len(values)
        whole = None
        if len(nodes) == len(items) and not doubled:
            as_written = self._locate([plain(node) for node in nodes], path, how)
            whole = ListNode(nodes, written, None, rule.key, replaced, as_written)
        return ListLayer(
            strategy=rule.strategy,
            key=rule.key,
            keys=tuple(str(item[rule.key]) for item in value if isinstance(item, dict)) if rule.key else (),
            values=values,
            items=items,
            added=added,
            written=written,
            ready=whole,
            replaced=replaced,
        )

    def _elements(self, value: list[Json], schema: Schema, path: Path, key: str, how: How) -> tuple[Content, ...]:
        found: list[Content] = []
        for index, item in enumerate(value):
            here = (*path, index)
            if key and isinstance(item, dict) and "$delete" in item:
                found.append(Delete(self._locate(None, here, how)))
            else:
                found.append(self.content(item, element(schema), here, how))
        return tuple(found)

    def _directive(self, value: dict[str, Json], schema: Schema, path: Path, how: How) -> Content:
        name, content = next(iter(value.items()))
        here = (*path, name)
        if name == "$delete":
            return Delete(self._locate(None, here, how))
        if name == "$replace":
            inner = self.content(content, schema, here, how if self._fixed else How.REPLACE)
            return inner if isinstance(inner, Replace) else Replace(inner)
        if not isinstance(content, list):
            raise TypeError(f"{name} takes a list")
        if name == "$remove":
            return Remove(tuple(content), list_rule(schema).key, self._locate([], here, self._by(How.REMOVE, how)))
        asked = How.APPEND if name == "$append" else How.PREPEND
        return Extend(asked, self.of_list(content, schema, here, self._by(asked, how)))

    def _by(self, asked: How, how: How) -> How:
        return how if self._fixed else asked


def ready(content: Content) -> Node | None:
    """What a content makes of nothing; None where that is to be decided when it is merged."""
    if isinstance(content, tuple):
        return content
    return content.ready if isinstance(content, MapLayer | ListLayer) else None


def identity(value: Json) -> object:
    """What tells the elements of a uniting list apart: 1, 1.0, true and "1" all differ."""
    if isinstance(value, list):
        return (list, *map(identity, value))
    if isinstance(value, dict):
        return (dict, frozenset((key, identity(item)) for key, item in value.items()))
    return value if isinstance(value, str) else (type(value), value)
