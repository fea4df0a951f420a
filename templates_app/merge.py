"""One layer over what lies beneath it.

Maps merge deep, scalars and null replace, lists follow the strategy of the schema, directives say otherwise. What
can still go wrong here is two kinds meeting.
"""

from __future__ import annotations

from dataclasses import replace

from templates_app.documents import Document, shown
from templates_app.faults import Located
from templates_app.layers import Content, Delete, Extend, ListLayer, MapLayer, Remove, Replace, identity
from templates_app.nodes import How, ListNode, MapNode, Node, Written, key_of, newest, plain
from templates_app.schema import Strategy
from templates_app.substitution import has_reference
from templates_app.yaml_text import Json


class Merger:
    """The fold over layers: ``apply`` each in order, read ``spec()`` at any time."""

    def __init__(self, spec: Node | None = None) -> None:
        self.errors: list[Located] = []
        self.warnings: list[Located] = []
        self._spec = spec

    def apply(self, document: Document, layer: MapLayer | None = None) -> None:
        """Lay one document's spec over what is there, or another layer that it holds."""
        over = _Layer(document, self.errors, self.warnings)
        self._spec = over.merged(self._spec, document.layer if layer is None else layer, shadow=None)

    def spec(self) -> Node:
        """The spec so far. Meaningful after the first ``apply``."""
        if self._spec is None:
            raise ValueError("no layer was applied")
        return self._spec


class _Layer:
    """One layer on its way over the node beneath it."""

    def __init__(self, document: Document, errors: list[Located], warnings: list[Located]) -> None:
        self._document = document
        self._errors = errors
        self._warnings = warnings

    def merged(self, base: Node | None, content: Content, *, shadow: Node | None) -> Node | None:
        """``content`` over ``base``; None when that deletes it.

        ``shadow`` is what lay there where base is None.
        """
        if base.__class__ is MapNode and content.__class__ is MapLayer:  # by far the most frequent
            return self._map(base, content, None)  # type: ignore[arg-type]
        if isinstance(content, Delete):
            if base is None:
                self._warn(f"there is no {shown(content.written.path[:-1])} to delete", content.written)
            return None
        if isinstance(content, Replace):
            return self._fresh(content.content, shadow if base is None else base)
        if isinstance(content, Extend | Remove):
            return self._on_a_list(base, content, shadow)
        if base is None or _gives_way(base, content):
            return self._fresh(content, shadow if base is None else base)
        if isinstance(base, ListNode) and isinstance(content, ListLayer):
            if content.strategy is Strategy.REPLACE:
                return self._list(content, base)
            return self._extended(base, content, prepend=False)
        return self._conflict(base, content)

    def _fresh(self, content: Content, shadow: Node | None) -> Node | None:
        """``content`` onto nothing; ``shadow`` is what it hides."""
        if isinstance(content, tuple):
            return content
        if isinstance(content, MapLayer):
            return content.ready if shadow is None and content.ready else self._map(None, content, shadow)
        if isinstance(content, ListLayer):
            return content.ready if shadow is None and content.ready else self._list(content, shadow)
        return self.merged(None, content, shadow=shadow)

    def _map(self, base: MapNode | None, layer: MapLayer, shadow: Node | None) -> MapNode:
        """The hot path: scalars over scalars need no look at each, all others do."""
        leaves = layer.leaves
        if base is not None and base.flat and leaves is not None:
            return MapNode(base.items | leaves, base.written, base.below, base, flat=True)
        items = dict(base.items) if base is not None else {}
        hidden = base if base is not None else shadow
        previous = hidden if isinstance(hidden, MapNode) else None
        before = previous.items if previous is not None else {}
        for key, content in layer.entries:
            under = items.get(key)
            if content.__class__ is tuple and (under is None or under.__class__ is tuple):
                items[key] = content  # type: ignore[assignment] # its class is tuple: a leaf
                continue
            if under.__class__ is ListNode and content.__class__ is ListLayer and content.strategy is Strategy.REPLACE:  # type: ignore[union-attr]
                items[key] = self._list(content, under)  # type: ignore[arg-type]
                continue
            node = self.merged(under, content, shadow=before.get(key))
            if node is None:
                items.pop(key, None)
            else:
                items[key] = node
        flat = leaves is not None and base is None
        if base is None:
            return MapNode(items, layer.written, shadow, previous, flat)
        if base.items and not items:
            return MapNode(items, _emptied(layer.written), base)
        return MapNode(items, base.written, base.below, previous, flat)

    def _list(self, layer: ListLayer, shadow: Node | None) -> ListNode:
        """A list in the place of another, or onto nothing."""
        empty = ListNode([], layer.written, shadow, layer.key, layer.replaced)
        if layer.strategy is not Strategy.REPLACE:
            return self._extended(empty, layer, prepend=False)
        if (ready := layer.ready) is not None:
            return ListNode(ready.items, layer.written, shadow, layer.key, layer.replaced, ready.whole)
        items = [self._element(item) for item in layer.items]
        return ListNode(items, layer.written, shadow, layer.key, layer.replaced)

    def _element(self, content: Content) -> Node:
        node = self._fresh(content, None)
        if node is None:
            raise TypeError("an element of a list is a value")
        return node

    def _extended(self, base: ListNode, layer: ListLayer, *, prepend: bool) -> ListNode:
        """A list with more elements by its strategy: the new at the end, or in front with ``$prepend``."""
        contents = layer.added if base.items else layer.items
        kept: list[Node] = list(base.items)
        if layer.strategy is Strategy.KEY:
            kept, new = self._keyed(kept, layer, contents)
        elif layer.strategy is Strategy.UNION:
            seen = {identity(node[0].value if isinstance(node, tuple) else plain(node)) for node in kept}
            new = []
            for value, content in zip(layer.values, contents, strict=True):
                if value not in seen:
                    seen.add(value)
                    new.append(self._element(content))
        else:
            new = [self._element(content) for content in contents]
        items = [*new, *kept] if prepend else [*kept, *new]
        return _container(base, items, layer.written)

    def _keyed(
        self, kept: list[Node], layer: ListLayer, contents: tuple[Content, ...]
    ) -> tuple[list[Node], list[Node]]:
        """Elements whose key is there are merged in their place; the others are new."""
        places: dict[str | None, Node | None] = {key_of(node, layer.key): node for node in kept}
        new: list[Node] = []
        for name, item, addition in zip(layer.keys, layer.items, contents, strict=True):
            under = places.get(name)
            if isinstance(item, Delete):
                if under is None:
                    self._warn(f"there is no {name!r} to delete", item.written)
                places[name] = None
            elif under is None:
                new.append(self._element(addition))
            else:
                places[name] = self.merged(under, item, shadow=None)
        return [node for node in places.values() if node is not None], new

    def _on_a_list(self, base: Node | None, directive: Extend | Remove, shadow: Node | None) -> Node | None:
        """``$append``, ``$prepend`` or ``$remove``."""
        written = directive.written if isinstance(directive, Remove) else directive.layer.written
        hidden = shadow if base is None else base
        absent = base is None or _is_null(base)
        if not absent and not isinstance(base, ListNode):
            return self._conflict(base, [], written)  # type: ignore[arg-type] # not None: it is not absent
        if isinstance(directive, Remove):
            there = base if isinstance(base, ListNode) else ListNode([], written)
            found = self._removed(there, directive)
            return base if absent else found
        layer = directive.layer
        if isinstance(base, ListNode):
            return self._extended(base, layer, prepend=directive.how is How.PREPEND)
        empty = ListNode([], written, hidden, layer.key, layer.replaced)
        return self._extended(empty, layer, prepend=False)

    def _removed(self, base: ListNode, directive: Remove) -> ListNode:
        items = list(base.items)
        for index, unwanted in enumerate(directive.unwanted):
            kept = [node for node in items if not _is(node, unwanted, directive.key)]
            if len(kept) == len(items):
                path = (*directive.written.path, index)
                self._warn(f"there is no {unwanted!r} to remove", replace(directive.written, path=path))
            items = kept
        return _container(base, items, directive.written)

    def _conflict(self, base: Node, content: Content | Json, written: Written | None = None) -> Node:
        place = written or _written(content)  # type: ignore[arg-type] # a content where there is no written
        under = newest(base) if isinstance(base, MapNode | ListNode) else base[0]
        there = f"{_kind(base)} of {under.template} ({under.file}:{under.line})"
        path = place.path[:-1] if str(place.path[-1]).startswith("$") else place.path
        message = f"{shown(path)}: a {_kind(content)} of {place.template} meets a {there}"
        error = self._document.located("type_conflict", message, place.path, hint="use $replace to change it")
        self._errors.append(error)
        return base

    def _warn(self, message: str, written: Written) -> None:
        self._warnings.append(self._document.located("nothing_to_delete", message, written.path))


