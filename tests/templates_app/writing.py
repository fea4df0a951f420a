"""Short ways to write templates in tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from templates_app.documents import Document, parse
from templates_app.faults import Located, TemplateFault
from templates_app.resolve import Resolved, resolve


def layer(name: str, spec: object = None, *, extends: Iterable[str] = (), **envelope: Any) -> Document:
    """One document, written as JSON; abstract, so that it may be incomplete, unless said otherwise."""
    content = {
        "apiVersion": "moorage/v1",
        "kind": "Template",
        "name": name,
        "version": "1.0.0",
        "abstract": True,
        "extends": list(extends),
        "spec": spec or {},
        **envelope,
    }
    return parse(json.dumps(content), file=f"{name}.yaml")


def stack(*specs: object, **last: Any) -> dict[str, Document]:
    """Layers l0, l1, … each extending the one before; ``last`` goes into the envelope of the last."""
    documents = {}
    for index, spec in enumerate(specs):
        parents = [f"l{index - 1}"] if index else []
        extra = last if index == len(specs) - 1 else {}
        documents[f"l{index}"] = layer(f"l{index}", spec, extends=parents, **extra)
    return documents


def together(*specs: object) -> Resolved:
    """The resolution of a stack before run time."""
    return resolve(f"l{len(specs) - 1}", stack(*specs))


def options(*values: object, variables: dict[str, object] | None = None) -> Any:
    """``engine.options`` of a stack of layers that set only those: the place where anything goes."""
    return together(*({"engine": {"options": value}} for value in values)).spec["engine"]["options"]  # type: ignore


def spawn(spec: object, *, given: dict[str, object] | None = None, **envelope: Any) -> Resolved:
    """One layer over the shipped base, resolved for running with ``given``."""
    from templates_app.library import load

    one = layer("mine", spec, extends=["base"], abstract=False, **envelope)
    return resolve("mine", {**load(), "mine": one}, variables=given or {})


def errors_of(action: Any, *arguments: Any, **keywords: Any) -> tuple[Located, ...]:
    """The located errors that a call raises."""
    with pytest.raises(TemplateFault) as caught:
        action(*arguments, **keywords)
    return caught.value.errors


def codes_of(action: Any, *arguments: Any, **keywords: Any) -> list[str]:
    """Their codes."""
    return [error.code for error in errors_of(action, *arguments, **keywords)]
