"""``final``: values that no later layer changes, by whatever means. Checked by comparing after each layer."""

from __future__ import annotations

from dataclasses import dataclass

from templates_app.documents import Document, canonical
from templates_app.faults import Located
from templates_app.nodes import Leaf, Node, follow, leaves, plain
from templates_app.schema import spec_schema
from templates_app.substitution import has_reference


@dataclass(frozen=True, slots=True)
class _Lock:
    path: str
    value: str | None  # canonical JSON; None: locked as absent
    document: Document


class Locks:
    """The locks in force. ``check`` after each layer, before the next is applied."""

    def __init__(self) -> None:
        self._locks: list[_Lock] = []
        self.errors: list[Located] = []

    def check(self, spec: Node, document: Document) -> None:
        """Report each lock that ``document`` broke (once), then take in the locks it declares itself."""
        unbroken = []
        for lock in self._locks:
            if _value(spec, lock.path) == lock.value:
                unbroken.append(lock)
                continue
            message = f"spec.{lock.path} is final in {lock.document.name}; {document.name} changes it"
            place = ("spec", *lock.path.split("."))
            self.errors.append(document.located("locked", message, place))
        self._locks = unbroken + [
            _Lock(path, _value(spec, path), document)
            for index, path in enumerate(document.final)
            if self._lockable(spec, path, document, index)
        ]

    def _lockable(self, spec: Node, path: str, document: Document, index: int) -> bool:
        known, node = follow(spec, path, spec_schema())
        place = ("final", index)
        if not known:
            self.errors.append(document.located("unknown_field", f"spec has no field {path}", place))
        elif node is not None and any(
            isinstance(leaf, Leaf) and isinstance(leaf.value, str) and has_reference(leaf.value)
            for _, leaf in leaves(node)
        ):
            message = f"spec.{path} is final, so it may not contain a variable"
            self.errors.append(document.located("final_variable", message, place))
        return known


def _value(spec: Node, path: str) -> str | None:
    _, node = follow(spec, path, spec_schema())
    return None if node is None else canonical(plain(node))
