"""Results: the wrong value returned, yielded or kept."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import COLLECTIONS, NUMBERS, UNKNOWN, Function, compatible
from agents.engines.repair.operators.conditions import harvested, pairs, truths
from agents.engines.repair.proposals import Proposal

JOINED = NUMBERS | {"list", "str", "tuple"}


def propose(function: Function) -> Iterator[Proposal]:
    """All return and yield statements."""
    returned = [node.value for node in function.nodes if isinstance(node, ast.Return) and node.value]
    for node in function.nodes:
        if isinstance(node, ast.Return) and node.value is None:
            for name in [*function.names_at(node)[:8], "True", "False", "0", "[]"]:
                yield function.swap(node, f"return {name}", 0.2, "result")
        elif isinstance(node, ast.Return | ast.Yield) and node.value is not None:
            yield from _others(function, node.value, returned)
            yield from _joined(function, node.value)


def _others(function: Function, value: ast.expr, returned: list[ast.expr]) -> Iterator[Proposal]:
    text, kinds = function.text(value), function.kinds(value)
    for name in function.names_at(value)[:12]:
        fits = compatible(kinds or function.returns(), function.seen.get(name, UNKNOWN))
        if name != text:
            yield function.swap(value, name, 0.3 if fits else 0.08, "result")
            yield function.swap(value, f"[{name}]", 0.36 if "list" in kinds else 0.06, "result")
    for other in returned:
        if function.text(other) != text:
            yield function.swap(value, function.text(other), 0.12, "result")
    if "list" in kinds or not kinds:
        yield function.swap(value, f"[{text}]", 0.4 if text == "[]" else 0.14, "result")
    if isinstance(value, ast.List) and len(value.elts) == 1:
        yield function.swap(value, function.text(value.elts[0]), 0.2, "result")
    if isinstance(value, ast.Constant) and isinstance(value.value, bool):
        for condition, plausible in truths(function, value):
            yield function.swap(value, condition, 0.5 * plausible, "result")
        for condition, plausible in pairs(function, value):
            yield function.swap(value, condition, 0.3 * plausible, "result")
    if "bool" in kinds or isinstance(value, ast.Compare | ast.BoolOp):
        yield function.swap(value, f"not ({text})", 0.3, "result")
        for condition in [*harvested(function), *(text for text, _ in truths(function, value))]:
            if condition != text:
                left = text if not isinstance(value, ast.BoolOp) else f"({text})"
                yield function.swap(value, f"{left} and {condition}", 0.14, "result")
                yield function.swap(value, f"{left} or {condition}", 0.14, "result")


def _joined(function: Function, value: ast.expr) -> Iterator[Proposal]:
    """A part is missing: ``rest + result``."""
    kinds = function.kinds(value) or function.returns()
    if not kinds & JOINED:
        return
    text = (
        function.text(value)
        if not isinstance(value, ast.IfExp | ast.Compare | ast.BoolOp)
        else f"({function.text(value)})"
    )
    for name in function.names_at(value)[:12]:
        seen = function.seen.get(name, UNKNOWN)
        if seen and compatible(kinds, seen) and seen & JOINED:
            yield function.swap(value, f"{name} + {text}", 0.24, "result")
            yield function.swap(value, f"{text} + {name}", 0.24, "result")
            if seen & NUMBERS:
                yield function.swap(value, f"{text} - {name}", 0.12, "result")
                yield function.swap(value, f"{text} * {name}", 0.1, "result")
                yield function.swap(value, f"max({text}, {name})", 0.14, "result")
                yield function.swap(value, f"min({text}, {name})", 0.14, "result")
        elif "list" in kinds and seen and not seen & COLLECTIONS:
            yield function.swap(value, f"[{name}] + {text}", 0.14, "result")
            yield function.swap(value, f"{text} + [{name}]", 0.14, "result")
