"""Expressions in the wrong place: one that the function already has, where another stands."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import UNKNOWN, Function, compatible
from agents.engines.repair.proposals import Proposal

REUSED = (ast.Subscript, ast.Attribute, ast.Call, ast.BinOp)


def propose(function: Function) -> Iterator[Proposal]:
    """Replace part of the function by another part, or by a name."""
    parts = _parts(function)
    for node in function.expressions:
        if not isinstance(node, (*REUSED, ast.Name)) or _is_head(function, node):
            continue
        text, kinds = function.text(node), function.kinds(node)
        for other, other_kinds, like in parts:
            if other != text and compatible(kinds, other_kinds):
                same = 0.17 if isinstance(node, like) else 0.09
                yield function.swap(node, other, same, "other expression")
        if isinstance(node, ast.Call | ast.BinOp | ast.Subscript):
            for name in function.names_at(node)[:14]:
                seen = function.seen.get(name, UNKNOWN)
                if compatible(kinds, seen):
                    yield function.swap(node, name, 0.2 if seen else 0.1, "other expression")
    yield from _constants(function, parts)
    yield from _targets(function)


def _constants(function: Function, parts: list[tuple[str, frozenset[str], type[ast.AST]]]) -> Iterator[Proposal]:
    """A number or nothing stands where something is to be looked up or worked out."""
    for node in function.expressions:
        value = node.operand if isinstance(node, ast.UnaryOp) else node
        if not isinstance(value, ast.Constant) or isinstance(value.value, str | bytes | bool):
            continue
        parent = function.parent(node)
        if isinstance(parent, ast.Expr | ast.UnaryOp | ast.JoinedStr | ast.FormattedValue):
            continue
        kinds = frozenset() if value.value is None else frozenset({"int"})
        whole = isinstance(parent, ast.Assign | ast.Return)
        for other, other_kinds, _like in parts:
            if compatible(kinds, other_kinds):
                yield function.swap(node, other, 0.14 if whole else 0.07, "looked up")
        if not isinstance(parent, ast.Assign):  # its initial value has an operator of its own
            for name in function.names_at(node)[:8]:
                seen = function.seen.get(name, UNKNOWN)
                if seen and compatible(kinds, seen):
                    yield function.swap(node, name, 0.16 if isinstance(parent, ast.Subscript) else 0.1, "looked up")


def _parts(function: Function) -> list[tuple[str, frozenset[str], type[ast.AST]]]:
    found: dict[str, tuple[str, frozenset[str], type[ast.AST]]] = {}
    for node in function.expressions:
        if isinstance(node, REUSED) and not _is_head(function, node):
            text = function.text(node)
            if len(text) < 50 and "\n" not in text:
                found.setdefault(text, (text, function.kinds(node), type(node)))
    return list(found.values())[:24]


def _is_head(function: Function, node: ast.expr) -> bool:
    parent = function.parent(node)
    return (isinstance(parent, ast.Call) and parent.func is node) or isinstance(parent, ast.Expr)


def _targets(function: Function) -> Iterator[Proposal]:
    """A value that is kept in the wrong place."""
    places = {
        function.text(node): node
        for node in function.nodes
        if isinstance(node, ast.Subscript | ast.Attribute)
        and not isinstance(node.slice if isinstance(node, ast.Subscript) else None, ast.Slice)
    }
    for statement in function.statements:
        targets = (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
            if isinstance(statement, ast.AugAssign)
            else []
        )
        for target in targets:
            if isinstance(target, ast.Subscript | ast.Attribute | ast.Name):
                for text, node in list(places.items())[:16]:
                    if text != function.text(target):
                        like = 0.22 if isinstance(node, type(target)) else 0.1
                        yield function.swap(target, text, like, "other target")
