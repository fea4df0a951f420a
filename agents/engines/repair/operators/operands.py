"""An operand that is missing: a term of a sum, a factor that keeps an index inside."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import COLLECTIONS, NUMBERS, SEQUENCES, Function
from agents.engines.repair.precedence import binds
from agents.engines.repair.proposals import Proposal

MOST = 10


def propose(function: Function) -> Iterator[Proposal]:
    """All sums and products, and all indexes."""
    parts = _parts(function)
    for node in function.expressions:
        if isinstance(node, ast.BinOp) and function.kinds(node) & NUMBERS and _is_whole(function, node):
            yield from _more(function, node, parts)
        elif isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice | ast.Tuple | ast.Constant):
            yield from _inside(function, node)


def _is_whole(function: Function, node: ast.BinOp) -> bool:
    """Not an operand of a sum itself: its sum gets the term."""
    parent = function.parent(node)
    return not (isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Add | ast.Sub))


def _parts(function: Function) -> list[str]:
    found = [
        function.text(node)
        for node in function.expressions
        if isinstance(node, ast.Subscript | ast.Call | ast.Attribute | ast.BinOp)
        and function.kinds(node) & NUMBERS
    ]  # fmt: skip
    return list(dict.fromkeys(text for text in found if len(text) < 40))[:MOST]


def _more(function: Function, node: ast.BinOp, parts: list[str]) -> Iterator[Proposal]:
    text = function.text(node) if binds(node) >= 12 else f"({function.text(node)})"
    names = function.names_at(node)
    terms = [(f"len({name})", 0.16) for name in names[:8] if function.seen.get(name, frozenset()) & COLLECTIONS]
    terms += [(name, 0.16) for name in names[:8] if function.seen.get(name, frozenset()) & NUMBERS]
    terms += [(part, 0.13) for part in parts]
    for part, prior in terms:
        if part != function.text(node):
            yield function.swap(node, f"{text} + {part}", prior, "operand added")
            yield function.swap(node, f"{text} - {_closed(part)}", prior * 0.6, "operand added")


def _closed(text: str) -> str:
    return f"({text})" if " " in text else text


def _inside(function: Function, node: ast.Subscript) -> Iterator[Proposal]:
    """An index that runs over the end goes round, or stops there."""
    kinds = function.kinds(node.value)
    if kinds and not kinds & SEQUENCES:
        return
    base, place = function.text(node.value), function.text(node.slice)
    index = place if binds(node.slice) >= 13 else f"({place})"
    if "%" not in place:
        yield function.swap(node.slice, f"{index} % len({base})", 0.26, "index kept inside")
    yield function.swap(node.slice, f"min({place}, len({base}) - 1)", 0.1, "index kept inside")
    yield function.swap(node.slice, f"max({place}, 0)", 0.08, "index kept inside")
    yield function.swap(node.slice, f"len({base}) - 1 - {_closed(place)}", 0.12, "index kept inside")
