"""Off by one, and off by a variable: numbers in indexes, ranges, slices, arguments, bounds and results."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import NUMBERS, Function
from agents.engines.repair.precedence import binds
from agents.engines.repair.proposals import Proposal

NUMERIC = (ast.Name, ast.Attribute, ast.Call, ast.BinOp, ast.Subscript, ast.UnaryOp)


def propose(function: Function) -> Iterator[Proposal]:
    """Everything that is, or may be, a whole number."""
    for node in function.expressions:
        if not isinstance(node, NUMERIC) or not _may_be_number(function, node):
            continue
        weight = _weight(function, node)
        if not weight:
            continue
        text = function.text(node) if binds(node) >= 12 else f"({function.text(node)})"
        yield function.swap(node, f"{text} + 1", weight, "off by one")
        yield function.swap(node, f"{text} - 1", weight, "off by one")
        if not isinstance(node, ast.BinOp | ast.UnaryOp):
            yield from _variables(function, node, weight)
            factor = text if binds(node) >= 15 else f"({text})"
            for other, share in ((f"{factor} ** 2", 0.5), (f"{factor} // 2", 0.4), (f"{factor} * 2", 0.4)):
                yield function.swap(node, other, weight * share, "scaled")
            yield function.swap(node, f"-{factor}", weight * 0.3, "scaled")


def _may_be_number(function: Function, node: ast.expr) -> bool:
    parent = function.parent(node)
    if isinstance(parent, ast.Call) and parent.func is node:
        return False
    if isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Subscript) and parent.value is node):
        return False
    if isinstance(parent, ast.For | ast.comprehension | ast.Expr | ast.JoinedStr | ast.FormattedValue):
        return False
    kinds = function.kinds(node) - {"NoneType"}
    if kinds:
        return bool(kinds & NUMBERS) and kinds != {"bool"}
    return not isinstance(node, ast.Name) or node.id not in function.callables


def _weight(function: Function, node: ast.expr) -> float:
    parent = function.parent(node)
    unknown = 1.0 if function.kinds(node) else 0.6
    match parent:
        case ast.Call(func=ast.Name(id="range")):
            return 0.7 * unknown
        case ast.Slice():
            return 0.6 * unknown
        case ast.Subscript():
            return 0.5 * unknown
        case ast.Tuple() if isinstance(function.parent(parent), ast.Subscript):
            return 0.5 * unknown
        case ast.Call() | ast.keyword():
            return 0.42 * unknown
        case ast.Return() | ast.Yield():
            return 0.4 * unknown
        case ast.Compare():
            return 0.32 * unknown
        case ast.BinOp(op=ast.Mult()):
            return 0.36 * unknown
        case ast.BinOp():
            return 0.2 * unknown
        case ast.Assign() | ast.AugAssign():
            return 0.3 * unknown
    return 0.2 * unknown


def _variables(function: Function, node: ast.expr, weight: float) -> Iterator[Proposal]:
    """Shifted by another number: ``k - smaller`` for ``k``."""
    text = function.text(node)
    for name in function.names_at(node)[:8]:
        if name != text and function.seen.get(name, frozenset()) & {"int", "float"}:
            yield function.swap(node, f"{text} - {name}", weight * 0.5, "shifted")
            yield function.swap(node, f"{text} + {name}", weight * 0.4, "shifted")
