"""Missing base cases: an early return at the start of the function, an early end of a round of a loop."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import COLLECTIONS, NUMBERS, UNKNOWN, Function, compatible
from agents.engines.repair.operators.conditions import pairs, truths
from agents.engines.repair.operators.statements import first_line, own_lines
from agents.engines.repair.proposals import Proposal

STEP = "    "


def propose(function: Function) -> Iterator[Proposal]:
    """At the start of the function and of each loop's body."""
    if isinstance(function.node, ast.Module) or not function.body or not own_lines(function, function.body[0]):
        return
    first = function.body[0]
    for condition, plausible in _conditions(function):
        for value, fits in _values(function):
            text = f"return {value}".rstrip()
            yield _before(function, first, condition, text, 0.3 * plausible * fits)
    for node in function.nodes:
        if isinstance(node, ast.For | ast.While) and own_lines(function, node.body[0]):
            conditions = truths(function, node.body[0]) + pairs(function, node.body[0])
            for condition, plausible in conditions:
                yield _before(function, node.body[0], condition, "continue", 0.14 * plausible)
                yield _before(function, node.body[0], condition, "break", 0.1 * plausible)
    for statement in function.body[1:]:
        if own_lines(function, statement):
            for condition, plausible in truths(function, statement) + pairs(function, statement):
                for value, fits in _values(function)[:6]:
                    prior = 0.2 * plausible * fits
                    yield _before(function, statement, condition, f"return {value}", prior, "early return")
    yield from _within(function)


def _within(function: Function) -> Iterator[Proposal]:
    """Before a later statement of a loop: what the statements above it found out ends the round, or all of them."""
    ends = [("break", 0.12), ("continue", 0.1), ("return", 0.1 if "generator" in function.returns() else 0.03)]
    for block in function.blocks:
        for statement in block[1:]:
            if any(function.loops_around(statement)) and own_lines(function, statement):
                for condition, plausible in truths(function, statement):
                    for text, prior in ends:
                        yield _before(function, statement, condition, text, prior * plausible, "loop left")


def _before(
    function: Function, node: ast.stmt, condition: str, text: str, prior: float, operator: str = "base case"
) -> Proposal:
    line, blanks = first_line(node), function.source.indentation(node.lineno)
    lines = f"{blanks}if {condition}:\n{blanks}{STEP}{text}\n"
    made = function.rewrite(line, line - 1, lines, prior, operator, f"add `if {condition}: {text}`")
    return Proposal(made.edits, prior, made.operator, node.lineno, made.words)


def _conditions(function: Function) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    names = [name for name in function.parameters if name != "self"][:4]
    for name in names:
        kinds = function.seen.get(name, UNKNOWN)
        if not kinds or kinds & COLLECTIONS:
            found += [(f"not {name}", 1.0), (f"len({name}) <= 1", 0.8), (f"len({name}) == 1", 0.7)]
        if not kinds or kinds & NUMBERS:
            found += [(f"{name} == 0", 1.0), (f"{name} <= 0", 0.8), (f"{name} < 0", 0.8), (f"{name} == 1", 0.8)]
            found += [(f"{name} <= 1", 0.8), (f"{name} < 2", 0.5)]
        if not kinds or "NoneType" in kinds or not kinds & (NUMBERS | COLLECTIONS):
            found += [(f"{name} is None", 0.9)]
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            if compatible(function.seen.get(one, UNKNOWN), function.seen.get(other, UNKNOWN)):
                found += [(f"{one} == {other}", 0.6), (f"{one} > {other}", 0.6), (f"{one} < {other}", 0.5)]
            if function.seen.get(other, UNKNOWN) & COLLECTIONS:
                found += [(f"{one} in {other}", 0.5), (f"{one} not in {other}", 0.5)]
    return found


def _values(function: Function) -> list[tuple[str, float]]:
    """What could be returned, by what was seen to be returned."""
    returns = function.returns()
    found: list[tuple[str, float]] = []
    for kind, texts in (
        ({"list"}, ("[]", "[[]]")), ({"int", "float"}, ("0", "1", "-1")), ({"bool"}, ("False", "True")),
        ({"str"}, ("''",)), ({"dict"}, ("{}",)), ({"set"}, ("set()",)), ({"tuple"}, ("()",)),
    ):  # fmt: skip
        fits = 1.0 if returns & kind else 0.7 if not returns else 0.12
        found += [(text, fits * (1.0 if text in {"[]", "0", "1"} else 0.8)) for text in texts]
    found.append(("None", 0.5))
    for name in function.parameters[:4]:
        kinds = function.seen.get(name, UNKNOWN)
        if name != "self":
            found.append((name, 1.0 if compatible(kinds, returns) else 0.1))
            if returns & {"list"}:
                found.append((f"[{name}]", 0.6))
    return sorted(found, key=lambda one: -one[1])[:8]
