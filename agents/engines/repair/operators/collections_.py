"""How collections begin, and whether two names share one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import UNKNOWN, Function
from agents.engines.repair.proposals import Proposal
from agents.engines.repair.source import Edit

MUTABLE = frozenset({"list", "dict", "set", "deque", "defaultdict"})


def propose(function: Function) -> Iterator[Proposal]:
    """Initial values, copies, rows that are one row, defaults that are kept between calls."""
    for node in function.nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            yield from _initial(function, node, node.value)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _KEEPERS:
            for value in node.args[-1:]:
                yield from _copied(function, value, 0.34)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and isinstance(node.left, ast.List):
            yield from _rows(function, node, node.left)
        elif isinstance(node, ast.List) and not node.elts and isinstance(node.ctx, ast.Load):
            parent = function.parent(node)
            if not isinstance(parent, ast.Assign | ast.AnnAssign | ast.Return):  # those have operators of their own
                for other, prior in (("[[]]", 0.3), ("[0]", 0.1), ("None", 0.06), ("set()", 0.06), ("{}", 0.06)):
                    yield function.swap(node, other, prior, "initial value")
        elif isinstance(node, ast.Yield | ast.Return) and isinstance(node.value, ast.Name):
            yield from _copied(function, node.value, 0.25)
    yield from _defaults(function)


_KEEPERS = {"append", "add", "insert", "extend", "appendleft", "setdefault"}


def _initial(function: Function, node: ast.Assign | ast.AnnAssign, value: ast.expr) -> Iterator[Proposal]:
    text = function.text(value)
    if isinstance(value, ast.Name | ast.Attribute | ast.Subscript):
        yield from _copied(function, value, 0.3)
    if text in {"[]", "{}", "set()", "list()", "dict()", "''", '""'}:
        others = [
            ("[]", 0.2),
            ("set()", 0.22),
            ("{}", 0.2),
            ("[0]", 0.15),
            ("[[]]", 0.2),
            ("[1]", 0.08),
            ("['']", 0.05),
        ]
        for name in function.names_at(node)[:6]:
            others += [(f"[{name}]", 0.2), (f"{{{name}}}", 0.15), (f"[[{name}]]", 0.05), (f"list({name})", 0.1)]
        if text == "{}":
            others += [("{0: 0}", 0.05), ("{0: 1}", 0.12)]
        for other, prior in others:
            if other != text:
                yield function.swap(value, other, prior, "initial value")
    if isinstance(value, ast.Constant) and type(value.value) in {int, float}:
        for name in function.names_at(node)[:6]:
            kinds = function.seen.get(name, UNKNOWN)
            if kinds & {"list", "tuple", "str"}:
                yield function.swap(value, f"{name}[0]", 0.3, "initial value")
                yield function.swap(value, f"len({name})", 0.3, "initial value")
                yield function.swap(value, f"len({name}) - 1", 0.25, "initial value")
            elif kinds & {"int", "float"}:
                yield function.swap(value, name, 0.2, "initial value")


def _copied(function: Function, value: ast.expr, prior: float) -> Iterator[Proposal]:
    kinds, text = function.kinds(value), function.text(value)
    if kinds & {"list"}:
        yield function.swap(value, f"{text}[:]", prior, "copied")
    elif kinds & MUTABLE:
        yield function.swap(value, f"{text}.copy()", prior, "copied")


def _rows(function: Function, node: ast.BinOp, row: ast.List) -> Iterator[Proposal]:
    if len(row.elts) == 1 and not isinstance(row.elts[0], ast.Constant):
        text = f"[{function.text(row.elts[0])} for _ in range({function.text(node.right)})]"
        yield function.swap(node, text, 0.6, "initial value")


def _defaults(function: Function) -> Iterator[Proposal]:
    if isinstance(function.node, ast.Module) or not function.body:
        return
    arguments = function.node.args
    named = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    first, source = function.body[0], function.source
    for argument, default in zip(named, arguments.defaults, strict=True):
        if isinstance(default, ast.List | ast.Dict | ast.Set) and first.lineno > function.node.lineno:
            blanks, name, value = source.indentation(first.lineno), argument.arg, function.text(default)
            lines = f"{blanks}if {name} is None:\n{blanks}    {name} = {value}\n".replace("\n", source.newline)
            at = source.starts[first.lineno - 1]
            edits = (Edit(*source.span(default), "None"), Edit(at, at, lines))
            yield Proposal(edits, 0.7, "shared default", default.lineno, f"a new `{value}` for each call of `{name}`")
