"""Arithmetic: another operator, operands exchanged, dropped or grouped differently, signs."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import NUMBERS, Function
from agents.engines.repair.operators.comparisons import place_of
from agents.engines.repair.proposals import Proposal
from agents.engines.repair.source import Edit

SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
}  # fmt: skip
OTHERS: dict[str, tuple[tuple[str, float], ...]] = {
    "+": (("-", 0.75), ("*", 0.35), ("|", 0.1), ("%", 0.05)),
    "-": (("+", 0.75), ("*", 0.2), ("//", 0.15), ("%", 0.1), ("/", 0.1), ("^", 0.05)),
    "*": (("+", 0.5), ("**", 0.35), ("//", 0.3), ("/", 0.3), ("-", 0.2), ("%", 0.15)),
    "/": (("//", 0.75), ("*", 0.5), ("%", 0.3), ("-", 0.1)),
    "//": (("/", 0.5), ("%", 0.5), ("*", 0.4), ("-", 0.1), (">>", 0.05)),
    "%": (("//", 0.6), ("/", 0.3), ("*", 0.2), ("-", 0.15), ("+", 0.05), ("&", 0.05)),
    "**": (("*", 0.5), ("//", 0.1), ("<<", 0.05)),
    "<<": ((">>", 0.8), ("+", 0.1), ("*", 0.1)),
    ">>": (("<<", 0.8), ("//", 0.1), ("-", 0.1)),
    "&": (("|", 0.7), ("^", 0.6), ("-", 0.1), ("+", 0.05), ("%", 0.1)),
    "|": (("&", 0.7), ("^", 0.6), ("+", 0.1), ("-", 0.1)),
    "^": (("&", 0.7), ("|", 0.6), ("**", 0.3), ("-", 0.1)),
}
ASYMMETRIC = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift, ast.RShift)
_FEW_FOR_TEXT = {"+", "*", "%"}


def propose(function: Function) -> Iterator[Proposal]:
    """All binary operations, augmented assignments and signs."""
    for node in function.nodes:
        if isinstance(node, ast.BinOp):
            yield from _binary(function, node)
            yield from _grouping(function, node)
        elif isinstance(node, ast.AugAssign):
            yield from _augmented(function, node)
        elif isinstance(node, ast.UnaryOp):
            yield function.swap(node, function.text(node.operand), 0.55, "sign")
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            yield from _plain_assignment(function, node)


def _binary(function: Function, node: ast.BinOp) -> Iterator[Proposal]:
    sign = SIGNS.get(type(node.op), "")
    left, right = function.text(node.left), function.text(node.right)
    kinds = function.kinds(node.left) | function.kinds(node.right)
    place = place_of(function, node.left, node.right, sign) if sign else None
    for other, prior in OTHERS.get(sign, ()):
        if place is None:
            break
        if kinds and not kinds & (NUMBERS | {"set"}) and other not in _FEW_FOR_TEXT:
            continue
        words = f"replace `{sign}` by `{other}` in `{function.text(node)}`"
        yield Proposal((Edit(*place, other),), prior, "arithmetic", node.right.lineno, words)
    if isinstance(node.op, ASYMMETRIC):
        yield _exchanged(function, node, sign, 0.55)
    elif isinstance(node.op, ast.Add) and not (kinds and kinds <= NUMBERS):
        yield _exchanged(function, node, sign, 0.5)
    yield function.swap(node, left, 0.4, "operand dropped")
    yield function.swap(node, right, 0.38, "operand dropped")


def _exchanged(function: Function, node: ast.BinOp, sign: str, prior: float) -> Proposal:
    one, other = function.source.span(node.left), function.source.span(node.right)
    left, right = function.text(node.left), function.text(node.right)
    if isinstance(node.right, ast.BinOp | ast.UnaryOp | ast.IfExp) or isinstance(node.left, ast.BinOp | ast.UnaryOp):
        text = f"{_bracketed(node.right, right)} {sign} {_bracketed(node.left, left)}"
        return function.swap(node, text, prior, "operands exchanged")
    words = f"exchange the operands of `{function.text(node)}`"
    return Proposal((Edit(*one, right), Edit(*other, left)), prior, "operands exchanged", node.lineno, words)


def _bracketed(node: ast.expr, text: str) -> str:
    return f"({text})" if isinstance(node, ast.BinOp | ast.IfExp | ast.BoolOp | ast.Compare) else text


def _grouping(function: Function, node: ast.BinOp) -> Iterator[Proposal]:
    """``a + b * c`` as ``(a + b) * c``, and the other way round."""
    sign = SIGNS.get(type(node.op), "")
    if isinstance(node.right, ast.BinOp) and sign:
        inner = node.right
        first, second, third = (function.text(one) for one in (node.left, inner.left, inner.right))
        yield function.swap(node, f"({first} {sign} {second}) {SIGNS.get(type(inner.op))} {third}", 0.25, "grouping")
    if isinstance(node.left, ast.BinOp) and sign:
        inner = node.left
        first, second, third = (function.text(one) for one in (inner.left, inner.right, node.right))
        yield function.swap(node, f"{first} {SIGNS.get(type(inner.op))} ({second} {sign} {third})", 0.25, "grouping")


def _augmented(function: Function, node: ast.AugAssign) -> Iterator[Proposal]:
    sign = SIGNS.get(type(node.op), "")
    place = place_of(function, node.target, node.value, f"{sign}=")
    if not sign or place is None:
        return
    for other, prior in (*OTHERS[sign], ("", 0.35)):
        words = f"replace `{sign}=` by `{other}=` in `{function.text(node)}`"
        yield Proposal((Edit(*place, f"{other}="),), prior, "arithmetic", node.lineno, words)


def _plain_assignment(function: Function, node: ast.Assign) -> Iterator[Proposal]:
    target = node.targets[0]
    if not isinstance(target, ast.Name | ast.Subscript | ast.Attribute) or not list(function.loops_around(node)):
        return
    kinds = function.kinds(node.value)
    for sign, prior in (("+=", 0.25), ("-=", 0.1), ("*=", 0.08), ("|=", 0.05)):
        if kinds <= NUMBERS or (sign == "+=" and kinds & {"list", "str", "tuple"}) or (sign == "|=" and "set" in kinds):
            text = f"{function.text(target)} {sign} {function.text(node.value)}"
            yield function.swap(node, text, prior, "arithmetic")
