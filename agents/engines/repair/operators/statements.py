"""Statements: deleted, doubled, moved, guarded, and turned into a related statement."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from agents.engines.repair.function import FUNCTIONS, Function
from agents.engines.repair.operators.conditions import harvested, opposites, pairs, truths
from agents.engines.repair.proposals import Proposal
from agents.engines.repair.source import Edit

SIMPLE = (
    ast.Assign,
    ast.AugAssign,
    ast.AnnAssign,
    ast.Expr,
    ast.Return,
    ast.Break,
    ast.Continue,
    ast.Raise,
    ast.Delete,
)
STEP = "    "


def propose(function: Function) -> Iterator[Proposal]:
    """All statements that stand on lines of their own."""
    for block in function.blocks:
        whole = [one for one in block if own_lines(function, one)]
        if len(whole) < len(block):
            continue
        for at, node in enumerate(block):
            yield from _deleted(function, block, node)
            yield from _related(function, node)
            if isinstance(node, SIMPLE):
                yield from _guarded(function, node)
            if at + 1 < len(block):
                yield from _exchanged(function, node, block[at + 1])
            yield from _further(function, block, at)
        yield from _moved_out(function, block)
        yield from _moved_in(function, block)


def own_lines(function: Function, node: ast.stmt) -> bool:
    """Whether nothing else stands on the statement's lines (a comment may)."""
    start, stop = function.source.span(node)
    first, last = function.source.line_span(first_line(node), node.end_lineno or node.lineno)
    before, after = function.source.data[first:start].strip(), function.source.data[stop:last].strip()
    return (not before or isinstance(node, FUNCTIONS)) and (not after or after.startswith(b"#"))


def first_line(node: ast.stmt) -> int:
    """The statement's first line, decorators included."""
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def lines_of(function: Function, node: ast.stmt) -> str:
    """The statement's lines, the last one ended."""
    text = function.source.lines(first_line(node), node.end_lineno or node.lineno)
    return text if text.endswith("\n") else text + "\n"


def shifted(text: str, blanks: str, new: str) -> str:
    """Lines that are indented by ``new`` instead of ``blanks``."""
    return "".join(new + line.removeprefix(blanks) if line.strip() else line for line in text.splitlines(keepends=True))


def _deleted(function: Function, block: list[ast.stmt], node: ast.stmt) -> Iterator[Proposal]:
    first, last = first_line(node), node.end_lineno or node.lineno
    blanks = function.source.indentation(node.lineno)
    told = _told(function, node)
    if not isinstance(node, (ast.Pass, *FUNCTIONS)):
        rest = "" if len(block) > 1 else f"{blanks}pass\n"
        prior = 0.3 if isinstance(node, SIMPLE) else 0.12
        yield function.rewrite(first, last, rest, prior, "statement deleted", f"delete `{told}`")
    if isinstance(node, ast.If | ast.While | ast.With) and all(own_lines(function, one) for one in node.body):
        inner = function.source.indentation(node.body[0].lineno)
        kept = "".join(lines_of(function, one) for one in node.body)
        yield function.rewrite(
            first, last, shifted(kept, inner, blanks), 0.2, "condition dropped", f"always do what `{told}` guards"
        )
    if isinstance(node, SIMPLE) and not isinstance(node, ast.Return | ast.Break | ast.Continue | ast.Raise):
        yield function.rewrite(
            last + 1, last, lines_of(function, node), 0.05, "statement doubled", f"do `{told}` twice"
        )


def _told(function: Function, node: ast.stmt) -> str:
    head = function.text(node).splitlines()[0].strip()
    return head if len(head) <= 60 else head[:59] + "…"


def _exchanged(function: Function, one: ast.stmt, other: ast.stmt) -> Iterator[Proposal]:
    if isinstance(one, FUNCTIONS) or isinstance(other, FUNCTIONS) or isinstance(one, ast.Return):
        return
    text = lines_of(function, other) + lines_of(function, one)
    words = f"do `{_told(function, other)}` before `{_told(function, one)}`"
    simple = isinstance(one, SIMPLE) and isinstance(other, SIMPLE)
    last = other.end_lineno or other.lineno
    yield function.rewrite(first_line(one), last, text, 0.32 if simple else 0.18, "statement moved", words)


