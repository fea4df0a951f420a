"""Slices and ranges: a bound missing, one too many, the other end, the other direction."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import SEQUENCES, UNKNOWN, Function
from agents.engines.repair.proposals import Proposal
from agents.engines.repair.source import Edit


def propose(function: Function) -> Iterator[Proposal]:
    """All ranges, slices and sequences that could be sliced."""
    for node in function.expressions:
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            yield from _bounds(function, node, node.slice)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            yield from _range(function, node)
        elif isinstance(node, ast.Name | ast.Subscript | ast.Attribute | ast.Call):
            yield from _sliced(function, node)


def numbers_at(function: Function, node: ast.AST) -> list[str]:
    """Names of whole numbers at a node."""
    return [name for name in function.names_at(node) if "int" in function.seen.get(name, UNKNOWN)][:6]


def _sliced(function: Function, node: ast.expr) -> Iterator[Proposal]:
    kinds = function.kinds(node)
    parent = function.parent(node)
    if isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Call) and parent.func is node):
        return
    if isinstance(parent, ast.Subscript) and parent.value is node:
        return
    if not kinds & (SEQUENCES - {"deque", "range"}):
        return
    text = function.text(node)
    read_whole = isinstance(parent, ast.For | ast.comprehension | ast.Call | ast.Return)
    weight = 1.0 if read_whole else 0.6
    for part, prior in (
        ("[1:]", 0.32),
        ("[:-1]", 0.26),
        ("[::-1]", 0.2),
        ("[:]", 0.12),
        ("[2:]", 0.06),
        ("[::2]", 0.06),
    ):
        yield function.swap(node, text + part, prior * weight, "sliced")
    for name in numbers_at(function, node):
        for part, prior in (
            (f"[{name}:]", 0.28),
            (f"[:{name}]", 0.24),
            (f"[{name} + 1:]", 0.18),
            (f"[:{name} + 1]", 0.14),
        ):
            yield function.swap(node, text + part, prior * weight, "sliced")


def _bounds(function: Function, node: ast.Subscript, bounds: ast.Slice) -> Iterator[Proposal]:
    base = function.text(node.value)
    lower, upper, step = (function.text(one) if one else "" for one in (bounds.lower, bounds.upper, bounds.step))

    def put(low: str, high: str, by: str, prior: float) -> Proposal:
        text = f"{base}[{low}:{high}{':' + by if by else ''}]"
        return function.swap(node, text, prior, "slice")

    if lower:
        yield put("", upper, step, 0.3)
    if upper:
        yield put(lower, "", step, 0.3)
    if step:
        yield put(lower, upper, "", 0.3)
    else:
        yield put(lower, upper, "-1", 0.1)
        yield put(lower, upper, "2", 0.06)
    if lower != upper and not step:
        yield put(upper, lower, "", 0.3)
    yield function.swap(node, base, 0.25, "slice")
    for value in ("1", "-1", "2", *numbers_at(function, node)):
        if not lower:
            yield put(value, upper, step, 0.2)
        if not upper:
            yield put(lower, value, step, 0.2)
    for bound in (lower, upper):
        if bound:
            yield function.swap(node, f"{base}[{bound}]", 0.12, "slice")


def _range(function: Function, node: ast.Call) -> Iterator[Proposal]:
    texts = [function.text(value) for value in node.args]
    start, stop = function.source.span(node)
    if not texts or node.keywords:
        return

    def put(arguments: str, prior: float) -> Proposal:
        words = f"replace `{function.text(node)}` by `range({arguments})`"
        return Proposal((Edit(start, stop, f"range({arguments})"),), prior, "range", node.lineno, words)

    if len(texts) == 1:
        yield put(f"1, {texts[0]}", 0.45)
        yield put(f"1, {texts[0]} + 1", 0.4)
        yield put(f"2, {texts[0]}", 0.15)
        yield put(f"{texts[0]} - 1, -1, -1", 0.3)
        yield put(f"{texts[0]}, 0, -1", 0.15)
        yield from (put(f"{name}, {texts[0]}", 0.25) for name in numbers_at(function, node) if name != texts[0])
        yield from (put(f"{name} + 1, {texts[0]}", 0.25) for name in numbers_at(function, node) if name != texts[0])
    else:
        yield put(texts[1], 0.3)
    if len(texts) == 2:
        for step, prior in (("-1", 0.3), ("2", 0.25), *((name, 0.2) for name in numbers_at(function, node))):
            yield put(f"{texts[0]}, {texts[1]}, {step}", prior)
        yield put(f"{texts[1]}, {texts[0]}, -1", 0.15)
        yield put(f"{texts[0]} + 1, {texts[1]} + 1", 0.2)
        yield put(f"{texts[0]} - 1, {texts[1]} - 1", 0.1)
    if len(texts) == 3:
        yield put(", ".join(texts[:2]), 0.3)
        yield put(f"{texts[1]}, {texts[0]}, {texts[2]}", 0.1)
    yield function.swap(node, f"reversed({function.text(node)})", 0.25, "range")
