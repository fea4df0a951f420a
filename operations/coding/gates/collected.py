"""The tests of a Python module as pytest finds them, and what each of them really checks.

An assertion counts only where a failing one would fail the test: not behind an early return, under a condition that is
never true, in a block that catches it, or in an inner function that nobody mentions.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef
_CHECKS = re.compile(
    r"assert|expect|raises|warns|fail|verify|check|should|eventually|wait_(?:for|until)", re.IGNORECASE
)
_SWALLOWS = frozenset({"AssertionError", "Exception", "BaseException"})


@dataclass
class Tests:
    """The tests of a file: what each checks, how many cases each is given, and what it has that can never fail."""

    checks: dict[str, int] = field(default_factory=dict)
    cases: dict[str, int] = field(default_factory=dict)
    hollow: Counter[str] = field(default_factory=Counter)


def tests_of(module: ast.Module | None) -> Tests:
    """All tests of a module; of a name that is given twice, the last one, as Python does."""
    tests = Tests()
    for name, function in functions(module):
        tests.checks[name] = _checks(function)
        tests.cases[name] = _cases(function)
        tests.hollow[name] = sum(_is_hollow(node) for node in ast.walk(function))
    return tests


def functions(module: ast.Module | None) -> Iterator[tuple[str, Function]]:
    """Test functions of a module and of its test classes; nested ones are part of theirs."""
    for node in module.body if module else ():
        if isinstance(node, Function) and node.name.startswith("test"):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and (node.name.startswith("Test") or node.bases):
            for inner in node.body:
                if isinstance(inner, Function) and inner.name.startswith("test"):
                    yield f"{node.name}.{inner.name}", inner


def hidden(module: ast.Module | None) -> dict[str, str]:
    """Every function by what it does, to find a test again that goes by a name which pytest does not take for one."""
    found = {}
    for node in ast.walk(module) if module else ():
        if isinstance(node, Function) and not node.name.startswith("test"):
            found[body_of(node)] = node.name
    return found


def body_of(function: Function) -> str:
    """What a function does, without its name and its place."""
    return "\n".join(ast.dump(statement) for statement in function.body)


def _checks(function: Function) -> int:
    """How many checks count; ``assert x is not None`` is none of its own where another one looks at ``x``."""
    found = [node for node in _live(function.body) if _is_check(node)]
    narrowing = [node for node in found if _narrowed(node)]
    others = "\n".join(ast.unparse(node) for node in found if node not in narrowing)
    return len(found) - sum(_narrowed(node) in others for node in narrowing)


def _narrowed(node: ast.AST) -> str:
    match node:
        case ast.Assert(test=ast.Compare(left=left, ops=[ast.IsNot()], comparators=[ast.Constant(value=None)])):
            return ast.unparse(left)
    return ""


def _cases(function: Function) -> int:
    """How many cases the ``parametrize`` marks list; 1 where there are none, or where a name stands for the list."""
    count = 1
    for mark in function.decorator_list:
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr == "parametrize":
            values = [*mark.args[1:2], *(word.value for word in mark.keywords if word.arg == "argvalues")]
            if values and isinstance(values[0], ast.List | ast.Tuple | ast.Set):
                count *= len(values[0].elts)
    return count


def _live(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of a block that are reached, and whose failing would be noticed."""
    body = list(body)
    mentioned = {node.id for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name)}
    for statement in body:
        match statement:
            case ast.If(test=test, body=then, orelse=other):
                yield from ast.walk(test)
                known = constant(test)
                yield from () if known is False else _live(then)
                yield from () if known is True else _live(other)
                if known is True and _leaves(then):
                    return
            case ast.While(test=test, body=inner) if constant(test) is not False:
                yield from (*ast.walk(test), *_live(inner))
            case ast.For(body=inner, orelse=other) | ast.AsyncFor(body=inner, orelse=other):
                if not (isinstance(statement.iter, ast.List | ast.Tuple) and not statement.iter.elts):
                    yield from (*ast.walk(statement.iter), *_live(inner), *_live(other))
            case ast.With(items=items, body=inner) | ast.AsyncWith(items=items, body=inner):
                yield from (node for item in items for node in ast.walk(item.context_expr) if not _accepts(node))
                yield from () if any(_accepts(item.context_expr) for item in items) else _live(inner)
            case ast.Try(body=inner, handlers=handlers, orelse=other, finalbody=last):
                yield from () if any(map(_swallows, handlers)) else _live(inner)
                yield from (node for part in (*(h.body for h in handlers), other, last) for node in _live(part))
            case ast.FunctionDef(name=name, body=inner) | ast.AsyncFunctionDef(name=name, body=inner):
                yield from _live(inner) if name in mentioned else ()
            case ast.While():
                pass
            case _:
                yield from ast.walk(statement)
        if _leaves([statement]):
            return