def _further(function: Function, block: list[ast.stmt], at: int) -> Iterator[Proposal]:
    """A simple statement, two or three places up or down."""
    node = block[at]
    if not isinstance(node, SIMPLE) or isinstance(node, ast.Return | ast.Break | ast.Continue | ast.Raise):
        return
    own, source = lines_of(function, node), function.source
    for other in block[at + 2 : at + 4]:
        if not isinstance(other, ast.Return | ast.Break | ast.Continue | ast.Raise):
            last = other.end_lineno or other.lineno
            text = source.lines((node.end_lineno or node.lineno) + 1, last)
            words = f"do `{_told(function, node)}` after `{_told(function, other)}`"
            yield function.rewrite(first_line(node), last, text + own, 0.2, "statement moved", words)
    for other in block[max(at - 3, 0) : max(at - 1, 0)]:
        text = own + source.lines(first_line(other), first_line(node) - 1)
        words = f"do `{_told(function, node)}` before `{_told(function, other)}`"
        yield function.rewrite(first_line(other), node.end_lineno or node.lineno, text, 0.2, "statement moved", words)


def _moved_out(function: Function, block: list[ast.stmt]) -> Iterator[Proposal]:
    """The last statement of a block, after the statement that the block belongs to."""
    node = block[-1]
    owner = function.source.parents.get(node)
    if not isinstance(owner, ast.If | ast.For | ast.While | ast.With | ast.Try) or len(block) < 2:
        return
    inner, outer = (function.source.indentation(one.lineno) for one in (node, owner))
    first, end = first_line(node), owner.end_lineno or owner.lineno
    rest = function.source.lines((node.end_lineno or node.lineno) + 1, end) if node.end_lineno != end else ""
    text = rest + shifted(lines_of(function, node), inner, outer)
    loop = isinstance(owner, ast.For | ast.While)
    prior = 0.5 if loop and isinstance(node, ast.Return) else 0.3
    words = f"do `{_told(function, node)}` after the `{_told(function, owner)}`, not in it"
    yield function.rewrite(first, end, text, prior, "statement moved", words)
    if owner in function.body or not loop:
        before = shifted(lines_of(function, node), inner, outer) + function.source.lines(owner.lineno, first - 1)
        words = f"do `{_told(function, node)}` before the `{_told(function, owner)}`"
        yield function.rewrite(owner.lineno, end, before + rest, 0.12, "statement moved", words)


def _moved_in(function: Function, block: list[ast.stmt]) -> Iterator[Proposal]:
    """A statement into the block before it (its end), or into the one after it (its start)."""
    for owner, node in pairwise(block):
        if isinstance(owner, ast.If | ast.For | ast.While) and isinstance(node, SIMPLE):
            bodies = [owner.body, owner.orelse] if owner.orelse else [owner.body]
            outer = function.source.indentation(node.lineno)
            for body in bodies:
                last, inner = body[-1].end_lineno or 0, function.source.indentation(body[-1].lineno)
                between = function.source.lines(last + 1, first_line(node) - 1) if first_line(node) > last + 1 else ""
                text = shifted(lines_of(function, node), outer, inner) + between
                words = f"do `{_told(function, node)}` within `{_told(function, owner)}`"
                yield function.rewrite(last + 1, node.end_lineno or 0, text, 0.22, "statement moved", words)
    for node, owner in pairwise(block):
        if not isinstance(owner, ast.For | ast.While | ast.If):
            continue
        loop = not isinstance(owner, ast.If)
        if isinstance(node, ast.Assign if loop else SIMPLE):
            head_end = owner.body[0].lineno - 1
            outer, inner = (function.source.indentation(one.lineno) for one in (node, owner.body[0]))
            head = function.source.lines((node.end_lineno or node.lineno) + 1, head_end)
            text = head + shifted(lines_of(function, node), outer, inner)
            where = "anew in each round" if loop else f"only in `{_told(function, owner)}`"
            words = f"do `{_told(function, node)}` {where}"
            yield function.rewrite(first_line(node), head_end, text, 0.3 if loop else 0.24, "statement moved", words)


