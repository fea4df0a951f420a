"""Where each value of a resolved template came from: one entry per leaf, none besides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from templates_app.documents import shown
from templates_app.nodes import How, Leaf, Node, Origin, leaves, plain
from templates_app.variables import MASK, Secret
from templates_app.yaml_text import Json, Path


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A value that lies beneath the one in force, as its layer wrote it."""

    value: Json
    template: str
    version: str
    line: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One leaf (a scalar, an empty map or an empty list), who set it, and what it shadowed, nearest first.

    ``path`` is relative to ``spec``. A value that a secret went into is shown masked.
    """

    path: Path
    value: Json
    template: str
    version: str
    file: str
    line: int
    column: int
    how: How
    shadowed: tuple[Shadowed, ...]

    def __str__(self) -> str:
        who = f"{self.how} by {self.template} {self.version}, line {self.line}"
        return f"{shown(self.path)} = {self.value!r}  ({who})"


def entries(spec: Node) -> tuple[Entry, ...]:
    """One entry for each leaf, in the order of the value."""
    return tuple(_entry(path, node) for path, node in leaves(spec))


def masked(value: Json) -> Json:
    """A copy in which secrets are replaced by the mask."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list) else value


def _entry(path: Path, node: Node) -> Entry:
    origin = node.origin
    return Entry(
        path=path,
        value=masked(plain(node)),
        template=origin.template,
        version=origin.version,
        file=origin.file,
        line=origin.line,
        column=origin.column,
        how=origin.how,
        shadowed=tuple(_beneath(origin)),
    )


def _beneath(origin: Origin) -> Iterator[Shadowed]:
    while origin.shadowed is not None:
        node = origin.shadowed
        origin = node.origin if isinstance(node, Leaf) else _newest(node)
        yield Shadowed(masked(plain(node)), origin.template, origin.version, origin.line)


def _newest(node: Node) -> Origin:
    """Of a shadowed list or map: the origin of its last leaf, the layer that touched it last."""
    return leaves(node)[-1][1].origin
