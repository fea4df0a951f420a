"""Short ways to put together the cases of the examination."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from events.faults import Fault
from templates_app.documents import Document
from templates_app.library import load
from templates_app.resolve import Resolved, resolve
from templates_app.yaml_text import Json, Path
from tests.templates_app.writing import layer

ABSENT = object()
Written = tuple[Any, ...]  # (extends, spec) or (extends, spec, envelope)


def written(**layers: Written) -> dict[str, Document]:
    """Documents by name; the last is the one to resolve."""
    documents = {}
    for name, (extends, spec, *envelope) in layers.items():
        documents[name] = layer(name, spec, extends=extends, **(envelope[0] if envelope else {}))
    return documents


def last(**layers: Written) -> Resolved:
    return resolve(list(layers)[-1], written(**layers))


def opts(value: object) -> dict[str, object]:
    """A spec in which only the free place says something."""
    return {"engine": {"options": value}}


def at(value: Any, path: str) -> Any:
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            return ABSENT
        value = value[step]
    return value


def spawned(spec: object, given: dict[str, object] | None = None, *, lower: Any = None, **envelope: Any) -> Resolved:
    """``spec`` over ``lower`` over the shipped base, for running."""
    below = layer("low", **{"extends": ["base"], **(lower or {})})
    own = layer("own", spec, extends=["low"], abstract=False, **envelope)
    return resolve("own", {**load(), "low": below, "own": own}, variables=given or {})


def said(fault: Fault) -> str:
    """All that a fault shows to anybody."""
    return f"{fault} {fault!r} {fault.args} {json.dumps(getattr(fault, 'details', {}), default=str)}" + "".join(
        f"{one} {one!r}" for one in getattr(fault, "errors", ())
    )


def canonical(value: Any) -> str:
    return json.dumps(value)  # key order, and 1 apart from true and 1.0


def leaves(value: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def diamond(base: Any, left: Any, right: Any, top: Any = None) -> dict[str, Written]:
    return {
        "base": ([], base),
        "left": (["base"], left),
        "right": (["base"], right),
        "top": (["left", "right"], top or {}),
    }


def tower(*specs: Any) -> dict[str, Written]:
    return {f"l{index}": ([f"l{index - 1}"] if index else [], spec) for index, spec in enumerate(specs)}


A, B, C = ({"name": name} for name in "abc")
