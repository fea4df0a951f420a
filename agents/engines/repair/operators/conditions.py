"""Conditions: negated, replaced, with a term more, and of another statement."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import COLLECTIONS, NUMBERS, UNKNOWN, Function
from agents.engines.repair.precedence import binds
from agents.engines.repair.proposals import Proposal
from agents.engines.repair.source import Edit

TESTED = (ast.If, ast.While, ast.IfExp)


def propose(function: Function) -> Iterator[Proposal]:
    """The tests of if, elif, while, conditional expressions and comprehensions."""
    for node in function.nodes:
        if isinstance(node, TESTED):
            yield from _of_test(function, node.test)
            if not isinstance(node, ast.IfExp):
                yield from _keyword(function, node)
        elif isinstance(node, ast.comprehension):
            for test in node.ifs:
                yield from _of_test(function, test)
            yield from _filters(function, node)


def harvested(function: Function) -> list[str]:
    """The comparisons and tests that the function itself makes, in writing."""
    found = [function.text(node) for node in function.nodes if isinstance(node, ast.Compare)]
    for node in function.nodes:
        if isinstance(node, TESTED) and not isinstance(node.test, ast.Constant | ast.Compare):
            found.append(function.text(node.test))
    return list(dict.fromkeys(text for text in found if len(text) < 80))[:12]


def opposites(function: Function) -> list[str]:
    """The function's own comparisons the other way: ``letter != "*"`` where it asks for ``letter == "*"``."""
    found = []
    for node in function.nodes:
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OPPOSITE:
            left, right = function.text(node.left), function.text(node.comparators[0])
            found.append(f"{left} {_OPPOSITE[type(node.ops[0])]} {right}")
    return [text for text in dict.fromkeys(found) if len(text) < 80 and text not in harvested(function)][:8]


_OPPOSITE: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip


def truths(function: Function, node: ast.AST) -> list[tuple[str, float]]:
    """Conditions on single names at a node, with how plausible each is."""
    found: list[tuple[str, float]] = []
    for name in function.names_at(node)[:14]:
        kinds = function.seen.get(name, UNKNOWN)
        if kinds & (COLLECTIONS | {"bool"}):
            found += [(name, 1.0), (f"not {name}", 1.0)]
        if "NoneType" in kinds or (kinds and not kinds & (COLLECTIONS | NUMBERS)):
            found += [(f"{name} is None", 0.9), (f"{name} is not None", 0.9)]
        if kinds & {"int", "float"}:
            found += [(f"{name} == 0", 0.5), (f"{name} > 0", 0.45), (f"{name} != 0", 0.3), (f"{name} < 0", 0.3)]
            found += [(f"{name} == 1", 0.25), (f"{name} > 1", 0.2), (f"{name} >= 0", 0.2)]
        if kinds & (COLLECTIONS - {"dict"}):
            found += [(f"len({name}) == 1", 0.25), (f"len({name}) > 1", 0.3), (f"len({name}) <= 1", 0.25)]
    return found


def pairs(function: Function, node: ast.AST) -> list[tuple[str, float]]:
    """Conditions on two names at a node: orders of numbers, membership."""
    names = function.names_at(node)[:10]
    numbers = [name for name in names if function.seen.get(name, UNKNOWN) & {"int", "float", "str"}]
    found: list[tuple[str, float]] = []
    for place, one in enumerate(numbers[:6]):
        for other in numbers[place + 1 : 6]:
            found += [(f"{one} {sign} {other}", 0.3) for sign in ("<", ">", "==", "!=", "<=", ">=")]
    for container in names:
        if function.seen.get(container, UNKNOWN) & {"set", "dict", "list", "defaultdict", "str", "deque"}:
            for name in names:
                if name != container:
                    found += [(f"{name} in {container}", 0.5), (f"{name} not in {container}", 0.5)]
    return found


def _of_test(function: Function, test: ast.expr) -> Iterator[Proposal]:
    text = function.text(test)
    constant = isinstance(test, ast.Constant)
    if not constant:
        negated = text if binds(test) >= 6 else f"({text})"
        yield function.swap(test, f"not {negated}", 0.35, "condition negated")
        yield from _with_guards(function, test, text)
    weight = 0.75 if constant else 0.2
    for other, plausible in truths(function, test):
        yield function.swap(test, other, weight * plausible, "condition replaced")
        if not constant and other not in text:
            yield function.swap(test, f"{term(test, text, ast.Or)} or {other}", 0.34 * plausible, "condition added")
            yield function.swap(test, f"{term(test, text, ast.And)} and {other}", 0.34 * plausible, "condition added")
    for other in harvested(function):
        if other != text:
            yield function.swap(test, other, 0.3 if constant else 0.12, "condition replaced")
            if not constant:
                yield function.swap(test, f"{term(test, text, ast.Or)} or {other}", 0.12, "condition added")
                yield function.swap(test, f"{term(test, text, ast.And)} and {other}", 0.12, "condition added")
    for other in opposites(function) if not constant else ():
        yield function.swap(test, f"{term(test, text, ast.Or)} or {other}", 0.1, "condition added")
        yield function.swap(test, f"{term(test, text, ast.And)} and {other}", 0.14, "condition added")
    yield from _with_orders(function, test, text)
    for other, plausible in pairs(function, test):
        yield function.swap(test, other, 0.18 * plausible, "condition replaced")
        if not constant:
            yield function.swap(test, f"{term(test, text, ast.Or)} or {other}", 0.2 * plausible, "condition added")
            yield function.swap(test, f"{term(test, text, ast.And)} and {other}", 0.25 * plausible, "condition added")


