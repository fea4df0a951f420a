"""A template as a berth would get it, before there is one: with example values where only run time knows."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django.conf import settings

from events.faults import Fault
from templates_app import active
from templates_app.documents import RUNTIME_ROOTS, Document
from templates_app.faults import did_you_mean
from templates_app.layers import Extend, ListLayer, MapLayer, Replace
from templates_app.order import linearise
from templates_app.resolve import Resolved, resolve
from templates_app.yaml_text import Json

FIRST_PORT = 40_001  # the example numbers of ports count from here


class UnknownVariable(Fault):
    """A value for a variable that no layer declares."""

    code = "template.unknown_variable"
    remedy = "Name a variable that the template or one of its ancestors declares."


def previewed(name: str, *, given: Mapping[str, Json]) -> Resolved:
    """The template resolved with run-time values: ``given`` over examples; text is read as its type."""
    documents = active.templates()
    layers = linearise(name, documents)
    declared = _types(layers)
    for variable in given:
        if variable not in declared and variable.split(".")[0] not in RUNTIME_ROOTS:
            hint = did_you_mean(variable, declared)
            raise UnknownVariable(f"{name} has no variable {variable[:80]!r}. {hint}".rstrip(), pointer="/variables")
    values = {key: _typed(value, declared.get(key, "string")) for key, value in given.items()}
    return resolve(name, documents, variables={**_examples(layers), **values})


def _types(layers: tuple[Document, ...]) -> dict[str, str]:
    """The type of each declared variable; of a secret one always text."""
    types: dict[str, str] = {}
    for layer in layers:
        for name, said in layer.variables.items():
            types[name] = said.type or types.get(name, "string")
    return types


def _typed(value: Json, kind: str) -> Json:
    if kind == "string" or not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=str)  # type: ignore[no-any-return]
    except (ValueError, RecursionError):
        return value  # the resolver says what is wrong with it, with the variable's place


def _examples(layers: tuple[Document, ...]) -> dict[str, object]:
    rules = [rule.layer for document in layers for rule in document.adapt]
    said = [name for layer in (*(document.layer for document in layers), *rules) for name in _port_names(layer)]
    ports = dict.fromkeys(said)
    return {
        "agent.id": "00000000-0000-4000-8000-000000000000",
        "agent.name": "example",
        "workspace.dir": "/workspace",
        "host.name": settings.HOST_NAME,
        "host.cpus": 2,
        "host.memory_mb": 4096,
        **{f"port.{name}": FIRST_PORT + index for index, name in enumerate(ports)},
    }


def _port_names(layer: MapLayer) -> tuple[str, ...]:
    """The ports that a layer or a rule names, with a directive or without."""
    content = dict(layer.entries).get("ports")
    if isinstance(content, Replace):
        content = content.content
    if isinstance(content, Extend):
        content = content.layer
    return content.keys if isinstance(content, ListLayer) else ()
