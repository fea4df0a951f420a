"""What the file's other functions do, done here: their conditions, their statements, their expressions."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import Function, compatible
from agents.engines.repair.operators.conditions import TESTED, term
from agents.engines.repair.operators.insertions import put
from agents.engines.repair.operators.statements import SIMPLE, own_lines
from agents.engines.repair.proposals import Proposal

OPERATOR = "statement of another"
MOST = 14
LENGTH = 80


def propose(function: Function) -> Iterator[Proposal]:
    """In every condition, between all statements, and for every part of an expression."""
    if isinstance(function.node, ast.Module):
        return
    yield from _conditions(function)
    yield from _statements(function)
    yield from _expressions(function)


def _texts(function: Function, kinds: tuple[type[ast.AST], ...]) -> list[str]:
    texts = (ast.unparse(node) for node in function.elsewhere if isinstance(node, kinds))
    return list(dict.fromkeys(text for text in texts if len(text) < LENGTH and "\n" not in text))


def _conditions(function: Function) -> Iterator[Proposal]:
    known = _texts(function, (ast.Compare,))
    tests = [node.test for node in function.nodes if isinstance(node, TESTED)]
    tests += [
        node.value for node in function.nodes if isinstance(node, ast.Return) and node.value and _is_test(node.value)
    ]
    for test in tests:
        text, names = function.text(test), function.names_at(test)
        for other in [one for one in known if function.reaches(one, names)][:MOST]:
            if other in text:
                continue
            yield function.swap(test, f"{term(test, text, ast.And)} and {other}", 0.24, "condition of another")
            yield function.swap(test, f"{term(test, text, ast.Or)} or {other}", 0.2, "condition of another")
            yield function.swap(test, other, 0.16, "condition of another")


def _is_test(value: ast.expr) -> bool:
    return isinstance(value, ast.Compare | ast.BoolOp) or (
        isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)
    )


def _statements(function: Function) -> Iterator[Proposal]:
    known = _texts(function, (ast.Assign, ast.AugAssign, ast.Expr, ast.Delete))
    known = [text for text in known if not text.startswith(("yield", "'", '"'))]
    for block in function.blocks:
        if not all(own_lines(function, one) for one in block):
            continue
        for node in block:
            names = function.names_at(node)
            for text in [one for one in known if function.reaches(one, names)][:MOST]:
                yield put(function, node, text, 0.16, before=True, operator=OPERATOR)
                if node is block[-1] and isinstance(node, SIMPLE) and not isinstance(node, ast.Return | ast.Raise):
                    yield put(function, node, text, 0.16, before=False, operator=OPERATOR)


def _expressions(function: Function) -> Iterator[Proposal]:
    found: dict[str, ast.expr] = {}
    for node in function.elsewhere:
        if isinstance(node, ast.Call | ast.Subscript | ast.Attribute | ast.BinOp) and not isinstance(
            getattr(node, "ctx", None), ast.Store | ast.Del
        ):
            found.setdefault(ast.unparse(node), node)
    for node in function.expressions:
        parent = function.parent(node)
        head = (isinstance(parent, ast.Call) and parent.func is node) or isinstance(parent, ast.Attribute | ast.Expr)
        if head or not isinstance(node, ast.Call | ast.Subscript | ast.Attribute | ast.BinOp | ast.Name):
            continue
        names, kinds, text = function.names_at(node), function.kinds(node), function.text(node)
        fitting = [
            other
            for other, one in found.items()
            if len(other) < LENGTH / 2 and other != text and function.kinds(one)
            and compatible(kinds, function.kinds(one)) and function.reaches(other, names)
        ]  # fmt: skip
        for other in fitting[:MOST]:
            yield function.swap(node, other, 0.12, "expression of another")
