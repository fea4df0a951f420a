"""From layers to one specification: order, merge, locks, adaptation, variables, sizes, validation.

Pure: documents in, value out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from templates_app import meaning
from templates_app.adapt import Applied, adapted
from templates_app.checker import spec_check
from templates_app.declarations import declared, secret_problems
from templates_app.documents import Document, digest_of, shown
from templates_app.faults import Located, TemplateAbstract, TemplateFault
from templates_app.locks import Locks
from templates_app.merge import Merger
from templates_app.nodes import How, Node, nearest, plain, written_of
from templates_app.order import linearise
from templates_app.provenance import Entry, entries, masked, named
from templates_app.schema import problems_of, spec_schema
from templates_app.sizes import Grant, granted
from templates_app.substitute import substituted
from templates_app.substitution import has_reference
from templates_app.variables import Secret, Values
from templates_app.yaml_text import Json


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
    adapted: tuple[Applied, ...] = ()  # the rules of ``adapt``, in order, and which of them hold on this host
    sizes: tuple[Grant, ...] = ()  # what is asked for, the least that will do, and what is granted

    def explain(self, path: str) -> tuple[Entry, ...]:
        """The entries at or beneath a path: who set it, what it shadowed.

        ``size.memory_mb``, ``ports``; an element of a keyed list by its number or name: ``ports[0]``, ``ports.web``.
        """
        return tuple(
            entry
            for entry in self.provenance
            if _beneath(shown(entry.path), path) or _beneath(shown(named(entry.path, self.preview)), path)
        )


def resolve(
    name: str,
    documents: Mapping[str, Document],
    *,
    variables: Mapping[str, object] | None = None,
    host: Mapping[str, object] | None = None,
) -> Resolved:
    """The specification of template ``name``.

    ``variables`` are the run-time values by flat dotted name; those under ``host.`` are the facts that ``adapt`` and
    sizes go by. None means "before run time", to publish or to look at it: then a text that needs what only run time
    knows stays as written. ``host`` without ``variables`` is "before run time, but for this host": its facts
    (``host.…``) decide the rules, and sizes stay as asked, for nothing is reserved yet. Raises
    :class:`TemplateNotFound`, :class:`TemplateAbstract` when values are given for a template that cannot be spawned,
    :class:`SizeNotFree`, or one :class:`TemplateFault` with all that is wrong.
    """
    layers = linearise(name, documents)
    own = layers[-1]
    if own.abstract and variables is not None:
        raise TemplateAbstract(f"The template {name!r} is abstract.", name=name)
    merger, locks = Merger(), Locks()
    for document in layers:
        merger.apply(document)
        locks.check(merger.spec(), document)
        locks.take(merger.spec(), document)
    declarations = declared(layers)
    early, given = variables is None, host if variables is None else variables
    declarations, rules = adapted(merger, locks, declarations, layers=layers, given=given)
    errors = merger.errors + locks.errors + secret_problems(layers, declarations)
    values = Values(variables=declarations, given=given, own=own, early=early)
    spec = substituted(merger.spec(), values=values, layers=layers, early=early)
    errors += spec.errors
    errors += _result_errors(spec.node, _clear(plain(spec.node)), layers=layers, own=own)
    if errors:
        raise TemplateFault(errors)
    node, sizes = granted(spec.node, facts=variables or {}, locks=locks, layers=layers)
    return _resolved(
        layers, node, secret=values.secret, warnings=(*merger.warnings, *spec.warnings), adapted=rules, sizes=sizes
    )


def _resolved(
    layers: tuple[Document, ...],
    node: Node,
    *,
    secret: bool,
    warnings: tuple[Located, ...],
    adapted: tuple[Applied, ...],
    sizes: tuple[Grant, ...],
) -> Resolved:
    own, value = layers[-1], plain(node)
    preview = masked(value)
    clear = _clear(value) if secret else value
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
        warnings=warnings,
        provenance=entries(node),
        adapted=adapted,
        sizes=sizes,
    )


def _result_errors(spec: Node, value: Json, *, layers: tuple[Document, ...], own: Document) -> list[Located]:
    """What the schema, and no single layer, can say; without missing fields for an abstract template.

    Texts that still hold a reference are not judged: it is not known yet, or reported already.
    """
    by_name = {document.name: document for document in layers}
    if spec_check(abstract=own.abstract)(value):
        return [
            _at(nearest(spec, path), by_name, own, code, f"{shown(('spec', *path))} {words}")
            for path, code, words in (meaning.problems(value) if isinstance(value, dict) and not own.abstract else ())
        ]
    errors = []
    for path, code, words in problems_of(value, spec_schema()):
        node = nearest(spec, path)
        written = node[0].value if isinstance(node, tuple) else None
        if own.abstract and code == "missing_field":
            continue
        if isinstance(written, str) and has_reference(written) and written_of(node).how is not How.VARIABLE:
            continue
        errors.append(_at(node, by_name, own, code, f"{shown(('spec', *path))} {words}"))
    return errors


def _at(node: Node, by_name: Mapping[str, Document], own: Document, code: str, message: str) -> Located:
    if isinstance(node, tuple):
        return by_name[node[0].template].located(code, message, node[0].path)
    if code == "missing_field":
        return own.located(code, message, ("spec",), hint="extend a template that has it, such as `base`")
    return by_name[node.written.template].located(code, message, node.written.path)


def _clear(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _clear(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clear(item) for item in value]
    return str.__str__(value) if isinstance(value, Secret) else value


def _beneath(path: str, wanted: str) -> bool:
    return not wanted or path == wanted or path.startswith((f"{wanted}.", f"{wanted}["))
