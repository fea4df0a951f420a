"""``final``: values that no later layer changes, by whatever means. Checked by comparing after each layer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from templates_app.documents import Document, canonical
from templates_app.faults import Located
from templates_app.nodes import Node, leaves, plain, step_down
from templates_app.schema import Schema, child, element, list_rule, spec_schema
from templates_app.substitution import has_reference
from templates_app.yaml_text import Path

_STEP = re.compile(r'\.?(?:([^.\[\]"]+)|\[(\d{1,5})\]|\["([^"]+)"\])')


@dataclass(frozen=True, slots=True)
class _Lock:
    path: str
    steps: tuple[str, ...]
    node: Node | None  # None: locked as absent
    value: str | None  # its canonical JSON
    document: Document


class Locks:
    """The locks in force. ``check`` after each layer, before the next is applied."""

    def __init__(self) -> None:
        self._locks: list[_Lock] = []
        self.errors: list[Located] = []

    def check(self, spec: Node, document: Document, *, place: Path = ("spec",)) -> None:
        """Report each lock that what was just applied broke (once).

        ``place`` is where in the document that stands.
        """
        unbroken = []
        for lock in self._locks:
            now = _at(spec, lock.steps)
            if now is lock.node or _value(now) == lock.value:
                unbroken.append(lock)
                continue
            message = f"spec.{lock.path} is final in {lock.document.name}; {document.name} changes it"
            hint = f"leave it out, or extend something other than {lock.document.name}"
            self.errors.append(document.located("locked", message, (*place, *lock.steps), hint=hint))
        self._locks = unbroken

    def take(self, spec: Node, document: Document) -> None:
        """Take in the locks that a document declares itself: on what is there once it is applied."""
        for index, path in enumerate(document.final):
            place: Path = ("final", index)
            steps = _steps(path)
            if not _known(steps, spec_schema()):
                message = f"spec has no field {path}"
                self.errors.append(document.located("unknown_field", message, place, hint="such as isolation.min"))
                continue
            node = _at(spec, steps)
            if node is not None and any(_varies(leaf) for _, leaf in leaves(node)):
                message = f"spec.{path} is final, so it may not contain a variable"
                hint = "write the value itself, or lock the fields beside it"
                self.errors.append(document.located("final_variable", message, place, hint=hint))
            self._locks.append(_Lock(path, steps, node, _value(node), document))

    def holds(self, *path: str) -> Document | None:
        """Whoever locked a field, or something around it."""
        return next((lock.document for lock in self._locks if lock.steps == path[: len(lock.steps)]), None)


def _steps(path: str) -> tuple[str, ...]:
    """The steps of ``ports.web``, ``hooks.setup[0]``, ``labels["a.b/c"]``; one step as written where that reads not."""
    found, end = [], 0
    for match in _STEP.finditer(path):
        if match.start() != end or (end == 0 and path.startswith(".")):
            return (path,)
        found.append(next(group for group in match.groups() if group is not None))
        end = match.end()
    return tuple(found) if end == len(path) else (path,)


def _known(steps: tuple[str, ...], schema: Schema) -> bool:
    """Whether the schema knows such a path. Where anything goes, everything is known."""
    here: Schema | None = schema
    for step in steps:
        if here is None or (here and not {"object", "array"} & _types(here)):
            return False
        if "array" in _types(here):
            if not list_rule(here).key and not step.isdecimal():
                return False
            here = element(here)
        else:
            here = child(here, step)
    return here is not None


def _types(schema: Schema) -> set[str]:
    kinds = schema.get("type", ())
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _at(spec: Node, steps: tuple[str, ...]) -> Node | None:
    node: Node | None = spec
    for step in steps:
        if node is None:
            return None
        node = step_down(node, step)
    return node


def _value(node: Node | None) -> str | None:
    """What must not change. A map that is locked holds its fields and no others; their order says nothing."""
    if node is None:
        return None
    return canonical(plain(node))


def _varies(node: Node) -> bool:
    value = node[0].value if isinstance(node, tuple) else None
    return isinstance(value, str) and has_reference(value)
