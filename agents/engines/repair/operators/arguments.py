"""Arguments: exchanged, missing, too many; the same for the elements of tuples and lists."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations

from agents.engines.repair.function import Function, compatible
from agents.engines.repair.proposals import Proposal
from agents.engines.repair.source import Edit


def propose(function: Function) -> Iterator[Proposal]:
    """All calls and displays."""
    for node in function.nodes:
        if isinstance(node, ast.Call):
            yield from _exchanged(function, node.args, 0.6)
            yield from _exchanged(function, [keyword.value for keyword in node.keywords], 0.25)
            yield from _fewer(function, node)
            yield from _more(function, node)
        elif isinstance(node, ast.Tuple | ast.List):
            in_index = isinstance(function.parent(node), ast.Subscript)
            yield from _exchanged(function, node.elts, 0.5 if in_index else 0.32)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Subscript):
            yield from _exchanged(function, [node.value.slice, node.slice], 0.5)
        elif isinstance(node, ast.IfExp):
            yield from _exchanged(function, [node.body, node.orelse], 0.4)
        elif isinstance(node, ast.If) and node.orelse and not isinstance(node.orelse[0], ast.If):
            yield from _branches(function, node)


def _exchanged(function: Function, values: list[ast.expr], prior: float) -> Iterator[Proposal]:
    for (at, one), (other_at, other) in combinations(list(enumerate(values[:6])), 2):
        texts = function.text(one), function.text(other)
        if texts[0] == texts[1]:
            continue
        edits = (Edit(*function.source.span(one), texts[1]), Edit(*function.source.span(other), texts[0]))
        fits = compatible(function.kinds(one), function.kinds(other))
        weight = prior * (1.0 if fits else 0.35) * (1.0 if other_at - at == 1 else 0.8)
        yield Proposal(edits, weight, "exchanged", one.lineno, f"exchange `{texts[0]}` and `{texts[1]}`")


def _branches(function: Function, node: ast.If) -> Iterator[Proposal]:
    if len(node.body) == len(node.orelse) == 1:
        edits = (
            Edit(*function.source.span(node.body[0]), function.text(node.orelse[0])),
            Edit(*function.source.span(node.orelse[0]), function.text(node.body[0])),
        )
        if node.body[0].lineno == node.body[0].end_lineno and node.orelse[0].lineno == node.orelse[0].end_lineno:
            yield Proposal(edits, 0.15, "exchanged", node.lineno, "exchange the two branches")


def _listed(function: Function, node: ast.Call, values: list[str]) -> str:
    keywords = [function.text(keyword) for keyword in node.keywords]
    return f"{function.text(node.func)}({', '.join([*values, *keywords])})"


def _fewer(function: Function, node: ast.Call) -> Iterator[Proposal]:
    texts = [function.text(value) for value in node.args]
    if len(texts) == 1 and isinstance(node.args[0], ast.GeneratorExp):
        return
    for at in range(len(texts)):
        yield function.swap(node, _listed(function, node, texts[:at] + texts[at + 1 :]), 0.15, "argument dropped")
    for keyword in node.keywords:
        rest = [function.text(one) for one in node.keywords if one is not keyword]
        text = f"{function.text(node.func)}({', '.join([*texts, *rest])})"
        yield function.swap(node, text, 0.25, "argument dropped")


def _more(function: Function, node: ast.Call) -> Iterator[Proposal]:
    """An argument that the callee has and the call does not, or a well-known option."""
    texts = [function.text(value) for value in node.args]
    if any(isinstance(one, ast.GeneratorExp | ast.Starred) for one in node.args):
        return
    match node.func:
        case ast.Name(id="sorted") | ast.Attribute(attr="sort"):
            yield function.swap(node, _listed(function, node, [*texts, "reverse=True"]), 0.25, "argument added")
            yield function.swap(node, _listed(function, node, [*texts, "key=len"]), 0.1, "argument added")
        case ast.Attribute(attr="get" | "pop" | "setdefault") if len(texts) == 1:
            for value, prior in (("0", 0.3), ("[]", 0.15), ("None", 0.1), ("''", 0.08), ("1", 0.08)):
                yield function.swap(node, _listed(function, node, [*texts, value]), prior, "argument added")
        case ast.Attribute(attr="pop") if not texts:
            yield function.swap(node, _listed(function, node, ["0"]), 0.35, "argument added")
        case ast.Attribute(attr="split" | "join" | "strip" | "rstrip" | "lstrip") if not texts:
            for value in ("' '", "','", "'\\n'"):
                yield function.swap(node, _listed(function, node, [value]), 0.12, "argument added")
        case ast.Name(id="enumerate" | "sum") if len(texts) == 1:
            yield function.swap(node, _listed(function, node, [*texts, "1"]), 0.25, "argument added")
            yield function.swap(node, _listed(function, node, [*texts, "[]"]), 0.05, "argument added")
        case ast.Name(id="min" | "max"):
            for value in ("0", "1", *function.names_at(node)[:6]):
                if value not in texts and len(texts) > 1:
                    yield function.swap(node, _listed(function, node, [*texts, value]), 0.2, "argument added")
    yield from _of_own(function, node, texts)


def _of_own(function: Function, node: ast.Call, texts: list[str]) -> Iterator[Proposal]:
    if not isinstance(node.func, ast.Name | ast.Attribute):
        return
    name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
    needed = function.callables.get(name)
    if needed is None:
        return
    prior = 0.3 if len(texts) < needed else 0.1
    for value in [*function.names_at(node)[:8], "0", "1", "None", "True"]:
        for at in range(len(texts) + 1):
            more = [*texts[:at], value, *texts[at:]]
            yield function.swap(
                node, _listed(function, node, more), prior * (0.7 if at < len(texts) else 1), "argument added"
            )
