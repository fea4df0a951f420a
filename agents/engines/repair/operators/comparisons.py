"""Comparisons: another operator, another bound, the operands the other way round."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import Function
from agents.engines.repair.proposals import Proposal
from agents.engines.repair.source import Edit

SIGNS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.In: "in",
    ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
OTHERS: dict[str, tuple[tuple[str, float], ...]] = {
    "<": (("<=", 0.95), (">", 0.6), (">=", 0.45), ("!=", 0.3), ("==", 0.2)),
    "<=": (("<", 0.95), (">=", 0.45), (">", 0.45), ("==", 0.3), ("!=", 0.1)),
    ">": ((">=", 0.95), ("<", 0.6), ("<=", 0.45), ("!=", 0.3), ("==", 0.2)),
    ">=": ((">", 0.95), ("<=", 0.45), ("<", 0.45), ("==", 0.3), ("!=", 0.1)),
    "==": (("!=", 0.6), ("<=", 0.4), (">=", 0.4), ("<", 0.3), (">", 0.3), ("in", 0.2), ("is", 0.05)),
    "!=": (("==", 0.6), ("<", 0.35), (">", 0.35), ("<=", 0.2), (">=", 0.2), ("not in", 0.2)),
    "in": (("not in", 0.7), ("==", 0.2)),
    "not in": (("in", 0.7), ("!=", 0.2)),
    "is": (("is not", 0.6), ("==", 0.4)),
    "is not": (("is", 0.6), ("!=", 0.4)),
}


def propose(function: Function) -> Iterator[Proposal]:
    """All of a function's comparisons, one operator at a time."""
    for node in function.nodes:
        if isinstance(node, ast.Compare):
            yield from _operators(function, node)
            yield from _operands(function, node)


def place_of(function: Function, left: ast.expr, right: ast.expr, sign: str) -> tuple[int, int] | None:
    """Where the sign between two operands is."""
    start, stop = function.source.span(left)[1], function.source.span(right)[0]
    between = function.source.data[start:stop].decode()
    at = between.find(sign)
    return None if at < 0 or "#" in between[:at] else (start + len(between[:at].encode()), start + at + len(sign))


def _operators(function: Function, node: ast.Compare) -> Iterator[Proposal]:
    left = node.left
    for operator, right in zip(node.ops, node.comparators, strict=True):
        sign = SIGNS[type(operator)]
        place = place_of(function, left, right, sign)
        if place is None:
            continue
        for other, prior in OTHERS[sign]:
            edit = Edit(*place, other)
            words = f"replace `{sign}` by `{other}` in `{function.text(node)}`"
            yield Proposal((edit,), prior, "comparison", right.lineno, words)
            yield from _bounds(function, node, right, edit, prior)
        left = right


def _bounds(function: Function, node: ast.Compare, right: ast.expr, edit: Edit, prior: float) -> Iterator[Proposal]:
    """Operator and bound together: ``n == 0`` for ``n <= 1``."""
    if (
        not isinstance(right, ast.Constant)
        or type(right.value) is not int
        or edit.text not in {"<", "<=", ">", ">=", "=="}
    ):
        return
    start, stop = function.source.span(right)
    for value in (right.value + 1, right.value - 1):
        if value >= 0:
            words = f"compare `{function.text(node)}` by `{edit.text} {value}`"
            both = (edit, Edit(start, stop, str(value)))
            yield Proposal(both, 0.28 if prior > 0.25 else 0.12, "comparison", right.lineno, words)


def _operands(function: Function, node: ast.Compare) -> Iterator[Proposal]:
    if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn | ast.Lt | ast.Gt | ast.LtE | ast.GtE):
        sign = SIGNS[type(node.ops[0])]
        left, right = function.text(node.left), function.text(node.comparators[0])
        yield function.swap(node, f"{right} {sign} {left}", 0.3, "comparison")
    if len(node.ops) == 2:
        middle = function.text(node.comparators[0])
        first = f"{function.text(node.left)} {SIGNS[type(node.ops[0])]} {middle}"
        yield function.swap(node, first, 0.15, "comparison")
        last = function.text(node.comparators[1])
        yield function.swap(node, f"{middle} {SIGNS[type(node.ops[1])]} {last}", 0.15, "comparison")
