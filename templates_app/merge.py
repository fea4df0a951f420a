"""One layer over what lies beneath it.

Maps merge deep, scalars and null replace, lists follow the strategy of the schema, directives say otherwise.
The layer has passed :mod:`templates_app.validate`; what can still go wrong here is two kinds meeting. Nodes
are never changed, so that what a value shadowed stays there to be shown.
"""

from __future__ import annotations

from dataclasses import replace

from templates_app.documents import Document, canonical, shown
from templates_app.faults import Located
from templates_app.nodes import How, Leaf, ListNode, MapNode, Node, Origin, key_of, plain
from templates_app.schema import (
    FREE,
    Kind,
    Schema,
    Strategy,
    child,
    element,
    kind_of,
    kind_wanted,
    list_rule,
    spec_schema,
)
from templates_app.substitution import has_reference
from templates_app.validate import directives_in, plain_key
from templates_app.yaml_text import Json, Path


class Merger:
    """The fold over layers: ``apply`` each in order, read ``spec()`` at any time."""

    def __init__(self) -> None:
        self.errors: list[Located] = []
        self.warnings: list[Located] = []
        self._spec: Node | None = None

    def apply(self, document: Document) -> None:
        """Lay one document's spec over what is there."""
        layer = _Layer(document, self.errors, self.warnings)
        self._spec = layer.merged(self._spec, dict(document.spec), spec_schema(), ("spec",), shadow=None)

    def spec(self) -> Node:
        """The spec so far. Meaningful after the first ``apply``."""
        if self._spec is None:
            raise ValueError("no layer was applied")
        return self._spec


class _Layer:
    """One document on its way over the node beneath it. ``path`` is always a path in its file."""

    def __init__(self, document: Document, errors: list[Located], warnings: list[Located]) -> None:
        self._document = document
        self._errors = errors
        self._warnings = warnings

    def merged(
        self,
        base: Node | None,
        value: Json,
        schema: Schema,
        path: Path,
        *,
        shadow: Node | None,
        how: How = How.SET,
    ) -> Node | None:
        """``value`` over ``base``; None when that deletes it.

        ``shadow`` is what lay there where base is None.
        """
        if isinstance(value, dict) and directives_in(value):
            return self._directive(base, value, schema, path, shadow=shadow, how=how)
        if base is None or value is None or _is_null(base) or _decided_by_variable(base, value, schema):
            return self._fresh(value, schema, path, shadow=shadow if base is None else base, how=how)
        if kind_of(_shape(base)) is not kind_of(value):
            return self._conflict(base, value, path)
        if isinstance(value, dict):
            return self._map(base, value, schema, path, shadow=base, how=how)
        if isinstance(value, list):
            return self._list(base, value, schema, path, shadow=base, how=how)
        return Leaf(value, self._origin(path, how, base))

    def _fresh(self, value: Json, schema: Schema, path: Path, *, shadow: Node | None, how: How) -> Node:
        """``value`` onto nothing."""
        if isinstance(value, dict):
            return self._map(None, value, schema, path, shadow=shadow, how=how)
        if isinstance(value, list):
            return self._list(None, value, schema, path, shadow=shadow, how=how)
        return Leaf(value, self._origin(path, how, shadow))

    def _map(
        self,
        base: Node | None,
        value: dict[str, Json],
        schema: Schema,
        path: Path,
        *,
        shadow: Node | None,
        how: How,
    ) -> MapNode:
        items = dict(base.items) if isinstance(base, MapNode) else {}
        before = shadow.items if isinstance(shadow, MapNode) else {}
        for raw, content in value.items():
            key = plain_key(raw)
            beneath = child(schema, key) or FREE
            below = before.get(key)
            node = self.merged(items.get(key), content, beneath, (*path, raw), shadow=below, how=how)
            if node is None:
                items.pop(key, None)
            else:
                items[key] = node
        origin = (
            self._container_origin(base, filled=bool(items), path=path)
            if base is not None
            else self._origin(path, how, shadow)
        )
        return MapNode(items, origin)

    def _list(
        self,
        base: Node | None,
        value: list[Json],
        schema: Schema,
        path: Path,
        *,
        shadow: Node | None,
        how: How,
    ) -> ListNode:
        """``value`` over a list, or onto nothing."""
        if list_rule(schema).strategy is Strategy.REPLACE:
            items = self._elements(value, schema, path, shadow=shadow, how=how)
            return ListNode(items, self._origin(path, how, shadow))
        if isinstance(base, ListNode):
            return self._extended(base, value, schema, path, how=How.APPEND if base.items else how, shadow=None)
        fresh = ListNode([], self._origin(path, how, shadow))
        return self._extended(fresh, value, schema, path, how=how, shadow=shadow)

    def _extended(
        self,
        base: ListNode,
        value: list[Json],
        schema: Schema,
        path: Path,
        *,
        how: How,
        shadow: Node | None,
    ) -> ListNode:
        """``value`` added to a list by its strategy: the new at the end, or in front with ``$prepend``."""
        rule = list_rule(schema)
        kept: list[Node] = list(base.items)
        if rule.strategy is Strategy.KEY:
            kept, new = self._keyed(kept, value, schema, path, how=how, key=rule.key)
        else:
            new = self._elements(value, schema, path, shadow=shadow, how=how)
        if rule.strategy is Strategy.UNION:
            new = _unseen(new, kept)
        items = [*new, *kept] if how is How.PREPEND else [*kept, *new]
        return ListNode(items, self._container_origin(base, filled=bool(items), path=path))

    def _keyed(
        self, kept: list[Node], value: list[Json], schema: Schema, path: Path, *, how: How, key: str
    ) -> tuple[list[Node], list[Node]]:
        """Elements whose key is there are merged in their place; the others are new."""
        new: list[Node] = []
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                raise TypeError("the elements of a keyed list are maps")
            here = (*path, index)
            place = next((at for at, node in enumerate(kept) if key_of(node, key) == item[key]), None)
            if "$delete" in item:
                if place is None:
                    self._warn("nothing_to_delete", f"there is no {item[key]!r} to delete", here)
                else:
                    del kept[place]
            elif place is None:
                new.append(self._fresh(item, element(schema), here, shadow=None, how=how))
            else:
                kept[place] = self.merged(kept[place], item, element(schema), here, shadow=None) or kept[place]
        return kept, new

    def _elements(self, value: list[Json], schema: Schema, path: Path, *, shadow: Node | None, how: How) -> list[Node]:
        beneath = element(schema)
        return [self._fresh(item, beneath, (*path, index), shadow=shadow, how=how) for index, item in enumerate(value)]

    def _directive(
        self,
        base: Node | None,
        value: dict[str, Json],
        schema: Schema,
        path: Path,
        *,
        shadow: Node | None,
        how: How,
    ) -> Node | None:
        name, content = next(iter(value.items()))
        here = (*path, name)
        if name == "$delete":
            if base is None:
                self._warn("nothing_to_delete", f"there is no {shown(path)} to delete", here)
            return None
        if name == "$replace":
            below = base if base is not None else shadow
            return self._fresh(content, schema, here, shadow=below, how=How.REPLACE)
        asked = {"$append": How.APPEND, "$prepend": How.PREPEND, "$remove": How.REMOVE}[name]
        if not isinstance(content, list):
            raise TypeError(f"{name} takes a list")
        if base is None or _is_null(base):
            below = base if base is not None else shadow
            base_list = ListNode([], self._origin(here, asked, below))
            if asked is How.REMOVE:
                self._removed(base_list, content, schema, here)
                return base
        elif isinstance(base, ListNode):
            base_list, below = base, None
        else:
            return self._conflict(base, content, here)
        if asked is How.REMOVE:
            return self._removed(base_list, content, schema, here)
        return self._extended(base_list, content, schema, here, how=asked, shadow=below)

    def _removed(self, base: ListNode, content: list[Json], schema: Schema, path: Path) -> ListNode:
        key = list_rule(schema).key
        items = list(base.items)
        for index, unwanted in enumerate(content):
            kept = [node for node in items if not _is(node, unwanted, key)]
            if len(kept) == len(items):
                self._warn("nothing_to_delete", f"there is no {unwanted!r} to remove", (*path, index))
            items = kept
        return ListNode(items, self._container_origin(base, filled=bool(items), path=path))

    def _container_origin(self, base: Node, *, filled: bool, path: Path) -> Origin:
        """Whoever made the container, unless this layer is the one that emptied it."""
        was_filled = isinstance(base, MapNode | ListNode) and bool(base.items)
        return self._origin(path, How.REMOVE, base) if was_filled and not filled else base.origin

    def _origin(self, path: Path, how: How, shadowed: Node | None) -> Origin:
        document, position = self._document, self._document.position(path)
        return Origin(
            template=document.name,
            version=document.version,
            file=document.file,
            path=path,
            line=position.line,
            column=position.column,
            how=how,
            shadowed=shadowed,
        )

    def _conflict(self, base: Node, value: Json, path: Path) -> Node:
        origin = _any_origin(base)
        there = f"{kind_of(_shape(base))} of {origin.template} ({origin.file}:{origin.line})"
        message = f"{shown(path)}: a {kind_of(value)} of {self._document.name} meets a {there}"
        self._errors.append(self._document.located("type_conflict", message, path, hint="use $replace to change it"))
        return base

    def _warn(self, code: str, message: str, path: Path) -> None:
        self._warnings.append(self._document.located(code, message, path))


