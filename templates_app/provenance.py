"""Where each value of a resolved template came from: one entry per leaf, none besides."""

from __future__ import annotations

from dataclasses import dataclass

from templates_app.documents import shown
from templates_app.nodes import How, Leaf, ListNode, MapNode, Node, Written, newest, plain
from templates_app.schema import FREE, Strategy, child, element, list_rule, spec_schema
from templates_app.variables import MASK, Secret
from templates_app.yaml_text import Json, Path

Shadowed = Written  # a value that lies beneath the one in force, as its layer wrote it


@dataclass(slots=True)
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
    history = _History()
    history.walk(spec, (), ())
    return tuple(history.found)


def named(path: Path, spec: Json) -> Path:
    """The path with the elements of keyed lists by their names, as templates and locks write it: ``ports.web``."""
    steps: list[str | int] = []
    schema, here = spec_schema(), spec
    for step in path:
        rule = list_rule(schema)
        if isinstance(step, int) and isinstance(here, list):
            here, schema = here[step], element(schema)
            name = here.get(rule.key) if isinstance(here, dict) and rule.strategy is Strategy.KEY else None
            steps.append(name if isinstance(name, str) else step)
        else:
            here, schema = here.get(str(step)) if isinstance(here, dict) else None, child(schema, str(step)) or FREE
            steps.append(step)
    return tuple(steps)


def masked(value: Json) -> Json:
    """A copy in which secrets are replaced by the mask."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list) else value


class _History:
    """One walk over a specification, with what the maps around each value held before."""

    def __init__(self) -> None:
        self.found: list[Entry] = []
        self._containers: dict[int, tuple[Written, ...]] = {}

    def walk(self, node: Node, path: Path, shadowed: tuple[Written, ...]) -> None:
        """Note each leaf; ``shadowed`` is what the maps around a leaf know to lie beneath it."""
        if isinstance(node, tuple):
            return self._leaf(node, path, shadowed)
        if not node.items:
            self._note(node.written, plain(node), path, self._of(node.below))
        elif isinstance(node, MapNode):
            earlier = _versions(node)
            for key, item in node.items.items():
                self.walk(item, (*path, key), self._earlier(key, item, earlier) if item.__class__ is tuple else ())
        else:
            for index, item in enumerate(node.items):
                added = isinstance(item, tuple) and item[0].how in (How.APPEND, How.PREPEND)
                self.walk(item, (*path, index), () if added else self._of(node.below))
        return None

    def _leaf(self, leaf: Leaf, path: Path, shadowed: tuple[Written, ...]) -> None:
        written, under = leaf
        value = MASK if written.value.__class__ is Secret else written.value
        self._note(written, value, path, (*self._of(under), *shadowed) if under is not None else shadowed)

    def _note(self, by: Written, value: Json, path: Path, shadowed: tuple[Written, ...]) -> None:
        self.found.append(Entry(path, value, by.template, by.version, by.file, by.line, by.column, by.how, shadowed))

    def _earlier(self, key: str, item: Node, earlier: list[dict[str, Node]]) -> tuple[Written, ...]:
        """What a key held before, nearest first, until it was not there. A variable's text counts by itself."""
        while isinstance(item, tuple) and item[1] is not None:
            item = item[1]
        found: list[Written] = []
        for under in [items.get(key) for items in earlier]:
            if under is item:
                continue
            if under.__class__ is not tuple:
                return (*found, *self._of(under))
            found.append(under[0])  # type: ignore[index] # its class is tuple: a leaf
            item = under  # type: ignore[assignment]
        return tuple(found)

    def _of(self, node: Node | None) -> tuple[Written, ...]:
        """A value with all that lies beneath it, each map and list named after whoever touched it last.

        No secret is among them: those come in on top, with the variables.
        """
        if node is None:
            return ()
        if isinstance(node, tuple):
            return (node[0], *self._of(node[1]))
        known = self._containers.get(id(node))
        if known is None:
            shown_as = node.whole if isinstance(node, ListNode) else None
            if shown_as is None:
                by = newest(node)
                shown_as = Written(plain(node), by.template, by.version, by.file, by.path, by.line, by.column, by.how)
            known = self._containers[id(node)] = (shown_as, *self._of(node.below))
        return known


def _versions(node: MapNode) -> list[dict[str, Node]]:
    """What a map held before, nearest first."""
    found = []
    previous = node.previous
    while previous is not None:
        found.append(previous.items)
        previous = previous.previous
    return found