def _guarded(function: Function, node: ast.stmt) -> Iterator[Proposal]:
    blanks = function.source.indentation(node.lineno)
    inner = shifted(lines_of(function, node), blanks, blanks + STEP)
    conditions = [(text, 0.12) for text in harvested(function)]
    conditions += [(text, 0.14) for text in opposites(function)]
    conditions += [(text, 0.16 * plausible) for text, plausible in truths(function, node)]
    conditions += [(text, 0.16 * plausible) for text, plausible in pairs(function, node)]
    for condition, prior in conditions:
        text = f"{blanks}if {condition}:\n{inner}"
        words = f"do `{_told(function, node)}` only if `{condition}`"
        yield function.rewrite(first_line(node), node.end_lineno or 0, text, prior, "statement guarded", words)


def _related(function: Function, node: ast.stmt) -> Iterator[Proposal]:
    match node:
        case ast.Break() | ast.Continue():
            other = "continue" if isinstance(node, ast.Break) else "break"
            yield function.swap(node, other, 0.4, "other statement")
        case ast.Pass():
            for other in ("continue", "break", "return"):
                yield function.swap(node, other, 0.3, "other statement")
        case ast.Return() if list(function.loops_around(node)):
            yield function.swap(node, "break", 0.15, "other statement")
            yield function.swap(node, "continue", 0.15, "other statement")
        case ast.Return(value=ast.expr() as value):
            yield function.swap(node, f"yield {function.text(value)}", 0.05, "other statement")
        case ast.Expr(value=ast.Yield(value=ast.expr() as value)):
            yield function.swap(node, f"yield from {function.text(value)}", 0.5, "other statement")
        case ast.Expr(value=ast.YieldFrom(value=value)):
            yield function.swap(node, f"yield {function.text(value)}", 0.4, "other statement")
        case ast.Expr(value=ast.Call(func=ast.Attribute() as method, args=[argument])):
            owner = function.text(method.value)
            text = function.text(argument)
            yield function.swap(node, f"{owner} = {text}", 0.3, "other statement")
            yield function.swap(node, f"{owner} = {function.text(node.value)}", 0.12, "other statement")
        case ast.Expr(value=ast.Call() as call):
            yield function.swap(node, f"return {function.text(call)}", 0.4, "other statement")
            for value in [*call.args, *([call.func.value] if isinstance(call.func, ast.Attribute) else [])]:
                if isinstance(value, ast.Name):
                    yield function.swap(node, f"{value.id} = {function.text(call)}", 0.35, "other statement")
        case ast.Assign(targets=[ast.Name(id=name)], value=kept) if function.seen.get(name, frozenset()) & {"list"}:
            for adder in ("append", "extend"):
                yield function.swap(node, f"{name}.{adder}({function.text(kept)})", 0.12, "other statement")
        case ast.If(orelse=[*orelse]) if orelse and not isinstance(orelse[0], ast.If):
            yield from _else_always(function, node)


def _else_always(function: Function, node: ast.If) -> Iterator[Proposal]:
    """What stands under ``else`` is done in any case."""
    blanks, first = function.source.indentation(node.lineno), first_line(node.orelse[0])
    inner = function.source.indentation(node.orelse[0].lineno)
    kept = "".join(lines_of(function, one) for one in node.orelse)
    last = node.body[-1].end_lineno or 0
    if first > last + 1 and all(own_lines(function, one) for one in node.orelse):
        edit = function.rewrite(last + 1, node.end_lineno or 0, shifted(kept, inner, blanks), 0.2, "other statement",
                                f"do the `else` of `{_told(function, node)}` in any case")  # fmt: skip
        yield Proposal(tuple(Edit(one.start, one.stop, one.text) for one in edit.edits), edit.prior, edit.operator,
                       node.lineno, edit.words)  # fmt: skip
