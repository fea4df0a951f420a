"""From layers to one specification: order, merge, locks, variables, validation.

Pure: documents in, value out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from templates_app.documents import Document, digest_of, shown
from templates_app.faults import Located, TemplateAbstract, TemplateFault
from templates_app.locks import Locks
from templates_app.merge import Merger, with_shadow
from templates_app.nodes import Leaf, ListNode, MapNode, Node, Origin, nearest, plain
from templates_app.order import linearise
from templates_app.provenance import Entry, entries, masked
from templates_app.schema import FREE, Kind, Schema, child, element, kind_of, problems_of, spec_schema
from templates_app.substitution import has_reference, needs_reading
from templates_app.variables import (
    NOT_YET_KNOWN,
    Secret,
    Unresolved,
    Values,
    as_text,
    check_weight,
    declared,
    located_at,
)
from templates_app.yaml_text import Json, Path


@dataclass(frozen=True, slots=True)
class Layer:
    """One template that took part."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The result. ``spec`` is plain JSON and holds secrets in clear: give it to what runs, show ``preview``.

    ``digest`` is that of ``preview``, so that it says nothing about a secret.
    """

    name: str
    version: str
    digest: str
    abstract: bool
    layers: tuple[Layer, ...]  # in order of application, the template itself last
    spec: dict[str, Json] = field(repr=False)
    preview: dict[str, Json]
    warnings: tuple[Located, ...]
    provenance: tuple[Entry, ...] = field(repr=False)

    def explain(self, path: str) -> tuple[Entry, ...]:
        """The entries at or beneath a path (``size.memory_mb``, ``ports``): who set it, what it shadowed."""
        return tuple(entry for entry in self.provenance if _beneath(shown(entry.path), path))


def resolve(name: str, documents: Mapping[str, Document], *, variables: Mapping[str, object] | None = None) -> Resolved:
    """The specification of template ``name``.

    ``variables`` are the run-time values by flat dotted name. None means "before run time", to publish or
    to look at it: then a text that needs what only run time knows stays as written. Raises
    :class:`TemplateNotFound`, :class:`TemplateAbstract` when values are given for a template that cannot be
    spawned, or one :class:`TemplateFault` with all errors of the first step that found any.
    """
    layers = linearise(name, documents)
    own = layers[-1]
    if own.abstract and variables is not None:
        raise TemplateAbstract(f"The template {name!r} is abstract.", name=name)
    merged, warnings = _merged(layers)
    merged = _substituted(merged, layers=layers, given=variables, warnings=warnings)
    value = plain(merged)
    errors = _result_errors(merged, value, layers=layers, own=own, substituted=variables is not None)
    if errors:
        raise TemplateFault(errors)
    preview = masked(value)
    clear = _clear(value)
    if not isinstance(preview, dict) or not isinstance(clear, dict):
        raise TypeError("a spec is a map")
    return Resolved(
        name=own.name,
        version=own.version,
        digest=digest_of(preview),
        abstract=own.abstract,
        layers=tuple(Layer(one.name, one.version, one.digest) for one in layers),
        spec=clear,
        preview=preview,
        warnings=tuple(warnings),
        provenance=entries(merged),
    )


def _merged(layers: tuple[Document, ...]) -> tuple[Node, list[Located]]:
    merger, locks = Merger(), Locks()
    for document in layers:
        merger.apply(document)
        locks.check(merger.spec(), document)
    if errors := merger.errors + locks.errors:
        raise TemplateFault(errors)
    return merger.spec(), merger.warnings


def _substituted(
    spec: Node, *, layers: tuple[Document, ...], given: Mapping[str, object] | None, warnings: list[Located]
) -> Node:
    values = Values(variables=declared(layers), given=given, own=layers[-1])
    by_name = {document.name: document for document in layers}
    errors = values.errors

    def unresolved(node: Leaf, problem: Unresolved) -> Node:
        located = located_at(by_name[node.origin.template], node.origin.path, problem)
        if given is None and problem.code in (NOT_YET_KNOWN, "undefined_variable"):
            warnings.extend([located] if problem.code != NOT_YET_KNOWN else [])
        else:
            errors.append(located)
        return node

    def walk(node: Node, schema: Schema) -> Node:
        if isinstance(node, MapNode):
            items = {key: walk(item, child(schema, key) or FREE) for key, item in node.items.items()}
            return MapNode(items, node.origin)
        if isinstance(node, ListNode):
            return ListNode([walk(item, element(schema)) for item in node.items], node.origin)
        if not isinstance(node.value, str) or not needs_reading(node.value):
            return node
        try:
            value = values.text(node.value)
            if schema.get("type") == "string" and kind_of(value) is Kind.SCALAR:
                value = as_text(value, shown(node.origin.path))  # a port in an environment variable is text
        except Unresolved as problem:
            return unresolved(node, problem)
        if not has_reference(node.value):  # only a doubled $
            return Leaf(str(value), node.origin)
        return _grown(value, with_shadow(node, node))

    result = walk(spec, spec_schema())
    if not errors:
        try:
            check_weight(plain(result))
        except Unresolved as problem:
            errors.append(located_at(layers[-1], ("spec",), problem))
    if errors:
        raise TemplateFault(errors)
    return result


def _grown(value: Json, origin: Origin) -> Node:
    """What a variable put in place of a text: all of it comes from there."""
    if isinstance(value, dict):
        return MapNode({key: _grown(item, origin) for key, item in value.items()}, origin)
    if isinstance(value, list):
        return ListNode([_grown(item, origin) for item in value], origin)
    return Leaf(value, origin)


def _result_errors(
    spec: Node, value: Json, *, layers: tuple[Document, ...], own: Document, substituted: bool
) -> list[Located]:
    """What the schema, and no single layer, can say; without missing fields for an abstract template."""
    by_name = {document.name: document for document in layers}
    errors = []
    for path, code, words in problems_of(value, spec_schema()):
        node = nearest(spec, path)
        written = node.value if isinstance(node, Leaf) else None
        if own.abstract and code == "missing_field":
            continue
        if not substituted and isinstance(written, str) and has_reference(written):
            continue
        errors.append(_at(node, by_name, own, code, f"{shown(('spec', *path))} {words}"))
    for path, node in _texts(spec):
        if isinstance(node.value, str) and not _storable(node.value):
            message = f"{shown(('spec', *path))} contains a NUL or half of a surrogate pair"
            errors.append(_at(node, by_name, own, "bad_character", message))
    return errors


def _at(node: Node, by_name: Mapping[str, Document], own: Document, code: str, message: str) -> Located:
    if isinstance(node, Leaf):
        return by_name[node.origin.template].located(code, message, node.origin.path)
    hint = "extend a template that has it, such as `base`" if code == "missing_field" else ""
    return own.located(code, message, ("spec",), hint=hint)


def _texts(node: Node, path: Path = ()) -> list[tuple[Path, Leaf]]:
    if isinstance(node, MapNode):
        return [found for key, item in node.items.items() for found in _texts(item, (*path, key))]
    if isinstance(node, ListNode):
        return [found for index, item in enumerate(node.items) for found in _texts(item, (*path, index))]
    return [(path, node)]


def _storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _clear(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _clear(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clear(item) for item in value]
    return str.__str__(value) if isinstance(value, Secret) else value


def _beneath(path: str, wanted: str) -> bool:
    return not wanted or path == wanted or path.startswith((f"{wanted}.", f"{wanted}["))