def _with_orders(function: Function, test: ast.expr, text: str) -> Iterator[Proposal]:
    """The other end of a range: ``values[low] <= wanted`` beside ``wanted < values[middle]``; and zero or none."""
    for node in ast.walk(test):
        if isinstance(node, ast.Name) and (node is test or isinstance(function.parent(node), ast.BoolOp)):
            yield function.swap(node, f"{node.id} is not None", 0.2, "condition replaced")
        if not isinstance(node, ast.Compare) or len(node.ops) != 1 or not isinstance(node.ops[0], _ORDERS):
            continue
        for one in (node.left, node.comparators[0]):
            sought, kinds = function.text(one), function.kinds(one)
            if isinstance(one, ast.Constant) or not kinds & (NUMBERS | {"str"}):
                continue
            for bound in _bounds(function, test, kinds):
                if bound not in text:
                    for sign in ("<=", "<", ">=", ">"):
                        more = f"{term(test, text, ast.And)} and {bound} {sign} {sought}"
                        yield function.swap(test, more, 0.13, "range closed")


_ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def _bounds(function: Function, test: ast.expr, kinds: frozenset[str]) -> list[str]:
    parts = [
        function.text(node)
        for node in function.expressions
        if isinstance(node, ast.Subscript | ast.Attribute) and function.kinds(node) & kinds
    ]
    names = [name for name in function.names_at(test)[:6] if function.seen.get(name, UNKNOWN) & kinds]
    return [text for text in dict.fromkeys([*parts, *names]) if len(text) < 30][:8]


def term(test: ast.expr, text: str, of: type[ast.boolop]) -> str:
    least = 4 if of is ast.Or else 5
    return text if binds(test) >= least else f"({text})"


def _with_guards(function: Function, test: ast.expr, text: str) -> Iterator[Proposal]:
    """What the test reads from may be nothing: ``node is None or node.next is None``, ``i < len(a) and a[i]``."""
    for node in ast.walk(test):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            base = function.text(node.value)
            if base == "self":
                continue
            yield function.swap(test, f"{base} is None or {term(test, text, ast.Or)}", 0.5, "condition added")
            yield function.swap(test, f"{base} is not None and {term(test, text, ast.And)}", 0.5, "condition added")
        elif isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
            base, place = function.text(node.value), function.text(node.slice)
            for guard, prior in (
                (f"{place} < len({base})", 0.4), (f"{place} >= 0", 0.3), (f"{place} in {base}", 0.25), (base, 0.35),
            ):  # fmt: skip
                yield function.swap(test, f"{guard} and {term(test, text, ast.And)}", prior, "condition added")
            for guard, prior in (
                (f"not {base}", 0.35),
                (f"{place} not in {base}", 0.2),
                (f"{place} >= len({base})", 0.2),
            ):
                yield function.swap(test, f"{guard} or {term(test, text, ast.Or)}", prior, "condition added")


def _keyword(function: Function, node: ast.If | ast.While) -> Iterator[Proposal]:
    start = function.source.span(node)[0]
    written = function.source.data[start : start + 5].decode(errors="replace")
    if isinstance(node, ast.While):
        yield _head(function, node, "while", "if", 0.15)
    elif written.startswith("if"):
        yield _head(function, node, "if", "while", 0.25)
        block = next((block for block in function.blocks if node in block), [node])
        at = block.index(node)
        if at and isinstance(block[at - 1], ast.If) and not block[at - 1].orelse:  # type: ignore[attr-defined]
            yield _head(function, node, "if", "elif", 0.25)
    elif written.startswith("elif"):
        yield _head(function, node, "elif", "if", 0.2)


def _head(function: Function, node: ast.stmt, word: str, other: str, prior: float) -> Proposal:
    start = function.source.span(node)[0]
    words = f"`{other}` instead of `{word}`"
    return Proposal((Edit(start, start + len(word), other),), prior, "other statement", node.lineno, words)


def _filters(function: Function, node: ast.comprehension) -> Iterator[Proposal]:
    """A comprehension that takes too many."""
    stop = function.source.span(node.ifs[-1] if node.ifs else node.iter)[1]
    targets = [one.id for one in ast.walk(node.target) if isinstance(one, ast.Name)]
    conditions = [(name, 0.2) for name in targets] + [(text, 0.12) for text in harvested(function)]
    names = [*targets, *function.names_at(node.iter)[:6]]
    for target in targets:
        for name in names:
            if name != target:
                conditions += [(f"{target} {sign} {name}", 0.1) for sign in ("!=", "<", ">", "not in", "in")]
    for condition, prior in conditions:
        words = f"take only where `{condition}`"
        yield Proposal((Edit(stop, stop, f" if {condition}"),), prior, "condition added", node.iter.lineno, words)
