"""Calls: of a related function, around an expression, or not at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import NUMBERS, Function
from agents.engines.repair.proposals import Proposal
from agents.engines.repair.source import Edit

_FAMILIES = (
    "any all", "min max sum", "append extend add insert appendleft", "extend update", "pop popleft", "lower upper",
    "startswith endswith", "lstrip rstrip strip", "find rfind index", "split rsplit splitlines", "keys values items",
    "union intersection difference symmetric_difference", "issubset issuperset isdisjoint",
    "floor ceil trunc round int",
    "sorted reversed list set tuple", "isdigit isalpha isalnum isspace", "isupper islower", "remove discard pop",
    "ljust rjust center", "sin cos tan", "log log2 log10 exp sqrt", "heappush heappop heapify", "str repr", "ord chr",
    "zip enumerate", "partition rpartition", "sort reverse", "map filter", "abs round int float", "count index",
    "gcd lcm", "bisect_left bisect_right bisect", "permutations combinations product", "title capitalize", "get pop",
)  # fmt: skip
RELATED: dict[str, tuple[str, ...]] = {}
for _family in _FAMILIES:
    for _name in _family.split():
        RELATED[_name] = tuple(dict.fromkeys((*RELATED.get(_name, ()), *(o for o in _family.split() if o != _name))))

_AROUND: tuple[tuple[frozenset[str], tuple[tuple[str, float], ...]], ...] = (
    (NUMBERS, (("abs", 0.25), ("int", 0.15), ("str", 0.12), ("round", 0.06), ("float", 0.05))),
    (
        frozenset({"list", "tuple", "range", "dict", "set", "deque"}),
        (("sorted", 0.2), ("set", 0.15), ("reversed", 0.16), ("list", 0.15), ("len", 0.16), ("sum", 0.1), ("max", 0.08),
         ("min", 0.08), ("tuple", 0.06)),
    ),
    (frozenset({"str"}), (("int", 0.14), ("len", 0.12), ("list", 0.06), ("sorted", 0.06), ("set", 0.06))),
)  # fmt: skip
_METHODS = (
    (frozenset({"str"}), (("lower()", 0.16), ("strip()", 0.16), ("upper()", 0.08), ("split()", 0.1))),
    (frozenset({"dict", "defaultdict", "Counter"}), (("items()", 0.3), ("values()", 0.25), ("keys()", 0.1))),
)  # fmt: skip


def propose(function: Function) -> Iterator[Proposal]:
    """All calls, and what calls might be missing around."""
    for node in function.expressions:
        if isinstance(node, ast.Call):
            yield from _callee(function, node)
            yield from _without(function, node)
        yield from _around(function, node)
    for statement in function.statements:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            yield from _bounded(function, statement)


def _callee(function: Function, node: ast.Call) -> Iterator[Proposal]:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    stop = function.source.span(node.func)[1]
    for place, other in enumerate(RELATED.get(name, ())):
        edit = Edit(stop - len(name.encode()), stop, other)
        words = f"call `{other}` instead of `{name}`"
        yield Proposal((edit,), 0.55 / (1 + 0.2 * place), "wrong function", node.lineno, words)


def _without(function: Function, node: ast.Call) -> Iterator[Proposal]:
    """The argument, or the object, without the call."""
    for value in node.args[:3]:
        inner = value.value if isinstance(value, ast.Starred) else value
        if not isinstance(inner, ast.GeneratorExp):
            in_yield = isinstance(function.parent(node), ast.Yield)
            yield function.swap(node, function.text(inner), 0.5 if in_yield else 0.3, "call dropped")
    if isinstance(node.func, ast.Attribute):
        yield function.swap(node, function.text(node.func.value), 0.28, "call dropped")


def _around(function: Function, node: ast.expr) -> Iterator[Proposal]:
    parent = function.parent(node)
    if isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Call | ast.Subscript) and node is _head(parent)):
        return
    if isinstance(node, ast.Constant | ast.GeneratorExp | ast.Slice | ast.Starred) or isinstance(parent, ast.Expr):
        return
    kinds, text = function.kinds(node), function.text(node)
    for family, wraps in _AROUND:
        for name, prior in wraps if kinds & family else ():
            if not text.startswith(f"{name}("):
                yield function.swap(node, f"{name}({text})", prior, "call added")
    for family, methods in _METHODS:
        for method, prior in methods if kinds & family and isinstance(node, ast.Name | ast.Call) else ():
            yield function.swap(node, f"{text}.{method}", prior, "call added")
    if isinstance(node, ast.Name | ast.Subscript | ast.Attribute):
        for name, needed in function.callables.items():
            if needed == 1 and name != text:
                yield function.swap(node, f"{name}({text})", 0.12, "call added")


def _head(parent: ast.Call | ast.Subscript) -> ast.expr:
    return parent.func if isinstance(parent, ast.Call) else parent.value


def _bounded(function: Function, node: ast.Assign) -> Iterator[Proposal]:
    """A running best that forgets: ``best = max(best, x)`` for ``best = x``; and a value kept at zero or above."""
    target = function.text(node.targets[0])
    kinds = function.kinds(node.targets[0]) | function.kinds(node.value)
    if kinds and not kinds & (NUMBERS | {"str"}):
        return
    text = function.text(node.value)
    inside = 1.0 if list(function.loops_around(node)) else 0.5
    for pattern, prior in (
        (f"max({target}, {text})", 0.45), (f"min({target}, {text})", 0.45), (f"max({text}, 0)", 0.3),
        (f"max(0, {text})", 0.36), (f"min({text}, 0)", 0.08), (f"max({text}, 1)", 0.08),
    ):  # fmt: skip
        yield function.swap(node.value, pattern, prior * inside, "bounded")
    for name in function.names_at(node)[:6]:
        if name != target and function.seen.get(name, frozenset()) & {"int", "float"}:
            yield function.swap(node.value, f"max({text}, {name})", 0.14 * inside, "bounded")
            yield function.swap(node.value, f"min({text}, {name})", 0.14 * inside, "bounded")
