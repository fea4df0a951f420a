"""Boolean logic: and for or, terms dropped and negated, and another value where one may be empty."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import UNKNOWN, Function
from agents.engines.repair.operators.comparisons import place_of
from agents.engines.repair.precedence import binds
from agents.engines.repair.proposals import Proposal
from agents.engines.repair.source import Edit


def propose(function: Function) -> Iterator[Proposal]:
    """All ``and`` and ``or``."""
    for node in function.nodes:
        if isinstance(node, ast.BoolOp):
            yield from _connective(function, node)
            yield from _terms(function, node)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield from _defaults(function, node)


def _connective(function: Function, node: ast.BoolOp) -> Iterator[Proposal]:
    word, other = ("or", "and") if isinstance(node.op, ast.Or) else ("and", "or")
    places = [place_of(function, left, right, word) for left, right in zip(node.values, node.values[1:], strict=False)]
    edits = tuple(Edit(*place, other) for place in places if place)
    words = f"replace `{word}` by `{other}` in `{function.text(node)}`"
    if edits:
        yield Proposal(edits, 0.7, "boolean", node.lineno, words)
    if len(edits) > 1:
        for edit in edits:
            yield Proposal((edit,), 0.5, "boolean", node.lineno, words)


def _terms(function: Function, node: ast.BoolOp) -> Iterator[Proposal]:
    word = "or" if isinstance(node.op, ast.Or) else "and"
    for at, term in enumerate(node.values):
        rest = [function.text(one) for place, one in enumerate(node.values) if place != at]
        yield function.swap(node, f" {word} ".join(rest), 0.5, "term dropped")
        text = function.text(term)
        yield function.swap(term, f"not {text}" if binds(term) >= 6 else f"not ({text})", 0.3, "term negated")


def _defaults(function: Function, node: ast.Name) -> Iterator[Proposal]:
    """``one or other`` where only one of two names of a type is given on."""
    own = function.seen.get(node.id, UNKNOWN) - {"NoneType"}
    parent = function.parent(node)
    whole = isinstance(parent, ast.Return | ast.Assign | ast.Call | ast.Dict | ast.Tuple)
    if not own or not whole or (isinstance(parent, ast.Call) and parent.func is node):
        return
    weight = 0.2 if "NoneType" in function.seen.get(node.id, UNKNOWN) else 0.06
    for name in function.names_at(node)[:8]:
        if name != node.id and function.seen.get(name, UNKNOWN) & own:
            yield function.swap(node, f"{node.id} or {name}", weight, "other value where empty")
