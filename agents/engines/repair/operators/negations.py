"""A sign or a ``not`` that is missing: truth values and numbers as they are, where their opposite is meant."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import NUMBERS, Function
from agents.engines.repair.operators.conditions import TESTED
from agents.engines.repair.precedence import binds
from agents.engines.repair.proposals import Proposal


def propose(function: Function) -> Iterator[Proposal]:
    """All values; the tests of conditions are negated elsewhere."""
    for node in function.expressions:
        parent = function.parent(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "bool" and node.args:
            yield function.swap(node, f"not {function.text(node.args[0])}", 0.5, "negated")
        elif isinstance(parent, ast.Assign | ast.Call | ast.Tuple | ast.keyword | ast.Return) and _is_truth(
            function, node
        ):
            text = function.text(node) if binds(node) >= 6 else f"({function.text(node)})"
            yield function.swap(node, f"not {text}", 0.3, "negated")
    for statement in function.statements:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            yield from _toggled(function, statement)


def _is_truth(function: Function, node: ast.expr) -> bool:
    parent = function.parent(node)
    if (isinstance(parent, ast.Call) and parent.func is node) or isinstance(node, ast.Constant):
        return False
    return function.kinds(node) == {"bool"} and not isinstance(parent, TESTED)


def _toggled(function: Function, node: ast.Assign) -> Iterator[Proposal]:
    """A switch that is set where it should change, a sum that is set where it should be counted down."""
    target = function.text(node.targets[0])
    if not isinstance(node.value, ast.Constant) or not isinstance(node.targets[0], ast.Name | ast.Attribute):
        return
    if isinstance(node.value.value, bool):
        yield function.swap(node.value, f"not {target}", 0.4, "negated")
    elif type(node.value.value) in {int, float}:
        yield function.swap(node.value, f"-{target}", 0.14, "negated")
        for name in function.names_at(node)[:8]:
            if name != target and function.seen.get(name, frozenset()) & NUMBERS:
                for sign, prior in (("-=", 0.16), ("+=", 0.16)):
                    yield function.swap(node, f"{target} {sign} {name}", prior, "counted")
