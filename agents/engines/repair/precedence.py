"""Whether an expression needs brackets where another one stood (Python reference, 6.17)."""

from __future__ import annotations

import ast
from functools import lru_cache

ATOM, NONE = 17, 0
_BINARY: dict[type[ast.operator], int] = {
    ast.BitOr: 8, ast.BitXor: 9, ast.BitAnd: 10, ast.LShift: 11, ast.RShift: 11, ast.Add: 12, ast.Sub: 12,
    ast.Mult: 13, ast.Div: 13, ast.FloorDiv: 13, ast.Mod: 13, ast.MatMult: 13, ast.Pow: 15,
}  # fmt: skip


def binds(node: ast.AST) -> int:
    """How tightly the expression holds together; 0 is a bare tuple, 17 a name."""
    match node:
        case ast.Tuple() | ast.Yield() | ast.YieldFrom():
            return NONE
        case ast.NamedExpr():
            return 1
        case ast.Lambda():
            return 2
        case ast.IfExp():
            return 3
        case ast.BoolOp():
            return 4 if isinstance(node.op, ast.Or) else 5
        case ast.UnaryOp():
            return 6 if isinstance(node.op, ast.Not) else 14
        case ast.Compare():
            return 7
        case ast.BinOp():
            return _BINARY[type(node.op)]
        case ast.Await():
            return 16
    return ATOM


@lru_cache(maxsize=20_000)
def binds_text(text: str) -> int:
    """The same of an expression in writing; loosest of all when it is none."""
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return NONE
    return ATOM if text.startswith("(") and isinstance(node, ast.Tuple) else binds(node)


def wanted(parent: ast.AST, child: ast.AST) -> int:
    """How tightly an expression in the child's place has to hold together."""
    match parent:
        case ast.BinOp(left=left, op=op):
            here = _BINARY[type(op)]
            if isinstance(op, ast.Pow):
                return 16 if child is left else 14
            return here if child is left else here + 1
        case ast.BoolOp(op=op):
            return 4 if isinstance(op, ast.Or) else 5
        case ast.UnaryOp(op=op):
            return 6 if isinstance(op, ast.Not) else 14
        case ast.Compare():
            return 8
        case ast.Attribute() | ast.Await():
            return ATOM
        case ast.Subscript(value=value):
            return ATOM if child is value else NONE
        case ast.Call(func=func):
            return ATOM if child is func else 2
        case ast.IfExp(orelse=orelse):
            return 3 if child is orelse else 4
        case ast.comprehension():
            return 4
        case ast.Starred():
            return 8
        case ast.Return() | ast.Assign() | ast.AugAssign() | ast.Expr():
            return NONE
    return 2


def fit(parent: ast.AST, child: ast.AST, text: str) -> str:
    """The text, in brackets where the child's place needs them."""
    return text if binds_text(text) >= wanted(parent, child) else f"({text})"
