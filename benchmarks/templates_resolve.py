"""Resolving 64 ancestors of 500 leaves with provenance, beside a plain deep merge of the same layers without any."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks import report
from benchmarks.report import Figure, at_most

ANCESTORS, LEAVES = 64, 500
RUNS = 20


def layer(name: str, number: int, parents: list[str], *, leaves: int) -> str:
    """One layer: environment variables (one in ten with a reference), labels, lists, and options of two levels."""
    few, options = leaves // 10, leaves * 3 // 10
    spec = {
        "environment": {
            f"V{n}": f"{number}-{n}-${{agent.id}}" if n % 10 == 0 else f"{number}-{n}"
            for n in range(min(leaves - options - few, 250))
        },
        "labels": {f"l{n}": str(number) for n in range(min(few, 60))},
        "engine": {
            "options": {f"o{n}": {"a": n, "b": number, "c": [n, number], "d": "x"} for n in range(options // 5)}
        },
        "packages": [f"p{n}" for n in range(leaves - min(few, 60) - options - min(leaves - options - few, 250))],
    }
    head = {"apiVersion": "moorage/v1", "kind": "Template", "name": name, "version": "1.0.0", "abstract": True}
    return json.dumps({**head, "extends": parents, "spec": spec})


def family(ancestors: int, leaves: int) -> dict[str, Any]:
    """A root, layers upon it, two that list half of those each, and the template on both."""
    from templates_app.documents import parse

    middle = ancestors - 2
    texts = {f"n{n}": layer(f"n{n}", n, ["n0"] if n else [], leaves=leaves) for n in range(middle)}
    names = list(texts)
    texts["left"] = layer("left", middle, names[: middle // 2], leaves=leaves)
    texts["right"] = layer("right", middle + 1, names[middle // 2 :], leaves=leaves)
    texts["t"] = layer("t", middle + 2, ["left", "right"], leaves=leaves)
    return {name: parse(text, file=f"{name}.yaml") for name, text in texts.items()}


def deep_merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """What everybody writes: maps into maps, everything else replaces."""
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = deep_merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def timed_ms(*works: Callable[[], object]) -> list[float]:
    """Processor time of each, the best of runs in turn: nothing here waits, so all above it is the work of others."""
    best = [float("inf")] * len(works)
    for _ in range(RUNS):
        for place, do in enumerate(works):
            gc.collect()
            began = time.process_time()
            do()
            best[place] = min(best[place], (time.process_time() - began) * 1000)
    return best


def measure() -> list[Figure]:
    """Resolution of parsed layers; reading a file happens once per change of it."""
    from templates_app.resolve import resolve

    documents = family(ANCESTORS, LEAVES)
    order = [documents[one.name] for one in resolve("t", documents).layers]

    def plainly() -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for document in order:
            merged = deep_merge(merged, document.spec)
        return merged

    found = len(resolve("t", documents).provenance)
    fewer, smaller = family(ANCESTORS // 2, LEAVES), family(ANCESTORS, LEAVES // 2)
    whole, plain, half_layers, half_leaves = timed_ms(
        lambda: resolve("t", documents),
        plainly,
        lambda: resolve("t", fewer),
        lambda: resolve("t", smaller),
    )
    return [
        Figure(f"{ANCESTORS} ancestors × {LEAVES} leaves, {found} with provenance", round(whole, 2), "ms",
               goal="≤ 25 ms", met=whole <= 25, baseline=round(plain, 2), baseline_name="plain deep merge"),
        at_most("as a multiple of the plain merge", whole / plain, "×", 12),
        at_most("twice the layers", whole / half_layers, "× the time", 2.5),
        at_most("twice the leaves", whole / half_leaves, "× the time", 2.5),
    ]  # fmt: skip


if __name__ == "__main__":
    report.main(measure)