def _leaves(body: list[ast.stmt]) -> bool:
    return any(isinstance(statement, ast.Return | ast.Raise) for statement in body)


def _swallows(handler: ast.ExceptHandler) -> bool:
    """Whether a failed assertion ends here."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    caught = any(kind is None or _last(kind) in _SWALLOWS for kind in kinds)
    goes_on = any(
        isinstance(node, ast.Raise | ast.Assert) or (isinstance(node, ast.Call) and _is_check(node))
        for statement in handler.body
        for node in ast.walk(statement)
    )
    return caught and not goes_on


def _accepts(node: ast.AST) -> bool:
    """``suppress(AssertionError)`` and ``pytest.raises(Exception)``: content with a failing assertion."""
    if not isinstance(node, ast.Call) or _last(node.func) not in {"suppress", "raises", "assertRaises"}:
        return False
    kinds = [kind for given in node.args for kind in (given.elts if isinstance(given, ast.Tuple) else [given])]
    wanted = {"AssertionError"} if _last(node.func) != "suppress" else _SWALLOWS
    return not node.keywords and any(_last(kind) in wanted for kind in kinds)


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_check(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    return isinstance(node, ast.Call) and bool(_CHECKS.search(_last(node.func)))


def _is_hollow(node: ast.AST) -> bool:
    """``assert True``, ``assert x or True``, ``assertTrue(True)``, ``assert x == x``."""
    if isinstance(node, ast.Assert):
        return constant(node.test) is True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "assertTrue":
        return bool(node.args) and constant(node.args[0]) is True
    return False


def constant(test: ast.expr) -> bool | None:
    """What a condition always is; None where that depends on something."""
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Name(id="__debug__" | "TYPE_CHECKING"):
            return test.id == "__debug__"
        case ast.Lambda():
            return True
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return None if any(isinstance(element, ast.Starred) for element in elements) else bool(elements)
        case ast.Dict(keys=keys):
            return bool(keys) if None not in keys else None
        case ast.JoinedStr(values=values):
            return True if any(isinstance(value, ast.Constant) and value.value for value in values) else None
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            known = constant(inner)
            return None if known is None else not known
        case ast.BoolOp(op=operator, values=values):
            decides = isinstance(operator, ast.Or)
            found = [constant(value) for value in values]
            return decides if decides in found else (None if None in found else not decides)
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return _compared(left, operator, right)
    return None


def _compared(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> bool | None:
    if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
        same = left.value == right.value
        return {ast.Eq: same, ast.Is: same, ast.NotEq: not same, ast.IsNot: not same}.get(type(operator))
    if isinstance(left, ast.Name) and ast.dump(left) == ast.dump(
        right
    ):  # a call may answer differently the second time
        return True if isinstance(operator, ast.Eq | ast.Is | ast.LtE | ast.GtE) else None
    counted = isinstance(left, ast.Call) and _last(left.func) == "len"
    nothing = isinstance(right, ast.Constant) and right.value == 0
    return True if counted and nothing and isinstance(operator, ast.GtE) else None