def _shape(node: Node) -> Json:
    """Something of the same kind as the node, without copying it."""
    if isinstance(node, MapNode):
        return {}
    return [] if isinstance(node, ListNode) else node.value


def _is_open(value: Json) -> bool:
    """Whether a variable alone will decide what this is."""
    return isinstance(value, str) and value.startswith("${") and value.endswith("}") and has_reference(value)


def _is_null(node: Node) -> bool:
    return isinstance(node, Leaf) and node.value is None


def _decided_by_variable(base: Node, value: Json, schema: Schema) -> bool:
    """Whether a variable stands for a whole list that is replaced anyway:
    then nothing is lost by not merging.
    """
    replaced = kind_wanted(schema) is Kind.LIST and list_rule(schema).strategy is Strategy.REPLACE
    return replaced and (_is_open(value) or (isinstance(base, Leaf) and _is_open(base.value)))


def _any_origin(node: Node) -> Origin:
    while isinstance(node, MapNode | ListNode) and node.items:
        node = next(iter(node.items.values())) if isinstance(node, MapNode) else node.items[0]
    return node.origin


def _unseen(new: list[Node], kept: list[Node]) -> list[Node]:
    """Those of ``new`` that are neither in ``kept`` nor earlier in ``new``.

    1, 1.0, true and "1" all differ.
    """
    seen = {canonical(plain(node)) for node in kept}
    found: list[Node] = []
    for node in new:
        text = canonical(plain(node))
        if text not in seen:
            found.append(node)
            seen.add(text)
    return found


def _is(node: Node, unwanted: Json, key: str) -> bool:
    return key_of(node, key) == unwanted if key else canonical(plain(node)) == canonical(unwanted)


def with_shadow(node: Leaf, shadowed: Node) -> Origin:
    """The origin of what a variable puts in the place of its text."""
    return replace(node.origin, how=How.VARIABLE, shadowed=shadowed)
