"""Boolean logic: and for or, terms dropped and negated."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import Function
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
