"""Conditions of ``adapt``: CEL over the facts of a host, true or false, in bounded time.

CEL has no loops but its macros over lists; one inside another would multiply, so that is refused, as are functions
beyond those named here. The library is imported where a template has a condition: it takes a tenth of a second.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from templates_app.faults import did_you_mean
from templates_app.yaml_text import Json

FUNCTIONS = frozenset({"size", "int", "double", "string", "bool", "has", "contains", "startsWith", "endsWith"})
MACROS = frozenset({"all", "exists", "exists_one"})
MAX_DEPTH = 150  # levels of the syntax tree, of which each operator takes some: the evaluator is recursive
MAX_NESTING = 12
MAX_LOOPED = 300  # parts of the syntax tree that are run for each element; a comparison has about twenty


class BadCondition(ValueError):
    """A condition cannot be read, or gives neither true nor false."""


def condition_problem(text: str) -> str:
    """What is wrong with a condition, in words; empty when nothing is."""
    try:
        _program(text)
    except BadCondition as problem:
        return str(problem)
    return ""


def holds(text: str, *, host: Mapping[str, Json]) -> bool:
    """Whether the condition is true of the host. Raises :class:`BadCondition` for a fact that is not there."""
    import celpy

    try:
        facts = celpy.json_to_cel(host)  # type: ignore[arg-type]
    except ValueError as error:  # CEL's integers have 64 bits
        raise BadCondition("a fact of the host is too large a number") from error
    try:
        found = _program(text).evaluate({"host": facts})
    except celpy.CELEvalError as error:
        raise BadCondition(_worded(error, host)) from error
    except (ArithmeticError, TypeError, ValueError) as error:  # the library lets through what some conversions raise
        raise BadCondition("has no answer here: a number is too large, or a value of the wrong kind") from error
    if not isinstance(found, celpy.celtypes.BoolType):
        raise BadCondition("is neither true nor false")
    return bool(found)


@functools.lru_cache(maxsize=1024)
def _program(text: str) -> Any:
    """The condition, ready to run; checked before it is: depth, names, functions, macros."""
    import celpy

    if _nesting(text) > MAX_NESTING:
        raise BadCondition(f"brackets are nested deeper than {MAX_NESTING}")
    environment = celpy.Environment()
    try:
        tree = environment.compile(text)
    except celpy.CELParseError as error:
        raise BadCondition(f"does not read: {str(error.args[0]).splitlines()[0]}") from error
    _check(tree)
    return environment.program(tree)


def _nesting(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _check(tree: Any) -> None:
    """Refuse what could be unknown or run long. Walks with a stack of its own, each node with what lies above it."""
    waiting: list[tuple[Any, int, frozenset[str], bool]] = [(tree, 1, frozenset({"host"}), False)]
    looped = 0
    while waiting:
        node, depth, names, looping = waiting.pop()
        looped += looping
        if depth > MAX_DEPTH or looped > MAX_LOOPED:
            raise BadCondition("has too many parts")
        kind = getattr(node, "data", None)
        parts: list[Any] = list(getattr(node, "children", ()))
        if kind in ("ident", "dot_ident") and str(parts[0]) not in names:
            raise BadCondition(f"knows only host, not {parts[0]}")
        if kind in ("ident_arg", "dot_ident_arg", "member_dot_arg"):
            function = str(parts[1] if kind == "member_dot_arg" else parts[0])
            if function in MACROS and kind == "member_dot_arg":
                if looping:
                    raise BadCondition(f"has {function}() inside another")
                if not _is_bounded(parts[0]):
                    raise BadCondition(f"has {function}() over something other than a fact or a list")
                names, looping = names | {_variable(function, parts[2:])}, True
            elif function not in FUNCTIONS:
                raise BadCondition(
                    f"has no function {function}(). {did_you_mean(function, FUNCTIONS | MACROS)}".strip()
                )
        waiting.extend((part, depth + 1, names, looping) for part in parts)


def _is_bounded(node: Any) -> bool:
    """Whether a macro runs over a fact, or over a list as written: sums of lists could be as long as they like."""
    while hasattr(node, "children"):
        if node.data in ("ident", "list_lit"):
            return True
        if len(node.children) != 1 and node.data not in ("member_dot", "member_index"):
            return False
        node = node.children[0]
    return False


def _variable(macro: str, arguments: list[Any]) -> str:
    """The name that a macro gives each element; it takes that and what is asked of each."""
    asked = list(arguments[0].children) if arguments else []
    node = asked[0] if len(asked) == 2 else None
    while node is not None and node.data != "ident":
        node = node.children[0] if len(node.children) == 1 and hasattr(node.children[0], "data") else None
    if node is None:
        raise BadCondition(f"has {macro}() without a name and a question: {macro}(x, x > 1)")
    return str(node.children[0])


def _worded(error: Exception, host: Mapping[str, Json]) -> str:
    words = str(error.args[0])
    if "no such member" in words:
        name = words.partition("'")[2].rpartition("'")[0]
        return f"there is no fact host.{name}. {did_you_mean(name, host) or f'Ask has(host.{name}) first.'}"
    if "overload" in words:
        return "compares or adds values of different kinds"
    return words.partition("(in activation")[0].strip()
