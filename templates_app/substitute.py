"""Variables put into a merged specification: after merging, in the texts of templates only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from templates_app.documents import Document, shown
from templates_app.faults import Located
from templates_app.nodes import How, Leaf, ListNode, MapNode, Node, Written, plain
from templates_app.schema import Kind, kind_of, schema_at
from templates_app.substitution import has_reference, needs_reading
from templates_app.variables import NOT_YET_KNOWN, Unresolved, Values, as_text, check_weight, located_at
from templates_app.yaml_text import Json, Path


@dataclass(slots=True)
class Substituted:
    """The specification with its variables, and what could not be put in."""

    node: Node
    errors: list[Located] = field(default_factory=list)
    warnings: list[Located] = field(default_factory=list)


def substituted(spec: Node, *, values: Values, layers: tuple[Document, ...], early: bool) -> Substituted:
    """Every text of ``spec`` with its references replaced.

    ``early``: before run time, a text that needs what is not known yet stays, and a name that nobody declares is a
    warning. A text that cannot be read stays too, and its error is in ``errors``.
    """
    walk = _Walk(values, {document.name: document for document in layers}, early=early)
    result = Substituted(walk.node(spec, ()), walk.errors, walk.warnings)
    result.errors[:0] = values.errors
    if walk.grew and not result.errors:
        try:
            check_weight(plain(result.node))
        except Unresolved as problem:
            result.errors.append(located_at(layers[-1], ("spec",), problem))
    return result


class _Walk:
    """One pass. What holds no reference is kept as it is, not copied."""

    def __init__(self, values: Values, by_name: dict[str, Document], *, early: bool) -> None:
        self._values = values
        self._by_name = by_name
        self._early = early
        self.grew = False  # a map or list was put in: together they may be too much
        self.errors: list[Located] = []
        self.warnings: list[Located] = []

    def node(self, node: Node, path: Path) -> Node:
        if isinstance(node, tuple):
            value = node[0].value
            return self._text(node, value, path) if isinstance(value, str) and needs_reading(value) else node
        if isinstance(node, MapNode):
            items = {key: self.node(item, (*path, key)) for key, item in node.items.items()}
            return MapNode(items, node.written, node.below, node.previous)
        elements = [self.node(item, (*path, index)) for index, item in enumerate(node.items)]
        return ListNode(elements, node.written, node.below, node.key, node.replaced)

    def _text(self, node: Leaf, text: str, path: Path) -> Node:
        written = node[0]
        for name in self._values.spelled_out(text):
            message = f"{name} is secret; its value may not stand in a template"
            hint = "give it at spawn time, or name it under `secrets`"
            document = self._by_name[written.template]
            self.errors.append(document.located("secret_in_template", message, written.path, hint=hint))
        try:
            value = self._values.text(text)
            if schema_at(path).get("type") == "string" and kind_of(value) is Kind.SCALAR:
                value = as_text(value, shown(written.path))  # a port in an environment variable is text
        except Unresolved as problem:
            self._unresolved(written, problem)
            return node
        if not has_reference(text):  # only a doubled $
            return (replace(written, value=value), node[1])
        if _holds_nul(value):
            document = self._by_name[written.template]
            self.errors.append(
                document.located("bad_character", f"{shown(written.path)} would hold a NUL", written.path)
            )
            return node
        self.grew = self.grew or isinstance(value, dict | list)
        return _grown(value, written, node)

    def _unresolved(self, written: Written, problem: Unresolved) -> None:
        document = self._by_name[written.template]
        for one in problem.all:
            located = located_at(document, written.path, one)
            if one.code == NOT_YET_KNOWN:
                continue
            if self._early and one.code == "undefined_variable":
                self.warnings.append(located)
            else:
                self.errors.append(located)


def _grown(value: Json, written: Written, under: Node | None) -> Node:
    """What a variable put in place of a text: all of it comes from there."""
    if isinstance(value, dict):
        items = {key: _grown(item, written, under) for key, item in value.items()}
        return MapNode(items, replace(written, value={}, how=How.VARIABLE), under)
    if isinstance(value, list):
        elements = [_grown(item, written, None) for item in value]  # the list as a whole shadows the text
        return ListNode(elements, replace(written, value=[], how=How.VARIABLE), under)
    return (replace(written, value=value, how=How.VARIABLE), under)


def _holds_nul(value: Json) -> bool:
    if isinstance(value, str):
        return "\0" in value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return any(_holds_nul(item) or (isinstance(key, str) and "\0" in key) for key, item in items)