def _written(content: Content) -> Written:
    if isinstance(content, tuple):
        return content[0]
    if isinstance(content, MapLayer | ListLayer | Delete | Remove):
        return content.written
    return _written(content.content) if isinstance(content, Replace) else content.layer.written


def _kind(value: object) -> str:
    if isinstance(value, MapNode | MapLayer):
        return "map"
    return "list" if isinstance(value, ListNode | ListLayer | list) else "scalar"


def _gives_way(base: Node, content: Content) -> bool:
    """Whether the upper simply takes the place of the lower: scalars do, null does,
    and a variable that stands for a whole list that is replaced anyway: nothing is lost by not merging.
    """
    if isinstance(content, tuple):
        if isinstance(base, tuple) or content[0].value is None:
            return True
        return isinstance(base, ListNode) and base.replaced and _is_open(content[0].value)
    if not isinstance(base, tuple):
        return False
    if base[0].value is None:
        return True
    return isinstance(content, ListLayer) and content.replaced and _is_open(base[0].value)


def _is_open(value: Json) -> bool:
    """Whether a variable alone will decide what this is."""
    return isinstance(value, str) and value.startswith("${") and value.endswith("}") and has_reference(value)


def _is_null(node: Node | None) -> bool:
    return isinstance(node, tuple) and node[0].value is None


def _is(node: Node, unwanted: Json, key: str) -> bool:
    return key_of(node, key) == unwanted if key else identity(plain(node)) == identity(unwanted)


def _emptied(written: Written) -> Written:
    return written if written.how is How.ADAPT else replace(written, how=How.REMOVE)


def _container(base: ListNode, items: list[Node], written: Written) -> ListNode:
    """The list with other elements. Whoever made it stays named, unless this layer is the one that emptied it."""
    if base.items and not items:
        return ListNode(items, _emptied(written), base, base.key, base.replaced)
    return ListNode(items, base.written, base.below, base.key, base.replaced)
